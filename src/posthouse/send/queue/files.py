"""Where a queue is kept: its lanes' files, found and counted.

Enters: the relay's data folder. Leaves: paths by the lane's number, counts. Called by whoever opens
lanes or looks at them. Nothing fails: a lane that can't be read counts nothing, and whoever opens
it says why.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from posthouse.send.queue.ids import LANES

FOLDER: Final = "queue"  # below the data folder
BUSY: Final = 5.0  # seconds to wait for whoever else writes, which takes milliseconds


def folder_of(data: Path) -> Path:
    """Where the lanes are."""
    return data / FOLDER


def file_of(data: Path, lane: int) -> Path:
    """Where one lane is kept."""
    return folder_of(data) / f"lane-{lane}.sqlite"


def lanes_in(data: Path) -> dict[int, Path]:
    """The lanes that are there, by their numbers."""
    numbers = (path.stem.partition("-")[2] for path in folder_of(data).glob("lane-*.sqlite"))
    found = sorted(int(text) for text in numbers if text.isascii() and text.isdigit())
    return {lane: file_of(data, lane) for lane in found if lane < LANES}


def counted(path: Path) -> int:
    """Letters in one lane."""
    with suppress(sqlite3.Error):
        uri = f"{path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY)) as db:
            count: int = db.execute("SELECT count(*) FROM letters").fetchone()[0]
            return count
    return 0
