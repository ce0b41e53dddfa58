"""Which port goes with which mode: capability "port/mode matrix" (RFC 8314, RFC 6409).

Enters: a port and the mode somebody chose. Leaves: one verdict id; its words are the
catalogues'. Called by the command line, find and probe. Never fails.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from posthouse.flow import Security


class PortVerdict(StrEnum):
    """What to think of a port in a mode."""

    OK = "ok"
    RELAY_ONLY = "relay_only"  # 25: between servers (RFC 5321), not for clients
    USE_STARTTLS = "mismatch_use_starttls"
    USE_TLS = "mismatch_use_tls"
    DEV_CATCHER = "dev_catcher"  # 1025: MailHog, Mailpit, or Proton Bridge on this computer
    INCOMING_PORT = "incoming_port"  # IMAP or POP3
    UNUSUAL = "unusual"


# 465 is "submissions" (RFC 8314 section 7.3); 994 is NetEase's, 2465 Amazon SES' and Resend's.
TLS_PORTS: Final = frozenset({465, 994, 2465})
# 587 is "submission" (RFC 6409 section 3.1); the others are providers' ways around blocked ports.
STARTTLS_PORTS: Final = frozenset({587, 2525, 2587})
RELAY_PORT: Final = 25
INCOMING_PORTS: Final = {110: "pop3", 143: "imap", 993: "imap", 995: "pop3"}

_WHATEVER_THE_MODE: Final = {
    **dict.fromkeys(INCOMING_PORTS, PortVerdict.INCOMING_PORT),
    1025: PortVerdict.DEV_CATCHER,
}


def usual_security(port: int) -> Security | None:
    """The mode that a port is known for, or None."""
    if port in TLS_PORTS:
        return Security.TLS
    if port in STARTTLS_PORTS or port == RELAY_PORT:
        return Security.STARTTLS
    return None


def judge_port(port: int, security: Security | None) -> PortVerdict:
    """The verdict on a port in a mode; ``security`` None: only the port is known yet.

    A submission port without any encryption is a mismatch too: a password never goes there.
    """
    usual = usual_security(port)
    if usual is None:
        return _WHATEVER_THE_MODE.get(port, PortVerdict.UNUSUAL)
    if port == RELAY_PORT and security is not Security.TLS:
        return PortVerdict.RELAY_ONLY
    if security in (None, usual):
        return PortVerdict.OK
    return PortVerdict.USE_TLS if usual is Security.TLS else PortVerdict.USE_STARTTLS
