"""OpenSMTPD: a submission server (587, 465) and MX (25) that keeps its domains' mail in a Maildir.

Its queue and control socket have fixed places, so one runs at a time in a namespace.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fakes.certs import Issued
from peers import process

SMTP, SUBMISSION, SUBMISSIONS = 25, 587, 465
QUEUE = Path("/var/spool/smtpd")


@dataclass(frozen=True, slots=True)
class OpenSmtpd:
    """A running OpenSMTPD."""

    host: str
    daemon: process.Daemon

    def messages(self) -> list[bytes]:
        """What has been delivered, whoever it was for."""
        return process.maildir(self.daemon.folder / "mail")

    def wait_for_messages(self, count: int = 1) -> list[bytes]:
        """Wait until so many messages are there."""
        return process.wait_for_messages(self.messages, count)


@contextmanager
def running(
    host: str,
    users: Mapping[str, str],
    certificate: Issued,
    *,
    name: str = "mail.test",
    domains: Sequence[str] = ("example.test",),
    relay: str = "",
    relay_login: tuple[str, str] | None = None,
) -> Iterator[OpenSmtpd]:
    """Start OpenSMTPD on ``host``; ``users`` may log in once TLS is on (PLAIN, LOGIN).
    ``relay`` is where mail for other domains goes, as smtpd.conf writes it ("smtp://127.0.0.9");
    with a ``relay_login`` (user, password) it is "smtps://login@127.0.0.9".
    """
    folder = process.new_folder("opensmtpd")
    process.own(folder / "mail", "vmail")
    passwords = folder / "users"
    passwords.write_text("".join(f"{u} {_encrypted(p)}\n" for u, p in users.items()))
    passwords.chmod(0o644)
    for source, target in ((certificate.cert_file, "cert.pem"), (certificate.key_file, "key.pem")):
        shutil.copyfile(source, folder / target)
        (folder / target).chmod(0o600)  # it insists, on both
    config = folder / "smtpd.conf"
    user, password = relay_login or ("", "")
    (folder / "secrets").write_text(f"login {user}:{password}\n")
    (folder / "secrets").chmod(0o644)
    away = _away(folder, relay, login=relay_login is not None)
    config.write_text(_config(folder, host, name, domains, away))
    config.chmod(0o600)
    shutil.rmtree(QUEUE, ignore_errors=True)
    with process.running(
        "opensmtpd",
        ["/usr/sbin/smtpd", "-d", "-f", config],
        folder,
        ports=[(host, port) for port in (SMTP, SUBMISSION, SUBMISSIONS)],
    ) as daemon:
        yield OpenSmtpd(host, daemon)


def _encrypted(password: str) -> str:
    # smtpctl insists on the group that Debian's installation would give it.
    command = ["setpriv", "--regid=opensmtpq", "--clear-groups", "/usr/sbin/smtpctl", "encrypt"]
    ran = process.run_client(command, stdin=password.encode() + b"\n")
    if not ran.ok:
        raise process.PeerFailed(f"smtpctl encrypt: {ran.output}")
    return ran.output.strip()


def _away(folder: Path, relay: str, *, login: bool) -> str:
    if not relay:
        return "relay"
    # It only knows the system's authorities, not the tests' own.
    tls = " tls no-verify" if relay.startswith(("smtps:", "smtp+tls:")) else ""
    return f'relay host "{relay}"{tls}{" auth <secrets>" if login else ""}'


def _config(folder: Path, host: str, name: str, domains: Sequence[str], away: str) -> str:
    listed = ", ".join(f'"{domain}"' for domain in domains)
    return f"""
pki "{name}" cert "{folder}/cert.pem"
pki "{name}" key "{folder}/key.pem"
table users file:{folder}/users
table secrets file:{folder}/secrets
table domains {{ {listed} }}
table everyone {{ "@" = "vmail" }}
listen on {host} port {SMTP} hostname "{name}" tls pki "{name}"
listen on {host} port {SUBMISSION} hostname "{name}" tls-require pki "{name}" auth <users>
listen on {host} port {SUBMISSIONS} hostname "{name}" smtps pki "{name}" auth <users>
action "keep" maildir "{folder}/mail" virtual <everyone>
action "away" {away}
match from any for domain <domains> action "keep"
match auth from any for any action "away"
"""
