"""What a client says to sign in, until the check of it begins. RFC 4954, RFC 4616.

Enters: AUTH and the answers to its challenges. Leaves: the next challenge, what is wrong, or a
``Claim`` that somebody else checks. Called by ``session``. Nothing fails, and nothing is kept of
a password after it was claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from posthouse.flow import Secret
from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp.reply import Reply
from posthouse.protocol.smtp.sasl.common import SaslError
from posthouse.protocol.smtp.sasl.plain import LoginServer, PlainServer
from posthouse.send.submit import replies
from posthouse.send.submit.accounts import normal_name

_MECHANISMS: Final[Mapping[str, type[PlainServer] | type[LoginServer]]] = {
    "PLAIN": PlainServer,  # RFC 4616
    "LOGIN": LoginServer,
}


class Claim(NamedTuple):
    """Who a client says it is."""

    user: str
    secret: Secret


class Unfit(NamedTuple):
    """Why there is no claim: the answer, and the word for the log."""

    reply: Reply
    reason: str


class _Credentials:
    """Stands in for accounts while a mechanism reads: the check itself takes its time elsewhere."""

    __slots__ = ("secret", "user")

    def __init__(self) -> None:
        self.user, self.secret = "", Secret("")

    def check_password(self, username: str, password: str) -> bool:
        """Keep them; nobody is let in by this."""
        self.user, self.secret = username, Secret(password)
        return True


class Exchange:
    """The owner of one connection's login while it is under way."""

    __slots__ = ("_credentials", "_mechanism")

    def __init__(self) -> None:
        self._mechanism: PlainServer | LoginServer | None = None
        self._credentials = _Credentials()

    def begin(self, command: c.Auth) -> Reply | Claim | Unfit:
        """The engine lets it through only where it was offered: inside TLS."""
        kind = _MECHANISMS.get(command.mechanism)
        if kind is None:
            return Unfit(replies.NO_MECHANISM, "mechanism")
        self._mechanism = kind(self._credentials)
        return self._step(self._mechanism, self._mechanism.start, command.initial)

    def go_on(self, command: c.AuthResponse) -> Reply | Claim | Unfit:
        """What the client says to a challenge."""
        if command.data is None or self._mechanism is None:
            self.forget()
            return Unfit(replies.CANCELLED, "cancelled")
        return self._step(self._mechanism, self._mechanism.receive, command.data)

    def forget(self) -> None:
        """There is none under way."""
        self._mechanism = None

    def _step(
        self,
        mechanism: PlainServer | LoginServer,
        step: Callable[[Any], bytes | None],
        data: bytes | None,
    ) -> Reply | Claim | Unfit:
        """One step of the mechanism, which tells only what the client claims to be."""
        try:
            challenge = step(data)
        except SaslError:
            self.forget()
            return Unfit(replies.UNREADABLE, "unreadable")
        if challenge is not None:
            return Reply.challenge(challenge)
        claim = Claim(self._credentials.user, self._credentials.secret)
        self._mechanism, self._credentials = None, _Credentials()
        if mechanism.authzid and normal_name(mechanism.authzid) != normal_name(claim.user):
            return Unfit(replies.NOT_FOR_OTHERS, "authzid")  # RFC 4616 section 2
        return claim
