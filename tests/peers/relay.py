"""Our own relay, ``posthouse serve --config`` as the process that people run, between peers.

Enters: TOML for what a scenario needs beyond the listeners, users. Leaves: a running ``Relay``: its
log, its queue and its commands. Users get real app passwords, made by the relay's own library. When
it stops, its log and everything in its data folder are searched for every password it was told.
"""

from __future__ import annotations

import json
import os
import signal
import smtplib
import sqlite3
import ssl
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from canaries import PASSWORD, find_leaks, forms_in
from fakes.certs import Issued
from peers import ROOT, process
from posthouse.send.submit.accounts import Accounts

HOST, NAME = "127.0.0.9", "relay.test"
RELAY, SUBMISSION, SUBMISSIONS = 25, 587, 465
METRICS = 9125
SOON = 20.0  # seconds: far more than any change takes
BEHIND = 0.05  # seconds that the log may be behind what it tells

SERVER = """\
[server]
name = "{name}"
data = "{data}"
workers = {workers}
{server}
[limits]
burst = 0
hour = 0
day = 0
[[listen]]
address = "{listen}"
mode = "relay"
networks = ["127.0.0.0/8"]
"""
OPERATION = """\
[retry]
first = "1s"
most = "2s"
expire = "1d"
warn = "{warn}"
[metrics]
listen = "{host}:9125"
"""
SUBMIT = """\
[[listen]]
address = "{host}:465"
mode = "tls"
[[listen]]
address = "{host}:587"
mode = "starttls"
[tls]
certificate = "{certificate.cert_file}"
key = "{certificate.key_file}"
"""


def text(
    more: str,
    *,
    certificate: Issued | None = None,
    host: str = HOST,
    workers: int = 1,
    server: str = "",
    warn: str = "0s",
) -> str:
    """A configuration: 25 for this machine, with a certificate 465 and 587, then ``more``.

    ``server`` are more lines of that table. A ``warn`` of 0 is never.
    """
    head = server_text("data", f"{host}:25", workers=workers, server=server)
    head += OPERATION.format(host=host, warn=warn)
    return head + (SUBMIT.format(host=host, certificate=certificate) if certificate else "") + more


def server_text(data: str | Path, listen: str, *, workers: int = 1, server: str = "") -> str:
    """The part that all have: who it is, no limits, and a port for every client of this machine.

    With a hop (``plain``) it is a relay that takes everything and hands it on: what the benchmarks
    and the chaos measure.
    """
    return SERVER.format(name=NAME, data=data, listen=listen, workers=workers, server=server)


def plain(name: str, *hosts: str, more: str = "") -> str:
    """A hop on a trusted network, and the route to it."""
    listed = ", ".join(f'"{host}"' for host in hosts)
    return f"""
[[hop]]
name = "{name}"
hosts = [{listed}]
security = "none"
tls = "none"
{more}
[[route]]
hop = "{name}"
"""


def smart(name: str, host: str, ca_file: Path, *, security: str, user: str = "") -> str:
    """A smart host that proves its name; with ``user`` it wants a login, ``PASSWORD`` by env."""
    login = f'user = "{user}"\nsecret_env = "HOP_SECRET"' if user else ""
    return f"""
[[hop]]
name = "{name}"
hosts = ["{host}"]
security = "{security}"
tls = "verified"
ca_file = "{ca_file}"
{login}
[[route]]
hop = "{name}"
"""


