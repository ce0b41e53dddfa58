"""The log: one JSON object a line on standard error, for journald, a file or a collector.

Enters: a kind and plain facts, or the events of letters. Leaves: ``{"at": ..., "kind": ...,
"worker": ..., ...}``. A ``flow.Secret`` shows as ``***`` whatever asks for it. Called by the
supervisor (``say_to``) and the workers (``Log``). What is written goes by ``lines``, which never
waits for whoever reads: a log that can't be written must not stop the mail. Nothing fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog

from posthouse.daemon.lines import Lines
from posthouse.letter import Event

Say = Callable[..., None]

_MICRO: Final = 1_000_000
_encoder = msgspec.json.Encoder(enc_hook=repr)
# What JSON leaves as it is, while a reader takes it for the end of a line (U+0085, U+2028, U+2029),
# a terminal for a command (U+0080 to U+009F), or shows what follows in another order (U+202E...).
_ACTIVE: Final = re.compile(b"\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]")


def _one_line(data: bytes) -> bytes:
    """JSON that is one line for everybody: addresses and replies may hold any character."""
    if data.isascii():
        return data
    return _ACTIVE.sub(lambda found: rb"\u%04x" % ord(found[0].decode()), data)


class _File:
    """``Lines`` as structlog wants it."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def write(self, text: str) -> None:
        self._lines.put(_one_line(text.encode("utf-8", "backslashreplace")))

    def flush(self) -> None:
        """There is nothing to do: see ``Lines``."""


def say_to(lines: Lines, **always: Any) -> Say:
    """``say(kind, **facts)``; ``always`` stands in each line."""
    logger = structlog.wrap_logger(
        structlog.WriteLogger(_File(lines)),  # type: ignore[arg-type]
        processors=[
            _named,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        cache_logger_on_first_use=True,
    ).bind(**always)

    def say(kind: str, **facts: Any) -> None:
        with contextlib.suppress(ValueError):
            logger.info(kind, **facts)

    return say


def _named(_logger: Any, _method: str, facts: MutableMapping[str, Any]) -> dict[str, Any]:
    """When and what, before everything else, as with events."""
    own = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "kind": facts.pop("event")}
    return {**own, **facts, **own}  # whatever the facts call their own, these are ours


class Log:
    """One worker's log: the events of letters and all else, in the order in which they came.

    Of events there are thousands a second, so that they are handed over together, once a turn of
    the loop. Belongs to the thread of the loop; ``say`` may come from any.
    """

    def __init__(self, worker: int, lines: Lines) -> None:
        self._worker = worker
        self._lines = lines
        self._say = say_to(lines, worker=worker)
        self._turn: list[bytes] = []  # of this turn of the loop; ends with an empty one
        self._home = threading.get_ident()
        self._second = (-1, "")  # the last one, and how it is written

    def event(self, event: Event) -> None:
        """One more line, soon."""
        at, kind, letter, recipient, data = event
        own: dict[str, object] = {
            "at": self._time(at), "kind": kind, "worker": self._worker, "letter": letter,
        }  # fmt: skip
        if recipient:
            own["recipient"] = recipient
        facts = {**own, **data}
        if len(facts) < len(own) + len(data):
            facts |= own  # whatever the data call their own, these are ours
        if not self._turn:
            asyncio.get_running_loop().call_soon(self.flush)
        self._turn.append(_one_line(_encoder.encode(facts)))

    def say(self, kind: str, **facts: Any) -> None:
        """Anything that is no event."""
        if threading.get_ident() == self._home:
            self.flush()  # what came before stands before it
        self._say(kind, **facts)

    def flush(self) -> None:
        """Hand over what has come in this turn."""
        if self._turn:
            self._turn.append(b"")
            self._lines.put(b"\n".join(self._turn))
            self._turn.clear()

    def _time(self, at: float) -> str:
        """As ``datetime`` has it, which takes most of an event's time for a second seen before."""
        second = int(at)
        micro = round((at - second) * _MICRO)
        if micro == _MICRO:
            second, micro = second + 1, 0
        known, text = self._second
        if second != known:
            text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._second = (second, text)
        return f"{text}.{micro // 1000:03d}+00:00"
