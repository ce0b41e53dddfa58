"""The log: one JSON object a line on standard error, for journald, a file or a collector.

Enters: a kind and plain facts, or the events of letters. Leaves: ``{"at": ..., "kind": ...,
"worker": ..., ...}``. A ``flow.Secret`` shows as ``***`` whatever asks for it. Called by the
supervisor and the workers. Nothing fails: a log that can't be written must not stop the mail.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from posthouse.letter import Event

Say = Callable[..., None]

_encoder = msgspec.json.Encoder(enc_hook=repr)


def say_to(stream: Any = None, **always: Any) -> Say:
    """``say(kind, **facts)``; ``always`` stands in each line."""
    logger = structlog.wrap_logger(
        structlog.WriteLogger(stream or sys.stderr),
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.EventRenamer("kind"),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        cache_logger_on_first_use=True,
    ).bind(**always)

    def say(kind: str, **facts: Any) -> None:
        with contextlib.suppress(OSError, ValueError):
            logger.info(kind, **facts)

    return say


class EventLog:
    """The events of letters, written together once a turn of the loop: there are thousands."""

    def __init__(self, worker: int, stream: Any = None) -> None:
        self._worker = worker
        self._stream = stream or sys.stderr
        self._lines: list[str] = []

    def __call__(self, event: Event) -> None:
        """One more line, soon."""
        at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds")
        facts: dict[str, object] = {"at": at, "kind": event.kind, "worker": self._worker}
        facts["letter"] = event.letter
        if event.recipient:
            facts["recipient"] = event.recipient
        for name, value in event.data.items():
            facts.setdefault(name, value)  # whatever the data call their own, these are ours
        line = _encoder.encode(facts).decode()
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._write)
        self._lines.append(line)

    def _write(self) -> None:
        text = "\n".join(self._lines)
        self._lines.clear()
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text + "\n")
            self._stream.flush()
