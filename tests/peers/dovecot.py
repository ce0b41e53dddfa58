"""Dovecot: IMAP (143, 993), LMTP (24), submission to a relay if wanted, and login for Postfix.

Users are ``{address: password}``; each has a Maildir, made on first delivery.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fakes.certs import Issued
from peers import process

IMAP, IMAPS, LMTP, SUBMISSION, SUBMISSIONS = 143, 993, 24, 587, 465


@dataclass(frozen=True, slots=True)
class Dovecot:
    """A running Dovecot."""

    host: str
    auth_socket: Path  # for Postfix: smtpd_sasl_path
    daemon: process.Daemon

    def messages(self, address: str) -> list[bytes]:
        """What has been delivered to that user's INBOX."""
        return process.maildir(self.daemon.folder / "mail" / address)

    def wait_for_messages(self, address: str, count: int = 1) -> list[bytes]:
        """Wait until so many messages are there."""
        return process.wait_for_messages(lambda: self.messages(address), count)


@contextmanager
def running(
    host: str,
    users: Mapping[str, str],
    certificate: Issued,
    *,
    mechanisms: str = "plain login cram-md5 scram-sha-256",
    relay: tuple[str, int] | None = None,
    extra: str = "",
) -> Iterator[Dovecot]:
    """Start Dovecot on ``host``; with ``relay`` also as a submission server in front of it."""
    folder = process.new_folder("dovecot")
    process.own(folder / "mail", "vmail")
    passwords = folder / "users"
    passwords.write_text(
        "".join(f"{address}:{{PLAIN}}{password}\n" for address, password in users.items())
    )
    process.own(passwords, "root", "dovecot", 0o640)
    config = folder / "dovecot.conf"
    config.write_text(_config(folder, host, certificate, mechanisms, relay, extra))
    ports = [IMAP, IMAPS, LMTP] + ([SUBMISSION, SUBMISSIONS] if relay else [])
    with process.running(
        "dovecot",
        ["/usr/sbin/dovecot", "-F", "-c", config],
        folder,
        ports=[(host, port) for port in ports],
        log_files=[folder / "dovecot.log"],
    ) as daemon:
        yield Dovecot(host, folder / "auth-client", daemon)


def _config(
    folder: Path,
    host: str,
    certificate: Issued,
    mechanisms: str,
    relay: tuple[str, int] | None,
    extra: str,
) -> str:
    submission = (
        f"""
submission_relay_host = {relay[0]}
submission_relay_port = {relay[1]}
submission_relay_trusted = no
service submission-login {{
  inet_listener submission {{
    address = {host}
    port = {SUBMISSION}
  }}
  inet_listener submissions {{
    address = {host}
    port = {SUBMISSIONS}
    ssl = yes
  }}
}}
"""
        if relay
        else ""
    )
    return f"""
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
auth_verbose = yes
auth_failure_delay = 0
protocols = imap lmtp {"submission" if relay else ""}
listen = {host}
ssl = required
ssl_cert = <{certificate.cert_file}
ssl_key = <{certificate.key_file}
ssl_min_protocol = TLSv1.2
auth_mechanisms = {mechanisms}
disable_plaintext_auth = yes
mail_location = maildir:{folder}/mail/%u
first_valid_uid = 1
mail_fsync = never
recipient_delimiter = +
passdb {{
  driver = passwd-file
  args = username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid=vmail gid=vmail home={folder}/mail/%u
}}
service imap-login {{
  inet_listener imap {{
    address = {host}
    port = {IMAP}
  }}
  inet_listener imaps {{
    address = {host}
    port = {IMAPS}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = {host}
    port = {LMTP}
  }}
}}
# The penalty for wrong passwords, which would make every later login from 127.0.0.1 wait.
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  unix_listener {folder}/auth-client {{
    mode = 0666
  }}
}}
{submission}
{extra}
"""
