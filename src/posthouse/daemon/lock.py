"""The data folder, kept for one relay.

Enters: the configuration, and whom to tell that it waits. Leaves: the lock, a file to be kept open.
Called by ``supervisor``. What can fail: a folder that is another relay's, or another user's, or
can't be used (``StartError``).
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from typing import IO, Final

from posthouse.config import Config
from posthouse.daemon.ports import StartError, failed
from posthouse.send.owner import foreign
from posthouse.send.queue.files import folder_of

PATIENCE: Final = 20.0  # seconds a worker may take to end before it is killed
SILENT: Final = 1.0  # seconds to wait for another relay's end without a word


def lock(config: Config, say: Callable[..., None]) -> IO[str]:
    """One relay a data folder: two would deliver everything twice. Raises StartError.

    Workers hold the lock with their supervisor; where that was killed, they end within seconds.
    """
    folder = config.server.data
    if owner := foreign(folder):
        raise StartError("owner", data=str(folder), owner=owner)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder_of(folder).mkdir(mode=0o700, exist_ok=True)
        os.listdir(folder_of(folder))  # each worker would die of a queue that is somebody else's
        file = (folder / "lock").open("w")
    except OSError as error:
        raise failed("data", error, data=str(folder)) from None
    begin, told = time.monotonic(), False
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            waited = time.monotonic() - begin
            if waited > PATIENCE:
                raise StartError("in_use", data=str(folder)) from None
            if waited > SILENT and not told:
                say("waiting", data=str(folder), seconds=PATIENCE)
                told = True
            time.sleep(0.1)
