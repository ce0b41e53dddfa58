"""PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login), both sides.

Enters: user name and password (client), responses (server). Leaves: responses, challenges.
Both send the password itself, so they are for use inside TLS only; the caller sees to that.
Fails with SaslError.
"""

from __future__ import annotations

from typing import Final, Protocol

from posthouse.flow import Secret
from posthouse.protocol.smtp.sasl.common import (
    SaslError,
    as_bytes,
    as_text,
    check_size,
    refuse_nul,
)


class PasswordCheck(Protocol):
    """Says whether a password is right; takes as long for an unknown user as for a known one."""

    def check_password(self, username: str, password: str) -> bool:
        """True: let the user in."""


class PlainClient:
    """One message: [authzid] NUL authcid NUL passwd."""

    name: Final = "PLAIN"
    verified: Final = False

    def __init__(
        self, username: str, password: Secret, *, authzid: str = "", encoding: str = "utf-8"
    ) -> None:
        self.initial: Final = plain_message(username, password, authzid, encoding)
        self._sent = False

    def respond(self, challenge: bytes) -> bytes:
        """The message, for servers that do not take it as initial response."""
        check_size(challenge)
        if self._sent:
            raise SaslError("unexpected_challenge")
        self._sent = True
        return self.initial

    def done(self) -> None:
        """Nothing to verify: PLAIN proves the client alone."""


def plain_message(
    username: str, password: Secret, authzid: str = "", encoding: str = "utf-8"
) -> bytes:
    """RFC 4616 section 2. Raises SaslError ``nul``, ``empty`` or ``not_encodable``."""
    user, word, authz = (as_bytes(item, encoding) for item in (username, password, authzid))
    refuse_nul(username=user, password=word, authzid=authz)
    if not user or not word:  # the grammar wants one octet of each
        raise SaslError("empty", "password" if user else "username")
    return b"\0".join((authz, user, word))


class PlainServer:
    """Reads the one message of PLAIN."""

    name: Final = "PLAIN"

    def __init__(self, accounts: PasswordCheck) -> None:
        self._accounts = accounts
        self.username = ""
        self.authzid = ""

    def start(self, initial: bytes | None) -> bytes | None:
        """RFC 4616 section 4: without an initial response the challenge is empty."""
        if initial is None:
            return b""
        self.receive(initial)
        return None

    def receive(self, response: bytes) -> None:
        """Raises SaslError ``message_form`` (501) or ``credentials`` (535)."""
        parts = as_text(response).split("\0")
        if len(parts) != 3 or not parts[1] or not parts[2]:
            raise SaslError("message_form", malformed=True)
        authzid, username, password = parts
        if not self._accounts.check_password(username, password):
            raise SaslError("credentials")
        self.authzid, self.username = authzid, username


class LoginClient:
    """Two questions in whatever words ("Username:", "User Name\\0", "用户名:"), told by order."""

    name: Final = "LOGIN"
    initial: Final = None
    verified: Final = False

    def __init__(self, username: str, password: Secret, *, encoding: str = "utf-8") -> None:
        answers = [as_bytes(username, encoding), as_bytes(password, encoding)]
        refuse_nul(username=answers[0], password=answers[1])
        self._answers = answers

    def respond(self, challenge: bytes) -> bytes:
        """The user name, then the password. A third question is SaslError."""
        check_size(challenge)
        if not self._answers:
            raise SaslError("unexpected_challenge")
        return self._answers.pop(0)

    def done(self) -> None:
        """Raises SaslError ``incomplete`` where the server says yes without asking."""
        if self._answers:
            raise SaslError("incomplete")


class LoginServer:
    """Asks for the user name and the password, in the words that old clients compare with."""

    name: Final = "LOGIN"
    authzid: Final = ""

    def __init__(self, accounts: PasswordCheck) -> None:
        self._accounts = accounts
        self._user: str | None = None
        self.username = ""

    def start(self, initial: bytes | None) -> bytes | None:
        """Some clients send the user name as initial response."""
        return b"Username:" if initial is None else self.receive(initial)

    def receive(self, response: bytes) -> bytes | None:
        """Raises SaslError ``message_form`` (501) or ``credentials`` (535)."""
        text = as_text(response)
        if "\0" in text or not text:
            raise SaslError("message_form", malformed=True)
        if self._user is None:
            self._user = text
            return b"Password:"
        if not self._accounts.check_password(self._user, text):
            raise SaslError("credentials")
        self.username = self._user
        return None
