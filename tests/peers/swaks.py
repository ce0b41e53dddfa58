"""swaks: the Swiss army knife for SMTP, as a client."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from peers import process

SUBMISSIONS = 465


def send(
    host: str,
    port: int,
    *,
    sender: str,
    recipient: str,
    ca_file: Path,
    user: str = "",
    password: str = "",
    mechanism: str = "PLAIN",
    options: Sequence[str] = (),
) -> process.Ran:
    """Send swaks' own test message by TLS. Its transcript comes back, credentials masked."""
    command = ["/usr/bin/swaks", "--server", host, "--port", str(port)]
    command += ["--from", sender, "--to", recipient, "--ehlo", "client.test", "--timeout", "20"]
    command += ["--tls-on-connect" if port == SUBMISSIONS else "--tls"]
    command += ["--tls-verify", "--tls-ca-path", str(ca_file)]
    if user:
        command += ["--auth", mechanism, "--auth-user", user, "--auth-password", password]
        command += ["--auth-hide-password"]
    return process.run_client([*command, *options])
