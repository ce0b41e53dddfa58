"""CRAM-MD5 (RFC 2195), both sides.

Enters: user name, password, the server's challenge. Leaves: the keyed digest. Kept for old
servers only: see ``choose`` for why PLAIN inside TLS is better. Fails with SaslError.
"""

from __future__ import annotations

import hmac
from typing import Final, Protocol

from posthouse.flow import Secret
from posthouse.protocol.smtp.sasl.common import SaslError, as_bytes, as_text, check_size


class PasswordLookup(Protocol):
    """Gives the password in clear: CRAM-MD5 cannot work with a hashed store."""

    def password(self, username: str) -> str | None:
        """None: no such user."""


class CramMd5Client:
    """Answers one challenge with ``user SP hex-digest``."""

    name: Final = "CRAM-MD5"
    initial: Final = None
    verified: Final = False

    def __init__(self, username: str, password: Secret, *, encoding: str = "utf-8") -> None:
        self._username = as_bytes(username, encoding)
        self._password = as_bytes(password, encoding)
        self._answered = False

    def respond(self, challenge: bytes) -> bytes:
        """RFC 2195 section 2. Raises SaslError ``empty_challenge``: a digest of nothing could be
        replayed anywhere."""
        if self._answered:
            raise SaslError("unexpected_challenge")
        if not check_size(challenge):
            raise SaslError("empty_challenge", malformed=True)
        self._answered = True
        return self._username + b" " + _digest(self._password, challenge)

    def done(self) -> None:
        """Raises SaslError ``incomplete`` where the server says yes without asking."""
        if not self._answered:
            raise SaslError("incomplete")


def _digest(password: bytes, challenge: bytes) -> bytes:
    try:
        return hmac.digest(password, challenge, "md5").hex().encode("ascii")
    except ValueError:  # a system in FIPS mode has no MD5
        raise SaslError("md5_unavailable") from None


class CramMd5Server:
    """Checks the answer to ``challenge``, which the caller makes unique: ``<random@host>``."""

    name: Final = "CRAM-MD5"
    authzid: Final = ""

    def __init__(self, accounts: PasswordLookup, challenge: bytes) -> None:
        self._accounts = accounts
        self._challenge = challenge
        self.username = ""

    def start(self, initial: bytes | None) -> bytes | None:
        """RFC 2195 is server-first: an initial response is an error (RFC 4954 section 4)."""
        if initial is not None:
            raise SaslError("message_form", malformed=True)
        return self._challenge

    def receive(self, response: bytes) -> None:
        """Raises SaslError ``message_form`` (501) or ``credentials`` (535)."""
        username, blank, digest = as_text(response).rpartition(" ")
        if not blank or not username:
            raise SaslError("message_form", malformed=True)
        password = self._accounts.password(username)
        # The digest is made also for an unknown user, so that time does not tell who exists.
        expected = _digest(as_bytes(password or ""), self._challenge)
        matches = hmac.compare_digest(expected, digest.encode("utf-8"))
        if password is None or not matches:
            raise SaslError("credentials")
        self.username = username
