"""The relays that ``relay.py`` compares, each started with the best setting we know for this work.

All take everything from this machine without a login, offer STARTTLS with the same certificate,
say 250 only after a sync, and hand everything to one server. Leaves: where each listens, and its
process.

Postfix: 200 processes, no look-ups of names, no slowing down of clients, as many deliveries to one
server as it likes, connections to it kept (scache). Haraka: its own queue on the disk, 200
deliveries at once, quiet log; with more than one worker its cluster of as many. It opens a
connection for each delivery since 3.1, and has no setting for that. "floor" is no relay but the
least that one built like this does (``_floor.py``), in one process, without TLS.
"""

from __future__ import annotations

import contextlib
import os
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fakes.certs import Issued
from peers import haraka, postfix, process
from peers import relay as posthouse

SINK = ("127.0.0.1", 11025)
PORT = 2025
HOSTS = {
    "posthouse": "127.0.0.2",
    "postfix": "127.0.0.3",
    "haraka": "127.0.0.4",
    "floor": "127.0.0.5",
}
SIGNED = "signed.example.org"  # the domain whose mail Posthouse signs

POSTFIX = {
    "mynetworks": "127.0.0.0/8",
    "relayhost": f"[{SINK[0]}]:{SINK[1]}",
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "smtpd_client_restrictions": "permit_mynetworks, reject",
    "message_size_limit": "50000000",
    "smtpd_tls_security_level": "may",
    "smtp_tls_security_level": "none",
    "in_flow_delay": "0",
    "default_process_limit": "200",
    "initial_destination_concurrency": "20",
    "default_destination_concurrency_limit": "50",
    "smtp_destination_concurrency_failed_cohort_limit": "1000",
    "smtpd_peername_lookup": "no",
    "smtpd_client_event_limit_exceptions": "127.0.0.0/8",
    "smtp_connection_cache_destinations": SINK[0],
    "smtp_connection_reuse_count_limit": "1000",
}
# Who connects may relay; everything goes to the sink.
HARAKA = """
exports.hook_connect_init = function (next, connection) {
    connection.relaying = true;
    next();
};
exports.hook_rcpt = function (next) {
    next(OK);
};
exports.hook_get_mx = function (next) {
    next(OK, { priority: 0, exchange: 'HOST', port: PORT });
};
"""


@dataclass(frozen=True, slots=True)
class Relay:
    """One that runs."""

    name: str
    host: str
    daemon: process.Daemon
    port: int = PORT

    @property
    def pid(self) -> int:
        """Everything it is made of is this process, or below it."""
        return self.daemon.process.pid


@contextlib.contextmanager
def run_posthouse(
    certificate: Issued,
    key: Path | None,
    workers: int,
    *,
    python: str = sys.executable,
    command: tuple[str | Path, ...] = ("-m", "posthouse"),
) -> Iterator[Relay]:
    """``key`` signs. ``python`` is as new as ours, and is lent what is installed for it."""
    folder = process.new_folder("posthouse")
    host = HOSTS["posthouse"]
    config = (
        posthouse.server_text(folder / "data", f"{host}:{PORT}", workers=workers)
        + posthouse.plain("sink", f"{SINK[0]}:{SINK[1]}")
        + f'[tls]\ncertificate = "{certificate.cert_file}"\nkey = "{certificate.key_file}"\n'
    )
    if key is not None:
        config += f'[[dkim]]\ndomain = "{SIGNED}"\nselector = "s"\nkey = "{key}"\n'
    (folder / "posthouse.toml").write_text(config)
    command = (python, *command, "serve", "--config", folder / "posthouse.toml")
    env = posthouse.environment()
    if python != sys.executable:
        env["PYTHONPATH"] += os.pathsep + sysconfig.get_path("platlib")
    with process.running("posthouse", command, folder, ports=[(host, PORT)], env=env) as daemon:
        yield Relay("posthouse", host, daemon)


@contextlib.contextmanager
def run_postfix(certificate: Issued) -> Iterator[Relay]:
    """Of the settings see the module."""
    host = HOSTS["postfix"]
    with postfix.running(host, certificate, ports=(PORT,), settings=POSTFIX) as running:
        yield Relay("postfix", host, running.daemon)


@contextlib.contextmanager
def run_haraka(certificate: Issued, workers: int) -> Iterator[Relay]:
    """Of the settings see the module."""
    folder = process.new_folder("haraka")
    host = HOSTS["haraka"]
    nodes = workers if workers > 1 else 0  # one process without a master is faster than with
    files = {
        "config/connection.ini": (haraka.HOME / "config/connection.ini").read_text(),
        "config/smtp.ini": f"listen={host}:{PORT}\nnodes={nodes}\n",
        "config/outbound.ini": "local_mx_ok=true\nenable_tls=false\nconcurrency_max=200\n",
        "config/log.ini": "[main]\nlevel=warn\n",
        "config/me": "haraka.test\n",
        "config/host_list": "haraka.test\n",
        "config/plugins": "tls\nonward\n",
        "config/tls_key.pem": certificate.key_file.read_text(),
        "config/tls_cert.pem": certificate.cert_file.read_text(),
        "config/dhparams.pem": haraka.DH_GROUP,
        "plugins/onward.js": HARAKA.replace("HOST", SINK[0]).replace("PORT", str(SINK[1])),
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    (folder / "queue").mkdir()
    command = ["node", haraka.HOME / "bin/haraka", "-c", folder]
    with process.running("haraka", command, folder, ports=[(host, PORT)]) as daemon:
        yield Relay("haraka", host, daemon)


@contextlib.contextmanager
def run_floor() -> Iterator[Relay]:
    """Of what it is see ``_floor``."""
    folder = process.new_folder("floor")
    host = HOSTS["floor"]
    script = Path(__file__).with_name("_floor.py")
    where = (host, str(PORT), SINK[0], str(SINK[1]), folder / "letters.db")
    command = [sys.executable, script, *where]
    with process.running("floor", command, folder, ports=[(host, PORT)]) as daemon:
        yield Relay("floor", host, daemon)
