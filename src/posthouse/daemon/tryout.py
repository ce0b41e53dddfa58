"""The relay of a first try: loopback only, a certificate of its own, one user, nothing leaves.

Enters: a folder. Leaves: a ``Config`` whose only rule holds every message, and the password of the
user ``try``, made anew each time, which is shown once. Called by ``posthouse serve`` without a
configuration.
"""

from __future__ import annotations

import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from posthouse.config import Config, Server
from posthouse.flow import Secret
from posthouse.send.hop import Action, Choice
from posthouse.send.route import Routes, Rule
from posthouse.send.submit.accounts import Accounts
from posthouse.send.submit.settings import Listening, Mode
from posthouse.send.submit.tls import self_made

USER: Final = "try"
ADDRESS: Final = "127.0.0.1"
# As 465 and 587, where a user may listen; the next free one where somebody else does.
PORTS: Final = ((2465, Mode.TLS), (2587, Mode.STARTTLS))
TRIES: Final = 20


def folder() -> Path:
    """Where a try is kept (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "posthouse" / "try"


def config(data: Path) -> Config:
    """The configuration of a try."""
    listen = tuple(Listening(ADDRESS, free(port), mode) for port, mode in PORTS)
    hold = Rule("try", Choice(Action.HOLD, rule="try"))
    return Config(Server("localhost", data), listen, {}, Routes([hold]))


def free(port: int) -> int:
    """The port, or the next that nobody listens on."""
    for number in range(port, port + TRIES):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((ADDRESS, number))
            except OSError:
                continue
            return number
    return port


def user(data: Path) -> Secret:
    """Make the user and a password for this time; those of earlier times are over.

    Raises OSError, AccountsUnreadable.
    """
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    accounts = Accounts(data, create=True)
    try:
        if accounts.user(USER) is not None:
            accounts.delete(USER)
        accounts.add(USER, ["*"], [], time.time())
        return accounts.make_password(USER, "try", time.time())
    finally:
        accounts.close()


def certificate(config: Config) -> Path:
    """What a mail program has to be told to trust. Raises OSError."""
    shown, _ = self_made(config.server.data, datetime.now(UTC), [config.server.name])
    return shown
