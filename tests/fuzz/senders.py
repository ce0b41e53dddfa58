"""Targets of who may send: tag lists, SPF, DMARC's record and evaluation."""

# ruff: noqa: PT017  a target looks at an error where it catches it

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Protocol

from fuzz.smtp import text_of
from fuzz.zone import Zone
from posthouse.flow import Finding
from posthouse.protocol import dmarc, spf, txt
from posthouse.protocol.dns import run
from posthouse.protocol.psl import PublicSuffixList
from posthouse.protocol.spf import edit
from posthouse.protocol.spf.lint import normal
from posthouse.protocol.spf.model import LOOKUPS, MAX_EXPLANATION, NOTES, VOIDS
from posthouse.protocol.taglist import TAGS_LIMIT, TagListError, parse_tags, without_wsp

CLIENTS = ("192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1")
SUFFIXES = PublicSuffixList("test\ncom\n*.ck\n!www.ck\nco.uk\n")

TAG_LISTS = (
    b"v=DKIM1; k=rsa; p=MIIB\r\n IjAN; n=a b",
    b"a=;b = c ;d=e=f;",
    "v=x; 用=户; i=用户@例子.测试".encode(),
)
SPF_RECORDS = (
    b"v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 a mx/24//64 include:_spf.a.test -all",
    b"v=spf1 exists:%{ir}.%{v}.%{d2}.b.test ptr ?a:%{l1r-}.c.test redirect=d.test exp=e.%{d}",
    b"V=SPF1 +a:a.test/0//0 ~all ra=postmaster rp=10 rr=all x=%%%_%-%{s}",
)
SPF_ZONES = (
    b"a.test TXT v=spf1 include:b.test mx ptr -all exp=e.test\na.test MX 10 m.test.\n"
    b"m.test A 192.0.2.9\nm.test AAAA 2001:db8::1\nb.test TXT v=spf1 a:c.test ?all\n"
    b"c.test A 192.0.2.8\n1.2.0.192.in-addr.arpa PTR x.a.test.\nx.a.test A 192.0.2.1\n"
    b"e.test TXT %{i} is not of %{d}: %{c} %{r} %{t} %{S}",
    b"* TXT v=spf1 include:%{d}.x include:y.%{o} redirect=%{h}\n* A 192.0.2.5",
    # Names that double with each include; includes of includes without end.
    b"* TXT v=spf1 include:" + b"%{d}.de:" * 30 + b"%{d}.x ~all",
    b"* TXT v=spf1 " + b"include:%{d}.x include:y.%{o} " * 20,
    b"* TXT v=spf1 exists:%{p}.%{l1r-.}.test mx:z.test all\n* A !servfail\n* MX 0 .\n* PTR a.test.",
)
SPF_EDITS = (
    b"v=spf1 ip4:192.0.2.0/24 include:a.test -all\ninclude:b.test\n192.0.2.1\nb.test",
    b"v=spf1 a ?all exp=x.test\nip6:2001:db8::1/128\n2001:db8::/32\na.test",
    b"v=spf1 redirect=a.test\n-mx:b.test/24//64\n0.0.0.0/0\nc.test",
)
DMARC_RECORDS = (
    b"v=DMARC1; p=reject; sp=quarantine; np=none; adkim=s; aspf=r; fo=1:d:s; psd=u; t=y;"
    b" rua=mailto:a@b.test!10m,https://x.test/; ruf=mailto:c%2Bd@e.test",
    b"v = DMARC1 ;p=none;pct=50;rf=afrf;ri=86400;x=y;;",
    b"v=DMARC1; p=none; rua=mailto:a@" + b"a." * 2_000 + b"%20",
    "v=DMARC1; p=拒绝; rua=mailto:用户@例子.测试".encode(),
)
DMARC_ZONES = (
    b"_dmarc.a.b.c.test TXT v=DMARC1; p=reject; np=quarantine\n_dmarc.c.test TXT v=DMARC1; p=none;"
    b" rua=mailto:x@other.test; psd=n\nc.test._report._dmarc.other.test TXT v=DMARC1",
    b"* TXT v=DMARC1; p=quarantine; psd=y; sp=none; rua=mailto:a@b.test\n* A 192.0.2.1",
    b"* TXT v=DMARC1; p=x\n* TXT v=DMARC1; p=none",
    b"* TXT !timeout",
)
SUFFIX_LISTS = (
    b"com\n*.ck\n!www.ck\n!uk\nco.uk // x\nwww.example.co.uk",
    "// ===BEGIN PRIVATE DOMAINS===\n中国\n*.例子.测试\na.b.例子.测试".encode(),
)


