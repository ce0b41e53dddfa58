"""What web-based sources share: fetching, reading, and taking the first good of several answers.

Enters: a URL, a reader for its document. Leaves: ``Found``, with the reason where there is nothing.
An answer over TLS that did not verify is not read: it may be anybody's. Fails: never; what the
network, the server or the document did is in the report.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final

from posthouse.flow import Failure, NetworkFailure
from posthouse.net.http import HttpAnswer
from posthouse.protocol.discovery import offer as words
from posthouse.protocol.discovery.offer import DiscoveryError, Offer
from posthouse.setup.find import trust
from posthouse.setup.find.model import Claim, Evidence, Found, Net, Quality, Source, State

BODY_LIMIT: Final = words.MAX_DOCUMENT
PATIENCE_LEAST: Final = 0.25  # seconds a better place may take longer than a worse one

Fetch = Callable[[], Coroutine[Any, Any, HttpAnswer]]
Read = Callable[[HttpAnswer], Found]

_NOBODY: Final = (Failure.NAME_NOT_FOUND, Failure.NO_ADDRESS)
_NO_ANSWER: Final = (Failure.TIMEOUT, Failure.SILENT, Failure.DNS_TIMEOUT)
# What a web server without this service says. Others (5xx) may be better tomorrow.
_NOT_HERE: Final = range(300, 500)

_SASL: Final[Mapping[str, tuple[str, ...]]] = {
    words.PASSWORD: ("PLAIN", "LOGIN"),
    words.ENCRYPTED: ("CRAM-MD5",),
    words.OAUTH2: ("XOAUTH2", "OAUTHBEARER"),
    words.CLIENT_IP: (),
    words.NO_AUTH: (),
}


async def attempt(fetch: Fetch, read: Read, *, verified: bool = True) -> Found:
    """One document: fetched, its server verified unless ``verified`` is off, read."""
    try:
        answer = await fetch()
    except NetworkFailure as failure:
        return _failed(failure)
    where = {"url": bare(answer.url)}
    if verified and not answer.tls_trusted:
        return Found(state=State.FAILED, detail="untrusted_tls", params=where)
    if answer.status != 200:
        state = State.NOTHING if answer.status in _NOT_HERE else State.FAILED
        params = where | {"status": str(answer.status)}
        return Found(state=state, detail="http_status", params=params)
    try:
        return read(answer)
    except DiscoveryError as error:
        why: dict[str, Any] = where | {"reason": error.reason, "line": error.line or ""}
        return Found(state=State.FAILED, detail="unreadable", params=why)


def _failed(failure: NetworkFailure) -> Found:
    if failure.failure in _NOBODY:
        return Found(state=State.NOTHING, detail="no_such_host")
    state = State.TIMED_OUT if failure.failure in _NO_ANSWER else State.FAILED
    params = {"failure": failure.failure.value}
    return Found(state=state, detail="network", params=params)


async def first_good(attempts: Sequence[Coroutine[Any, Any, Found]]) -> Found:
    """The answer of the first place that has one, all asked at once.

    A worse place that answers waits for the better ones as long again as it took itself, so that
    one dead server does not hold up the rest.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    tasks = [asyncio.create_task(one) for one in attempts]
    until: float | None = None
    try:
        while waiting := [t for t in tasks if not t.done()]:
            left = None if until is None else max(0.0, until - loop.time())
            done, _ = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            good = _first(tasks)
            if good is not None and (not done or _nothing_before(tasks, good)):
                break
            if good is not None and until is None:
                until = loop.time() + max(PATIENCE_LEAST, loop.time() - began)
        return _best(tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


Task = asyncio.Task[Found]


def _first(tasks: Iterable[Task]) -> Task | None:
    return next((t for t in tasks if t.done() and t.result().claims), None)


def _nothing_before(tasks: Sequence[Task], good: Task) -> bool:
    return all(t.done() for t in tasks[: tasks.index(good)])


def _best(tasks: Sequence[Task]) -> Found:
    """The first good answer, else the most telling of the bad ones, with all their findings."""
    good = _first(tasks)
    if good is not None:
        return good.result()
    results = [t.result() for t in tasks if t.done()]
    order = (State.ANSWERED, State.FAILED, State.TIMED_OUT, State.NOTHING, None)
    worst = min(
        results,
        key=lambda r: (order.index(r.state), r.detail == "no_such_host"),
        default=Found(),
    )
    findings = tuple(f for r in results for f in r.findings)
    return Found((), findings, worst.state, worst.detail, worst.params)


def claims(
    offers: Iterable[Offer],
    net: Net,
    source: Source,
    quality: Quality,
    where: str,
    *,
    dnssec: bool | None = None,
) -> tuple[Claim, ...]:
    """One claim for each offer of a document."""
    evidence = Evidence(
        source=source,
        where=where,
        trust=trust.word(source, quality),
        checked=net.clock.now(),
        dnssec=dnssec,
        quality=quality,
    )
    return tuple(
        Claim(o.endpoint, evidence, o.username, mechanisms(o.auth), o.credential) for o in offers
    )


def mechanisms(auth: Collection[str]) -> tuple[str, ...]:
    """The words of discovery formats as SASL mechanisms, in their order."""
    names: list[str] = []
    for word in auth:
        names += _SASL.get(word, (word.removeprefix("SASL ").upper(),))
    return tuple(dict.fromkeys(names))


def bare(url: str) -> str:
    """A URL without its query, which may hold the address."""
    return url.partition("?")[0]
