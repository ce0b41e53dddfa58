"""msmtp: the SMTP client behind many a ``sendmail`` command."""

from __future__ import annotations

import tempfile
from pathlib import Path

from peers import process

SUBMISSIONS = 465


def send(
    host: str,
    port: int,
    message: bytes,
    *,
    sender: str,
    recipient: str,
    ca_file: Path,
    user: str = "",
    password: str = "",
    mechanism: str = "plain",
    extra: str = "",
) -> process.Ran:
    """Send ``message`` by TLS; ``extra`` are more lines of its configuration."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "msmtprc")
        config.touch(0o600)  # msmtp refuses a file with a password that others may read
        config.write_text(
            f"account default\nhost {host}\nport {port}\nfrom {sender}\ndomain client.test\n"
            f"tls on\ntls_starttls {'off' if port == SUBMISSIONS else 'on'}\n"
            f"tls_trust_file {ca_file}\ntimeout 20\n"
            + (f'auth {mechanism}\nuser {user}\npassword "{password}"\n' if user else "auth off\n")
            + extra
        )
        return process.run_client(["/usr/bin/msmtp", "-C", config, recipient], stdin=message)
