"""The caps on what stands in messages, in records about senders, and in reports: a row for each."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from budget import soon
from fuzz.reports import GZIP, XML
from fuzz.zone import Zone
from posthouse.protocol import arc, arf, authres, dkim, dmarc, spf, tlsrpt
from posthouse.protocol.arf.read import REPEATED, VALUE
from posthouse.protocol.dkim.signature import KEY_NAME_LIMIT, NAMES_LIMIT
from posthouse.protocol.dkim.verify import (
    FIELDS_LIMIT,
    HEADER_LIMIT,
    KEY_RECORDS_LIMIT,
    SIGNATURES_LIMIT,
)
from posthouse.protocol.dmarc import report
from posthouse.protocol.dmarc.parse import TAGS_LIMIT as DMARC_TAGS
from posthouse.protocol.dmarc.parse import TEXT_LIMIT as DMARC_TEXT
from posthouse.protocol.dmarc.parse import URIS_LIMIT
from posthouse.protocol.dns import Answer, AnswerStatus, Ask, run
from posthouse.protocol.message import (
    decode_words,
    looks_like_message,
    parse_delivery_status,
    parse_headers,
    parse_message,
    parse_received,
    split_mbox,
    text_of_html,
    walk,
)
from posthouse.protocol.message.dsn import RECIPIENTS_LIMIT, STATUS_LIMIT
from posthouse.protocol.message.headers import FIELD_LIMIT
from posthouse.protocol.message.headers import HEADER_LIMIT as SECTION_LIMIT
from posthouse.protocol.message.html import HTML_LIMIT
from posthouse.protocol.message.mbox import MESSAGES_LIMIT, SNIFFED
from posthouse.protocol.message.mime import DEPTH_LIMIT, PARTS_LIMIT, SIZE_LIMIT
from posthouse.protocol.message.received import LINE_LIMIT
from posthouse.protocol.message.text import VALUE_LIMIT
from posthouse.protocol.spf.macro import EXPANDED
from posthouse.protocol.spf.model import LOOKUPS, MAX_EXPLANATION, NOTES
from posthouse.protocol.spf.parse import MAX_RECORD
from posthouse.protocol.spf.survey import QUESTIONS, TEXT
from posthouse.protocol.taglist import TAGS_LIMIT, TEXT_LIMIT, TagListError, parse_tags
from unit.security.test_caps import MEGABYTE, memory

_KEY = dkim.SigningKey("a.test", "s", ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32))
_RECORD = dkim.record_text(_KEY.private)
MESSAGE = b"From: a@a.test\r\nSubject: x\r\n\r\nhi\r\n"


# Messages


def test_fields_of_a_header() -> None:
    found = parse_headers(b"".join(b"X-%d: y\n" % n for n in range(3 * FIELD_LIMIT)))
    assert len(found.fields) == FIELD_LIMIT


def test_a_header_without_end() -> None:
    found = parse_headers(b"A: b\n" + b"X: " + b"y" * 2 * SECTION_LIMIT + b"\nC: d\n")
    assert sum(len(field.raw) for field in found.fields) <= SECTION_LIMIT
    assert "c" not in found


def test_a_value_without_end() -> None:
    found = parse_headers(b"Subject: " + b"y" * 5 * VALUE_LIMIT + b"\n")
    assert len(found.get("subject")) == VALUE_LIMIT
    assert len(decode_words("=?utf-8?q?a?=" + " y" * VALUE_LIMIT)) <= VALUE_LIMIT


def _nested(depth: int) -> bytes:
    made = b"Content-Type: text/plain\n\nhi\n"
    for n in range(depth):
        mark = b"b%d." % n
        made = b"Content-Type: multipart/mixed; boundary=" + mark + b"\n\n--" + mark + b"\n" + made
    return made


@pytest.mark.parametrize("depth", [DEPTH_LIMIT - 1, DEPTH_LIMIT + 1, 2_000])
def test_parts_in_parts(depth: int) -> None:
    with soon():
        parts = list(walk(parse_message(_nested(depth)), into_messages=True))
    assert len(parts) == min(depth, DEPTH_LIMIT) + 1


def test_messages_in_messages() -> None:
    raw = b"Content-Type: message/rfc822\n\n" * 10_000 + b"Subject: x\n\nhi"
    with soon():
        parts = list(walk(parse_message(raw), into_messages=True))
    assert len(parts) == DEPTH_LIMIT + 1


def test_parts_of_a_multipart() -> None:
    raw = b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 50_000
    with soon(2):
        parts = parse_message(raw).parts
    assert len(parts) == PARTS_LIMIT


def test_a_message_without_end() -> None:
    assert len(parse_message(b"A: b\n\n" + b"x" * 2 * SIZE_LIMIT).body) <= SIZE_LIMIT


def test_recipients_of_a_report() -> None:
    one = b"\nFinal-Recipient: rfc822; a%d@b.test\nAction: failed\n"
    raw = b"Reporting-MTA: dns; mx.test\n" + b"".join(one % n for n in range(1_000))
    assert len(parse_delivery_status(raw).recipients) == RECIPIENTS_LIMIT
    late = b"Reporting-MTA: dns; mx.test\n" + b"x" * STATUS_LIMIT + one % 1
    assert parse_delivery_status(late).recipients == ()


def test_html_without_end() -> None:
    with soon():
        assert len(text_of_html("x" * 3 * HTML_LIMIT)) == HTML_LIMIT


def test_an_mbox_without_end() -> None:
    one = b"From a Tue Jan 13 10:00:00 2026\nAb: c\n\n"
    assert sum(1 for _ in split_mbox(one * (MESSAGES_LIMIT + 5))) == MESSAGES_LIMIT
    assert not looks_like_message(b"\n" * SNIFFED + b"From: a\nTo: b\nSubject: c\n\n")


def test_a_trace_line_without_end() -> None:
    with soon():
        found = parse_received("from a.test " + "(x" * LINE_LIMIT + " by b.test")
    assert found.by == ""


# Signatures


def test_tag_lists() -> None:
    with pytest.raises(TagListError, match="too_long"):
        parse_tags("a=" + "x" * TEXT_LIMIT)
    with pytest.raises(TagListError, match="too_many"):
        parse_tags(";".join(f"a{n}=" for n in range(TAGS_LIMIT + 1)))
    assert len(parse_tags(";".join(f"a{n}=" for n in range(TAGS_LIMIT)))) == TAGS_LIMIT


def _verified(message: bytes, *records: str) -> tuple[dkim.Verification, list[Ask]]:
    asked: list[Ask] = []

    def lookup(ask: Ask) -> Answer:
        asked.append(ask)
        return Answer(ask.name, ask.type, AnswerStatus.OK, records or (_RECORD,))

    return run(dkim.verify(message, now=100), lookup), asked


def test_signatures_of_a_message() -> None:
    """Each under a key of another name: so many questions, and no more."""
    field = dkim.Signer([_KEY]).sign(MESSAGE, at=50)
    many = b"".join(field.replace(b"s=s;", b"s=s%d;" % n) for n in range(50))
    found, asked = _verified(many + MESSAGE)
    assert len(asked) == SIGNATURES_LIMIT
    reasons = [result.reason for result in found.results]
    assert reasons[SIGNATURES_LIMIT:] == ["too_many_signatures"] * (50 - SIGNATURES_LIMIT)


@pytest.mark.parametrize(
    "more", [b"X: y\r\n" * FIELDS_LIMIT, b"X: " + b"y" * HEADER_LIMIT + b"\r\n"], ids=len
)
def test_a_header_too_large_to_verify(more: bytes) -> None:
    field = dkim.Signer([_KEY]).sign(MESSAGE, at=50)
    with soon():
        found, asked = _verified(field + more + MESSAGE)
    assert found.results[0].reason == "header_too_large"
    assert asked == []
    chain = run(arc.verify(b"ARC-Seal: i=1\r\n" + more + MESSAGE), lambda ask: Answer("", "", "x"))  # type: ignore[arg-type]
    assert chain.reason == "header_too_large"


def test_key_records_of_a_name() -> None:
    field = dkim.Signer([_KEY]).sign(MESSAGE, at=50)
    other = "v=DKIM1; k=ed25519; p=" + "A" * 43 + "="
    good, bad = [other] * (KEY_RECORDS_LIMIT - 1), [other] * KEY_RECORDS_LIMIT
    assert _verified(field + MESSAGE, *good, _RECORD)[0].passed
    assert not _verified(field + MESSAGE, *bad, _RECORD)[0].passed


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("h=from:" + "x:" * NAMES_LIMIT + "y", "too_many_names"),
        ("h=from; s=" + "a." * (KEY_NAME_LIMIT // 2) + "b", "domain"),
        ("h=from; t=" + "9" * 5_000, "tag_value"),
        ("h=from; l=" + "9" * 5_000, "tag_value"),
    ],
    ids=("names", "selector", "time", "length"),
)
def test_a_signature_too_large(tag: str, reason: str) -> None:
    base = {"v": "1", "a": "ed25519-sha256", "d": "a.test", "s": "s", "b": "AAAA", "bh": "AAAA"}
    base |= dict(one.split("=") for one in tag.split("; "))
    text = "; ".join(f"{name}={value}" for name, value in base.items())
    with pytest.raises(dkim.SignatureError) as caught:
        dkim.parse_signature(text.encode())
    assert caught.value.reason == reason


def test_instances_of_a_chain() -> None:
    sealer, message = arc.Sealer(_KEY), MESSAGE
    answer = Answer("", "TXT", AnswerStatus.OK, (_RECORD,))
    with soon(10):
        for _ in range(arc.INSTANCES_LIMIT):
            message = (
                sealer.seal(message, run(arc.verify(message), lambda ask: answer), "m; none", at=1)
                + message
            )
        found = run(arc.verify(message, oldest=True), lambda ask: answer)
        assert sealer.seal(message, found, "m; none", at=1) == b""
    assert (found.code, len(found.sets)) == (arc.ArcCode.PASS, arc.INSTANCES_LIMIT)
    beyond = message.replace(b"i=50;", b"i=51;")
    assert run(arc.verify(beyond), lambda ask: answer).code is arc.ArcCode.FAIL


def test_results_without_end() -> None:
    found = authres.parse("a; " + "x=y; " * 5_000)
    assert len(found.results) == authres.RESULTS_LIMIT
    found = authres.parse("a; x=" + "y" * 5 * authres.VALUE_LIMIT)
    assert len(found.results[0].result) < authres.VALUE_LIMIT


# SPF

CLIENT = ("192.0.2.1", "user@a.test", "helo.test")


def test_a_record_too_long() -> None:
    with pytest.raises(spf.RecordError, match="too_long"):
        spf.parse("v=spf1 " + "a " * MAX_RECORD)


GROWING = [
    "include:" + "%{d}" * 4_000 + ".x",
    "include:" + "%{d}." * 3_000 + "x redirect=" + "%{d}" * 50 + ".y",
    "redirect=" + "%{D}%{d}." * 1_500 + "x",
    "include:%{d}.x " * 1_000,
    "exists:" + "%{s}%{d}" * 1_500 + ".x exists:%{d}.y",
    "include:" + "a." * 8_000 + "b exists:" + "%{d}" * 100 + ".z",
]


@pytest.mark.parametrize("record", GROWING, ids=range(len(GROWING)))
def test_names_that_grow(record: str) -> None:
    """Includes of includes, each with a name that is made of the last one's many times over."""
    zone = f"* TXT v=spf1 {record[: MAX_RECORD - 20]}".encode()

    def check() -> None:
        found = run(spf.check_mail(*CLIENT), Zone(zone))
        assert found.lookups <= LOOKUPS + 1
        names = [str(note.params.get("name", "")) for note in found.trace]
        assert max(map(len, names)) <= max(EXPANDED, MAX_RECORD)

    with soon(1.5):
        check()
    assert memory(check) < 40 * MEGABYTE
    asking = Zone(zone)
    with soon(2.5):
        found = run(spf.survey("a.test"), asking)
    assert len(asking.asked) <= QUESTIONS
    assert len(found.text) <= TEXT


