"""What came of the servers that were tried for one connection, and which of it is told.

Enters: places with the failures they ended in. Leaves: the one that says most. The owner of one
try's errors; called by ``connect``. Nothing fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from posthouse.flow import Failure, NetworkFailure
from posthouse.net.smtp_open import Refused
from posthouse.protocol.dns import AnswerStatus
from posthouse.send.deliver.places import Place, no_server, takes_none
from posthouse.send.deliver.signs import is_closed

E = TypeVar("E", bound=BaseException)


@dataclass(slots=True)
class Tried:
    """What came of the servers before: the errors, and a line for each."""

    errors: list[NetworkFailure | Refused] = field(default_factory=list)
    said: list[dict[str, Any]] = field(default_factory=list)
    news: list[tuple[Place, NetworkFailure | Refused]] = field(default_factory=list)

    def told(self, domain: str, found: Sequence[Place]) -> NetworkFailure | Refused:
        """The one that says most; of all ``found``, something may be certain."""
        error = self._worst()
        if isinstance(error, NetworkFailure):  # no MX and, DNS is sure, no address (RFC 5321 5.1)
            none = found[0].implied and error.failure is Failure.NO_ADDRESS
            return no_server(domain) if none else error
        # A server of our choice may say 521: we are to be set right, and the mail waits for it.
        all_closed = len(self.errors) == len(found) and is_closed(error.stage, error.reply)
        if found[0].direct and all_closed:
            return takes_none(domain, error.host, error.reply)
        return error

    def add(self, place: Place, error: NetworkFailure | Refused) -> None:
        what = str(error.failure) if isinstance(error, NetworkFailure) else str(error.reply)
        if isinstance(error, NetworkFailure):
            error.detail.setdefault("host", place.host)
        self.errors.append(kept(error))
        self.said.append({"host": place.host, "port": place.port, "said": what})

    def _worst(self) -> NetworkFailure | Refused:
        error = says_most(self.errors)
        if isinstance(error, NetworkFailure):
            error.detail["tried"] = self.said
        else:
            error.host = next(one["host"] for one in self.said if one["said"] == str(error.reply))
        return error


def says_most(errors: Sequence[NetworkFailure | Refused]) -> NetworkFailure | Refused:
    """A server that spoke says more than silence, and the first choice more than others.

    But one that takes no mail says the least: another may. And a way that leads nowhere is often
    that of IPv6, whatever is wrong with the server.
    """
    spoke = [error for error in errors if isinstance(error, Refused)]
    passing = [error for error in spoke if error.reply.is_transient]
    theirs = [error for error in spoke if not is_closed(error.stage, error.reply)]
    silent = [error for error in errors if isinstance(error, NetworkFailure)]
    silent.sort(key=lambda error: _NOWHERE.get(error.failure, 0))
    return (passing or theirs or silent or spoke)[0]


_NOWHERE: Final = {Failure.TIMEOUT: 1, Failure.UNREACHABLE: 2}


def kept(error: E) -> E:
    """An error that is remembered, without the way it came.

    Its frames would keep what was at work in them, a connection with its TLS above all: in a circle
    mostly, as who remembers it is in one of them, and circles are looked for now and then only.
    """
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


def dns_failure(statuses: set[AnswerStatus]) -> Failure:
    """The doubt comes first, unlike in ``net.resolver.unresolved``: some servers say NXDOMAIN to
    AAAA of a name that has A (RFC 4074 section 4.2), and a sender is told what we say here."""
    if AnswerStatus.EXHAUSTED in statuses:
        return Failure.EXHAUSTED
    if AnswerStatus.TIMEOUT in statuses:
        return Failure.DNS_TIMEOUT
    if statuses & {AnswerStatus.SERVFAIL, AnswerStatus.REFUSED}:
        return Failure.DNS_FAILED
    if AnswerStatus.NXDOMAIN in statuses:
        return Failure.NAME_NOT_FOUND
    return Failure.NO_ADDRESS
