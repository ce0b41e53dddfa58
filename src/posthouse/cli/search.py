"""Runs a search for ``find``, ``probe`` and ``setup``: the input looked at first, progress shown.

Enters: the Screen, what was typed, the options. Leaves: a ``FindResult``, or the exit code where
the input is no good (its findings, or one line, are on stderr then).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from posthouse.cli.account import organisation_file
from posthouse.cli.progress import Progress
from posthouse.cli.root import OK, PROBLEM, UNDETERMINED, USAGE
from posthouse.cli.screen import Screen
from posthouse.cli.wiring import Network, network
from posthouse.flow import Finding
from posthouse.protocol.host import to_unicode
from posthouse.setup import find
from posthouse.setup.find import FindResult, Net, Outcome, ProfileError, ProviderError
from posthouse.setup.find import words as find_words
from posthouse.setup.find.render import finding_dict

CODES: Final[Mapping[Outcome, int]] = {
    Outcome.FOUND: OK,
    Outcome.UNPROVEN: PROBLEM,
    Outcome.NOTHING: PROBLEM,
    Outcome.COULD_NOT_DETERMINE: UNDETERMINED,
}


def run(screen: Screen, address: str, options: Mapping[str, Any]) -> FindResult | int:
    """Search for an address, or the servers of a provider."""
    if address:
        entry = find.read_input(address)
        if entry.address is None:
            return _no_address(screen, entry)
    try:
        return asyncio.run(_search(screen, network(screen.session), address, options))
    except (ProfileError, ProviderError) as error:
        return refuse(screen, (error.finding,))


async def _search(
    screen: Screen, net: Network, address: str, options: Mapping[str, Any]
) -> FindResult:
    parts = Net(net.resolver, net.http, net.clock)
    progress = Progress(screen)
    provider = options.get("provider")
    if provider:
        return await find.find_provider(
            provider, parts, region=options.get("region"), address=address
        )
    text = screen.words.text("screen.find.looking", address=address)
    with progress.running(text):
        return await find.find(
            address,
            parts,
            profile_file=organisation_file(options),
            offline=screen.session.offline,
            allow_http=bool(options.get("allow_http")),
            thorough=bool(options.get("thorough")),
            observer=progress.search,
        )


def exit_code(result: FindResult) -> int:
    """What the outcome means to a script."""
    return CODES[result.outcome]


def _no_address(screen: Screen, entry: find.Entry) -> int:
    """Something else was typed: what is wrong with it, or what it is good for."""
    code = refuse(screen, entry.findings)
    if entry.server is not None:
        host = entry.server.host
        screen.problem(screen.words.text("cli.error.server_given", host=to_unicode(host)))
    return code


def refuse(screen: Screen, findings: tuple[Finding, ...]) -> int:
    """Say why the input can't be used. The exit code is that of wrong usage."""
    lang = screen.session.lang
    if screen.session.json:
        screen.json({"ok": False, "findings": [finding_dict(f, lang) for f in findings]})
        return USAGE
    for finding in findings:
        screen.problem(find_words.finding_text(finding, lang))
    return USAGE
