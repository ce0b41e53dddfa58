"""The login of a hop: until it was taken once, one try of it is under way, in the whole relay.

A password that is wrong must not be tried by each connection, worker and message: providers lock
accounts after some tries. So the first connection with a login comes alone, and only when it stands
are others opened; after a refusal nobody tries for ``LOGIN_SORE`` seconds. Workers know of each
other by ``Tries``, memory they share; there a login stands by its password too, so that a new one,
after a reload, is tried at once.

Called by ``pool``, which owns the ``Login`` of its way. What can fail: ``turn`` raises Refused
where another worker's try was refused a moment ago.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeGuard

from posthouse.flow import NetworkFailure, Stage
from posthouse.net.smtp_carry import Refused
from posthouse.protocol.smtp.reply import Reply
from posthouse.send.hop import Hop

LOGIN_SORE: Final = 300.0  # seconds nothing is tried after a refusal, lest the account be locked
PATIENCE: Final = 10.0  # seconds to wait for another worker's try: then nobody answers it
LOOK: Final = 0.25  # seconds between looks for it

_KNOWN: Final = Reply.make(535, "The login was refused a moment ago; not tried again yet", "5.7.8")


class Tries(Protocol):
    """What was noted within the last ``LOGIN_SORE`` seconds: ``submit.limits.Rates``."""

    def refusal(self, key: str, now: float, /) -> object | None:
        """Note it, unless it is noted; None: it was not."""
        ...

    def blocked(self, key: str, now: float, /) -> object | None:
        """None: it is not noted."""
        ...

    def count(self, key: str, now: float, /) -> None:
        """Note it."""
        ...

    def forget(self, key: str, /) -> None:
        """It is over."""
        ...


class Login:
    """The owner of what one way knows of its login."""

    def __init__(
        self,
        hop: Hop,
        tries: Tries | None,
        *,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.taken = not hop.user  # at least once, or none is needed
        self._tries = tries
        self._now = now
        self._sleep = sleep
        key = f"{hop.name} {hop.user} {hash(hop.secret)}"
        self._trying, self._refused = f"trying {key}", f"refused {key}"

    async def turn(self) -> None:
        """Wait until it is ours to try. Raises Refused."""
        if self.taken or self._tries is None:
            return
        until = self._now() + PATIENCE
        while self._tries.refusal(self._trying, now := self._now()) is not None and now < until:
            await self._sleep(LOOK)
        if self._tries.blocked(self._refused, self._now()) is not None:
            self._over()
            raise Refused(Stage.AUTH, _KNOWN, heard=False)

    def worked(self) -> None:
        """The server let us in, so others may go."""
        if not self.taken:
            self.taken = True
            self._over()

    def failed(self, error: NetworkFailure | Refused | None) -> None:
        """It did not come to a connection; None: for no reason of the server's."""
        if error is not None and is_login(error):
            self.taken = False
            if self._tries is not None and error.reply is not _KNOWN:
                self._tries.count(self._refused, self._now())
        if not self.taken:
            self._over()

    def _over(self) -> None:
        if self._tries is not None:
            self._tries.forget(self._trying)


def is_login(error: NetworkFailure | Refused) -> TypeGuard[Refused]:
    """Whether it was the login that was refused; 4yz is trouble of the server's (RFC 4954)."""
    if not (isinstance(error, Refused) and error.stage is Stage.AUTH):
        return False
    return not error.reply.is_transient
