"""Files that only their owner may read: written whole or not at all.

Enters: paths, octets. Leaves: files of mode 0600 in folders of mode 0700. Called by ``keys``. Fails
with OSError.
"""

from __future__ import annotations

import os
import pwd
import shlex
from pathlib import Path
from typing import Final

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
OTHERS: Final = 0o077  # whatever group and others may


def create(path: Path, data: bytes) -> None:
    """A new file. Raises FileExistsError where there is one: it is never touched."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    write(temporary, data)
    try:
        os.link(temporary, path)  # unlike a rename, it fails where the name is taken
    finally:
        temporary.unlink()
    sync(path.parent)


def renew(path: Path, data: bytes) -> None:
    """The new content in place of the old, at once."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    write(temporary, data)
    temporary.replace(path)
    sync(path.parent)


def folder(path: Path) -> None:
    """A folder of one's own; one that is there keeps its mode."""
    path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)


def write(path: Path, data: bytes) -> None:
    """A new file that only its owner can read from the first octet on."""
    path.unlink(missing_ok=True)  # left behind by a process of the same number
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(path, flags, FILE_MODE)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(file.fileno(), FILE_MODE)  # whatever the umask took away
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def read(path: Path, limit: int) -> bytes:
    """At most so many octets of a plain file; links are not followed."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        return file.read(limit)


def sync(folder: Path) -> None:
    """Names in a folder are as safe on disk as what is in them."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def me() -> str:
    """Who we are, for a command."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def quoted(path: Path) -> str:
    """A path as a shell takes it."""
    return shlex.quote(str(path))
