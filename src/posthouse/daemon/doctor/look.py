"""All that is looked at, put together.

Enters: the path of a configuration; then the network, or None. Leaves: ``Finding``s. Called by the
command. Fails with ConfigError where the configuration is not good; else never.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from posthouse.config import Config, read
from posthouse.daemon.doctor import certificate, files, kept, names, place, ways
from posthouse.flow import Finding, Status
from posthouse.net.clock import Clock
from posthouse.send.document import load
from posthouse.send.owner import as_owner
from posthouse.setup.doctor import Net, clock_of, local


@dataclass(frozen=True, slots=True)
class Installation:
    """What is looked at. ``document`` is the file as it stands: it names the files of secrets."""

    path: Path
    config: Config
    document: Mapping[str, Any]

    @classmethod
    def at(cls, path: Path) -> Installation:
        """Read it. Raises ConfigError."""
        return cls(path, read(path), load(path))


async def check(
    it: Installation,
    net: Net | None,
    clock: Clock,
    *,
    timeout: float = 5.0,  # noqa: ASYNC109
) -> tuple[Finding, ...]:
    """Everything. ``net`` None: only what needs no network."""
    config = it.config
    folder = it.path.parent
    with as_owner(config.server.data):
        inside = (*kept.look(config, clock),)
    here = (
        *local(),
        Finding("relay.config", Status.OK, params={"path": str(it.path)}),
        *place.look(config),
        *files.look(it.path, it.document, config.server.data),
        *certificate.look(config, clock.now()),
        *inside,
    )
    if net is None:
        return (*here, Finding("doctor.network.skipped", Status.SKIPPED))
    direct = any(not hop.targets for hop in config.hops.values())
    far = await asyncio.gather(
        ways.look(config, net, clock, timeout),
        names.keys(it.document, folder, net.resolver, clock.now(), direct=direct),
        names.ours(config, net.resolver, direct=direct),
    )
    return (*here, *chain.from_iterable(far), await clock_of(net))
