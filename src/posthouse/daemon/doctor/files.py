"""Which files the relay needs, whether it may read them, and whether others may.

Enters: the configuration as it stands, the data folder, whose owner is whom the relay runs as.
Leaves: ``Finding``s. Called by ``look``. Nothing fails. That a hop's secret is not open to others,
and that whoever asks can read all of it, the configuration has made sure of; here it is about the
relay's own user, with all that decides it: modes, groups, access lists, folders above.
"""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from posthouse.flow import Finding, Status
from posthouse.send.owner import user_name

SECONDS: Final = 5.0  # for a look at one file: a network folder may hang


class _File(NamedTuple):
    """A file that the configuration names."""

    path: Path
    secret: bool  # nobody else may read it


def look(path: Path, document: Mapping[str, Any], data: Path) -> Iterator[Finding]:
    """All files that are named."""
    wrong = False
    user = _user(data)
    for one in (_File(path.absolute(), False), *_named(document, path.parent)):
        with suppress(OSError):
            mode = stat.S_IMODE(one.path.stat().st_mode)
            if one.secret and mode & (stat.S_IRWXO | stat.S_IWGRP):
                wrong = True
                params = {"path": str(one.path), "mode": f"{mode:o}"}
                yield Finding("relay.file.open", Status.FAIL, params=params)
        if user is not None and not _may_read(one.path, user):
            wrong = True
            params = {"path": str(one.path), "user": user_name(user)}
            yield Finding("relay.file.denied", Status.FAIL, params=params)
    if not wrong:
        yield Finding("relay.file.ok", Status.OK)


def _named(document: Mapping[str, Any], folder: Path) -> Iterator[_File]:
    """The configuration is good, so its tables are tables and their values texts."""
    tls = document.get("tls", {})
    for key in ("certificate", "key"):
        if key in tls:
            yield _File(folder / tls[key], key == "key")
    for hop in document.get("hop", []):
        for key in ("secret_file", "ca_file"):
            if key in hop:
                yield _File(folder / hop[key], key == "secret_file")
    for row in document.get("dkim", []):
        yield _File(folder / row["key"], True)


def _user(data: Path) -> int | None:
    """Whom the relay runs as, where that is not who asks."""
    with suppress(OSError):
        owner = data.stat().st_uid
        if os.geteuid() == 0 and owner != 0:
            return owner
    return None


def _may_read(path: Path, user: int) -> bool:
    """Asked of the kernel by a process of that user; True where it can't be asked."""
    try:
        entry = pwd.getpwuid(user)
        group, groups = entry.pw_gid, os.getgrouplist(entry.pw_name, entry.pw_gid)
    except KeyError:  # a user without a name
        return True
    try:
        done = subprocess.run(
            ["test", "-r", str(path)],
            user=user,
            group=group,
            extra_groups=groups,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return True
    return done.returncode == 0
