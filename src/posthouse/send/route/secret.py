"""The secret of a hop, from where the configuration says it is.

Enters: the hop's table, the folder of the configuration, the environment. Leaves: a ``Secret``; for
Amazon SES the SMTP password that an IAM secret key stands for. Called by ``hops``. Fails with
SettingError, which never repeats what it read.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from posthouse.directory import ses
from posthouse.flow import Secret
from posthouse.send.settings import SettingError, Table

LIMIT: Final = 16_384  # octets; OAuth tokens have a few thousand
# Keys by which people give the secret itself; a configuration is copied, shared, put under git.
NEVER: Final = ("secret", "password", "pass", "passwd")
_OTHERS: Final = stat.S_IRWXO | stat.S_IRWXG
# An IAM secret access key; the SMTP password made of it has 44 characters.
_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]*")
_SUFFIXES: Final = (".secret", ".key", ".password", ".pass", ".txt", ".conf")
_IAM_KEY: Final = re.compile(r"[A-Za-z0-9/+]{40}")


def refuse_plain(raw: Mapping[str, object], path: str) -> None:
    """A secret in the configuration itself is an error, not a convenience."""
    for key in raw:
        if key.lower() in NEVER:
            raise SettingError("secret_in_file", f"{path}.{key}")


def names_secret(table: Table) -> bool:
    """Whether the table says where a secret is."""
    if "secret_file" in table and "secret_env" in table:
        raise table.wrong("both", "secret_env", other="secret_file")
    return bool(table.text("secret_file") or table.text("secret_env"))


def read_secret(table: Table, folder: Path, environ: Mapping[str, str]) -> Secret:
    """The secret, from where the table says it is."""
    if "secret_file" in table:
        return Secret(_of_file(table, folder / table.text("secret_file")))
    name = table.text("secret_env")
    if not environ.get(name):
        shown = name if _VARIABLE.fullmatch(name) else ""  # else it may be the secret itself
        raise SettingError("secret_env", table.at("secret_env"), shown)
    return Secret(environ[name])


def derived(table: Table, secret: Secret, user: str, region: str) -> Secret:
    """The SMTP password for SES: the secret as it is, unless it is an IAM secret access key."""
    wanted = table.flag("derive", bool(_IAM_KEY.fullmatch(secret.reveal())))
    if not wanted:
        return secret
    try:
        return ses.password(secret, region, key_id=user)
    except ses.SesError as error:
        key = "user" if error.reason == "ses.temporary_key" else _source(table)
        raise SettingError(error.reason.replace(".", "_"), table.at(key)) from None


def _source(table: Table) -> str:
    return "secret_file" if "secret_file" in table else "secret_env"


def _of_file(table: Table, path: Path) -> str:
    try:
        # Not blocking: a pipe of that name must not hold up the start.
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", "") or ""
        # What does not look like a path may be the secret itself that somebody put here.
        shown = str(path.absolute()) if _is_a_path(table.text("secret_file"), path) else ""
        folder = "" if shown or not os.path.isdir(path.parent) else str(path.parent.absolute())
        key = table.at("secret_file")
        raise SettingError("secret_unreadable", key, path=shown, folder=folder, why=why) from None
    status = os.fstat(number)  # of what was opened: the name may lead elsewhere by now
    if not stat.S_ISREG(status.st_mode):  # before Python's own ``open``, which refuses a folder
        os.close(number)
        raise table.wrong("secret_no_file", "secret_file")
    with open(number, "rb") as file:
        if _is_open_to_others(status):
            mode = f"{stat.S_IMODE(status.st_mode):o}"
            raise table.wrong("secret_mode", "secret_file", path=str(path), mode=mode)
        content = file.read(LIMIT + 1)
    lines = content.splitlines()
    try:
        text = lines[0].decode("utf-8") if lines and len(content) <= LIMIT else ""
    except UnicodeDecodeError:
        text = ""
    if not text or not text.isprintable():
        raise table.wrong("secret_empty", "secret_file")
    return text


def _is_a_path(given: str, path: Path) -> bool:
    """Whether it leads through a folder there is, or ends as files of secrets do.

    Of an absolute one the first folder is enough: a secret may begin with a slash, but hardly with
    /etc/.
    """
    if Path(given).is_absolute():
        return any(map(os.path.isdir, [path.parent, *path.parents[-2:-1]]))
    return ("/" in given and os.path.isdir(path.parent)) or path.suffix in _SUFFIXES


def _is_open_to_others(status: os.stat_result) -> bool:
    """For its owner alone; root's file may be for a group, so that the relay need not own it."""
    allowed = stat.S_IRGRP if status.st_uid == 0 else 0
    return bool(status.st_mode & _OTHERS & ~allowed)
