"""The queue on the screen and as JSON.

What servers said and what stands in messages is hostile: only what is printable gets through.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from posthouse.cli.options import Session
from posthouse.cli.plain import Plain
from posthouse.cli.prose import cells, printable
from posthouse.explain import Catalogue
from posthouse.protocol.host import to_unicode

if TYPE_CHECKING:
    from posthouse.letter import Entry, Event, Item
    from posthouse.send.queue.desk import Page, Shown
    from posthouse.send.queue.files import LaneError

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
# Columns of a list, of 80: id 13, age 4, size 5, state 8; the addresses share what is left.
_ID, _AGE, _SIZE, _STATE = 13, 4, 5, 8
HEADER_LINES: Final = 200  # of the header that are shown; --content has all


def page(asked: Session, found: Page, now: float, *, filtered: bool = False) -> None:
    """One line for each message; ``filtered``: there may be others."""
    words, plain = asked.words, Plain(asked)
    if not found.entries:
        plain.say(words.text("queue.list.none_fits" if filtered else "queue.list.empty"))
        return
    room = plain.width - (_ID + _AGE + _SIZE + _STATE + 5)
    widths = (_ID, -_AGE, -_SIZE, _STATE, room // 2, room - room // 2)
    titles = ("id", "age", "size", "state", "from", "to")
    lines = [_row([words.text(f"queue.column.{title}") for title in titles], widths)]
    lines += [_row(_cells(words, entry, now), widths) for entry in found.entries]
    click.echo("\n".join(lines))  # at once: ten thousand lines, one by one, take their time
    if found.total > len(found.entries):
        plain.say(words.text("queue.list.more", shown=len(found.entries), total=found.total))


def _cells(words: Catalogue, entry: Entry, now: float) -> list[str]:
    states = {item.state for item in entry.items}
    state = next(iter(states), "lost") if len(states) < 2 else "mixed"
    to = _address(entry.items[0].recipient.address) if entry.items else ""
    more = f" +{len(entry.items) - 1}" if len(entry.items) > 1 else ""
    return [
        entry.id,
        age(now - entry.accepted),
        size(entry.size),
        words.text(f"queue.state.{state}"),
        _address(entry.sender) or "<>",
        f"{to}{more}",
    ]


def _address(address: str) -> str:
    """With the domain as people write it: it is kept in A-labels."""
    if "xn--" not in address:
        return printable(address)
    local, at, domain = address.rpartition("@")
    return printable(f"{local}{at}{to_unicode(domain)}")


def _row(values: Sequence[str], widths: Sequence[int]) -> str:
    return " ".join(map(_fit, values, widths)).rstrip()


def _fit(text: str, width: int) -> str:
    """In that many cells, to the right where negative; an address keeps both its ends."""
    room = abs(width)
    if cells(text) > room:
        head = _first(text, room // 2)
        tail = _first(text[::-1], room - 1 - cells(head))[::-1]
        text = f"{head}…{tail}"
    blanks = " " * (room - cells(text))
    return blanks + text if width < 0 else text + blanks


def _first(text: str, room: int) -> str:
    """As many of the first characters as fit."""
    used = 0
    for place, char in enumerate(text):
        used += cells(char)
        if used > room:
            return text[:place]
    return text


def letter(asked: Session, shown: Shown, now: float) -> None:
    """All of one message."""
    words, plain = asked.words, Plain(asked)
    plain.say(words.text("queue.show.title", id=shown.id), style="bold")
    if shown.entry is None:
        plain.say(words.text("queue.show.gone"), indent=2)
    else:
        plain.table(list(_facts(words, shown, shown.entry)))
        plain.heading("queue.show.recipients")
        for item in shown.entry.items:
            _recipient(plain, item, now)
    if shown.events:
        plain.heading("queue.show.events")
        plain.table([_event(words, event) for event in shown.events])
    if shown.header:
        plain.heading("queue.show.header")
        for line in _header(shown.header):
            plain.say(line, indent=2)


def _facts(words: Catalogue, shown: Shown, entry: Entry) -> Iterable[tuple[str, str]]:
    values = {
        "from": _address(entry.sender) or "<>",
        "accepted": moment(entry.accepted),
        "size": words.text("queue.show.octets", n=entry.size),
        "user": entry.user,
        "client": entry.client,
        "message_id": entry.message_id,
        "params": " ".join(
            name if v is None else f"{name}={v}" for name, v in shown.params.items()
        ),
    }
    for name, value in values.items():
        if value:
            yield words.text(f"queue.show.{name}"), printable(value)


def _recipient(plain: Plain, item: Item, now: float) -> None:
    words = plain.words
    state = words.text(f"queue.state.{item.state}")
    plain.say(f"{_address(item.recipient.address)}  {state}", indent=2)
    rows = [(words.text("queue.show.attempts"), str(item.attempts))]
    if item.state == "deferred":
        wait = item.due - now
        key = "due_in" if wait > 0 else "due_now"
        due = words.text(f"queue.show.{key}", at=moment(item.due), wait=age(max(0.0, wait)))
        rows.append((words.text("queue.show.due"), due))
    if item.last:
        rows.append((words.text("queue.show.last"), printable(item.last)))
    if item.cause:
        key = f"causes.{item.cause}.title"
        title = f"{words.text(key)} ({item.cause})" if words.has(key) else item.cause
        rows.append((words.text("queue.show.cause"), title))
    plain.table(rows, indent=4)


def _event(words: Catalogue, event: Event) -> tuple[str, str]:
    key = f"queue.event.{event.kind}"
    kind = words.text(key) if words.has(key) else event.kind
    facts = [_fact(words, *fact) for fact in event.data.items() if fact[1] != ""]
    told = words.text("queue.show.between").join(facts)
    what = " ".join(part for part in (kind, event.recipient) if part)
    return moment(event.at), printable(words.text("queue.show.event", what=what, told=told))


def _fact(words: Catalogue, name: str, value: Any) -> str:
    """One thing that is told of an event; a name that is not known stays as it is."""
    match name, value:
        case "due", float() | int():
            value = moment(value)
        case "size", int():
            value = words.text("queue.show.octets", n=value)
        case _, list():
            value = words.text("causes.word.comma").join(map(str, value))
    key = f"queue.fact.{name}"
    return f"{words.text(key) if words.has(key) else name} {value}"


def _header(raw: bytes) -> Iterable[str]:
    """The lines before the first empty one, as they are."""
    lines = raw.split(b"\r\n\r\n", 1)[0].split(b"\r\n")
    for line in lines[:HEADER_LINES]:
        yield printable(line.decode("utf-8", "replace").replace("\t", " "))


# -- for programs


def entry_dict(entry: Entry) -> dict[str, Any]:
    """A message as JSON has it."""
    return {
        "id": entry.id,
        "sender": entry.sender,
        "accepted": entry.accepted,
        "size": entry.size,
        "user": entry.user,
        "client": entry.client,
        "message_id": entry.message_id,
        "recipients": [_item_dict(item) for item in entry.items],
    }


def lane_dict(error: LaneError) -> dict[str, Any]:
    """A lane that can't be read as JSON has it."""
    return {"path": str(error.path), "reason": error.reason, "why": error.why}


