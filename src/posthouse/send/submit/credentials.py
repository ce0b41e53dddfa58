"""What a login mechanism has read, until the check of it begins.

Enters: user name and password, from ``protocol.smtp.sasl``'s servers. Leaves: the same, once.
Nothing fails, and nothing is kept after it was taken.
"""

from __future__ import annotations

from posthouse.flow import Secret


class Credentials:
    """Stands in for accounts while a mechanism reads: the check itself takes its time elsewhere."""

    __slots__ = ("_secret", "_user")

    def __init__(self) -> None:
        self._user, self._secret = "", Secret("")

    def check_password(self, username: str, password: str) -> bool:
        """Keep them; nobody is let in by this."""
        self._user, self._secret = username, Secret(password)
        return True

    def taken(self) -> tuple[str, Secret]:
        """Give them, and keep them no longer."""
        user, secret = self._user, self._secret
        self._user, self._secret = "", Secret("")
        return user, secret
