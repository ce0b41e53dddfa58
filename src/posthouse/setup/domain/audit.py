"""The audit itself: all checks at once, under one budget of questions and time.

Enters: a domain, ``Net``, ``Options``. Leaves: ``Audit``. Called by the command line and by whoever
watches domains. Raises HostError for what is no domain name; nothing else fails. A domain whose DNS
is dead ends with findings that say "unknown", within the time given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from posthouse.flow import Status
from posthouse.protocol.host import to_ascii
from posthouse.setup.domain.bulk import requirements
from posthouse.setup.domain.checks import CHECKS, Check
from posthouse.setup.domain.checks.common import finding
from posthouse.setup.domain.model import Audit, Checked, Item, Net, Options
from posthouse.setup.domain.scene import Scene

GRACE: Final = 3.0  # seconds after the time is over, for documents and servers to be given up


async def audit(domain: str, net: Net, options: Options | None = None) -> Audit:
    """Look at everything ``options`` ask for. ``domain``: U-labels are fine."""
    options = options or Options()
    name = to_ascii(domain.strip().removesuffix("."))
    began = net.clock.monotonic()
    scene = Scene(name, net, options)
    try:
        chosen = {key: one for key, one in CHECKS.items() if _wanted(key, options)}
        checked = await asyncio.gather(
            *(_timed(key, check, scene) for key, check in chosen.items())
        )
        table = await requirements(scene, checked) if not options.checks else ()
        usage = scene.budget.usage
        return Audit(
            name,
            (*checked, *_cut(scene)),
            table,
            usage,
            await scene.providers(),
            await scene.egress(),
            bool(options.egress),
            net.clock.monotonic() - began,
        )
    finally:
        await scene.close()


def _wanted(key: str, options: Options) -> bool:
    return not options.checks or key in options.checks


async def _timed(key: str, check: Check, scene: Scene) -> Checked:
    """One check, and how long it took; one that hangs is given up."""
    clock = scene.net.clock
    began = clock.monotonic()
    try:
        async with asyncio.timeout(scene.budget.left + GRACE):
            done = await check(scene)
    except TimeoutError:
        gone = finding("check_timeout", Status.UNKNOWN, check=key)
        done = Checked(key, (Item(key, gone),))
    return replace(done, seconds=clock.monotonic() - began)


def _cut(scene: Scene) -> Sequence[Checked]:
    """The budget was used up, so that some "unknown" is ours."""
    usage = scene.budget.usage
    if not usage.refused:
        return ()
    params = {"refused": usage.refused, "limit": usage.limit, "seconds": scene.options.seconds}
    return (Checked("budget", (Item("budget", finding("budget", Status.UNKNOWN, **params)),)),)
