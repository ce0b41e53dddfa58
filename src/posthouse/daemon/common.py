"""What the workers of a relay have in common: counts that hold for all of them.

Enters: nothing. Leaves: memory that the supervisor makes before it forks, given to each worker with
its ``Post``. What is in it outlives every worker and ends with the relay. Nothing fails.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from posthouse.send import crowd
from posthouse.send.deliver.tries import Replies
from posthouse.send.queue.files import LaneError, counted, lanes_in
from posthouse.send.queue.places import Places
from posthouse.send.submit.limits import Ledger

HOPS: Final = 256  # whose logins are remembered at once


class Common:
    """The owner of what is shared. ``forks``: by processes; else by the parts of one."""

    def __init__(self, *, forks: bool = False) -> None:
        self.places = Places(forks=forks)  # of letters in the queue
        self.messages = Ledger(3, forks=forks)  # of each user, in a second, an hour, a day
        self.failed_pairs = Ledger(1, forks=forks)  # logins, of a user from an address
        self.failed_places = Ledger(1, forks=forks)  # logins, from an address
        self.hop_logins = Ledger(1, HOPS, forks=forks)  # those being tried, or refused lately
        self.hop_replies = Replies(HOPS, forks=forks)  # and with which words
        self.crowd = crowd.memory(forks=forks)  # connections of each address

    def begin(self, data: Path) -> None:
        """Count what the lanes hold; nobody is connected. For when no worker runs."""
        self.crowd.clear()
        self.places.clear()
        with suppress(LaneError):  # whoever opens them says why
            for lane, path in lanes_in(data).items():
                with suppress(LaneError):
                    self.places.put(lane, counted(path))

    def gone(self, worker: int) -> None:
        """A worker has ended, and its connections with it."""
        crowd.gone(self.crowd, worker)
