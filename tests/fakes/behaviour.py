"""How ``fakes.smtp.FakeSmtpServer`` behaves, and what it has seen: plain data."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from posthouse.net.smtp_server import Message


class Action(Enum):
    """Instead of an answer."""

    CLOSE = "close"  # an orderly end
    RESET = "reset"  # RST
    SILENT = "silent"  # nothing, for ever


# A reply as text (lines by "\n", CRLF is added), as bytes (sent as they are), or an action. Several
# are used one by one, the last again and again.
Answer = str | bytes | Action
Answers = Answer | tuple[Answer, ...]

EXTENSIONS = (
    "PIPELINING",
    "8BITMIME",
    "SMTPUTF8",
    "DSN",
    "CHUNKING",
    "BINARYMIME",
    "ENHANCEDSTATUSCODES",
)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the server behaves; the default is a good submission server that takes any login."""

    # connecting
    reset: bool = False  # RST at once
    first: Answers = "220 mail.test ESMTP ready"  # the greeting, or another protocol's banner
    delay: float = 0.0  # seconds before the greeting
    stray: Answer | None = None  # no greeting: this answers the first octets that come (HTTP 400)
    after_first: Action | None = None  # what comes after the greeting, instead of a session

    # EHLO and TLS
    name: str = "mail.test"
    extensions: tuple[str, ...] = EXTENSIONS
    ehlo: Answers | None = None  # the whole answer outside TLS
    ehlo_tls: Answers | None = None  # the whole answer inside TLS
    helo: Answers | None = None
    tls: ssl.SSLContext | None = None
    implicit_tls: bool = False
    starttls_keyword: str = "STARTTLS"  # "XXXXXXXA" as a firewall leaves it; "": not offered
    starttls: Answers | None = None  # the answer to STARTTLS, "454 4.7.0 ..."
    starttls_then: bytes | None = None  # sent instead of a handshake, after the 220
    require_tls: bool = False  # 530 to AUTH and MAIL outside TLS

    # logging in
    mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN")
    mechanisms_plain: tuple[str, ...] | None = None  # before TLS; None: the same
    accounts: Mapping[str, str] | None = None  # user -> password; None: anything is right
    tokens: Mapping[str, str] = field(default_factory=dict)  # user -> OAuth token
    charset: str | None = None  # the bytes of the password are right in this charset alone
    auth_reply: Answers | None = None  # after the whole exchange
    oauth_error: Mapping[str, Any] | None = None  # 334 with this as JSON, then 535
    require_auth: bool = False  # 530 to MAIL

    # the transaction
    replies: tuple[tuple[str, Answers], ...] = ()  # regular expression of the masked line -> answer
    size: int | None = None  # SIZE, and 552 above it
    max_recipients: int | None = None  # 452 4.5.3 above it
    max_at_end: int | None = None  # 554 to the message above it
    greylist: float | None = None  # seconds; 450 until then, by sender and recipient
    drop_data_after: int | None = None  # octets of message, then ``drop``
    drop: Action = Action.RESET
    lost_reply: bool = False  # the message is kept, and the connection closed without a word
    final: Answers = "250 2.0.0 Ok: queued as 4711"
    lmtp: bool = False
    errors: int = 20
    xclient: bool = False


@dataclass(slots=True)
class Seen:
    """What happened on one connection."""

    lines: list[str] = field(default_factory=list)  # commands, masked; refused ones as "!reason"
    messages: list[Message] = field(default_factory=list)
    hello: list[str] = field(default_factory=list)
    mechanisms: list[str] = field(default_factory=list)
    credentials: list[bytes] = field(default_factory=list, repr=False)  # as decoded from base64
    username: str = ""
    tls: bool = False
    auth_in_clear: bool = False  # a credential came before TLS
    injected: int = 0
    body_octets: int = 0
