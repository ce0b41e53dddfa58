"""Changes to an SPF record, each a pure function from text to text.

Enters: the text of a record and what to change. Leaves: the new text, always one that ``parse``
takes. Called by whoever proposes records. Fails with RecordError where a given record is none, and
with EditError where the change can't be made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_network
from typing import Final

from posthouse.protocol import txt
from posthouse.protocol.spf.lint import normal
from posthouse.protocol.spf.parse import parse
from posthouse.protocol.spf.record import VERSION, Mechanism, Modifier, Network, Record, RecordError
from posthouse.protocol.spf.survey import Coverage, joined

_SOFTNESS: Final = "-~?"  # how "all" treats strangers, the hardest first


class EditError(Exception):
    """A change that can't be made. ``reason`` is a stable id.

    Reasons: ``not_there``, ``bad_term``, ``bad_address``, ``nothing``, ``not_ascii``.
    """

    def __init__(self, reason: str, term: str = "") -> None:
        super().__init__(f"{reason}: {term}" if term else reason)
        self.reason = reason
        self.term = term


def add(text: str, term: str) -> str:
    """Put a mechanism before ``all``. One that is there already, in whatever form, stays alone."""
    record, new = parse(text), _mechanism(term)
    if any(normal(new) == normal(each) for each in record.mechanisms):
        return text
    before = [each.text for each in record.mechanisms if not _last(each, record)]
    after = [each.text for each in record.mechanisms if _last(each, record)]
    return _written([*before, new.text, *after, *_modifiers(record)])


def add_include(text: str, domain: str) -> str:
    """Let a provider send."""
    return add(text, f"include:{domain}")


def add_ip(text: str, address: str) -> str:
    """Let an address or range send, "192.0.2.1" or "2001:db8::/32"."""
    return add(text, f"{_network_term(address)}")


def remove(text: str, term: str) -> str:
    """Take a mechanism out, in whatever form it is written, or a modifier."""
    record = parse(text)
    gone = [each for each in record.terms if _same(each, term)]
    if not gone:
        raise EditError("not_there", term)
    return _written(each.text for each in record.terms if each not in gone)


def remove_include(text: str, domain: str) -> str:
    """Let a provider no longer send."""
    return remove(text, f"include:{domain}")


def remove_ip(text: str, address: str) -> str:
    """Let an address or range no longer send."""
    return remove(text, _network_term(address))


def merge(texts: Sequence[str]) -> str:
    """One record in place of several. Raises EditError("nothing") for none.

    Terms keep their order; one that passes wins over the same one that does not. ``all`` becomes
    the softest of those given, so that no stranger is treated worse than now, but never "+all". A
    redirect becomes an include, unless it is the end of every record. Modifiers: the first wins.
    """
    records = [parse(text) for text in texts]
    if not records:
        raise EditError("nothing")
    redirects = [record.redirect.value if record.redirect else None for record in records]
    targets = {str(each).lower(): each for each in redirects if each is not None}
    ends = [record.all.qualifier for record in records if record.all is not None]
    shared = not ends and None not in redirects and len(targets) == 1
    terms = _union(each for record in records for each in _until_all(record))
    if not shared:
        open_ends = [record.redirect for record in records if record.redirect and not record.all]
        included = (_mechanism(f"include:{each.value}") for each in open_ends)
        terms |= {key: term for key, term in _union(included).items() if key not in terms}
    modifiers: dict[str, str] = {}
    for modifier in (each for record in records for each in record.modifiers):
        if modifier.name != "redirect" or shared:
            modifiers.setdefault(modifier.name, modifier.text)
    end = _softest(ends, "~all" if targets and not shared else "")
    return _written([*terms.values(), *filter(None, [end]), *modifiers.values()])


def _union(mechanisms: Iterable[Mechanism]) -> dict[str, str]:
    made: dict[str, Mechanism] = {}
    for each in mechanisms:
        known = made.setdefault(normal(each)[1:], each)
        if known.qualifier != "+" == each.qualifier:
            made[normal(each)[1:]] = each
    return {key: each.text for key, each in made.items()}


def _softest(qualifiers: Sequence[str], otherwise: str) -> str:
    """The one "all" that stands for several."""
    if not qualifiers:
        return otherwise
    known = [_SOFTNESS.index(each) for each in qualifiers if each in _SOFTNESS]
    return f"{_SOFTNESS[max(known)]}all" if known else "~all"


def flatten(text: str, terms: Iterable[Coverage]) -> str:
    """Replace what asks DNS by the ranges a survey of this record found.

    What depends on the client or message (exists, ptr, macros), or has exceptions inside, stays as
    it is. The result is true for as long as nobody named in it moves.
    """
    record, found = parse(text), {each.term: each for each in terms}
    made: list[str] = []
    for mechanism in record.mechanisms:
        known = found.get(mechanism.text)
        if known is None or not mechanism.asks or not known.complete:
            made.append(mechanism.text)
        else:
            made += _ranges(known.networks, mechanism.qualifier)
    return _written([*dict.fromkeys(made), *_modifiers(record)])


def strings(text: str) -> tuple[str, ...]:
    """The strings of the TXT record. Raises EditError where it is not ASCII."""
    if not text.isascii():
        raise EditError("not_ascii")
    return tuple(each.decode("ascii") for each in txt.strings(text))


def quoted(text: str) -> str:
    """The same as a zone file has it."""
    return txt.quoted("".join(strings(text)))


def _written(terms: Iterable[str]) -> str:
    text = " ".join([VERSION, *terms])
    parse(text)
    return text


def _mechanism(term: str) -> Mechanism:
    """Exactly one. What is no mechanism would silently do nothing."""
    try:
        record = parse(f"{VERSION} {term}")
    except RecordError:
        raise EditError("bad_term", term) from None
    if len(record.terms) != 1 or not record.mechanisms:
        raise EditError("bad_term", term)
    return record.mechanisms[0]


def _network_term(address: str) -> str:
    try:
        network = ip_network(address, strict=False)
    except ValueError:
        raise EditError("bad_address", address) from None
    return next(_ranges((network,), "+"))


def _ranges(networks: Iterable[Network], qualifier: str) -> Iterator[str]:
    for network in joined(networks):
        sign = "" if qualifier == "+" else qualifier
        whole = network.prefixlen == network.max_prefixlen
        yield f"{sign}ip{network.version}:{network.network_address if whole else network}"


def _last(mechanism: Mechanism, record: Record) -> bool:
    end = record.all
    return end is not None and mechanism.position >= end.position


def _until_all(record: Record) -> list[Mechanism]:
    return [each for each in record.mechanisms if not _last(each, record)]


def _modifiers(record: Record) -> list[str]:
    return [modifier.text for modifier in record.modifiers]


def _same(each: Mechanism | Modifier, term: str) -> bool:
    if isinstance(each, Modifier):
        return each.text.lower() == term.lower()
    try:
        return normal(each) == normal(_mechanism(term))
    except EditError:
        return False
