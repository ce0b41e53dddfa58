"""Real programs as test peers: each module configures one, starts it, and stops it.

Enters: addresses of 127.0.0.0/8, domains, users, certificates. Leaves: a running server (context
manager) or the outcome of a client's run (``Ran``). They run inside scripts/netns only, from what
scripts/peers unpacked. A server that does not come up raises ``PeerFailed`` with its log.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
NAMES = (
    "actionmailer",
    "dma",
    "dovecot",
    "exim",
    "git-email",
    "haraka",
    "javamail",
    "msmtp",
    "mutt",
    "neomutt",
    "nodemailer",
    "nsd",
    "nullmailer",
    "opendkim",
    "opensmtpd",
    "phpmailer",
    "postfix",
    "rbldnsd",
    "sendmail",
    "swaks",
    "symfony-mailer",
    "unbound",
)
NEED_USERS = {"postfix", "exim", "opensmtpd", "dovecot"}  # they drop root for users of their own
NO_NETNS = "no private network namespace: run scripts/check tests, or scripts/netns pytest"


def in_netns() -> bool:
    """Whether this run is inside scripts/netns."""
    return os.environ.get("POSTHOUSE_NETNS") == "1"


def why_missing(name: str) -> str | None:
    """Why that peer can't be used here, or None if it can."""
    if name not in NAMES:
        raise ValueError(f"no such peer: {name}")
    entry = _status().get(name, {"missing": "not fetched: run scripts/peers"})
    if "missing" in entry:
        return f"peer {name}: {entry['missing']}"
    if not in_netns():
        return f"peer {name}: {NO_NETNS}"
    if name in NEED_USERS and not _many_users():
        return f"peer {name}: needs several users: run as root, or with newuidmap installed"
    return None


def summary() -> str:
    """The line at the end of a run."""
    if not in_netns():
        return f"peers: none ({NO_NETNS})"
    entries = []
    for name in NAMES:
        reason = why_missing(name)
        entries.append(f"{name} MISSING ({reason.split(': ', 1)[1]})" if reason else f"{name} yes")
    return "peers: " + ", ".join(entries)


@cache
def _status() -> dict[str, dict[str, str]]:
    try:
        return json.loads((ROOT / ".peers" / "status.json").read_text())["peers"]
    except (OSError, ValueError, KeyError):
        return {}


def _many_users() -> bool:
    lines = Path("/proc/self/uid_map").read_text().splitlines()
    return sum(int(line.split()[2]) for line in lines) > 1000
