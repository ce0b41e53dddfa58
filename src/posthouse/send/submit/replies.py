"""What we say: one constant for each reply that is always the same.

Read by ``session`` and ``message``. Texts are protocol English, short, each with its enhanced code
(RFC 2034), and say what would be right where the client's user can do something about it.
"""

from __future__ import annotations

from math import ceil
from typing import Final

from posthouse.protocol.smtp.reply import EnhancedCode, Reply

OK: Final = EnhancedCode(2, 0, 0)

DONE: Final = Reply.make(250, "Ok", "2.0.0")
SENDER_OK: Final = Reply.make(250, "Sender ok", "2.1.0")
RECIPIENT_OK: Final = Reply.make(250, "Recipient ok", "2.1.5")
GO_AHEAD: Final = Reply.make(354, "End data with <CR><LF>.<CR><LF>")
TLS_READY: Final = Reply.make(220, "Ready to start TLS", "2.0.0")
SIGNED_IN: Final = Reply.make(235, "Signed in", "2.7.0")
BYE: Final = Reply.make(221, "Bye", "2.0.0")
HELP: Final = Reply.make(214, "See RFC 5321", "2.0.0")
NOT_TOLD: Final = Reply.make(252, "Not told; send and see", "2.1.5")  # RFC 5321 section 3.5.3
NO_LISTS: Final = Reply.make(502, "Lists are not told", "5.5.1")
WHAT: Final = Reply.make(500, "Command not recognized", "5.5.1")

NOT_FROM_THERE: Final = Reply.make(554, "Not from your address", "5.7.1")
CROWDED: Final = Reply.make(421, "Too many connections from your address", "4.7.0")
GONE: Final = Reply.make(421, "Nobody is there any more", "4.4.2")
NO_SMTP: Final = Reply.make(421, "That is not SMTP", "4.7.0")
JUNK: Final = Reply.make(421, "Too many commands without a message", "4.7.0")

TLS_FIRST: Final = Reply.make(530, "Must issue a STARTTLS command first", "5.7.0")  # RFC 3207
LOGIN_FIRST: Final = Reply.make(530, "Authentication required", "5.7.0")  # RFC 4954 section 6
NO_MECHANISM: Final = Reply.make(504, "Use PLAIN or LOGIN", "5.5.4")
CANCELLED: Final = Reply.make(501, "Authentication cancelled", "5.7.0")
UNREADABLE: Final = Reply.make(501, "Cannot read the response", "5.5.2")
WRONG: Final = Reply.make(535, "User name or app password is wrong", "5.7.8")
NOT_FOR_OTHERS: Final = Reply.make(535, "Sign in for yourself only", "5.7.8")
BUSY: Final = Reply.make(454, "Too many logins at once, try again in a moment", "4.7.0")
BLOCKED: Final = Reply.make(421, "Too many failed logins, try again later", "4.7.0")
CHANGED: Final = Reply.make(421, "Your login has changed, sign in again", "4.7.0")

BAD_ENVID: Final = Reply.make(501, "ENVID is no xtext of printable characters", "5.5.4")
BAD_ORCPT: Final = Reply.make(501, "ORCPT is no xtext of printable characters", "5.5.4")
TOO_MANY: Final = Reply.make(452, "Too many recipients, send the rest as another message", "4.5.3")

NO_ROOM: Final = Reply.make(452, "Not enough memory now, try again later", "4.3.1")
FULL: Final = Reply.make(452, "Queue is full, try again later", "4.3.1")
NO_STORE: Final = Reply.make(451, "Cannot store the message now, try again later", "4.3.0")

BARE: Final = Reply.make(554, "Bare CR or LF in the message", "5.6.0")
NUL: Final = Reply.make(554, "NUL in the message", "5.6.0")
LONG_LINE: Final = Reply.make(554, "A line is longer than 998 octets", "5.6.0")
SIGNED_LINE: Final = Reply.make(
    554, "A line is longer than 998 octets, and a signature forbids to break it", "5.6.0"
)
LONG_HEADER: Final = Reply.make(552, "Header is too large", "5.3.4")
LOOP: Final = Reply.make(554, "Mail loop: too many Received fields", "5.4.6")
NO_FROM: Final = Reply.make(550, "No From field, and the sender is <>", "5.6.0")
SEVERAL_FROM: Final = Reply.make(550, "More than one From field", "5.6.0")
BAD_FROM: Final = Reply.make(550, "Cannot tell the author from the From field", "5.6.0")
SEVERAL_SENDER: Final = Reply.make(550, "More than one Sender field", "5.6.0")
BAD_SENDER: Final = Reply.make(550, "Cannot tell the sender from the Sender field", "5.6.0")
BAD_RESENT: Final = Reply.make(
    550, "Cannot tell who sends again from the Resent-From or Resent-Sender field", "5.6.0"
)

_SHOWN: Final = 3  # patterns named in a reply: more fit on no line that anybody reads


def too_big(size: int) -> Reply:
    """RFC 1870 section 6.1."""
    return Reply.make(552, f"Message is larger than {size} octets", "5.3.4")


def slow_down(wait: float) -> Reply:
    """Too much in too short a time, and when to come back."""
    return Reply.make(450, f"Too many messages, try again in {max(1, ceil(wait))} seconds", "4.7.1")


def use(code: int, what: str, patterns: tuple[str, ...]) -> Reply:
    """An address that is not the user's, and which would be."""
    named = ", ".join(patterns[:_SHOWN]) + (", ..." if len(patterns) > _SHOWN else "")
    return Reply.make(code, f"{what} must be {named or 'allowed for your login'}", "5.7.1")
