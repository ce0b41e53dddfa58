"""aiosmtpd: the SMTP server of Python programs, in a thread of the test; it needs no unpacking."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from peers import process

PLAIN, SUBMISSION, SUBMISSIONS = 25, 587, 465
SIZE = 10_000_000  # octets of a message


@dataclass(slots=True)
class Aiosmtpd:
    """A running aiosmtpd, and what it was given: (recipients, content)."""

    host: str
    taken: list[tuple[list[str], bytes]] = field(default_factory=list)

    def messages(self, address: str) -> list[bytes]:
        """What came for that address."""
        return [content for recipients, content in self.taken if address in recipients]

    def wait_for_messages(self, address: str, count: int = 1) -> list[bytes]:
        """Wait until so many messages are there."""
        return process.wait_for_messages(lambda: self.messages(address), count)


class _Handler:
    def __init__(self, owner: Aiosmtpd, users: Mapping[str, str]) -> None:
        self._owner = owner
        self._users = users

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address not in self._users:
            return "550 5.1.1 No such user here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.original_content
        assert isinstance(content, bytes)
        self._owner.taken.append((list(envelope.rcpt_tos), content))
        return "250 2.0.0 Ok"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        good = isinstance(data, LoginPassword)
        user, password = (data.login, data.password) if good else (b"", b"")
        known = self._users.get(user.decode("utf-8", "replace"))
        right = known is not None and known.encode() == password
        return AuthResult(success=right, handled=False)  # False: aiosmtpd writes the reply


@contextmanager
def running(
    host: str, users: Mapping[str, str], context: ssl.SSLContext, *, name: str = "mail.test"
) -> Iterator[Aiosmtpd]:
    """Start it on ``host``: 25 and 587 with STARTTLS, and 465; the last two want a login."""
    server = Aiosmtpd(host)
    handler = _Handler(server, users)
    with ExitStack() as stack:
        for port in (PLAIN, SUBMISSION, SUBMISSIONS):
            implicit = port == SUBMISSIONS
            controller = Controller(
                handler,
                host,
                port,
                ssl_context=context if implicit else None,
                tls_context=None if implicit else context,
                require_starttls=port == SUBMISSION,
                auth_required=port != PLAIN,
                # It can't see the TLS that was there from the first byte.
                auth_require_tls=not implicit,
                authenticator=handler.authenticate,
                enable_SMTPUTF8=True,
                data_size_limit=SIZE,
                server_hostname=name,
            )
            controller.start()
            stack.callback(controller.stop)
        yield server
