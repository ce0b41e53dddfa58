"""The probe: one server, proved step by step, ending in one verdict.

Enters: an endpoint, host or "host:port", the net, and what to prove beside the connection: a
login, an envelope, a test message, its arrival. Leaves: ``ProbeResult``; the observer sees every
step and transcript line as it happens. Called by the command line. What can fail: a target that
names no server raises ``ServerError``; all else is a verdict.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from posthouse import directory
from posthouse.flow import Endpoint, Finding, Line, Security, Stage, Status, Step, Trace
from posthouse.protocol.server_input import parse_server
from posthouse.setup.probe import after, fetch, hints, report
from posthouse.setup.probe.after import Aftermath
from posthouse.setup.probe.around import Around
from posthouse.setup.probe.choose import endpoint_for
from posthouse.setup.probe.compose import compose, small
from posthouse.setup.probe.facts import (
    Delivery,
    Envelope,
    FetchBack,
    Login,
    Net,
    Options,
    ProbeResult,
    Stop,
    TestMessage,
)
from posthouse.setup.probe.judge import Stopped
from posthouse.setup.probe.letter import Letter
from posthouse.setup.probe.result import Outcome, conclude
from posthouse.setup.probe.session import Session
from posthouse.setup.probe.transaction import Transaction
from posthouse.setup.probe.verdict.message import wait_told

GREYLIST_SECONDS: Final = 300  # what most greylisting asks for where it does not say
SMALL: Final = 8_192  # bytes; a bigger message that is lost is tried once more as a small one

Observer = Callable[[Step | Line], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What to prove beside the connection."""

    login: Login | None = None
    envelope: Envelope | None = None
    message: TestMessage | None = None
    fetch_back: FetchBack | None = None


async def probe(
    target: Endpoint | str,
    net: Net,
    *,
    port: int | None = None,
    security: Security | None = None,
    login: Login | None = None,
    envelope: Envelope | None = None,
    message: TestMessage | None = None,
    fetch_back: FetchBack | None = None,
    options: Options = Options(),  # noqa: B008  frozen
    observer: Observer | None = None,
) -> ProbeResult:
    """Probe one server. ``port`` and ``security`` fill in what ``target`` doesn't say.

    ``message`` needs an ``envelope``; it is really sent. Raises ServerError for a bad target.
    """
    trace = Trace(net.clock.monotonic, observer)
    around = Around(net, options)
    endpoint = target
    if isinstance(endpoint, str):
        told = parse_server(endpoint)
        endpoint = await endpoint_for(
            told.host, told.port or port, told.security or security, around, trace
        )
    wish = Wish(login, envelope, message, fetch_back)
    asked = Probe(endpoint, net, options=options, trace=trace, around=around, wish=wish)
    return await asked.run()


