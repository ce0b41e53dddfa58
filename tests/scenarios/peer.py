"""What a scenario says about its server, put into the words of ``fakes.smtp``."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from fakes.smtp import Action, Answers, Behaviour, FakeSmtpServer
from posthouse.net.stream import TcpStream, listen

CAPABILITIES = ("PIPELINING", "SIZE 35882577", "8BITMIME", "AUTH PLAIN LOGIN", "DSN")
Raw = Callable[[TcpStream], Awaitable[None]]


@dataclass(frozen=True)
class Script:
    """How the server behaves. ``replies`` are by verb; "." is the end of the message."""

    greeting: str | bytes = "220 mail.test ESMTP"
    greet_after: float = 0.0  # seconds
    ehlo: tuple[str, ...] | bytes = CAPABILITIES  # keywords, or the whole answer
    replies: Mapping[str, Answers] = field(default_factory=dict)
    starttls: str = "STARTTLS"  # the keyword; "": not offered
    after_starttls: bytes | None = None  # instead of a handshake
    more: Mapping[str, Any] = field(default_factory=dict)  # further words of Behaviour

    def behaviour(self, tls: ssl.SSLContext | None, implicit: bool) -> Behaviour:
        """The fake's own words for it."""
        replies = dict(self.replies)
        words: dict[str, Any] = {
            "first": self.greeting,
            "delay": self.greet_after,
            "tls": tls,
            "implicit_tls": implicit,
            "starttls_keyword": "" if implicit else self.starttls,
            "starttls_then": self.after_starttls,
            "starttls": replies.pop("STARTTLS", None),
            "auth_reply": replies.pop("AUTH", None),
            "ehlo": replies.get("EHLO"),
            "ehlo_tls": replies.pop("EHLO", None),
            "final": replies.pop(".", Behaviour.__dataclass_fields__["final"].default),
            "replies": tuple((f"^{verb}\\b", answer) for verb, answer in replies.items()),
        }
        if isinstance(self.ehlo, bytes):
            words["ehlo"] = words["ehlo_tls"] = self.ehlo
        else:
            words["extensions"] = tuple(k for k in self.ehlo if not k.startswith("AUTH "))
            logins = [k for k in self.ehlo if k.startswith("AUTH ")]
            words["mechanisms"] = tuple(logins[0].split()[1:]) if logins else ()
        return Behaviour(**{**words, **self.more})


class Peer:
    """A running server and what it saw."""

    def __init__(self, fake: FakeSmtpServer | None, port: int) -> None:
        self.port = port
        self._fake = fake

    @property
    def fake(self) -> FakeSmtpServer:
        assert self._fake is not None, "a raw server writes nothing down"
        return self._fake

    @property
    def lines(self) -> list[str]:
        """All commands on all connections, credentials masked."""
        return [line for seen in self.fake.seen for line in seen.lines]

    def verbs(self) -> list[str]:
        """Their first words."""
        return [line.split(" ")[0].split(":")[0].upper() for line in self.lines]

    @property
    def connections(self) -> int:
        return len(self.fake.seen)

    @property
    def messages(self) -> list[bytes]:
        """The messages it took, or at least got to the end of."""
        return [message.content for message in self.fake.messages]

    @property
    def credentials(self) -> list[bytes]:
        """What came in AUTH, decoded."""
        return [octets for seen in self.fake.seen for octets in seen.credentials]


async def start(stack: AsyncExitStack, behaviour: Behaviour, port: int) -> Peer:
    """A server for one scenario."""
    fake = await stack.enter_async_context(FakeSmtpServer(behaviour, port=port))
    return Peer(fake, fake.port)


async def start_raw(stack: AsyncExitStack, raw: Raw, port: int) -> Peer:
    """Something that is no SMTP server at all."""
    server = await listen(raw, "127.0.0.1", port)
    stack.callback(server.close)
    return Peer(None, server.sockets[0].getsockname()[1])


__all__ = ["CAPABILITIES", "Action", "Peer", "Raw", "Script", "start", "start_raw"]
