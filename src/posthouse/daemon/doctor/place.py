"""The machine under the relay: its data folder, the disk, open files, ports, and whether it runs.

Enters: a ``Config``. Leaves: ``Finding``s. Called by ``look``. Nothing fails. A port is tried by
binding to it for a moment, without listening; the relay's lock is tried, and let go at once.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from posthouse.config import Config
from posthouse.daemon.metrics import Reader
from posthouse.daemon.ports import bind, text_of, unbound
from posthouse.flow import Finding, Status
from posthouse.send.owner import user_name
from posthouse.send.queue.lane import SPARE
from posthouse.send.submit.settings import Listening

ROOM: Final = 10 * SPARE  # octets: less than that is a warning; a busy hour may take as much
MIB: Final = 1 << 20
LOOKED_AT: Final = 1_000  # files of the data folder; a relay has some dozens
NAMED: Final = 3  # of those that belong to somebody else
# Open files of one worker: its lanes, sockets and log; clients at once; for direct delivery the
# domains that are served at full speed at once.
OWN: Final = 64
CLIENTS: Final = 1_000
DOMAINS: Final = 10


def look(config: Config) -> Iterator[Finding]:
    """Everything here."""
    data = config.server.data
    denied = _denied(data)
    if denied is not None:  # all else would be a guess
        yield denied
        return
    process = supervisor(data)
    yield _running(config, process)
    yield from _folder(data)
    yield from _space(data)
    yield _open_files(config, process)
    for one in config.listen:
        yield _port(one, running=process is not None)


# -- whether it runs


def _running(config: Config, process: int | None) -> Finding:
    if process is None:
        return Finding("relay.running.not", Status.SKIPPED)
    ready = Reader(config.server.data, config.server.workers).ready()
    status = Status.OK if ready else Status.FAIL
    return Finding("relay.running.ready" if ready else "relay.running.stuck", status)


def supervisor(data: Path) -> int | None:
    """Its process; 0 where that can't be seen; None where none runs on this folder."""
    with suppress(OSError), (data / "lock").open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(os.fstat(file.fileno()))
    return None


def _holder(locked: os.stat_result) -> int:
    """Who holds the lock of that file, by /proc/locks."""
    name = f"{os.major(locked.st_dev):02x}:{os.minor(locked.st_dev):02x}:{locked.st_ino}"
    with suppress(OSError, ValueError):
        for line in Path("/proc/locks").read_text("ascii").splitlines():
            words = line.split()
            if name in words and "FLOCK" in words:
                return int(words[words.index(name) - 1])
    return 0


# -- the data folder


def _denied(data: Path) -> Finding | None:
    """Why whoever asks can't look into it."""
    try:
        next(data.iterdir(), None)
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return Finding("relay.folder.file", Status.FAIL, params={"path": str(data)})
    except OSError as error:
        params = {"path": str(data), "why": error.strerror or str(error)}
        return Finding("relay.folder.denied", Status.FAIL, params=params)
    return None


def _folder(data: Path) -> Iterator[Finding]:
    path = str(data)
    try:
        found = data.stat()
    except OSError:
        yield Finding("relay.folder.missing", Status.WARN, params={"path": path})
        return
    mode = stat.S_IMODE(found.st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        params = {"path": path, "mode": f"{mode:o}"}
        yield Finding("relay.folder.open", Status.FAIL, params=params)
    owner = user_name(found.st_uid)
    others = list(_others(data, found.st_uid))
    if others:
        params = {"path": path, "owner": owner, "files": ", ".join(others[:NAMED])}
        yield Finding("relay.folder.owner", Status.FAIL, params=params)
    if found.st_uid == 0:
        yield Finding("relay.folder.root", Status.WARN, params={"path": path})
    elif not others and not mode & 0o077:
        yield Finding("relay.folder.ok", Status.OK, params={"path": path, "owner": owner})


def _others(data: Path, owner: int) -> Iterator[str]:
    """Files that belong to somebody else: the relay could not write them."""
    for path in islice(data.rglob("*"), LOOKED_AT):
        with suppress(OSError):  # it has gone meanwhile
            if path.lstat().st_uid != owner:
                yield str(path.relative_to(data))


def _space(data: Path) -> Iterator[Finding]:
    """``QueueFull`` is raised below ``SPARE``; the folder above stands in for one to be made."""
    place = next(path for path in (data, *data.parents) if path.exists())
    with suppress(OSError):
        found = os.statvfs(place)
        free = found.f_bavail * found.f_frsize
        kind, status = "ok", Status.OK
        if free < ROOM:
            kind, status = ("full", Status.FAIL) if free < SPARE else ("low", Status.WARN)
        params = {"path": str(place), "free": free // MIB, "spare": SPARE // MIB}
        yield Finding(f"relay.space.{kind}", status, params=params)


# -- open files and ports


def _open_files(config: Config, process: int | None) -> Finding:
    pools = sum(hop.pool * (1 if hop.targets else DOMAINS) for hop in config.hops.values())
    need, most = OWN + CLIENTS + pools, open_files(process)
    params = {"limit": most, "need": need}
    if most >= need:
        return Finding("relay.files.ok", Status.OK, params=params)
    # Of a service that does not run, our own limit says little.
    kind = "low" if process else "low_here"
    return Finding(f"relay.files.{kind}", Status.WARN if process else Status.UNKNOWN, params=params)


def open_files(process: int | None) -> int:
    """How many files it may have open; we, where it can't be seen."""
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{process or 'self'}/limits").read_text("ascii").splitlines():
            if line.startswith("Max open files"):
                return int(line.split()[3])
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _port(one: Listening, *, running: bool) -> Finding:
    where = text_of(one.address, one.port)
    code = _bind(one)
    params = {"address": where, "why": os.strerror(code)}
    match code:
        case 0 if running:  # it would be taken: by the one that runs
            return Finding("relay.port.unused", Status.WARN, params=params)
        case 0:
            return Finding("relay.port.free", Status.OK, params=params)
        case errno.EADDRINUSE if running:
            return Finding("relay.port.held", Status.OK, params=params)
        case errno.EADDRINUSE:
            return Finding("relay.port.taken", Status.FAIL, params=params)
        case errno.EACCES:
            return Finding("relay.port.denied", Status.UNKNOWN, params=params)
    return Finding("relay.port.failed", Status.FAIL, params=params)


def _bind(one: Listening) -> int:
    """0, or why not."""
    try:
        with unbound(one.address) as sock:
            bind(sock, one.address, one.port)
    except OSError as error:
        return error.errno or errno.EIO
    return 0
