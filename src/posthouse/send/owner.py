"""As whom the administrator's command works in the relay's data folder: as its owner.

Enters: the folder. Leaves: a context. Called by the commands beside the relay. Nothing fails.

Root would follow whatever the relay's user has put there: a link in place of a lock or of SQLite's
files would give any file of the machine to him. And what root makes there the relay could not use.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def as_owner(folder: Path) -> Iterator[None]:
    """Have the rights of the folder's owner where ours are root's: the whole process has them."""
    owner = None
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        with suppress(OSError):
            owner = folder.stat()
    if owner is None or owner.st_uid == 0:
        yield
        return
    group = os.getegid()
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
