"""One received mail explained: the hop that counts, the proofs, and what filters wrote."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol import dkim
from posthouse.protocol.host import parse_ip
from posthouse.protocol.message.headers import split_headers
from posthouse.setup.domain import Known, MessageReport, explain_message
from posthouse.setup.domain.hop import Hop, receiving_hop
from posthouse.setup.domain.render import message_dict
from unit.domain.letters import LIST, RECEIVED, letter, signed
from unit.domain.test_dkim_check import NAME, key, record
from unit.domain.world import GOOD, SERVFAIL, net

TABLE = {**GOOD, (NAME, "TXT"): [record()]}
OVER = (*dkim.SIGNED, b"list-unsubscribe", b"list-unsubscribe-post")


async def explain(raw: bytes, table: Any = TABLE, **known: Any) -> MessageReport:
    return await explain_message(raw, net(table), Known(**known))


def found(report: MessageReport) -> dict[str, str]:
    return {one.finding.id.removeprefix("domain."): one.verdict.value for one in report.items}


async def test_a_good_mail() -> None:
    report = await explain(RECEIVED + signed(key()))
    assert report.hop == Hop(
        "198.51.100.25", "mx.good.test", "ann@good.test", "mx.reader.test", "ESMTPS", 1
    )
    assert (report.spf.code, report.dkim.code, report.dmarc.code) == ("pass", "pass", "pass")
    assert [(row.mechanism, row.aligned) for row in report.dmarc.alignments] == [
        ("spf", True),
        ("dkim", True),
    ]
    assert found(report) == {
        "message_hop": "ok",
        "message_tls": "ok",
        "message_spf_pass": "ok",
        "message_dkim_pass": "ok",
        "message_dmarc_pass": "ok",
        "message_no_unsubscribe": "info",
    }


async def test_a_forged_mail_fails_all_three() -> None:
    raw = RECEIVED.replace(b"198.51.100.25", b"203.0.113.66") + letter()
    report = await explain(raw)
    assert (report.spf.code, report.dkim.code, report.dmarc.code) == ("fail", "none", "fail")
    assert report.dmarc.disposition == "reject"
    assert found(report)["message_dmarc_fail"] == "fail"


async def test_what_passes_for_another_domain_does_not_count() -> None:
    table = {
        **TABLE,
        ("s1._domainkey.esp.test", "TXT"): [record()],
        ("esp.test", "TXT"): ["v=spf1 ip4:198.51.100.25 -all"],
    }
    raw = RECEIVED.replace(b"<ann@good.test>", b"<b-1@esp.test>") + signed(key(), domain="esp.test")
    report = await explain(raw, table)
    assert (report.spf.code, report.dkim.code, report.dmarc.code) == ("pass", "pass", "fail")
    others = [
        (i.finding.params["mechanism"], i.finding.params["other"])
        for i in report.items
        if i.finding.id == "domain.message_dmarc_unaligned"
    ]
    assert others == [("spf", "esp.test"), ("dkim", "esp.test")]


async def test_a_changed_body_is_named_as_the_reason() -> None:
    report = await explain(RECEIVED + signed(key()).replace(b"Hello.", b"Hello, you."))
    params = next(i.finding.params for i in report.items if "dkim_fail" in i.finding.id)
    assert params["reason"] == "body_changed"


async def test_silent_dns_is_unknown() -> None:
    table = {**TABLE, (NAME, "TXT"): SERVFAIL, ("good.test", "TXT"): SERVFAIL}
    report = await explain(RECEIVED + signed(key()), table)
    assert found(report)["message_dkim_temperror"] == "unknown"
    assert found(report)["message_spf_temperror"] == "unknown"
    assert report.dmarc.code == "temperror"


async def test_lf_files_and_mbox_lines_are_read_as_they_were_sent() -> None:
    raw = b"From ann@good.test Wed Nov 25 10:00:00 2026\n" + (RECEIVED + signed(key())).replace(
        b"\r\n", b"\n"
    )
    assert (await explain(raw)).dkim.code == "pass"


async def test_what_the_receiver_wrote_is_held_against_what_we_find() -> None:
    told = (
        b"Authentication-Results: mx.reader.test; spf=pass smtp.mailfrom=good.test; dkim=fail\r\n"
    )
    report = await explain(told + RECEIVED + signed(key()))
    assert report.told == (
        ("mx.reader.test", "spf", "pass", "pass"),
        ("mx.reader.test", "dkim", "fail", "pass"),
    )
    differs = [i for i in report.items if i.finding.id == "domain.message_told_differs"]
    assert [i.finding.params["method"] for i in differs] == ["dkim"]


@pytest.mark.parametrize(
    ("extra", "names", "id_", "verdict"),
    [
        (b"", OVER, "message_no_unsubscribe", "info"),
        (b"List-Unsubscribe: <mailto:u@good.test>\r\n", OVER, "message_not_one_click", "warn"),
        (LIST, (b"from", b"subject"), "message_one_click_unsigned", "warn"),
        (LIST, OVER, "message_one_click", "ok"),
    ],
)
async def test_one_click(extra: bytes, names: Any, id_: str, verdict: str) -> None:
    report = await explain(RECEIVED + signed(key(), extra, names=names))
    assert found(report)[id_] == verdict


@pytest.mark.parametrize(
    ("field", "id_", "verdict", "value"),
    [
        (b"X-Spam-Flag: YES", "sign_sa_yes", "warn", "YES"),
        (b"X-Spam-Status: Yes, score=7.1 tests=BAYES_99", "sign_sa_status_yes", "warn",
         "score=7.1 tests=BAYES_99"),
        (b"X-Spam-Status: No, score=0.1", "sign_sa_status_no", "ok", "score=0.1"),
        (b"X-MS-Exchange-Organization-SCL: 9", "sign_scl_spam", "warn", "9"),
        (b"X-MS-Exchange-Organization-SCL: -1", "sign_scl_clean", "ok", "-1"),
        (b"X-Forefront-Antispam-Report: CIP:192.0.2.1;SFV:SPM;H:x", "sign_forefront_spam",
         "warn", "SPM"),
        (b"X-Forefront-Antispam-Report: SFV:NSPM;CAT:NONE", "sign_forefront_clean", "ok", "NSPM"),
        (b"X-Microsoft-Antispam: BCL:7;", "sign_bulk_level", "info", "7"),
        (b"Authentication-Results: spf=fail; compauth=fail reason=601", "sign_composite_failed",
         "warn", "601"),
        (b"X-Gm-Spam: 1", "sign_gmail_spam", "warn", "1"),
        (b"X-QQ-SPAM: true", "sign_qq_spam", "warn", "true"),
    ],
)  # fmt: skip
async def test_what_filters_wrote(field: bytes, id_: str, verdict: str, value: str) -> None:
    report = await explain(field + b"\r\n" + RECEIVED + signed(key()))
    assert found(report)[id_] == verdict
    params = next(i.finding.params for i in report.items if i.finding.id == f"domain.{id_}")
    assert params["value"] == value


@pytest.mark.parametrize(
    "field",
    [
        b"X-Spam-Flag: NO",
        b"X-Gm-Spam: 0",
        b"X-Forefront-Antispam-Report: CIP:192.0.2.1;CAT:NONE",
        b"X-QQ-SPAM: false",
    ],
)
async def test_what_filters_wrote_that_is_no_sign_of_spam(field: bytes) -> None:
    report = await explain(field + b"\r\n" + RECEIVED + signed(key()))
    assert not [id_ for id_, v in found(report).items() if id_.startswith("sign_") and v == "warn"]


async def test_two_authors_end_dmarc() -> None:
    raw = RECEIVED + letter(sender=b"a@good.test, b@other.test")
    report = await explain(raw)
    assert found(report)["message_dmarc_author"] == "warn"


async def test_no_address_no_spf_until_the_caller_tells() -> None:
    report = await explain(signed(key()))
    assert report.spf is None
    assert found(report)["message_spf_unknown"] == "unknown"
    told = await explain(signed(key()), ip="198.51.100.25", helo="x", mail_from="ann@good.test")
    assert told.spf.code == "pass"
    assert told.hop.given == ("ip", "helo", "mail_from")


async def test_the_null_sender_is_checked_by_helo() -> None:
    table = {**TABLE, ("mx.good.test", "TXT"): ["v=spf1 a -all"]}
    raw = RECEIVED.replace(b"<ann@good.test>", b"<>", 1) + signed(key())
    report = await explain(raw, table)
    assert report.hop.mail_from == ""
    assert (report.spf.code, report.spf.domain) == ("pass", "mx.good.test")


def hop(*lines: str, **more: Any) -> Hop:
    raw = "".join(f"Received: {line}\r\n" for line in lines).encode() + b"\r\n"
    return receiving_hop(split_headers(raw.replace(b"\r\n", b"\n"))[0], **more)


@pytest.mark.parametrize(
    ("lines", "ip"),
    [
        (  # Gmail, from a stranger
            (
                "by 2002:a05:6a10:1 with SMTP id x; Wed, 25 Nov 2026 10:00:09 +0000",
                "from mail.good.test (mail.good.test. [198.51.100.1]) by mx.google.com with ESMTPS",
                "from pc (203.0.113.5) by mail.good.test with ESMTPSA",
            ),
            "198.51.100.1",
        ),
        (  # Gmail to Gmail: all lines are Google's, the entrance is the first with an address
            (
                "by 2002:a05:6a10:1 with SMTP id x",
                "from mail-ed1-f41.google.com (mail-ed1-f41.google.com. [198.51.100.41]) "
                "by mx.google.com with SMTPS",
                "by mail-ed1-f41.google.com with SMTP id y",
            ),
            "198.51.100.41",
        ),
        (  # Microsoft 365: several public hops of its own above the entrance
            (
                "from A.prod.outlook.com (2603:10a6:10::1) by B.prod.outlook.com with HTTPS",
                "from C.prod.outlook.com ([2603:10a6:20::2]) by A.prod.outlook.com with SMTP",
                "from mx.good.test (198.51.100.9) by D.mail.protection.outlook.com with SMTP",
                "from forged.outlook.com ([192.0.2.99]) by mx.good.test with ESMTP",
            ),
            "198.51.100.9",
        ),
        (  # a stranger's line below ours is not believed
            ("from x.test ([192.0.2.7]) by mx.reader.test", "from y ([192.0.2.8]) by evil.test"),
            "192.0.2.7",
        ),
        (("from localhost ([127.0.0.1]) by mx.reader.test",), ""),
    ],
)
def test_the_hop_that_counts(lines: tuple[str, ...], ip: str) -> None:
    assert hop(*lines).ip.replace("2603:", "2603:") == ip


def test_the_reader_may_tell_which_servers_are_his() -> None:
    lines = (
        "from gate.filter.test ([192.0.2.30]) by mx.reader.test",
        "from out.good.test ([192.0.2.40]) by gate.filter.test",
    )
    assert hop(*lines).ip == "192.0.2.30"
    assert hop(*lines, own=("reader.test", "filter.test")).ip == "192.0.2.40"


async def test_a_wait_is_found_where_it_was() -> None:
    raw = RECEIVED.replace(b"10:00:08", b"11:30:08").replace(b"10:00:09", b"11:30:09")
    report = await explain(raw + signed(key()))
    slow = next(i for i in report.items if i.finding.id == "domain.message_slow")
    assert slow.finding.params == {"by": "mx.reader.test", "minutes": 90}


async def test_as_json() -> None:
    shown = message_dict(await explain(RECEIVED + signed(key(), LIST, names=OVER)), "zh")
    assert shown["results"]["dmarc"] == "pass"
    assert shown["alignment"][1]["selector"] == "s1"
    assert all(one["text"] != one["id"] for one in shown["findings"])


@pytest.mark.parametrize("raw", [b"", b"\r\n", b"\xff\x00", b"From: ", b"Received: \r\n" * 2000])
async def test_anything_can_be_handed_in(raw: bytes) -> None:
    report = await explain(raw)
    assert report.dkim.code == "none"


@given(st.lists(st.text(max_size=80), max_size=6), st.text(max_size=40), st.text(max_size=20))
def test_no_header_breaks_the_search_for_the_hop(lines: list[str], told: str, own: str) -> None:
    raw = "".join(f"Received: {line}\n" for line in lines) + f"Received-SPF: {told}\n\n"
    found = receiving_hop(
        split_headers(raw.encode("utf-8", "replace"))[0], own=(own,) if own else ()
    )
    assert found.ip == "" or parse_ip(found.ip)
