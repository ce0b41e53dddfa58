"""Where a queue is kept: its lanes' files, found, opened, counted.

Enters: the relay's data folder. Leaves: paths by the lane's number, connections, counts. Called by
whoever opens lanes or looks at them. Fails with ``LaneError``.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from posthouse.send.queue.ids import LANES

FOLDER: Final = "queue"  # below the data folder
VERSION: Final = 1  # of the schema
BUSY: Final = 5.0  # seconds to wait for whoever else writes, which takes milliseconds
_LANE: Final = re.compile(r"lane-(0|[1-9][0-9]?)\.sqlite")  # "lane-01" is somebody's copy


class LaneError(Exception):
    """``reason``: no_queue, denied, busy, empty, version, damaged; ``path`` is what it is about.

    ``name`` is SQLite's own for its error, "" where it had none.
    """

    def __init__(self, reason: str, path: Path, why: str = "", name: str = "") -> None:
        super().__init__(f"{reason}: {path} {why}".rstrip())
        self.reason = reason
        self.path = path
        self.why = why
        self.name = name


def folder_of(data: Path) -> Path:
    """Where the lanes are."""
    return data / FOLDER


def file_of(data: Path, lane: int) -> Path:
    """Where one lane is kept."""
    return folder_of(data) / f"lane-{lane}.sqlite"


def lanes_in(data: Path) -> dict[int, Path]:
    """The lanes that are there, by their numbers. Raises LaneError where it may not be seen."""
    folder = folder_of(data)
    try:
        there = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        there = []
    except OSError as error:
        raise LaneError("denied", folder, error.strerror or str(error)) from None
    names = [found[1] for name in there if (found := _LANE.fullmatch(name))]
    return {n: file_of(data, n) for n in sorted(map(int, names)) if n < LANES}


def opened(path: Path) -> sqlite3.Connection:
    """One lane, which must be there: nothing is made where no relay is. Raises LaneError."""
    with told(path):
        uri = f"{path.absolute().as_uri()}?mode=rw"
        db = sqlite3.connect(uri, uri=True, timeout=BUSY, isolation_level=None)
        try:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            db.execute("PRAGMA synchronous = FULL")
        except sqlite3.Error:
            db.close()
            raise
    if version != VERSION:
        db.close()
        raise LaneError("version" if version else "empty", path, str(version or ""))
    return db


@contextmanager
def told(path: Path) -> Iterator[None]:
    """What SQLite says, as a LaneError."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            reason = "busy"
        elif name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")):
            reason = "denied"
        else:
            reason = "damaged"
        raise LaneError(reason, path, str(error), name) from error


def counted(path: Path) -> int:
    """Letters in one lane. Raises LaneError."""
    with told(path), closing(opened(path)) as db:
        count: int = db.execute("SELECT count(*) FROM letters").fetchone()[0]
        return count
