"""What all sessions of one process share: the terms, the gate, the counts, and whoever keeps mail.

Enters: settings and the parts, from the daemon. Leaves: ``Desk.sessions(listening)``, which
``net.smtp_listen.Listener`` calls for each connection. One desk a process, made after the fork;
what holds for all processes it counts in memory made before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from posthouse.letter import Event, Letter
from posthouse.net.clock import Clock
from posthouse.protocol.smtp.limits import RECIPIENTS
from posthouse.protocol.smtp.reply import Reply
from posthouse.send.crowd import Crowd
from posthouse.send.submit.limits import Ledger, Rate, Rates
from posthouse.send.submit.login import Gate, Watch
from posthouse.send.submit.message import ROOM, Room
from posthouse.send.submit.settings import SIZE, Limits, Listening, Mode

if TYPE_CHECKING:
    from posthouse.send.submit.session import Session

# At once from one client address, to all workers; an office has less, a relay of ours 50 a worker.
CONNECTIONS: Final = 500
HOUR: Final = 3_600.0
DAY: Final = 86_400.0

# Makes a letter durable, with its events. Raises QueueFull or StoreError: then it is not accepted.
# It is not cancelled when the client goes away: what has begun to be kept is kept, and delivered.
Keep = Callable[[Letter, Sequence[Event]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Terms:
    """What is accepted."""

    name: str  # ours, in the greeting, EHLO and Received
    size: int = SIZE
    recipients: int = RECIPIENTS
    limits: Limits = Limits()  # noqa: RUF009  frozen


class Desk:
    """The owner of what the sessions of one process share."""

    def __init__(
        self,
        terms: Terms,
        keep: Keep,
        ids: Callable[[], str],
        *,
        gate: Gate | None,  # None where nobody signs in: relay listeners alone
        clock: Clock,
        watch: Watch,
        tls: bool = True,  # whether there is a certificate for STARTTLS
        ledger: Ledger | None = None,  # of messages, with three windows; None: of this process
        crowd: Crowd | None = None,
    ) -> None:
        self.terms = terms
        self.keep = keep
        self.ids = ids
        self.gate = gate
        self.clock = clock
        self.watch = watch
        self.tls = tls
        self.room = Room(share=max(ROOM // 2, terms.size))  # one message at least
        self.receiving = 0  # transactions that have begun and not ended
        self._crowd = crowd or Crowd()
        limits = terms.limits
        self.rates = Rates(
            [Rate(limits.burst, 1.0), Rate(limits.hour, HOUR), Rate(limits.day, DAY)],
            ledger=ledger,
        )
        self.greeting = Reply(220, (f"{terms.name} ESMTP",))

    def sessions(self, listening: Listening) -> Callable[[], Session]:
        """What a Listener is given to make its sessions."""
        from posthouse.send.submit.session import Session

        hello = {secure: self._hello(listening.mode, secure) for secure in (False, True)}
        return lambda: Session(self, listening, hello)

    @property
    def clients(self) -> Mapping[str, int]:
        """Connections of each client address to this process."""
        return self._crowd.here

    def arrived(self, client: str) -> bool:
        """Count a connection; False where there are too many."""
        return self._crowd.arrived(client) <= CONNECTIONS

    def crowded(self, client: str, times: int) -> None:
        """Connections were cut off for too many TLS handshakes; he can be told nothing."""
        facts = {"stage": "tls", "code": 0, "reason": "handshakes", "client": client}
        self.watch("rejected", {**facts, "times": times, "listener": Mode.TLS.value})

    def left(self, client: str) -> None:
        """A connection that was counted is over."""
        self._crowd.left(client)

    def _hello(self, mode: Mode, secure: bool) -> Reply:
        """The EHLO reply: what is true, and nothing else."""
        lines = [
            self.terms.name,
            "PIPELINING",
            f"SIZE {self.terms.size}",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
            "DSN",
            "CHUNKING",
            f"LIMITS RCPTMAX={self.terms.recipients}",  # RFC 9422
        ]
        if not secure and self.tls and mode is not Mode.TLS:
            lines.append("STARTTLS")
        if secure and mode is not Mode.RELAY and self.gate is not None:
            lines.append("AUTH PLAIN LOGIN")
        return Reply(250, tuple(lines))
