"""Is a lane sound? Looked at beside a relay that runs, for whoever looks after an installation.

Enters: a lane's file, and who says when it is enough. Leaves: ``Sound``. Called by the relay's
doctor. Nothing fails: what can't be read is told. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from posthouse.send.queue.files import LaneError, opened, told

STEPS: Final = 100_000  # of SQLite's machine between two looks at the time: about a millisecond


@dataclass(frozen=True, slots=True)
class Sound:
    """One lane. ``problem`` is in SQLite's words, "" where there is none."""

    messages: int = 0
    whole: bool = False  # all of it was looked at
    problem: str = ""
    kind: str = "unreadable"  # or damaged, the file itself; version, another's; empty


def look_at(path: Path, enough: Callable[[], bool]) -> Sound:
    """Open one lane and look at all of its pages, or as many as time allows."""
    messages = 0
    try:
        with told(path), closing(opened(path)) as db:
            messages = db.execute("SELECT count(*) FROM letters").fetchone()[0]
            db.set_progress_handler(lambda: int(enough()), STEPS)
            said = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    except LaneError as error:
        if error.name == "SQLITE_INTERRUPT":
            return Sound(messages)
        if error.reason in ("version", "empty"):
            return Sound(problem=error.why or error.reason, kind=error.reason)
        damaged = error.name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
        kind = "damaged" if damaged else "unreadable"
        return Sound(messages, problem=error.why, kind=kind)
    return Sound(messages, True) if said == "ok" else Sound(messages, True, said, "damaged")
