"""nodemailer: the SMTP client of Node.js programs."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import peers
from peers import process

SUBMISSIONS = 465
SCRIPT = """
const { transport, mail } = JSON.parse(require("fs").readFileSync(0, "utf8"));
if (mail.raw) mail.raw = Buffer.from(mail.raw, "base64");
require("nodemailer").createTransport(transport).sendMail(mail).then(
  (info) => console.log(JSON.stringify({ response: info.response, accepted: info.accepted })),
  (error) => {
    const { code, response, message } = error;
    console.log(JSON.stringify({ code, response, message }));
    process.exitCode = 1;
  },
);
"""


def send(
    host: str,
    port: int,
    *,
    sender: str,
    recipient: str,
    ca_file: Path,
    user: str = "",
    password: str = "",
    subject: str = "by nodemailer",
    transport: Mapping[str, Any] | None = None,
    raw: bytes | None = None,
) -> process.Ran:
    """Send a short message by TLS, or ``raw``. The output is one JSON object: reply or error."""
    options: dict[str, Any] = {
        "host": host,
        "port": port,
        "secure": port == SUBMISSIONS,
        "requireTLS": port != SUBMISSIONS,
        "name": "client.test",
        "tls": {"ca": ca_file.read_text()},
        "connectionTimeout": 20_000,
        "greetingTimeout": 20_000,
        "socketTimeout": 20_000,
    }
    if user:
        options["auth"] = {"user": user, "pass": password}
    mail: dict[str, Any] = {
        "from": sender,
        "to": recipient,
        "subject": subject,
        "text": "A test.\n",
    }
    if raw is not None:
        envelope = {"from": sender, "to": [recipient]}
        mail = {"envelope": envelope, "raw": base64.b64encode(raw).decode()}
    job = {"transport": options | dict(transport or {}), "mail": mail}
    return process.run_client(
        ["node", "-e", SCRIPT],
        stdin=json.dumps(job).encode(),
        env={"NODE_PATH": str(peers.ROOT / ".peers" / "npm" / "node_modules")},
    )
