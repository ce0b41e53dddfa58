"""One way through one server: name, connection, first words, encryption, capabilities, sign-in.

Enters: an endpoint, the net, a Trace. Leaves: steps in the Trace as they end, and what was seen
in this object, the owner of a session's mutable state. Called by ``run``; ``transaction`` goes on
from here. Fails with ``Stopped`` alone, at the first step that doesn't come out well. A secret is
sent once, with one mechanism, and only inside TLS whose certificate is trusted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from posthouse.flow import (
    CredentialKind,
    Endpoint,
    Failure,
    Finding,
    NetworkFailure,
    Security,
    Stage,
    Status,
    Step,
    Trace,
)
from posthouse.net.dial import Connected
from posthouse.net.resolver import Answer, AnswerStatus, unresolved
from posthouse.net.servertime import ServerTime, time_in
from posthouse.net.smtp import SmtpClient
from posthouse.net.tls import TlsOptions, TlsSession
from posthouse.protocol.host import parse_ip
from posthouse.protocol.smtp import LocalProtocolError, Reply, auth_mechanisms, erased
from posthouse.protocol.smtp.sasl import SaslError, choose
from posthouse.setup.probe import findings, judge
from posthouse.setup.probe.facts import Login, Net, Options, Stop
from posthouse.setup.probe.judge import Stopped

OTHER_FAMILY_SECONDS: Final = 1.0  # once one family is known, the other's answer may take this
EHLO_UNKNOWN: Final = (500, 502)  # RFC 5321 section 4.2.4
QUIT_SECONDS: Final = 3.0  # nobody waits longer to be said goodbye to


class Session:
    """The owner of what one connection did and saw."""

    def __init__(
        self, endpoint: Endpoint, net: Net, options: Options, trace: Trace, provider: str | None
    ) -> None:
        self.endpoint = endpoint
        self.net = net
        self.options = options
        self.trace = trace
        self.provider = provider
        self.passed: set[str] = set()
        self.findings: list[Finding] = []
        self.replies: list[Reply] = []
        self.times: list[ServerTime] = []
        self.addresses: tuple[str, ...] = ()
        self.connected: Connected | None = None
        self.extensions: dict[str, str] = {}
        self.tls: TlsSession | None = None
        self._client: SmtpClient | None = None

    @property
    def client(self) -> SmtpClient:
        """The SMTP side of the open connection."""
        if self._client is None:
            raise RuntimeError("connect comes first")
        return self._client

    # -- the way

    async def reach(self) -> None:
        """From the name to the capabilities inside encryption. Raises Stopped."""
        await self._resolve()
        await self._connect()
        distrusted = None
        if self.endpoint.security is Security.TLS:
            distrusted = await self._encrypt()
        try:
            await self._greeting()
            await self._ehlo("ehlo")
            self.findings += findings.of_role(self.endpoint, self.extensions)
            if self.endpoint.security is Security.STARTTLS:
                self._need_starttls()
                distrusted = await self._encrypt()
                await self._ehlo("ehlo_tls")
        except Stopped:
            if distrusted is None:
                raise
        # What came after a bad certificate was only looked at: the certificate is what stops us.
        if distrusted is not None:
            raise distrusted

    async def sign_in(self, login: Login) -> None:
        """One try with one mechanism (RFC 4954). Raises Stopped."""
        async with self.step("auth", Stage.AUTH) as detail:
            self._may_sign_in()
            offered = auth_mechanisms(self.extensions)
            mechanism = self._mechanism(login, offered)
            detail["mechanism"] = mechanism
            try:
                outcome = await self.client.auth(mechanism, login.username, login.secret)
            except SaslError as error:  # nothing was sent
                stop = Stop("auth", Stage.AUTH, "auth.credentials", detail={"unfit": error.reason})
                raise Stopped(stop, None) from None
            self.expect("auth", Stage.AUTH, outcome.reply, oauth=outcome.error, mechanism=mechanism)

    async def close(self, *, shown: bool) -> None:
        """QUIT, without insisting on an answer. ``shown``: as a step of the Trace."""
        if self._client is None:
            return
        client, self._client = self._client, None
        step = self.trace.start("quit", Stage.ANY) if shown else None
        try:
            async with asyncio.timeout(QUIT_SECONDS):
                await client.quit()
        except (NetworkFailure, LocalProtocolError, TimeoutError):
            pass  # it hung up first, or the dialogue broke in the middle of a word
        finally:
            await client.close()
        if step is not None:
            self.trace.end(step)

    # -- the steps

    async def _resolve(self) -> None:
        if parse_ip(self.endpoint.host):
            self.addresses = (self.endpoint.host,)
            return
        async with self.step("resolve", Stage.DNS, bounded=False) as detail:
            began = self.trace.now()
            answers = await self._both_families()
            self.addresses = tuple(r for a in answers for r in a.records)
            detail["addresses"] = list(self.addresses)
            if not self.addresses:
                raise _unresolved(self.endpoint.host, answers, self.trace.now() - began)

    async def _both_families(self) -> list[Answer]:
        ask = self.net.resolver.ask
        tasks = [asyncio.ensure_future(ask(self.endpoint.host, t)) for t in ("AAAA", "A")]
        try:
            done, late = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            known = any(t.result().status is AnswerStatus.OK for t in done)
            await asyncio.wait(tasks, timeout=OTHER_FAMILY_SECONDS if known and late else None)
            return [t.result() for t in tasks if t.done()]
        finally:
            for task in tasks:
                task.cancel()

    async def _dial(self) -> Connected:
        return await self.net.dialer.dial(
            self.endpoint.host, self.endpoint.port, timeout=self.options.timeout
        )

    async def _connect(self) -> None:
        async with self.step("connect", Stage.CONNECT, bounded=False) as detail:
            self.connected = await self._dial()
            self._client = SmtpClient(self.connected.stream, self.trace)
            detail["address"] = self.connected.address
            detail["family"] = self.connected.family.value
            detail["attempts"] = [
                {"address": a.address, "failure": str(a.failure)}
                for a in self.connected.attempts
                if a.failure
            ]

    async def _greeting(self) -> None:
        async with self.step("greeting", Stage.GREETING) as detail:
            began = self.trace.now()
            reply = await self.client.greeting()
            took = self.trace.now() - began
            detail["text"] = reply.text
            self._note_time(reply)
            self.expect("greeting", Stage.GREETING, reply)
        if took >= findings.SLOW_GREETING:
            params = {"took_seconds": took}
            self.findings.append(Finding("slow_greeting", Status.WARN, None, params))

    async def _ehlo(self, name: str) -> None:
        async with self.step(name, Stage.EHLO) as detail:
            reply = await self.client.ehlo(self.options.ehlo_name)
            if reply.code in EHLO_UNKNOWN and name == "ehlo":
                await self._try_helo()
            self.expect(name, Stage.EHLO, reply)
            self.extensions = dict(self.client.extensions)
            detail["extensions"] = self.extensions

    async def _try_helo(self) -> None:
        """HELO is only tried to be able to say that the server is that old."""
        started = self.trace.start("helo", Stage.EHLO)
        reply = await self.client.helo(self.options.ehlo_name)
        if reply.is_success:
            self.passed.add("helo")
        self.trace.end(started, Status.OK if reply.is_success else Status.FAIL, code=reply.code)

    def _need_starttls(self) -> None:
        if "STARTTLS" in self.extensions:
            return
        failure = NetworkFailure(Failure.TLS_NOT_OFFERED, Stage.TLS)
        if erased(self.extensions):
            seen = next((k for k in self.extensions if erased({k: ""})), "")
            failure = NetworkFailure(Failure.TLS_STRIPPED, Stage.TLS, seen=seen)
        started = self.trace.start("starttls", Stage.TLS)
        raise self._failed(started, failure)

    async def _encrypt(self) -> Stopped | None:
        """TLS, then the certificate. A certificate that isn't good is returned, not raised."""
        if self.endpoint.security is Security.STARTTLS:
            async with self.step("starttls", Stage.TLS):
                self.expect("starttls", Stage.TLS, await self.client.starttls())
        async with self.step("tls", Stage.TLS) as detail:
            self.tls = await self.client.upgrade(self.tls_options())
            detail["version"], detail["cipher"] = self.tls.version, self.tls.cipher
        self.findings += findings.of_session(self.tls, self.net.clock.now())
        if self.client.injected:  # CVE-2011-0411: thrown away, and worth a word
            params = {"octets": self.client.injected}
            self.findings.append(Finding("starttls_injection", Status.FAIL, "tls.failed", params))
        started = self.trace.start("certificate", Stage.TLS)
        if not self.tls.trusted:
            problems = [p.kind.value for p in self.tls.problems]
            failure = NetworkFailure(
                Failure.CERTIFICATE, Stage.TLS, problems=problems, host=self.endpoint.host
            )
            return self._failed(started, failure)
        leaf = self.tls.leaf
        self.trace.end(started, names=list(leaf.names[:5]) if leaf else [])
        self.passed.add("certificate")
        return None

    def tls_options(self) -> TlsOptions:
        """How TLS is started, judged by the clock we were given."""
        return TlsOptions(
            self.endpoint.host,
            ca_file=self.options.ca_file,
            at=self.net.clock.now(),
            seconds=self.options.timeout,
        )

    def _may_sign_in(self) -> None:
        """RFC 8314 section 3: never in clear; and never to a server that proved no name."""
        if self.tls is not None and self.tls.trusted:
            return
        if self.tls is None and "AUTH" not in self.extensions:
            raise NetworkFailure(Failure.AUTH_NOT_OFFERED, Stage.AUTH)
        raise Stopped(Stop("auth", Stage.AUTH, "tls.required"), None)

    def _mechanism(self, login: Login, offered: tuple[str, ...]) -> str:
        if not offered:
            raise NetworkFailure(Failure.AUTH_NOT_OFFERED, Stage.AUTH)
        if login.mechanism is not None and login.mechanism.upper() in offered:
            return login.mechanism.upper()
        bound = self.tls is not None and self.tls.channel_binding is not None
        oauth = login.kind is CredentialKind.OAUTH2
        chosen = choose(offered, have_oauth=oauth, channel_binding=bound)
        if chosen is None or login.mechanism is not None:
            raise NetworkFailure(Failure.NO_COMMON_MECHANISM, Stage.AUTH, offered=list(offered))
        return chosen

    # -- what every step does

    @asynccontextmanager
    async def step(
        self, name: str, stage: Stage, *, bounded: bool = True
    ) -> AsyncIterator[dict[str, Any]]:
        """One step of the Trace: timed, bounded, and ended with its cause where it fails."""
        started = self.trace.start(name, stage)
        detail: dict[str, Any] = {}
        try:
            async with asyncio.timeout(self.options.timeout if bounded else None):
                yield detail
        except TimeoutError:
            waited = self.trace.now() - started.started
            failure = NetworkFailure(Failure.SILENT, stage, seconds=waited, **detail)
            raise self._failed(started, failure) from None
        except NetworkFailure as failure:
            raise self._failed(started, failure) from failure
        except Stopped as stopped:
            self._end_badly(started, stopped)
            raise
        self.trace.end(started, **detail)
        self.passed.add(name)

    def expect(self, name: str, stage: Stage, reply: Reply, **detail: Any) -> None:
        """Raise Stopped unless the reply says yes."""
        self.replies.append(reply)
        if reply.is_success:
            return
        context = {"authenticated": "auth" in self.passed, "tls": self.tls is not None}
        raise judge.of_reply(
            name,
            stage,
            reply,
            host=self.endpoint.host,
            provider=self.provider,
            context=context,
            detail={k: v for k, v in detail.items() if v is not None},
        )

    def _failed(self, started: Step, failure: NetworkFailure) -> Stopped:
        stopped = judge.of_failure(started.name, started.stage, failure, self.provider)
        self._end_badly(started, stopped)
        return stopped

    def _end_badly(self, started: Step, stopped: Stopped) -> None:
        stop = stopped.stop
        detail = {("answer" if k == "status" else k): v for k, v in stop.detail.items()}
        if stop.code is not None:
            detail |= {"code": stop.code, "enhanced": stop.enhanced, "text": stop.text}
        if stop.failure is not None:
            detail["failure"] = stop.failure.value
        self.trace.end(started, Status.FAIL, cause=stop.cause, **detail)

    def _note_time(self, reply: Reply) -> None:
        told = time_in(reply.text)
        if told is not None:
            self.times.append(ServerTime(self.endpoint.host, told))


def _unresolved(host: str, answers: list[Answer], seconds: float) -> NetworkFailure:
    kind, said = unresolved(answers)
    detail: dict[str, Any] = {"host": host}
    if said is not None:
        detail |= {"server": said.server, "status": said.status.value, "seconds": seconds}
    return NetworkFailure(kind, Stage.DNS, **detail)
