"""``posthouse doctor``: check this computer and its network, or an installation of the relay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from posthouse.cli.command import Command
from posthouse.cli.options import Session, common, session
from posthouse.explain import Catalogue

if TYPE_CHECKING:
    from posthouse.flow import Finding
    from posthouse.setup.doctor import Net


def command(words: Catalogue) -> Command:
    """Build the command."""

    def run(config: str | None, **options: Any) -> int:
        asked = session(words, options)
        return _run(asked) if config is None else _run_relay(asked, Path(config))

    text = words.text("cli.option.doctor_config")
    params = [click.Option(["--config"], metavar="FILE", help=text), *common(words)]
    return Command("doctor", words, callback=run, params=params)


def _net(session: Session) -> Net | None:
    if session.offline:
        return None
    from posthouse.cli.wiring import network
    from posthouse.setup.doctor import Net

    net = network(session)
    return Net(net.resolver, net.dialer, net.http, net.clock)


def _run(session: Session) -> int:
    import asyncio

    from posthouse.setup import doctor

    async def look() -> Sequence[Finding]:
        return await doctor.check(_net(session), timeout=session.timeout)

    _note(session, "doctor.looking")
    return _show(session, asyncio.run(look()), "doctor.heading", "doctor")


def _run_relay(session: Session, path: Path) -> int:
    import asyncio

    from posthouse.config import ConfigError
    from posthouse.daemon.doctor.look import Installation, check
    from posthouse.flow import Finding, Status
    from posthouse.net.clock import SystemClock

    async def look(it: Installation) -> Sequence[Finding]:
        return await check(it, _net(session), SystemClock(), timeout=session.timeout)

    _note(session, "relay.looking")
    try:
        findings = asyncio.run(look(Installation.at(path)))
    except ConfigError as error:
        params = {"path": str(path), "problem": error.told(session.words)}
        findings = [Finding("relay.config_bad", Status.FAIL, params=params)]
    return _show(session, findings, "relay.heading", "relay")


def _note(session: Session, key: str) -> None:
    from posthouse.cli.screen import Screen

    if not session.offline:
        Screen(session).note(session.words.text(key))


def _show(session: Session, findings: Sequence[Finding], heading: str, area: str) -> int:
    from posthouse.cli.screen import Screen
    from posthouse.flow import Status
    from posthouse.setup import doctor

    screen, words = Screen(session), session.words
    bad = sum(f.status is Status.FAIL for f in findings)
    if session.json:
        screen.json({"ok": not bad, **doctor.to_dict(findings, lambda f: _text(words, f))})
        return 1 if bad else 0
    screen.say(words.text(heading), style="bold")
    for finding in findings:
        screen.mark(finding.status, _text(words, finding))
    screen.blank()
    screen.say(words.text(f"{area}.bad" if bad else f"{area}.good", count=bad))
    return 1 if bad else 0


def _in_words(words: Catalogue, params: Mapping[str, Any]) -> dict[str, str]:
    """What DNS or the network said, in the user's language, where there are words for it."""
    shown = {}
    answer = f"domain.word.{params.get('answer')}"
    if words.has(answer):
        shown["answer"] = words.text(answer)
    failure, reason = f"find.failure.{params.get('failure')}", params.get("reason")
    if words.has(failure):
        shown["said"] = words.text(failure) + (f" ({reason})" if reason else "")
    return shown


def _text(words: Catalogue, finding: Finding) -> str:
    """What is the case, and what to do; findings of the audit of a domain have their own words."""
    if finding.id.startswith(("doctor.", "relay.")):
        return words.text(finding.id, **{**finding.params, **_in_words(words, finding.params)})
    from posthouse.flow import Status
    from posthouse.setup.domain.words import finding_text, fix

    said = finding_text(finding, words.lang)
    todo = "" if finding.status is Status.OK else fix(finding, words.lang)
    return f"{said} {todo}".strip()