class Noted(Protocol):
    """One step that has words."""

    @property
    def id(self) -> str: ...
    @property
    def params(self) -> Mapping[str, object]: ...


def told(notes: Iterable[Noted | Finding], known: Mapping[str, tuple[str, ...]]) -> None:
    """Every step is one that has words, with what they need, as plain values."""
    for note in notes:
        # A name of a finding may stand alone or behind its package's.
        assert set(note.params) == set(known[note.id]), (note.id, dict(note.params))
        json.dumps(dict(note.params), allow_nan=False)


def tags(data: bytes) -> None:
    text = text_of(data)
    try:
        found = parse_tags(text)
    except TagListError as error:
        assert 0 <= error.position <= len(text)
        return
    assert 0 < len(found) <= TAGS_LIMIT
    for name, tag in found.items():
        assert tag.name == name
        assert text[tag.position :].startswith(tag.value)
        assert without_wsp(tag.value) == "".join(tag.value.split())
    again = "; ".join(f"{tag.name}={tag.value}" for tag in found.values())
    assert {n: t.value for n, t in parse_tags(again).items()} == {
        n: t.value for n, t in found.items()
    }


# SPF


def spf_record(data: bytes) -> None:
    text = text_of(data)
    try:
        found = spf.parse(text)
    except spf.RecordError as error:
        assert 0 <= error.position <= len(text)
        assert str(error)
        return
    assert spf.is_record(text)
    assert spf.parse(found.text) == found
    assert [term.text for term in found.terms] == text[6:].split()
    for mechanism in found.mechanisms:
        (again,) = spf.parse(f"v=spf1 {normal(mechanism)}").mechanisms
        assert normal(again) == normal(mechanism)
        assert (mechanism.network is None) is (mechanism.name not in ("ip4", "ip6"))
    told(spf.lint(found), spf.FINDING_IDS)
    spf.reporting(found)


def spf_check(data: bytes) -> None:
    """The first line may name the sender; the rest is the zone."""
    head, _, rest = data.partition(b"\0")
    sender = text_of(head if rest else b"user.name@a.test")
    zone = rest or data
    for ip in CLIENTS:
        seen = Zone(zone)
        found = run(spf.check_mail(ip, sender, "helo.a.test", receiver="mx.test", now=1), seen)
        assert found.code in spf.Code
        assert found.lookups <= LOOKUPS + 1
        assert found.voids <= VOIDS + 1
        assert len(found.trace) <= NOTES
        assert len(found.explanation) <= MAX_EXPLANATION
        assert found.explanation.isascii()
        assert found.explanation.isprintable()
        assert not found.explanation or found.code is spf.Code.FAIL
        told(found.trace, spf.TRACE_IDS)
        again = run(spf.check_mail(ip, sender, "helo.a.test", receiver="mx.test", now=1), seen)
        assert again == found
    told(run(spf.survey("a.test"), Zone(zone)).findings, spf.FINDING_IDS)


def spf_ranges(data: bytes) -> None:
    """Whom the survey lets through, the check lets through, where the survey saw all terms."""
    found = run(spf.survey("a.test"), Zone(data))
    if any(not term.complete or term.qualifier != "+" for term in found.terms):
        return
    if found.findings and any(one.status.value in ("fail", "unknown") for one in found.findings):
        return
    for ip in ("192.0.2.9", "192.0.2.8", "192.0.2.1", "2001:db8::1"):
        passed = run(spf.check_mail(ip, "u@a.test", "h.test"), Zone(data)).code is spf.Code.PASS
        assert passed is found.covers(ip), ip


