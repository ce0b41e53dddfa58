"""Old events go by themselves: a thread of a worker removes them from its lanes, bit by bit.

Enters: the lanes' files, how long events are kept. Leaves: a line in the log for each round that
removed anything. Called by ``worker``. Nothing fails: what can't be done now (the disk is full, a
lane is busy) is tried in the next round.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from posthouse.send.queue.files import LaneError, opened, told
from posthouse.send.queue.prune import prune

REST: Final = 600.0  # seconds between rounds
SHARE: Final = 4  # of its own time it leaves to the lane's writer between two steps


class Pruning:
    """The owner of the thread, and of a connection of its own to each lane."""

    def __init__(self, paths: Sequence[Path], keep: float, say: Callable[..., None]) -> None:
        self._paths = paths
        self._keep = keep
        self._say = say
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pruning", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End after the step that is under way."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            for path in self._paths:
                self._round(path)
            if self._stop.wait(REST):
                return

    def _round(self, path: Path) -> None:
        letters = events = 0
        try:
            with told(path), closing(opened(path)) as db:
                now = began = time.time()
                for step in prune(db, now - self._keep, now):
                    letters, events = letters + step.letters, events + step.events
                    if self._stop.wait(SHARE * max(0.0, time.time() - began)):
                        break
                    began = time.time()
        except LaneError as error:
            self._say("prune_failed", lane=path.name, error=str(error))
        if events:
            self._say("pruned", lane=path.name, letters=letters, events=events)
