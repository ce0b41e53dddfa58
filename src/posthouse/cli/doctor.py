"""``posthouse doctor``: check this computer and its network."""

from __future__ import annotations

from typing import Any

from posthouse.cli.command import Command
from posthouse.cli.options import Session, common, session
from posthouse.explain import Catalogue


def command(words: Catalogue) -> Command:
    """Build the command."""

    def run(**options: Any) -> int:
        return _run(session(words, options))

    return Command("doctor", words, callback=run, params=common(words))


def _run(session: Session) -> int:
    import asyncio

    from posthouse.cli.screen import Screen
    from posthouse.cli.wiring import network
    from posthouse.flow import Status
    from posthouse.setup import doctor

    async def look() -> Any:
        if session.offline:
            return await doctor.check(None)
        net = network(session)
        parts = doctor.Net(net.resolver, net.dialer, net.http, net.clock)
        return await doctor.check(parts, timeout=session.timeout)

    screen = Screen(session)
    if not session.offline:
        screen.note(session.words.text("doctor.looking"))
    findings = asyncio.run(look())
    texts = {f.id: session.words.text(f.id, **f.params) for f in findings}
    bad = sum(f.status is Status.FAIL for f in findings)
    if session.json:
        screen.json({"ok": not bad, **doctor.to_dict(findings, texts)})
        return 1 if bad else 0
    screen.say(session.words.text("doctor.heading"), style="bold")
    for finding in findings:
        screen.mark(finding.status, session.words.text(finding.id, **finding.params))
    screen.blank()
    screen.say(session.words.text("doctor.bad" if bad else "doctor.good", count=bad))
    return 1 if bad else 0
