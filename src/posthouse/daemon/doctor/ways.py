"""The hops: each server greeted as the relay would greet it, and left before any login.

Enters: a ``Config``, the network. Leaves: ``Finding``s. Called by ``look``. Nothing fails. It is
the relay's own connector that does it, so that DNS, both families, TLS and its policy are judged as
in earnest; only the user and the secret are taken away.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from posthouse.config import Config
from posthouse.explain import explain_failure
from posthouse.flow import Failure, Finding, NetworkFailure, Security, Stage, Status
from posthouse.net.clock import Clock
from posthouse.net.smtp_open import Refused
from posthouse.protocol.ports import usual_security
from posthouse.protocol.smtp.extensions import auth_mechanisms, size_limit
from posthouse.send.deliver.connect import Connect, Line
from posthouse.send.deliver.encrypt import policy_of
from posthouse.send.deliver.outcome import explained, words
from posthouse.send.hop import Hop, Target, TlsPolicy
from posthouse.setup.doctor import Net, port_out


async def look(config: Config, net: Net, clock: Clock, seconds: float) -> list[Finding]:
    """All hops at once."""
    connect = Connect(
        net.resolver,
        ehlo=config.server.name,
        now=clock.monotonic,
        rng=random.Random(0),  # noqa: S311  one server each: nothing is left to chance
    )
    found = await asyncio.gather(
        *(
            _hop(connect, hop, config.server.size, seconds)
            if hop.targets
            else _direct(hop, net, seconds)
            for hop in config.hops.values()
        )
    )
    unused = [
        Finding("relay.hop.unused", Status.WARN, params={"hop": name})
        for name in config.routes.unused
    ]
    return [*chain.from_iterable(found), *_weaker(config), *unused]


def _weaker(config: Config) -> Iterator[Finding]:
    """Hops that ask for less TLS than the one they stand in for: whoever can keep a network from
    reaching that one decides how mail is protected."""
    order = list(TlsPolicy)
    for hop in config.hops.values():
        if not hop.fallback:
            continue
        asked, less = policy_of(hop), policy_of(config.hops[hop.fallback])
        if order.index(less) > order.index(asked):
            params = {"hop": hop.name, "fallback": hop.fallback, "tls": asked, "less": less}
            yield Finding("relay.hop.weaker", Status.WARN, params=params)


async def _direct(hop: Hop, net: Net, seconds: float) -> list[Finding]:
    """Mail servers elsewhere are reached on port 25 alone (RFC 5321)."""
    port = await port_out(net.dialer, 25, seconds)
    params = {"hop": hop.name, "hosts": port.params["hosts"]}
    if port.status is Status.OK:
        return [Finding("relay.hop.direct", Status.OK, params=params)]
    if port.status is Status.UNKNOWN:
        return [Finding("relay.hop.direct_unknown", Status.UNKNOWN, params=params)]
    return [Finding("relay.hop.direct_blocked", Status.FAIL, "conn.timeout", params)]


async def _hop(connect: Connect, hop: Hop, size: int, seconds: float) -> list[Finding]:
    found = await asyncio.gather(
        *(_server(connect, hop, one, size, seconds) for one in hop.targets)
    )
    if any(one.status is not Status.FAIL for ones in found for one in ones):
        return [_softer(one) for ones in found for one in ones]
    return list(chain.from_iterable(found))


def _softer(one: Finding) -> Finding:
    """A server that is away, where another takes its place."""
    return replace(one, status=Status.WARN) if one.status is Status.FAIL else one


async def _server(
    connect: Connect, hop: Hop, target: Target, size: int, seconds: float
) -> list[Finding]:
    where: dict[str, Any] = {"hop": hop.name, "server": f"{target.host}:{target.port}"}
    crossed = _crossed(hop, target)
    alone = replace(hop, targets=(target,), user="", secret=None, tls=policy_of(hop))
    try:
        async with asyncio.timeout(seconds):
            line = await connect(alone)
    except TimeoutError:
        failure = NetworkFailure(Failure.TIMEOUT, Stage.CONNECT)
        return [_failed(where | crossed, failure)]
    except (NetworkFailure, Refused) as error:
        return [_failed(where | crossed, error)]
    try:
        return list(_offers(line, hop, size, where))
    finally:
        line.quit()


def _offers(line: Line, hop: Hop, size: int, where: dict[str, Any]) -> Sequence[Finding]:
    limit = size_limit(line.extensions)
    made = []
    if hop.user and not auth_mechanisms(line.extensions):
        made.append(Finding("relay.hop.no_login", Status.FAIL, "auth.mechanism", where))
    if limit is not None and limit < size:
        params = {**where, "theirs": limit, "ours": size}
        made.append(Finding("relay.hop.size", Status.WARN, params=params))
    if any(one.status is Status.FAIL for one in made):
        return made
    tls = line.tls.version() if line.tls is not None else ""
    return [Finding("relay.hop.ok", Status.OK, params={**where, "tls": tls}), *made]


def _crossed(hop: Hop, target: Target) -> dict[str, Any]:
    """The mode that its port is known for, where TLS from the first octet meets STARTTLS: each side
    waits for the other, and nothing that they say names the cause."""
    usual = usual_security(target.port)
    if {usual, hop.security} != {Security.TLS, Security.STARTTLS}:
        return {}
    return {"usual": str(usual)}


def _failed(where: dict[str, Any], error: NetworkFailure | Refused) -> Finding:
    if isinstance(error, NetworkFailure):
        said, cause = words(error), explain_failure(error).cause.id
        where = where | {"failure": str(error.failure), "reason": error.detail.get("reason")}
    else:
        reply = error.reply
        said = str(reply)
        cause = explained(
            reply.code, str(reply.enhanced or ""), reply.text, error.stage, ""
        ).cause.id
    return Finding("relay.hop.failed", Status.FAIL, cause, {**where, "said": said, "cause": cause})