@dataclass(slots=True)
class Relay:
    """A running relay."""

    host: str
    folder: Path
    daemon: process.Daemon
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)  # user -> app password

    @property
    def config(self) -> Path:
        return self.folder / "posthouse.toml"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        return self.daemon.process.pid

    def workers(self) -> list[int]:
        """Process ids."""
        with suppress(OSError):
            return [
                int(p)
                for p in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            ]
        return []

    def log(self, *kinds: str) -> list[dict[str, Any]]:
        """The log's lines of these kinds, all without; those of just now, too."""
        time.sleep(BEHIND)
        found = []
        for line in self.daemon.log().splitlines():
            with suppress(ValueError):
                entry = json.loads(line)
                if not kinds or entry["kind"] in kinds:
                    found.append(entry)
        return found

    def wait_for_log(
        self, kind: str, count: int = 1, seconds: float = SOON
    ) -> list[dict[str, Any]]:
        """Wait until so many lines of that kind are there."""
        self.daemon.wait_for(f"{count} x {kind}", lambda: len(self.log(kind)) >= count, seconds)
        return self.log(kind)

    def rewrite(self, config: str) -> None:
        """A new configuration by a HUP, in force (or said to be wrong) when this returns."""
        before = len(self.log("reloaded", "reload_failed"))
        self.config.write_text(config)
        os.kill(self.pid, signal.SIGHUP)
        self.daemon.wait_for(
            "end of the reload", lambda: len(self.log("reloaded", "reload_failed")) > before, 60
        )

    def command(self, *words: str, stdin: bytes = b"") -> process.Ran:
        """``posthouse WORDS --config``, beside the relay."""
        command = [sys.executable, "-m", "posthouse", *words, "--config", str(self.config)]
        return process.run_client(command, stdin=stdin, env=environment())

    def asked(self, *words: str) -> Any:
        """The same with ``--json``."""
        ran = self.command(*words, "--json")
        assert ran.ok, ran.output
        return json.loads(ran.output)

    def waiting(self) -> int:
        """Messages in the queue."""
        total = 0
        for file in sorted((self.data / "queue").glob("lane-*.sqlite")):
            with closing(sqlite3.connect(file, timeout=5)) as db:
                total += db.execute("SELECT count(*) FROM letters").fetchone()[0]
        return total

    def wait_until_empty(self, seconds: float = SOON) -> None:
        """Wait until nothing waits any more."""
        self.daemon.wait_for("empty queue", lambda: self.waiting() == 0, seconds)

    @contextmanager
    def client(
        self, port: int = RELAY, trust: ssl.SSLContext | None = None, user: str = ""
    ) -> Iterator[smtplib.SMTP]:
        """smtplib, connected, secured where ``trust`` is given, signed in as ``user``."""
        client: smtplib.SMTP
        if port == SUBMISSIONS:
            client = smtplib.SMTP_SSL(self.host, port, timeout=SOON, context=trust)
        else:
            client = smtplib.SMTP(self.host, port, timeout=SOON)
        with client:
            if trust is not None and port != SUBMISSIONS:
                client.starttls(context=trust)
            if user:
                client.login(user, self.passwords[user])
            yield client

    def send(
        self,
        sent: bytes,
        sender: str,
        *recipients: str,
        rcpt: Sequence[str] = (),
        mail: Sequence[str] = (),
    ) -> None:
        """Hand in by 25, as a machine of this network."""
        with self.client() as client:
            client.sendmail(sender, list(recipients), sent, ["BODY=8BITMIME", *mail], rcpt)


def environment(**more: str) -> dict[str, str]:
    """Of the command; the locale is English."""
    return {"PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C.UTF-8", "COLUMNS": "100", **more}


@contextmanager
def running(
    config: str,
    *,
    users: Mapping[str, Sequence[str]] | None = None,
    host: str = HOST,
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
    stops: bool = True,
) -> Iterator[Relay]:
    """Start the command with ``config`` and wait until it is ready.

    ``users`` are logins and the addresses each may send as. ``HOP_SECRET`` is ``PASSWORD``. With
    ``stops`` it must end by itself in good order when it is told to.
    """
    folder = folder or process.new_folder("relay")
    (folder / "data").mkdir(mode=0o700, exist_ok=True)
    (folder / "posthouse.toml").write_text(config)
    passwords = _passwords(folder / "data", users or {})
    command = [sys.executable, "-m", "posthouse", "serve", "--config", folder / "posthouse.toml"]
    own = environment(HOP_SECRET=PASSWORD, **(env or {}))
    with process.running("posthouse", command, folder, env=own) as daemon:
        relay = Relay(host, folder, daemon, passwords)
        relay.wait_for_log("ready")
        yield relay
        if stops:
            daemon.process.terminate()
            assert daemon.process.wait(SOON) == 0, daemon.tail()
        no_secrets(relay)


def _passwords(data: Path, users: Mapping[str, Sequence[str]]) -> dict[str, str]:
    if not users:
        return {}
    accounts = Accounts(data, create=True)
    try:
        for user, senders in users.items():
            accounts.add(user, senders, (), time.time())
        return {u: accounts.make_password(u, "test", time.time()).reveal() for u in users}
    finally:
        accounts.close()


def no_secrets(relay: Relay) -> None:
    """Search the log and every file of the data folder, whatever is in it."""
    files = [path for path in relay.data.rglob("*") if path.is_file()]
    for name, content in [
        ("the log", relay.daemon.log().encode()),
        *((str(path), path.read_bytes()) for path in files),
    ]:
        assert not find_leaks(content), name
        for password in relay.passwords.values():
            for form in (password, password.replace("-", "")):
                assert not forms_in(content, form), name
