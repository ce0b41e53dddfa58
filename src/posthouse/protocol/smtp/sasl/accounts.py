"""Accounts in memory, for fakes and tests of the listening side.

Enters: user names with their passwords or tokens. Leaves: answers to the mechanisms' questions.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from posthouse.flow import Secret
from posthouse.protocol.smtp.sasl.scram import MIN_ITERATIONS, ScramKeys, derive_keys


class TableAccounts:
    """A table of passwords and a table of tokens, both by user name."""

    def __init__(
        self,
        passwords: Mapping[str, str],
        tokens: Mapping[str, str] | None = None,
        *,
        salt: bytes = b"in-memory salt",
        iterations: int = MIN_ITERATIONS,
    ) -> None:
        self._passwords = dict(passwords)
        self._tokens = dict(tokens or {})
        self._salt = salt
        self._iterations = iterations

    def check_password(self, username: str, password: str) -> bool:
        """Compares in constant time; an unknown user is compared with nothing."""
        known = self._passwords.get(username, "").encode("utf-8")
        return hmac.compare_digest(known, password.encode("utf-8")) and username in self._passwords

    def password(self, username: str) -> str | None:
        """The password in clear, for CRAM-MD5."""
        return self._passwords.get(username)

    def scram_keys(self, username: str) -> ScramKeys | None:
        """Keys made on the spot; a real store keeps them."""
        password = self._passwords.get(username)
        if password is None:
            return None
        return derive_keys(Secret(password), self._salt, self._iterations)

    def check_token(self, username: str, token: str) -> bool:
        """Compares in constant time."""
        known = self._tokens.get(username, "").encode("utf-8")
        return hmac.compare_digest(known, token.encode("utf-8")) and username in self._tokens
