"""Which TLS versions and weak ciphers a server still takes, by raw hello.

Enters: a way to open a fresh stream on which the next bytes may be a TLS hello (after STARTTLS
where that is needed). Leaves: ``Survey``. Called by the probe's closer look. Each question is its
own connection, ended after the server's first words: no handshake is completed, so this also sees
what our own OpenSSL cannot speak. Never fails: what cannot be learned is None.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from posthouse.flow import NetworkFailure
from posthouse.net.stream import Stream
from posthouse.net.tls import a_label
from posthouse.protocol.tls_hello import (
    ANSWER_LIMIT,
    SEED_BYTES,
    AnswerKind,
    HelloAnswer,
    Version,
    client_hello,
    read_answer,
)
from posthouse.protocol.tls_suites import WEAK_SUITES, Suite

HELLO_SECONDS: Final = 5.0  # the answer to a hello costs a server nothing to compute
PARALLEL: Final = 2  # connections at once: servers count them, and 421 would spoil the answer

OpenStream = Callable[[], Awaitable[Stream]]


@dataclass(frozen=True, slots=True)
class HelloResult:
    """What one hello met. ``accepted`` None: no answer that says yes or no."""

    accepted: bool | None
    suite: Suite | None = None  # the server's choice from a list that was strongest first
    reason: str = ""  # an alert's name, another version, or a NetworkFailure's word


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything the hellos told. ``weak``: a hello that offered nothing but broken ciphers."""

    versions: Mapping[Version, HelloResult]
    weak: HelloResult

    @property
    def spoken(self) -> dict[str, bool | None]:
        """Version name ("SSLv3", "TLSv1.0"...) to accepted."""
        return {str(version): result.accepted for version, result in self.versions.items()}

    @property
    def forward_secret(self) -> bool | None:
        """Whether every version spoken chose a forward-secret suite; None if none told."""
        chosen = [r.suite.forward_secret for r in self.versions.values() if r.suite is not None]
        known = [c for c in chosen if c is not None]
        return all(known) if known else None


async def probe_versions(
    open_stream: OpenStream, *, server_name: str = ""
) -> dict[str, bool | None]:
    """Version name to accepted, refused, or (None) not to be told. Five connections."""
    versions = await _versions(open_stream, server_name, asyncio.Semaphore(PARALLEL))
    return {str(version): result.accepted for version, result in versions.items()}


async def survey(open_stream: OpenStream, *, server_name: str = "") -> Survey:
    """Versions with the ciphers chosen, and whether broken ciphers are taken. Six connections."""
    slots = asyncio.Semaphore(PARALLEL)
    versions, weak = await asyncio.gather(
        _versions(open_stream, server_name, slots),
        _hello(open_stream, Version.TLS12, server_name, slots, WEAK_SUITES),
    )
    return Survey(versions, weak)


async def _versions(
    open_stream: OpenStream, server_name: str, slots: asyncio.Semaphore
) -> dict[Version, HelloResult]:
    results = await asyncio.gather(*(_hello(open_stream, v, server_name, slots) for v in Version))
    return dict(zip(Version, results, strict=True))


async def _hello(
    open_stream: OpenStream,
    version: Version,
    server_name: str,
    slots: asyncio.Semaphore,
    suites: tuple[int, ...] | None = None,
) -> HelloResult:
    seed = secrets.token_bytes(SEED_BYTES)
    hello = client_hello(version, a_label(server_name), seed, suites)
    async with slots:
        try:
            stream = await open_stream()
        except NetworkFailure as failure:
            return HelloResult(None, reason=str(failure.failure))
        except TimeoutError:
            return HelloResult(None, reason="timeout")
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                await stream.write(hello)
                answer = await _read(stream)
        except TimeoutError:
            return HelloResult(None, reason="silent")
        except NetworkFailure as failure:
            # A server without that version may hang up without an alert.
            return HelloResult(False, reason=str(failure.failure))
        finally:
            await stream.close()
    return _judge(version, answer)


async def _read(stream: Stream) -> HelloAnswer | None:
    data = b""
    while len(data) < ANSWER_LIMIT:
        more = await stream.read()
        if not more:
            return None
        data += more
        answer = read_answer(data)
        if answer is not None:
            return answer
    return None


def _judge(version: Version, answer: HelloAnswer | None) -> HelloResult:
    if answer is None:
        return HelloResult(False, reason="closed")
    if answer.kind is AnswerKind.NOT_TLS:
        return HelloResult(None, reason="not_tls")
    if answer.kind is AnswerKind.ALERT:
        return HelloResult(False, reason=answer.alert)
    if answer.version is not version:
        return HelloResult(False, reason=str(answer.version or "unknown version"))
    return HelloResult(True, answer.suite)