def test_a_survey_without_end() -> None:
    zone = b"* TXT v=spf1 " + b"include:%{d}.x " * 1_000
    found = run(spf.survey("a.test"), Zone(zone))
    assert "spf.unfinished" in [finding.id for finding in found.findings]


def test_the_trace_of_a_check() -> None:
    zone = b"* TXT v=spf1 " + b"ip4:10.0.0.1 " * 1_000
    inner = b" ".join(b"exists:a%d.test" % n for n in range(9))
    found = run(spf.check_mail(*CLIENT), Zone(zone + inner))
    assert 0 < len(found.trace) <= NOTES


def test_an_explanation_without_end() -> None:
    for text in ("%{s}" * 200, "x" * (MAX_EXPLANATION + 1), "%{d}" * 250):
        zone = f"a.test TXT v=spf1 -all exp=e.test\ne.test TXT {text}".encode()
        ip, _, helo = CLIENT
        found = run(spf.check_mail(ip, "u" * 60 + "@a.test", helo), Zone(zone))
        assert found.code is spf.Code.FAIL
        assert len(found.explanation) <= MAX_EXPLANATION


# DMARC, TLS reports, feedback


def test_dmarc_records() -> None:
    with pytest.raises(dmarc.RecordError, match="too_long"):
        dmarc.parse("v=DMARC1; p=none; x=" + "y" * DMARC_TEXT)
    tags = "; ".join(f"{chr(97 + n // 26)}{chr(97 + n % 26)}=x" for n in range(3 * DMARC_TAGS))
    found = dmarc.parse(f"v=DMARC1; p=none; {tags}")
    assert len(found.published) <= DMARC_TAGS + 1  # and v
    assert "too_many" in [problem.id for problem in found.problems]
    uris = ",".join(f"mailto:a{n}@b.test" for n in range(3 * URIS_LIMIT))
    assert len(dmarc.parse(f"v=DMARC1; p=none; rua={uris}").policy.rua) == URIS_LIMIT