def _item_dict(item: Item) -> dict[str, Any]:
    return {
        "address": item.recipient.address,
        "params": dict(item.recipient.params),
        "state": item.state.value,
        "attempts": item.attempts,
        "due": item.due,
        "last": item.last,
        "cause": item.cause,
        "warned": item.warned,
    }


def shown_dict(shown: Shown) -> dict[str, Any]:
    """All of one message as JSON has it."""
    events = [
        {"at": e.at, "kind": e.kind, "recipient": e.recipient, "data": dict(e.data)}
        for e in shown.events
    ]
    return {
        "id": shown.id,
        "in_queue": shown.entry is not None,
        "message": entry_dict(shown.entry) if shown.entry is not None else None,
        "params": dict(shown.params),
        "header": list(_header(shown.header)) if shown.header else [],
        "events": events,
    }


# -- texts


def age(seconds: float) -> str:
    """In the largest unit it fills: "3h"."""
    whole = max(0, int(seconds))
    for length, unit in _UNITS:
        if whole >= length:
            return f"{whole // length}{unit}"
    return "0s"


def size(octets: int) -> str:
    """In at most five characters: "4.2K"."""
    value = float(octets)
    for unit in ("", "K", "M", "G"):
        if value < 1_000 or unit == "G":
            break
        value /= 1_024
    return f"{value:.0f}{unit}" if not unit or value >= 100 else f"{value:.1f}{unit}"


def moment(at: float) -> str:
    """A time anybody can read, in UTC as in the log."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
