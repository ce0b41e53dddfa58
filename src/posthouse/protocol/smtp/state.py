"""The states of an SMTP session and the one table that moves between them, for both roles.

A row says: in this state, this command may be sent; after a reply of this class the session is in
that state. What is not in the table may not be sent, and a server refuses it with 503. The client
looks at the same rows twice: at what the replies have confirmed, and, while replies are under way
(RFC 2920), at where the session will be when all of them say yes.

Rules beside the table: 421 to anything ends the session (RFC 5321 section 3.8); a no without a row
changes nothing; a yes or a "go on" of a class that no row of its command has is no answer at all.
``show()`` prints the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a session is."""

    GREETING = "greeting"  # connected; the server speaks first
    GREETED = "greeted"  # 220 was said; the client has no name yet
    READY = "ready"  # EHLO or HELO done, no transaction
    AUTH = "auth"  # 334 was said; the client answers
    TLS = "tls"  # 220 to STARTTLS was said; the handshake comes next
    MAIL = "mail"  # a sender, no recipient yet
    RCPT = "rcpt"  # at least one recipient
    DATA = "data"  # 354 was said; the message flows
    BDAT = "bdat"  # some chunks of the message were taken
    TURNED_AWAY = "turned_away"  # greeted with 5xx; only QUIT is left (RFC 5321 section 3.1)
    CLOSED = "closed"

    __hash__ = str.__hash__  # Enum's own is written in Python, and the table is asked all the time


OK: Final = "2xx"
GO_ON: Final = "3xx"
NO: Final = "4xx 5xx"

_S = State
_CLOSED: Final = State.CLOSED

# (states, command, class of reply, next state); None: the state stays. EHLO is also HELO and
# LHLO, RESPONSE the line after a 334, MESSAGE the end of the message after 354.
_ROWS: Final[tuple[tuple[tuple[State, ...], str, str, State | None], ...]] = (
    ((_S.GREETING,), "GREETING", OK, _S.GREETED),
    ((_S.GREETING,), "GREETING", NO, _S.TURNED_AWAY),
    ((_S.GREETED, _S.READY, _S.MAIL, _S.RCPT, _S.BDAT), "EHLO", OK, _S.READY),
    ((_S.READY,), "STARTTLS", OK, _S.TLS),
    ((_S.TLS,), "TLS STARTED", "", _S.GREETED),  # RFC 3207 section 4.2: back to the beginning
    ((_S.READY,), "AUTH", GO_ON, _S.AUTH),
    ((_S.READY,), "AUTH", OK, _S.READY),
    ((_S.AUTH,), "RESPONSE", GO_ON, _S.AUTH),
    ((_S.AUTH,), "RESPONSE", OK, _S.READY),
    ((_S.AUTH,), "RESPONSE", NO, _S.READY),
    ((_S.READY,), "MAIL", OK, _S.MAIL),
    ((_S.MAIL, _S.RCPT), "RCPT", OK, _S.RCPT),
    ((_S.RCPT,), "DATA", GO_ON, _S.DATA),
    ((_S.DATA,), "MESSAGE", OK, _S.READY),
    ((_S.DATA,), "MESSAGE", NO, _S.READY),
    ((_S.RCPT, _S.BDAT), "BDAT", OK, _S.BDAT),
    ((_S.RCPT, _S.BDAT), "BDAT", NO, _S.READY),  # RFC 3030 section 2: the message has failed
    ((_S.RCPT, _S.BDAT), "BDAT LAST", OK, _S.READY),
    ((_S.RCPT, _S.BDAT), "BDAT LAST", NO, _S.READY),
    ((_S.GREETED,), "RSET", OK, _S.GREETED),
    ((_S.READY, _S.MAIL, _S.RCPT, _S.BDAT), "RSET", OK, _S.READY),
    ((_S.READY,), "XCLIENT", OK, _S.GREETED),  # Postfix: as if just connected
    ((_S.GREETED, _S.READY, _S.MAIL, _S.RCPT, _S.BDAT), "NOOP", OK, None),
    ((_S.GREETED, _S.READY, _S.MAIL, _S.RCPT, _S.BDAT), "VRFY", OK, None),
    ((_S.GREETED, _S.READY, _S.MAIL, _S.RCPT, _S.BDAT), "EXPN", OK, None),
    ((_S.GREETED, _S.READY, _S.MAIL, _S.RCPT, _S.BDAT), "HELP", OK, None),
    ((_S.GREETED, _S.READY, _S.MAIL, _S.RCPT, _S.BDAT), "UNKNOWN", OK, None),
    (
        (_S.GREETED, _S.READY, _S.MAIL, _S.RCPT, _S.BDAT, _S.TURNED_AWAY),
        "QUIT",
        OK,
        _S.CLOSED,
    ),
)

# A client that pipelines may hear these where an earlier command was refused: the server said
# 354 all the same, and now waits for a message (RFC 2920 section 3.1: send the end at once).
_ANYWHERE: Final[Mapping[tuple[str, str], State]] = {
    ("DATA", GO_ON): State.DATA,
    ("QUIT", OK): State.CLOSED,
}

TABLE: Final[Mapping[tuple[State, str, str], State]] = {
    (state, command, reply): state if after is None else after
    for states, command, reply, after in _ROWS
    for state in states
}

_PERMITTED: Final[frozenset[tuple[State, str]]] = frozenset((s, c) for s, c, _ in TABLE)
_CLASSES: Final[frozenset[tuple[str, str]]] = frozenset((c, reply) for _, c, reply in TABLE)


def permitted(state: State, command: str) -> bool:
    """Whether the command may be sent in this state."""
    return (state, command) in _PERMITTED


def after(state: State, command: str, code: int) -> State | None:
    """The state after a reply with ``code`` to ``command``; None: it answers no such command."""
    if code == 421:
        return _CLOSED
    column = OK if code < 300 else GO_ON if code < 400 else NO
    found = TABLE.get((state, command, column))
    if found is not None:
        return found
    if column is not NO and (command, column) not in _CLASSES:
        return None
    return _ANYWHERE.get((command, column), state)


def hoped(state: State, command: str) -> State:
    """The state if the command is answered the way its sender wants."""
    column = GO_ON if command == "DATA" else OK
    return TABLE.get((state, command, column), state)


def show() -> str:
    """The table as text, one row a line."""
    lines = [f"{'state':<12} {'command':<12} {'reply':<8} next", ""]
    for (state, command, reply), following in TABLE.items():
        lines.append(f"{state:<12} {command:<12} {reply:<8} {following}")
    return "\n".join(lines) + "\n"