@pytest.mark.parametrize(
    ("limits", "raw", "reason"),
    [
        (report.Limits(size=10), b"<feedback/>", "too_big"),
        (report.Limits(unpacked=50), None, "bomb"),
        (report.Limits(layers=1), None, "too_deep"),
    ],
)
def test_reports(limits: report.Limits, raw: bytes | None, reason: str) -> None:
    with pytest.raises(report.ReportError) as caught:
        report.read(raw or GZIP, limits)
    assert caught.value.reason == reason


def test_records_of_a_report() -> None:
    start, end = XML.index(b"<record>"), XML.index(b"</feedback>")
    raw = XML[:start] + XML[start:end] * 30 + XML[end:]
    (found,) = report.read(raw, report.Limits(records=7))
    assert len(found.records) == 7
    assert "records_over" in [note.id for note in found.notes]


@pytest.mark.parametrize(
    "raw",
    [b'{"policies":' + b"[" * 100_000, b'{"policies":[' + b"1," * 2_000_001 + b"1]}"],
    ids=len,
)
def test_tls_reports(raw: bytes) -> None:
    with pytest.raises(report.ReportError), soon(2):
        tlsrpt.read(raw)


def test_feedback() -> None:
    with pytest.raises(arf.FeedbackError, match="too_big"):
        arf.read(b"A: b\n" * 10, arf.Limits(size=10))
    head = b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: "
    fields = (
        b"message/feedback-report\n\nFeedback-Type: abuse\nReported-URI: " + b"x" * 9_000 + b"\n"
    )
    fields += b"Reported-Domain: a.test\n" * 900
    mail = head + fields + b"\n--b\nContent-Type: message/rfc822\n\nA: b\n\n" + b"x" * 50_000
    found = arf.read(mail, arf.Limits(original=1_000))
    assert len(found.original) == 1_000
    assert len(found.reported_domains) == REPEATED
    assert len(found.reported_uris[0]) == VALUE
