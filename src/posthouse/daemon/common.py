"""What the workers of a relay have in common: counts that hold for all of them.

Enters: nothing. Leaves: memory that the supervisor makes before it forks, given to each worker with
its ``Post``. What is in it outlives every worker and ends with the relay. Nothing fails.
"""

from __future__ import annotations

from pathlib import Path

from posthouse.send.queue.files import counted, lanes_in
from posthouse.send.queue.places import Places


class Common:
    """The owner of what is shared. ``forks``: by processes; else by the parts of one."""

    def __init__(self, *, forks: bool = False) -> None:
        self.places = Places(forks=forks)

    def begin(self, data: Path) -> None:
        """Count what the lanes hold. For when no worker runs: one that starts is not alone."""
        self.places.begin({lane: counted(path) for lane, path in lanes_in(data).items()})
