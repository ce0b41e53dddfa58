"""Feedback reports: written and read back, of all kinds; RFC 6652 and RFC 9991; any bytes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.protocol import arf, dmarc, dns, spf
from posthouse.protocol.arf import Envelope, FeedbackError, FeedbackReport
from posthouse.protocol.dmarc import report
from posthouse.protocol.message import parse_message, walk
from unit.dmarc.zone import Zone

WHEN = datetime(2026, 11, 25, 10, 20, 30, tzinfo=UTC)
ENVELOPE = Envelope(
    "Reports <r@receiver.test>", ("abuse@example.com",), WHEN, "1@receiver.test", "A report"
)
FULL = FeedbackReport(
    "auth-failure",
    "Posthouse/1",
    source_ip="2001:db8::1",
    source_port=2525,
    incidents=3,
    arrival=WHEN,
    original_mail_from="a@example.com",
    original_rcpt_to=("b@receiver.test", "c@receiver.test"),
    original_envelope_id="4bRw",
    reporting_mta="mx.receiver.test",
    reported_domains=("example.com",),
    reported_uris=("http://example.com/x",),
    authentication_results=("mx.receiver.test; dkim=fail header.d=example.com",),
    auth_failure="bodyhash",
    delivery_result="spam",
    identity_alignment=(),
    dkim_domain="example.com",
    dkim_identity="@example.com",
    dkim_selector="s1",
    dkim_selector_dns='"v=DKIM1; p=abc"',
    dkim_canonicalized_header=b"from:a@example.com\r\n",
    dkim_canonicalized_body=bytes(range(256)) * 20,
    spf_dns=('txt : example.com : "v=spf1 -all"',),
    original=b"From: a@example.com\nSubject: x\n\nbody\n",
    text="For people.",
    subject="A report",
)


def same(one: FeedbackReport) -> FeedbackReport:
    return replace(one, original=one.original.strip(), text=one.text.strip())


def test_all_fields_come_back() -> None:
    assert same(arf.read(arf.write(FULL, ENVELOPE))) == same(FULL)


@pytest.mark.parametrize("kind", sorted(arf.FEEDBACK_TYPES - {"auth-failure"}))
def test_every_kind(kind: str) -> None:
    one = FeedbackReport(kind, "X/1", original=b"Subject: y\n\nz\n", text="t", subject="A report")
    raw = arf.write(one, ENVELOPE)
    assert same(arf.read(raw)) == same(one)
    mail = parse_message(raw)
    assert mail.params["report-type"] == "feedback-report"
    kinds = [part.media_type for part in walk(mail)][1:]
    assert kinds == ["text/plain", "message/feedback-report", "message/rfc822"]  # RFC 5965, 2
    assert raw.count(b"\n") == raw.count(b"\r\n")


# header values: one line, no blanks in a row
word = st.text(st.characters(codec="ascii", min_codepoint=0x21, max_codepoint=0x7E), min_size=1)
words = st.lists(word.map(lambda one: one[:60]), min_size=1, max_size=6).map(" ".join)
plain = words.filter(lambda one: "=?" not in one)
local = st.from_regex(r"[a-z0-9._+-]{1,20}@[a-z]{1,10}\.test", fullmatch=True)
reports = st.builds(
    FeedbackReport,
    st.sampled_from(sorted(arf.FEEDBACK_TYPES)),
    plain,
    st.just("1"),
    st.integers(1, 10**9),
    st.ip_addresses().map(str),
    st.integers(0, 65_535),
    st.none()
    | st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)).map(
        lambda moment: moment.replace(tzinfo=UTC, microsecond=0)
    ),
    st.none() | local | st.just(""),
    st.lists(local, max_size=3).map(tuple),
    st.just("") | plain,
    st.just("") | st.from_regex(r"[a-z]{1,10}\.test", fullmatch=True),
    st.lists(st.from_regex(r"[a-z]{1,10}\.test", fullmatch=True), min_size=1, max_size=2).map(
        tuple
    ),
    st.lists(plain, max_size=2).map(tuple),
    st.lists(plain, min_size=1, max_size=2).map(tuple),
    st.sampled_from(["bodyhash", "signature", "spf", "revoked", "adsp", "dmarc"]),
    st.sampled_from(["", "delivered", "spam", "policy", "reject", "other"]),
    st.sampled_from([(), ("dkim",), ("spf",), ("dkim", "spf")]),
    dkim_canonicalized_body=st.binary(max_size=200),
    spf_dns=st.lists(plain, max_size=2).map(tuple),
    subject=st.just("A report"),
    text=st.just("t"),
    original=st.just(b"Subject: s\n\nb\n"),
)


@settings(max_examples=80)
@given(reports)
def test_what_is_written_is_read_back(one: FeedbackReport) -> None:
    assert same(arf.read(arf.write(one, ENVELOPE))) == same(one)


@pytest.mark.parametrize(
    ("one", "missing"),
    [
        (FeedbackReport("", "x"), "Feedback-Type"),
        (FeedbackReport("abuse"), "User-Agent"),
        (replace(FULL, auth_failure=""), "Auth-Failure"),
        (replace(FULL, authentication_results=()), "Authentication-Results"),
        (replace(FULL, auth_failure="dmarc", identity_alignment=None), "Identity-Alignment"),
    ],
)
def test_what_a_report_needs(one: FeedbackReport, missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        arf.write(one, ENVELOPE)


def test_a_strangers_words_make_no_fields() -> None:
    nasty = replace(
        FULL,
        original_mail_from="x>\r\nBcc: victim@example.net\r\n\r\n<",
        authentication_results=("a\nb",),
        original=b"Subject: s\n\n--=_" + b"0" * 40 + b"--\n" + b"y" * 5_000 + b"\x00\n",
    )
    raw = arf.write(nasty, replace(ENVELOPE, subject="a\r\nBcc: victim@example.net"))
    assert b"\r\nBcc" not in raw
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert b"\x00" not in raw
    assert len(list(walk(parse_message(raw)))) == 4


def test_a_field_too_long_for_a_line_is_refused() -> None:
    with pytest.raises(ValueError, match="Subject"):
        arf.write(FULL, replace(ENVELOPE, subject="x" * 1_000))


# Wild ones


def mail(fields: str, kind: str = "message/feedback-report") -> bytes:
    return (
        'Content-Type: multipart/report; boundary="b"\n\n--b\nContent-Type: text/plain\n\nhi\n'
        f"--b\nContent-Type: {kind}\n\n{fields}\n--b--\n"
    ).encode()


@pytest.mark.parametrize(
    ("fields", "notes"),
    [
        ("Feedback-Type: abuse", {"no_message"}),
        ("Feedback-Type: weather", {"type_unknown", "no_message"}),
        ("User-Agent: x", {"field_missing", "no_message"}),
        ("Feedback-Type: abuse\nSource-IP: here", {"address", "no_message"}),
        ("Feedback-Type: abuse\nIncidents: many", {"number", "no_message"}),
        ("Feedback-Type: abuse\nIncidents: 99999999999999999999", {"number", "no_message"}),
        ("Feedback-Type: abuse\nArrival-Date: soon", {"date", "no_message"}),
        ("Feedback-Type: abuse\nFeedback-Type: fraud", {"repeated", "no_message"}),
        ("Feedback-Type: auth-failure\nAuth-Failure: odd", {"word_unknown", "no_message"}),
    ],
)
def test_notes(fields: str, notes: set[str]) -> None:
    found = arf.read(mail(fields))
    assert {note.id for note in found.notes} == notes
    for note in found.notes:
        assert set(note.params) == set(arf.NOTE_IDS[note.id])


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b"\r\n \n", "empty"),
        (b"x" * 25_000_001, "too_big"),
        (b"Subject: hello\n\nworld\n", "no_feedback"),
        (b"Subject: DMARC Failure report\n\nworld\n", "no_feedback"),
    ],
    ids=["empty", "blank", "big", "plain", "nothing told"],
)
def test_what_is_no_report(raw: bytes, reason: str) -> None:
    with pytest.raises(FeedbackError) as caught:
        arf.read(raw)
    assert caught.value.reason == reason


@settings(max_examples=150)
@given(
    st.binary(max_size=300)
    | st.binary(max_size=300).map(lambda data: mail("").replace(b"\n\n--b--", b"\n" + data))
    | st.text("Source-IP: <>\n\t;=?utf8QB_" + "0123456789abcdef.\u4f8b", max_size=300).map(mail)
)
def test_any_bytes(raw: bytes) -> None:
    with suppress(FeedbackError):
        arf.read(raw)


# RFC 6652


def reporting(record: str) -> spf.Reporting | None:
    return spf.reporting(spf.parse(record))[0]


FAILURE = arf.SpfFailure(
    "example.com",
    spf.Code.FAIL,
    "192.0.2.1",
    "x@example.com",
    "mx.receiver.test; spf=fail smtp.mailfrom=example.com",
    ("v=spf1 ra=spf -all",),
    delivery_result="reject",
)


@pytest.mark.parametrize(
    ("record", "code", "throw", "sent"),
    [
        ("v=spf1 ra=spf -all", spf.Code.FAIL, 0.999, True),
        ("v=spf1 -all", spf.Code.FAIL, 0.0, False),
        ("v=spf1 ra=spf -all", spf.Code.PASS, 0.0, False),
        ("v=spf1 ra=spf rp=50 -all", spf.Code.FAIL, 0.499, True),
        ("v=spf1 ra=spf rp=50 -all", spf.Code.FAIL, 0.5, False),
        ("v=spf1 ra=spf rp=0 -all", spf.Code.FAIL, 0.0, False),
        ("v=spf1 ra=spf rr=s -all", spf.Code.FAIL, 0.0, False),
        ("v=spf1 ra=spf rr=s:e ~all", spf.Code.SOFTFAIL, 0.0, True),
        ("v=spf1 ra=spf rr=s:e ~all", spf.Code.PERMERROR, 0.0, True),
        ("v=spf1 ra=spf rr=f ?all", spf.Code.NEUTRAL, 0.0, False),
    ],
)
def test_spf_failure(record: str, code: spf.Code, throw: float, sent: bool) -> None:
    failure = replace(FAILURE, code=code)
    found = arf.spf_failure(reporting(record), failure, throw, "Posthouse/1")
    assert (found is not None) is sent
    if found is None:
        return
    recipient, one = found
    assert recipient == "spf@example.com"
    again = arf.read(arf.write(one, replace(ENVELOPE, recipients=(recipient,))))
    assert (again.auth_failure, again.source_ip) == ("spf", "192.0.2.1")
    assert again.spf_dns == ('txt : example.com : "v=spf1 ra=spf -all"',)
    assert again.reported_domains == ("example.com",)


def test_half_the_failures_are_reported_with_rp_50() -> None:
    wanted = reporting("v=spf1 ra=spf rp=50 -all")
    sent = [arf.spf_failure(wanted, FAILURE, n / 1000, "P/1") is not None for n in range(1000)]
    assert sum(sent) == 500


# RFC 9991


def verdict(tags: str, *dkim: dmarc.Dkim, spf_: dmarc.Spf | None = None) -> dmarc.Verdict:
    zone = Zone({"_dmarc.example.com": f"v=DMARC1; p=reject; {tags}"})
    return dns.run(dmarc.evaluate(["example.com"], spf_, dkim), zone)


GOOD = dmarc.Dkim("example.com", "pass", "s")
BAD = dmarc.Dkim("example.com", "fail", "s")
RUF = "ruf=mailto:f@example.com"


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (lambda: verdict(RUF), ("dmarc",)),
        (lambda: verdict(""), ()),
        (lambda: verdict("fo=1"), ()),
        (lambda: verdict(RUF, GOOD), ()),
        (lambda: verdict(f"{RUF}; fo=1", GOOD), ("dmarc",)),
        (lambda: verdict(f"{RUF}; fo=1", GOOD, spf_=dmarc.Spf("example.com", "pass")), ()),
        (lambda: verdict(f"{RUF}; fo=d", GOOD, BAD), ("dkim",)),
        (lambda: verdict(f"{RUF}; fo=d"), ()),
        (lambda: verdict(f"{RUF}; fo=s", GOOD, spf_=dmarc.Spf("a.test", "fail")), ("spf",)),
        (lambda: verdict(f"{RUF}; fo=d:s", BAD, spf_=dmarc.Spf("a.test", "fail")), ("dkim", "spf")),
    ],
)
def test_failure_options(make: Callable[[], dmarc.Verdict], wanted: tuple[str, ...]) -> None:
    """RFC 9989 section 4.7, tag fo."""
    assert report.wants_failure_report(make()) == wanted


def test_a_public_suffix_is_told_of_no_message() -> None:
    assert report.wants_failure_report(verdict(f"{RUF}; psd=y")) == ()


@pytest.mark.parametrize(
    ("signature", "spf_", "failed"),
    [
        # Identity-Alignment names what failed in the author's own name (RFC 9991 section 4)
        (BAD, None, ("dkim",)),
        (BAD, dmarc.Spf("bounce.example.com", "fail"), ("dkim", "spf")),
        (dmarc.Dkim("list.test", "fail"), dmarc.Spf("list.test", "pass"), ()),
        (dmarc.Dkim("list.test", "pass"), dmarc.Spf("example.com", "softfail"), ("spf",)),
    ],
)
def test_a_dmarc_failure_report(
    signature: dmarc.Dkim, spf_: dmarc.Spf | None, failed: tuple[str, ...]
) -> None:
    message = report.FailedMessage(
        "192.0.2.1",
        "a@b.test",
        "mx.test; dmarc=fail header.from=example.com",
        b"From: x\r\n",
        spf_records=("v=spf1 -all",),
    )
    one = report.failure_report(verdict(RUF, signature, spf_=spf_), message, "Posthouse/1")
    again = arf.read(arf.write(one, ENVELOPE))
    assert (again.auth_failure, again.identity_alignment) == ("dmarc", failed)
    told = ("example.com", "@example.com", "s") if "dkim" in failed else ("", "", "")
    assert (again.dkim_domain, again.dkim_identity, again.dkim_selector) == told
    assert bool(again.spf_dns) is ("spf" in failed)
    assert again.headers_only
    assert again.original.strip() == b"From: x"
