"""How much the engine reads before it says no. Every number has its reason.

``Limits`` is given to a ``Connection``; ``command_limit`` says how long one command line may be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

COMMAND_LINE: Final = 512  # octets with CRLF (RFC 5321 section 4.5.3.1.4)
REPLY_LINE: Final = 512  # octets with CRLF, for what we write (RFC 5321 section 4.5.3.1.5)
TEXT_LINE: Final = 998  # octets of a message line without CRLF (RFC 5321 section 4.5.3.1.6)
RECIPIENTS: Final = 100  # of one message; every server takes as many (RFC 5321 section 4.5.3.1.8)
PATH: Final = 256  # octets with the brackets (RFC 5321 section 4.5.3.1.3)
DOMAIN: Final = 255  # octets (RFC 5321 section 4.5.3.1.2)
AUTH_LINE: Final = 12_288  # octets of base64 with CRLF (RFC 4954 section 4)

# What extensions add to the MAIL line: SIZE 26 (RFC 1870 section 3), BODY 17 (RFC 6152 section 2),
# SMTPUTF8 10 (RFC 6531 section 3.4), AUTH 500 (RFC 4954 section 3), RET and ENVID 120 (RFC 3461
# section 4), MT-PRIORITY 15 (RFC 6710 section 5), and to RCPT: ORCPT and NOTIFY 528 (RFC 3461).
MAIL_LINE: Final = COMMAND_LINE + 26 + 17 + 10 + 500 + 120 + 15
RCPT_LINE: Final = COMMAND_LINE + 528

_BY_VERB: Final = {b"MAIL": MAIL_LINE, b"RCPT": RCPT_LINE, b"AUTH": AUTH_LINE}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one ``Connection`` takes from its peer."""

    reply_line: int = AUTH_LINE  # octets kept of a reply line; a 334 challenge may need them all
    reply_lines: int = 200  # lines kept of one reply; a long EHLO list has 30
    reply_octets: int = 262_144  # one reply; more is no SMTP server but a stream of something else


def command_limit(line: bytes) -> int:
    """Octets, with CRLF, that a command line that begins like ``line`` may have."""
    return _BY_VERB.get(line[:4].upper(), COMMAND_LINE)
