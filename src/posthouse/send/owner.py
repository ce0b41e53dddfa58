"""As whom the administrator's command works in the relay's data folder: as its owner.

Enters: the folder. Leaves: a context. Called by the commands beside the relay; the relay
asks whose the folder is. Nothing fails.

Root would follow whatever the relay's user has put there: a link in place of a lock or of SQLite's
files would give any file of the machine to him. And what root makes there the relay could not use.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def as_owner(folder: Path) -> Iterator[None]:
    """Have the rights of the folder's owner where ours are root's: the whole process has them."""
    owner = _owner(folder)
    if owner is None:
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


def foreign(folder: Path) -> str:
    """Whose it is, where we are root and it is not root's; else nothing.

    What a relay run by root made there would be closed to its owner for good.
    """
    owner = _owner(folder)
    return "" if owner is None else user_name(owner.st_uid)


def user_name(number: int) -> str:
    """The name of a user, or its number."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _owner(folder: Path) -> os.stat_result | None:
    """Of whom it is, where we are root and it is somebody else's."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        with suppress(OSError):
            found = folder.stat()
            return found if found.st_uid != 0 else None
    return None