def spf_edit(data: bytes) -> None:
    """A record, and what to put in: a term, an address, a domain."""
    text, term, address, domain = (*text_of(data).split("\n"), "", "", "")[:4]
    for there, out, what in (
        (edit.add, edit.remove, term),
        (edit.add_ip, edit.remove_ip, address),
        (edit.add_include, edit.remove_include, domain),
    ):
        try:
            made = there(text, what)
        except (edit.EditError, spf.RecordError):
            continue
        assert there(made, what) == made
        assert len(spf.parse(made).terms) - len(spf.parse(text).terms) in (0, 1)
        without = out(made, what)
        assert len(spf.parse(without).terms) < len(spf.parse(made).terms)
        _strings(made)
    for given in ([text], [text, "v=spf1 include:x.test -all"], [text, text]):
        with suppress(edit.EditError, spf.RecordError):
            made = edit.merge(given)
            assert "+all" not in made.lower().split()
            assert edit.merge([made]) == made
            _strings(made)


def _strings(text: str) -> None:
    found = edit.strings(text)
    assert "".join(found) == text
    assert all(len(one) <= txt.STRING for one in found)
    edit.quoted(text)


# DMARC


def dmarc_record(data: bytes) -> None:
    text = text_of(data)
    try:
        found = dmarc.parse(text)
    except dmarc.RecordError as error:
        assert 0 <= error.position <= len(text)
        return
    assert dmarc.is_record(text)
    assert all(0 <= one.position <= len(text) for one in found.problems)
    told(dmarc.lint(found), dmarc.FINDING_IDS)
    policy = found.effective
    assert (policy is None) is (dmarc.grade(found) is dmarc.Grade.MISSING)
    if policy is None or policy.p is None:
        return
    again = dmarc.parse(dmarc.build(policy))
    assert {one.id for one in again.problems} <= {"uri_scheme"}
    assert (again.policy.p, again.policy.sp, again.policy.np) == (policy.p, policy.sp, policy.np)
    given = [one.address for one in policy.rua if one.usable]
    assert [one.address for one in again.policy.rua if one.usable] == given


def dmarc_zone(data: bytes) -> None:
    """Two verdicts, that of RFC 9989 and that before it, and the survey."""
    head, _, rest = data.partition(b"\0")
    author = text_of(head) if rest else "a.b.c.test"
    zone = rest or data
    signed = [dmarc.Dkim("c.test", "pass"), dmarc.Dkim("x.other.test", "temperror")]
    for identity in (None, dmarc.Spf("b.c.test", "pass"), dmarc.Spf(author, "fail")):
        seen = Zone(zone)
        found = run(dmarc.evaluate([author], identity, signed), seen)
        assert found.code in dmarc.Code
        assert len(seen.asked) <= 40
        told(found.trace, dmarc.TRACE_IDS)
        assert run(dmarc.evaluate([author], identity, signed), Zone(zone)) == found
    both = run(dmarc.compare(SUFFIXES, [author], None, signed), Zone(zone))
    told(both.before.trace, dmarc.TRACE_IDS)
    told(run(dmarc.survey(author, SUFFIXES), Zone(zone)).findings, dmarc.FINDING_IDS)


def suffixes(data: bytes) -> None:
    """A list out of the first lines, a name out of the last."""
    text, _, name = text_of(data).rpartition("\n")
    for known in (SUFFIXES, PublicSuffixList(text)):
        suffix, owner = known.suffix(name), known.organizational(name)
        assert known.is_suffix(name) is (suffix is not None and owner is None)
        if owner is None or suffix is None:
            continue
        assert owner.endswith(f".{suffix}")
        assert "." not in owner.removesuffix(f".{suffix}")
        assert known.organizational(owner) == owner
