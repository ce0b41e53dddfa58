"""Haraka: a mail server of Node.js, as one that keeps what it is given, or hands it on to a hop."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import peers
from fakes.certs import Issued
from peers import process

SMTP = 25
HOME = peers.ROOT / ".peers/npm/node_modules/Haraka"
# ffdhe2048 (RFC 7919). Where none is given, Haraka has openssl look for one, which takes all of a
# core for up to a minute.
DH_GROUP = """\
-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""
# A plugin each for what the tests need: RCPT is taken as it is, the message is kept with its
# envelope. Haraka reads the files of a folder of its own.
TAKE = """
exports.hook_rcpt = function (next, connection, params) {
    const address = params[0].address;
    if (/^nobody@/.test(address)) return next(DENY, 'No such user here');
    connection.transaction.notes.taken = [...(connection.transaction.notes.taken || []), address];
    next(OK);
};
"""
KEEP = """
const fs = require('node:fs');
exports.hook_queue = function (next, connection) {
    const { uuid, mail_from, notes, message_stream } = connection.transaction;
    const path = `FOLDER/mail/${uuid}`;
    const file = fs.createWriteStream(`${path}.new`);
    file.once('close', () => {
        const envelope = { sender: mail_from.address, recipients: notes.taken };
        fs.writeFileSync(`${path}.json`, JSON.stringify(envelope));
        fs.renameSync(`${path}.new`, `${path}.eml`);
        next(OK);
    });
    message_stream.pipe(file);
};
"""


@dataclass(frozen=True, slots=True)
class Haraka:
    """A running Haraka."""

    host: str
    daemon: process.Daemon

    def kept(self) -> list[Path]:
        """The files of the messages."""
        return sorted((self.daemon.folder / "mail").glob("*.eml"))

    def messages(self, address: str) -> list[bytes]:
        """What came for that address."""
        envelopes = {
            path: json.loads(path.with_suffix(".json").read_text()) for path in self.kept()
        }
        return [p.read_bytes() for p, e in envelopes.items() if address in e["recipients"]]

    def wait_for_messages(self, address: str, count: int = 1) -> list[bytes]:
        """Wait until so many messages are there."""
        return process.wait_for_messages(lambda: self.messages(address), count)


@contextmanager
def running(
    host: str,
    certificate: Issued | None = None,
    *,
    forward: tuple[str, int] | None = None,
    login: tuple[str, str] | None = None,
    ca_file: Path | None = None,
) -> Iterator[Haraka]:
    """Start it on ``host``:25, with STARTTLS where it has a certificate.

    With ``forward`` (host, port) it hands mail on, by STARTTLS with ``login`` where that is given.
    """
    folder = process.new_folder("haraka")
    (folder / "mail").mkdir()
    for name, content in _files(folder, host, certificate, forward, login).items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        path.chmod(0o600)
    env: Mapping[str, str] = {"NODE_EXTRA_CA_CERTS": str(ca_file)} if ca_file else {}
    command = ["node", HOME / "bin/haraka", "-c", folder]
    with process.running("haraka", command, folder, ports=[(host, SMTP)], env=env) as daemon:
        yield Haraka(host, daemon)


def _files(
    folder: Path,
    host: str,
    certificate: Issued | None,
    forward: tuple[str, int] | None,
    login: tuple[str, str] | None,
) -> dict[str, str]:
    plugins = ["tls"] * bool(certificate) + ["take", "queue/smtp_forward" if forward else "keep"]
    # It can't do without this file, and would break lines of a length that RFC 5321 allows.
    connection = (HOME / "config/connection.ini").read_text()
    files = {
        "config/connection.ini": connection.replace("length=992", "length=9999"),
        "config/smtp.ini": f"listen={host}:{SMTP}\nnodes=0\n",
        "config/me": "haraka.test\n",
        "config/plugins": "\n".join(plugins) + "\n",
        "config/loglevel": "INFO\n",
        "config/host_list": "",
        "plugins/take.js": TAKE,
        "plugins/keep.js": KEEP.replace("FOLDER", str(folder)),
    }
    if certificate:
        files["config/tls_key.pem"] = certificate.key_file.read_text()
        files["config/tls_cert.pem"] = certificate.cert_file.read_text()
        files["config/dhparams.pem"] = DH_GROUP
    if forward:
        lines = [f"host={forward[0]}", f"port={forward[1]}"]
        if login:
            lines += ["enable_tls=true", "auth_type=plain"]
            lines += [f"auth_user={login[0]}", f"auth_pass={login[1]}"]
            lines += ["[tls]", "rejectUnauthorized=true"]
        files["config/smtp_forward.ini"] = "\n".join(lines) + "\n"
    return files
