"""Memory that all workers of a relay see, and turns to use it: for counts that hold for all.

Enters: how many octets. Leaves: ``memory``, zeros at first, and ``take``/``give`` of a part of it.
Made by the supervisor before it forks (anonymous ``mmap``), so it outlives each worker and ends
with the relay. Called by whoever counts something: ``queue.places``, ``submit.limits``,
``crowd``. Nothing fails.

Turns are POSIX record locks: they belong to a process, and the kernel takes them back from one that
dies. They are held for microseconds. A worker that is *stopped* (SIGSTOP) just then keeps its
turn; so nobody waits for long, and ``take`` says whether it is really alone.
"""

from __future__ import annotations

import errno
import mmap
import os
import time
from contextlib import suppress
from typing import IO, Final
from weakref import finalize

with suppress(ImportError):  # Windows, where nothing forks
    import fcntl

    _lock: Final = fcntl.lockf
    _TAKE: Final = fcntl.LOCK_EX | fcntl.LOCK_NB
    _GIVE: Final = fcntl.LOCK_UN

# Rounds of some 0.1 ms: longer than the kernel lets one wait for a core that another has, and
# no longer than an event loop may stand still.
TRIES: Final = 200
PAUSE: Final = 0.000_05  # seconds
_TAKEN: Final = (errno.EAGAIN, errno.EACCES)  # POSIX allows either


class Shared:
    """The owner of the memory. Without ``forks`` it is one process's own, and there are no turns.

    ``memory`` is for ``struct``: eight octets at a multiple of eight are written in one piece.
    """

    __slots__ = ("__weakref__", "_fd", "_file", "memory")

    def __init__(self, octets: int, *, forks: bool = False) -> None:
        self.memory: mmap.mmap | bytearray = mmap.mmap(-1, octets) if forks else bytearray(octets)
        self._file = _nameless() if forks else None  # only its locks are of interest
        self._fd = -1 if self._file is None else self._file.fileno()
        if self._file is not None:
            finalize(self, self._file.close)

    def take(self, part: int = 0) -> bool:
        """Wait for our turn; False: it does not come, and there is nothing to ``give``."""
        if self._fd < 0:
            return True
        for _ in range(TRIES):
            try:
                _lock(self._fd, _TAKE, 1, part)
            except OSError as error:
                if error.errno not in _TAKEN:  # the system has no more locks
                    return False
                time.sleep(PAUSE)
            else:
                return True
        return False

    def give(self, part: int = 0) -> None:
        """The next one's turn."""
        if self._fd >= 0:
            _lock(self._fd, _GIVE, 1, part)

    def clear(self) -> None:
        """All zeros; for when no worker runs."""
        self.memory[:] = bytes(len(self.memory))


def _nameless() -> IO[bytes]:
    """A file without a name. Raises OSError."""
    if hasattr(os, "memfd_create"):  # Linux
        return os.fdopen(os.memfd_create("posthouse"), "r+b")
    from tempfile import TemporaryFile

    return TemporaryFile()
