"""Which port and mode to probe where the caller doesn't say.

Enters: a host, perhaps a port. Leaves: one ``Endpoint``. RFC 8314 section 3.3: implicit TLS on 465
before STARTTLS on 587. Both are looked at at once. Never fails: where nothing answers, the
preferred one is probed all the same, and the probe says why it can't be reached.
"""

from __future__ import annotations

import asyncio

from posthouse.flow import Endpoint, Security, Stage, Trace
from posthouse.protocol.ports import usual_security
from posthouse.setup.probe.around import Around, Seen
from posthouse.setup.probe.facts import State

CANDIDATES = (465, 587)


async def endpoint_for(
    host: str, port: int | None, security: Security | None, around: Around, trace: Trace
) -> Endpoint:
    """The endpoint to probe."""
    if port is not None and security is not None:
        return Endpoint(host, port, security)
    if port is not None:
        usual = usual_security(port)
        return Endpoint(host, port, usual) if usual else await _mode(host, port, around, trace)
    wanted = [p for p in CANDIDATES if security in (None, usual_security(p))]
    if len(wanted) == 1:
        return _usual(host, wanted[0])
    step = trace.start("choose", Stage.CONNECT)
    seen = await asyncio.gather(*(_glance(host, p, around) for p in wanted))
    ports = [p for p, s in zip(wanted, seen, strict=True) if s.state is State.OPEN]
    trace.end(step, open=ports)
    return _usual(host, (ports or wanted or list(CANDIDATES))[0])


async def _mode(host: str, port: int, around: Around, trace: Trace) -> Endpoint:
    """A port that is known for nothing: whoever speaks first tells the mode."""
    step = trace.start("choose", Stage.CONNECT)
    seen = await around.glance(host, port, tls_first=False)
    mode = Security.TLS if seen.security is Security.TLS else Security.STARTTLS
    trace.end(step, security=mode.value)
    return Endpoint(host, port, mode)


async def _glance(host: str, port: int, around: Around) -> Seen:
    return await around.glance(host, port, tls_first=usual_security(port) is Security.TLS)


def _usual(host: str, port: int) -> Endpoint:
    return Endpoint(host, port, usual_security(port) or Security.STARTTLS)
