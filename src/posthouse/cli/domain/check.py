"""``posthouse domain check MESSAGE.eml``: one received message, explained."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import click

from posthouse.cli.command import Command
from posthouse.cli.options import Session, common, session
from posthouse.explain import Catalogue


def command(words: Catalogue) -> Command:
    """Build the command."""

    def text(name: str) -> str:
        return words.text(f"cli.option.{name}")

    def run(message: str, **options: Any) -> int:
        return _run(session(words, options), message, options)

    return Command(
        "check",
        words,
        key="cli.domain_check",
        callback=run,
        params=[
            click.Argument(["message"], metavar=words.text("cli.arg.message")),
            click.Option(["--ip"], metavar="ADDRESS", help=text("hop_ip")),
            click.Option(["--helo"], metavar="NAME", help=text("hop_helo")),
            click.Option(["--mail-from"], metavar="ADDRESS", help=text("hop_mail_from")),
            click.Option(["--own"], multiple=True, metavar="NAME", help=text("own")),
            *common(words),
        ],
    )


def _run(asked: Session, path: str, given: Mapping[str, Any]) -> int:
    from posthouse.cli.domain.audit import net_of
    from posthouse.cli.file import read
    from posthouse.cli.screen import Screen
    from posthouse.setup.domain import Known, Verdict, explain_message, render

    if asked.offline:
        raise click.UsageError(asked.words.text("cli.error.offline_audit"))
    known = Known(
        ip=given.get("ip") or "",
        helo=given.get("helo") or "",
        mail_from=given.get("mail_from"),
        own=tuple(given["own"]),
    )
    raw = read(asked.words, path)
    report = asyncio.run(explain_message(raw, net_of(asked), known))
    screen = Screen(asked)
    if asked.json:
        screen.json(render.message_dict(report, asked.lang))
    else:
        from posthouse.cli.domain import show

        show.message(screen, report)
    return 1 if report.verdict is Verdict.FAIL else 0