class Probe:
    """The owner of one probe's state; ``run`` is called once."""

    def __init__(
        self,
        endpoint: Endpoint,
        net: Net,
        *,
        options: Options,
        trace: Trace,
        around: Around,
        wish: Wish,
    ) -> None:
        self._endpoint = endpoint
        self._net = net
        self._options = options
        self._trace = trace
        self._around = around
        self._wish = wish
        self._delivery = Delivery()
        self._hints: tuple[str, ...] = ()
        self._session = self._new_session()

    async def run(self) -> ProbeResult:
        """The way, again where greylisting asks for it, the look around, the verdict."""
        letter = compose(self._wish.envelope, self._wish.message, self._net, self._endpoint)
        waited = 0.0
        while True:
            stopped = await self._way(letter)
            wait = self._patience(stopped, waited)
            if wait is None:
                break
            await self._wait(wait)
            waited += wait
        self._delivery = replace(self._delivery, waited=waited)
        if stopped is None and letter is not None:
            await self._fetch(letter)
        aftermath = await self._aftermath(stopped, letter)
        if self._options.thorough:
            await self._closer_look()
        outcome = Outcome(
            self._session,
            stopped,
            aftermath,
            self._delivery,
            self._wish.login,
            self._hints,
            letter.findings if letter else (),
        )
        return conclude(outcome)

    # -- the way

    async def _way(self, letter: Letter | None) -> Stopped | None:
        """One connection from beginning to end. None: all went well."""
        session = self._session = self._new_session()
        stopped = None
        try:
            await session.reach()
            await self._relay_check(session)
            await self._sign_in(session)
            await self._transact(session, letter)
        except Stopped as ended:
            stopped = ended
        await session.close(shown=stopped is None)
        return stopped

    def _new_session(self) -> Session:
        provider = directory.by_host(self._endpoint.host)
        provider_id = provider.id if provider else None
        return Session(self._endpoint, self._net, self._options, self._trace, provider_id)

    async def _relay_check(self, session: Session) -> None:
        envelope = self._wish.envelope
        if envelope is None or not self._options.open_relay:
            return
        if await Transaction(session, envelope, None).relay_check():
            params = {"recipient": envelope.recipients[0]}
            session.findings.append(Finding("open_relay", Status.FAIL, "relay.denied", params))
        else:
            session.findings.append(Finding("relay_closed", Status.OK))

    async def _sign_in(self, session: Session) -> None:
        login = self._wish.login
        if login is None:
            return
        odd = hints.odd(login, self._endpoint.host)
        self._hints = hints.short(odd)
        session.findings += odd
        pair = hints.pairing(login, self._endpoint.host)
        if pair is not None:  # said before the password goes to the wrong company
            session.findings.append(pair)
            step = self._trace.start("pairing", Stage.AUTH)
            self._trace.end(step, Status.WARN, cause=pair.cause, **pair.params)
        await session.sign_in(login)

    async def _transact(self, session: Session, letter: Letter | None) -> None:
        envelope = self._wish.envelope
        if envelope is None or (self._options.open_relay and letter is None):
            return
        transaction = Transaction(session, envelope, letter)
        session.findings += hints.recipients(envelope.recipients)
        try:
            await transaction.run()
        finally:
            self._delivery = transaction.delivery

    # -- second thoughts

    def _patience(self, stopped: Stopped | None, waited: float) -> float | None:
        """How long to wait for greylisting to pass; None: not at all (any more)."""
        if stopped is None or stopped.stop.cause != "rate.greylisted":
            return None
        wait = wait_told(stopped.stop) or GREYLIST_SECONDS
        return wait if waited + wait <= self._options.patience else None

    async def _wait(self, seconds: float) -> None:
        step = self._trace.start("wait", Stage.RCPT)
        await self._net.clock.sleep(seconds)
        self._trace.end(step, waited=seconds)

    async def _fetch(self, sent: Letter) -> None:
        """A message is only called delivered once it was fetched back."""
        wish = self._wish.fetch_back
        if wish is None:
            return
        step = self._trace.start("fetch", Stage.ANY)
        there, remark = await fetch.arrived(wish, sent.message_id, self._net, self._options)
        if there:
            self._session.passed.add("fetch")
        if remark is None:
            self._trace.end(step)
        else:
            self._session.findings.append(remark)
            self._trace.end(step, Status.WARN, cause=remark.cause, **remark.params)

    async def _aftermath(self, stopped: Stopped | None, letter: Letter | None) -> Aftermath:
        session = self._session
        if stopped is None:
            return await after.other_family(session, self._around, self._domain())
        if not self._options.look_around:
            return after.well(session, self._domain())
        step = self._trace.start("look_around", Stage.ANY)
        found = await after.look(
            session,
            stopped.stop,
            self._around,
            delivery=self._delivery,
            domain=self._domain(),
            header_from=letter.header_from if letter else "",
        )
        self._trace.end(step, looked_at=len(found.neighbours))
        if letter is not None:
            await self._try_small(stopped.stop, letter)
        return found

    async def _try_small(self, stop: Stop, letter: Letter) -> None:
        """After a big message was lost: does a small one pass? The caller asked for a test."""
        lost = stop.stage is Stage.DATA and stop.failure is not None
        if not lost or len(letter.data) <= SMALL or self._wish.envelope is None:
            return
        session, big = self._session, self._delivery
        passed = await self._way(small(self._wish.envelope, self._net, self._endpoint)) is None
        self._session, self._delivery = session, replace(big, small_passed=passed)

    async def _closer_look(self) -> None:
        session = self._session
        if session.connected is None:
            return
        step = self._trace.start("tls_report", Stage.TLS)
        session.findings += await report.closer(session, self._domain(), self._wish.envelope)
        self._trace.end(step)

    def _domain(self) -> str:
        """The domain all this is about, as far as the caller told it."""
        login, envelope = self._wish.login, self._wish.envelope
        told = [self._options.address]
        told += [login.address, login.username] if login else []
        told += [envelope.sender] if envelope else []
        return next((a.rpartition("@")[2] for a in told if "@" in a), "")
