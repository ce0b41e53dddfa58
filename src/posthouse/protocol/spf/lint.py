"""What is unwise in one SPF record, seen without DNS.

Enters: a parsed record, or the error parsing ended in. Leaves: findings, "spf.ptr" for example;
their words are "spf.finding.<rest>". Called by ``survey``, and by whoever writes a record.
Nothing fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from posthouse.flow import Finding, Status
from posthouse.protocol.spf.record import Mechanism, Record, RecordError
from posthouse.protocol.spf.reporting import reporting

# RFC 7208 section 3.4: with this, the answer fits in 512 octets of UDP.
LONG_RECORD: Final = 450
# More hosts than anybody sends from: 65,536 IPv4 addresses, one whole allocation of IPv6.
WIDE4: Final = 16
WIDE6: Final = 32
MECHANISMS: Final = ("all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists")

# Every id of a finding, here and in ``survey``, with the params its words may use.
FINDING_IDS: Final = {
    "spf.none": ("domain",),
    "spf.several": ("domain", "count"),
    "spf.syntax": ("domain", "reason", "position", "term"),
    "spf.dns_failed": ("name", "type", "status"),
    "spf.loop": ("domain", "term"),
    "spf.include_none": ("domain", "term", "name"),
    "spf.include_several": ("domain", "term", "name"),
    "spf.include_syntax": ("domain", "term", "name", "reason", "bad"),
    "spf.include_all": ("domain", "term", "name"),
    "spf.name_missing": ("domain", "term", "name"),
    "spf.mx_many": ("domain", "term", "name", "count", "limit"),
    "spf.lookups": ("count", "limit"),
    "spf.lookups_near": ("count", "limit"),
    "spf.voids": ("count", "limit"),
    "spf.dynamic": ("domain", "term"),
    "spf.unfinished": ("limit",),
    "spf.ptr": ("term",),
    "spf.all_pass": ("term",),
    "spf.all_neutral": ("term",),
    "spf.all_missing": (),
    "spf.after_all": ("terms",),
    "spf.redirect_ignored": ("term",),
    "spf.duplicate": ("term",),
    "spf.covered": ("term", "by"),
    "spf.wide": ("term", "count"),
    "spf.private": ("term",),
    "spf.long": ("length", "limit"),
    "spf.modifier_typo": ("term", "meant"),
    "spf.reporting": ("term",),
}


def finding(id_: str, status: Status, /, **params: Any) -> Finding:
    """One finding; its params are those ``FINDING_IDS`` names."""
    return Finding(f"spf.{id_}", status, None, params)


def syntax(domain: str, error: RecordError) -> Finding:
    """The finding for a record that can't be read. Its reason has words as well."""
    return finding(
        "syntax",
        Status.FAIL,
        domain=domain,
        reason=error.reason,
        position=error.position,
        term=error.term,
    )


def lint(record: Record) -> tuple[Finding, ...]:
    """All there is to say about a record that can be read."""
    return (*_end(record), *_terms(record), *_ranges(record), *_rest(record))


def _end(record: Record) -> Iterator[Finding]:
    """What becomes of everybody who is not named."""
    last = record.all
    if last is None:
        if record.redirect is None:
            yield finding("all_missing", Status.WARN)
        return
    if last.qualifier == "+":
        yield finding("all_pass", Status.FAIL, term=last.text)
    if last.qualifier == "?":
        yield finding("all_neutral", Status.WARN, term=last.text)
    after = [each.text for each in record.mechanisms if each.position > last.position]
    if after:  # section 5.1
        yield finding("after_all", Status.WARN, terms=" ".join(after))
    if record.redirect is not None:  # section 6.1
        yield finding("redirect_ignored", Status.WARN, term=record.redirect.text)


def _terms(record: Record) -> Iterator[Finding]:
    seen: set[str] = set()
    for mechanism in record.mechanisms:
        if mechanism.name == "ptr":  # section 5.5
            yield finding("ptr", Status.WARN, term=mechanism.text)
        key = normal(mechanism).lstrip("+-~?")
        if key in seen:
            yield finding("duplicate", Status.WARN, term=mechanism.text)
        seen.add(key)


def _ranges(record: Record) -> Iterator[Finding]:
    known: list[Mechanism] = []
    for mechanism in record.mechanisms:
        network = mechanism.network
        if network is None:
            continue
        if network.prefixlen < (WIDE4 if network.version == 4 else WIDE6):
            count = network.num_addresses
            yield finding("wide", Status.WARN, term=mechanism.text, count=count)
        elif network.is_private and not network.is_global:
            yield finding("private", Status.WARN, term=mechanism.text)
        around = next((each for each in known if _inside(mechanism, each)), None)
        if around is not None and normal(around) != normal(mechanism):
            yield finding("covered", Status.WARN, term=mechanism.text, by=around.text)
        known.append(mechanism)


def _inside(inner: Mechanism, outer: Mechanism) -> bool:
    if inner.name != outer.name or inner.base is None or outer.base is None:
        return False
    wider = outer.shift - inner.shift
    return wider >= 0 and inner.base >> wider == outer.base


def _rest(record: Record) -> Iterator[Finding]:
    if len(record.text) > LONG_RECORD:
        yield finding("long", Status.WARN, length=len(record.text), limit=LONG_RECORD)
    for modifier in record.modifiers:
        if modifier.name in MECHANISMS:  # "ip4=192.0.2.1" is well-formed and means nothing
            meant = modifier.text.replace("=", ":", 1)
            yield finding("modifier_typo", Status.FAIL, term=modifier.text, meant=meant)
    for text in reporting(record)[1]:
        yield finding("reporting", Status.WARN, term=text)


def normal(mechanism: Mechanism) -> str:
    """One form for all ways to write the same term."""
    text = f"{mechanism.qualifier}{mechanism.name}"
    if mechanism.network is not None:
        return f"{text}:{mechanism.network}"
    if mechanism.domain is not None:
        source = mechanism.domain
        # the case of a macro's letter has a meaning
        text += f":{source.text.lower() if source.literal is not None else source.text}"
        text = text.removesuffix(".")
    if mechanism.cidr4 != 32:
        text += f"/{mechanism.cidr4}"
    if mechanism.cidr6 != 128:
        text += f"//{mechanism.cidr6}"
    return text
