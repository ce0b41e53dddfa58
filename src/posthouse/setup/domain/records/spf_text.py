"""SPF records as texts: alike or not, what can be saved of a broken one, another end.

Enters and leaves: texts of records. Called by ``sender_policy``. ``with_end`` fails with
RecordError where the text is no record; nothing else fails.
"""

from __future__ import annotations

from posthouse.protocol import spf
from posthouse.protocol.spf import edit
from posthouse.protocol.spf.lint import normal
from posthouse.protocol.spf.record import VERSION


def same(live: str, wanted: str) -> bool:
    """The same terms in the same order, however written."""
    if live == wanted:
        return True
    try:
        ours, theirs = spf.parse(wanted), spf.parse(live)
    except spf.RecordError:
        return False
    return [_key(one) for one in ours.terms] == [_key(one) for one in theirs.terms]


def _key(term: spf.Mechanism | spf.Modifier) -> str:
    return normal(term) if isinstance(term, spf.Mechanism) else term.text


def salvaged(text: str) -> tuple[str, list[str]]:
    """The terms that can be read, and those that can't."""
    try:
        return spf.parse(text).text, []
    except spf.RecordError:
        pass
    kept, bad = "v=spf1", []
    for term in text.split()[1:]:
        try:
            spf.parse(f"{kept} {term}")  # with those before: modifiers must not come twice
        except spf.RecordError:
            bad.append(term)
        else:
            kept = f"{kept} {term}"
    return kept, bad


def with_end(text: str, end: str) -> str:
    """The same record with another "all", whatever it had."""
    record = spf.parse(text)
    if record.all is not None and record.all.qualifier == end[0]:
        return text
    last = record.all.position if record.all is not None else len(text)
    terms = [one.text for one in record.mechanisms if one.position < last]  # the rest is never read
    others = [one.text for one in record.modifiers if one.name != "redirect"]
    if record.redirect is not None and record.all is None:
        return text  # the other record says how it ends
    return " ".join(["v=spf1", *terms, end, *others])


def in_front(text: str, address: str) -> str:
    """The same record, which lets an address or range send before it asks anything."""
    first = edit.add_ip(VERSION, address)
    rest = [one.text for one in spf.parse(text).terms]
    return " ".join(dict.fromkeys([*first.split(), *rest]))
