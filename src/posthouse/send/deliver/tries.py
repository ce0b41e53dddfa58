"""The login of a hop: unless it was taken just now, one try of it is under way, in the whole relay.

A password that is wrong must not be tried by each connection, worker and message: providers lock
accounts after some tries. So the first connection with a login comes alone, and only when it stands
are others opened; again so where none was opened for ``FRESH`` seconds, for passwords are changed
while relays run; after a refusal nobody tries for ``LOGIN_SORE`` seconds. Workers know of each
other by ``Tries``, memory they share; there a login stands by its password too, so that a new one,
after a reload, is tried at once.

Called by ``pool``, which owns the ``Login`` of its way. What can fail: ``turn`` raises Refused
where another worker's try was refused a moment ago, with what that one heard (``Replies``).
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeGuard

from posthouse.flow import NetworkFailure, Stage
from posthouse.net.smtp_open import Refused
from posthouse.protocol.smtp.reply import Reply, parse_reply
from posthouse.send.hop import Hop
from posthouse.send.shared import Shared

LOGIN_SORE: Final = 300.0  # seconds nothing is tried after a refusal, lest the account be locked
FRESH: Final = 5.0  # seconds a login that was taken says that the next one will be
PATIENCE: Final = 10.0  # seconds to wait for another worker's try: then nobody answers it
LOOK: Final = 0.25  # seconds between looks for it
ROOM: Final = 512  # octets for one reply: what is wrong stands at its beginning
_HEAD: Final = struct.Struct("qH")  # whose; octets

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


class Replies:
    """What was said to each login that was refused, for the workers that did not hear it.

    In memory they share; of two logins that have the same place, the latest is known.
    """

    def __init__(self, places: int, *, forks: bool = False) -> None:
        self._places = places
        self._shared = Shared(places * ROOM, forks=forks)

    def put(self, key: str, reply: Reply) -> None:
        """Keep it."""
        place, told = hash(key) % self._places, str(reply).encode()[: ROOM - _HEAD.size]
        alone = self._shared.take(place)
        _HEAD.pack_into(self._shared.memory, place * ROOM, hash(key), len(told))
        begin = place * ROOM + _HEAD.size
        self._shared.memory[begin : begin + len(told)] = told
        if alone:
            self._shared.give(place)

    def get(self, key: str) -> Reply | None:
        """The same, or None where it is not known."""
        place = hash(key) % self._places
        alone = self._shared.take(place)
        mark, size = _HEAD.unpack_from(self._shared.memory, place * ROOM)
        begin = place * ROOM + _HEAD.size
        told = bytes(self._shared.memory[begin : begin + size])
        if alone:
            self._shared.give(place)
        return parse_reply(told.decode("utf-8", "ignore")) if mark == hash(key) else None


class Login:
    """The owner of what one way knows of its login."""

    def __init__(
        self,
        hop: Hop,
        tries: Tries | None,
        replies: Replies | None = None,
        *,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.taken = not hop.user  # at least once and not refused since, or none is needed
        self._until = float("-inf") if hop.user else float("inf")  # it is fresh
        self._ours = False  # the one try that is under way
        self._tries = tries
        self._replies = replies
        self._now = now
        self._sleep = sleep
        key = f"{hop.name} {hop.user} {hash(hop.secret)}"
        self._trying, self._refused = f"trying {key}", f"refused {key}"

    @property
    def fresh(self) -> bool:
        """Whether it was taken just now, so that many may try at once."""
        return self.taken and self._now() < self._until

    async def turn(self) -> None:
        """Wait until it is ours to try. Raises Refused."""
        if self.fresh or self._tries is None:
            return
        until = self._now() + PATIENCE
        while self._tries.refusal(self._trying, now := self._now()) is not None and now < until:
            await self._sleep(LOOK)
        self._ours = True
        if self._tries.blocked(self._refused, self._now()) is not None:
            self._over()
            said = self._replies.get(self._refused) if self._replies is not None else None
            raise Refused(Stage.AUTH, said or _KNOWN, heard=False)

    def worked(self) -> None:
        """The server let us in, so others may go."""
        if self._until < float("inf"):
            self.taken, self._until = True, self._now() + FRESH
        self._over()

    def failed(self, error: NetworkFailure | Refused | None) -> None:
        """It did not come to a connection; None: for no reason of the server's."""
        if error is not None and is_login(error):
            self.taken = False
            if self._tries is not None and error.heard:
                if self._replies is not None:
                    self._replies.put(self._refused, error.reply)
                self._tries.count(self._refused, self._now())
        self._over()

    def _over(self) -> None:
        if self._ours and self._tries is not None:
            self._ours = False
            self._tries.forget(self._trying)


def is_login(error: NetworkFailure | Refused) -> TypeGuard[Refused]:
    """Whether it was the login that was refused; 4yz is trouble of the server's (RFC 4954)."""
    if not (isinstance(error, Refused) and error.stage is Stage.AUTH):
        return False
    return not error.reply.is_transient
