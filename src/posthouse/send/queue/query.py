"""Which messages and recipients somebody at the command means, as SQL for one lane.

Enters: ``Query``. Leaves: conditions and their values. Called by ``desk``. Nothing fails; an id
that is none finds nothing. Values never become part of a statement's text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from posthouse.letter import State
from posthouse.protocol.host import HostError, to_ascii, to_unicode
from posthouse.send.queue.ids import number_of

NULL: Final = "<>"  # how the null path is written
_MOST: Final = 1 << 63  # SQLite's integers end here


@dataclass(frozen=True, slots=True)
class Query:
    """All that is given must fit. Sender and message are the letter's, the rest a recipient's.

    In ``sender``, ``recipient`` and ``cause`` a ``*`` stands for anything, a ``?`` for one
    character; case does not matter (for ASCII).
    """

    ids: tuple[str, ...] = ()  # () is any
    sender: str = ""  # "<>" is the null path
    recipient: str = ""
    domain: str = ""  # of the recipient; A-labels or its own script
    message_id: str = ""  # with or without its brackets
    state: State | None = None
    cause: str = ""
    before: float | None = None  # accepted before, in seconds since 1970


@dataclass(frozen=True, slots=True)
class Where:
    """Conditions in SQL, each with one mark for each of its values."""

    text: str
    values: tuple[Any, ...]


def of_letters(query: Query) -> Where:
    """On ``letters``, including that a recipient fits."""
    parts: list[tuple[str, tuple[Any, ...]]] = []
    if query.ids:
        parts.append(("id IN (SELECT value FROM json_each(?))", (json.dumps(numbers(query.ids)),)))
    if query.sender == NULL:
        parts.append(("sender = ''", ()))
    elif query.sender:
        parts.append((r"sender LIKE ? ESCAPE '\'", (_like(query.sender),)))
    if query.message_id:
        parts.append(("message_id = ?", (f"<{query.message_id.strip('<> ')}>",)))
    if query.before is not None:
        parts.append(("accepted <= ?", (query.before,)))
    below = of_recipients(query)
    if below.values:
        inner = f"SELECT letter FROM recipients WHERE {below.text}"  # noqa: S608  no values in it
        parts.append((f"id IN ({inner})", below.values))
    return _all(parts)


def of_recipients(query: Query) -> Where:
    """On ``recipients``."""
    parts: list[tuple[str, tuple[Any, ...]]] = []
    if query.recipient:
        parts.append((r"address LIKE ? ESCAPE '\'", (_like(query.recipient),)))
    if query.domain:
        forms = [f"%@{_escaped(form)}" for form in _forms(query.domain)]
        parts.append((r"(address LIKE ? ESCAPE '\' OR address LIKE ? ESCAPE '\')", tuple(forms)))
    if query.state is not None:
        parts.append(("state = ?", (query.state.value,)))
    if query.cause:
        parts.append((r"cause LIKE ? ESCAPE '\'", (_like(query.cause),)))
    return _all(parts)


def numbers(ids: Iterable[str]) -> list[int]:
    """The numbers of those that are ids."""
    found = []
    for one in ids:
        try:
            number = number_of(one)
        except ValueError:
            continue
        if number < _MOST:
            found.append(number)
    return found


def _all(parts: list[tuple[str, tuple[Any, ...]]]) -> Where:
    text = " AND ".join(part for part, _ in parts) or "1"
    return Where(text, tuple(value for _, values in parts for value in values))


def _forms(domain: str) -> tuple[str, str]:
    """Clients give a domain in either form (RFC 6531 section 3.3)."""
    try:
        ascii_form = to_ascii(domain.removeprefix("@"))
    except HostError:
        return domain, domain
    return ascii_form, to_unicode(ascii_form)


def _like(glob: str) -> str:
    return _escaped(glob).replace("*", "%").replace("?", "_")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
