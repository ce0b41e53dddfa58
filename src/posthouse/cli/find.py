"""``posthouse find ADDRESS``: which outgoing server is right, and who says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from posthouse.cli.command import Command
from posthouse.cli.options import Session, common, session
from posthouse.explain import Catalogue

if TYPE_CHECKING:
    from posthouse.cli.screen import Screen
    from posthouse.flow import Finding
    from posthouse.setup.find import FindResult


def command(words: Catalogue) -> Command:
    """Build the command."""

    def run(address: str | None, **options: Any) -> int:
        return _run(session(words, options), address, options)

    return Command(
        "find",
        words,
        callback=run,
        params=[
            click.Argument(["address"], required=False, metavar=words.text("cli.arg.address")),
            *source_options(words),
            click.Option(
                ["--list-providers"], is_flag=True, help=words.text("cli.option.list_providers")
            ),
            *common(words),
        ],
    )


def source_options(words: Catalogue) -> list[click.Parameter]:
    """The options about where to look."""

    def text(name: str) -> str:
        return words.text(f"cli.option.{name}")

    return [
        click.Option(["--profile"], metavar="FILE", help=text("profile")),
        click.Option(["--allow-http"], is_flag=True, help=text("allow_http")),
        click.Option(["--thorough"], is_flag=True, help=text("thorough")),
        click.Option(["--provider"], metavar="ID", help=text("provider")),
        click.Option(["--region"], metavar="REGION", help=text("region")),
    ]


def _run(asked: Session, address: str | None, options: Mapping[str, Any]) -> int:
    from posthouse.cli import search
    from posthouse.cli.screen import Screen
    from posthouse.setup import find

    screen = Screen(asked)
    if options.get("list_providers"):
        return _list(screen)
    if not address and not options.get("provider"):
        raise click.UsageError(asked.words.text("cli.error.address_or_provider"))
    result = search.run(screen, address or "", options)
    if isinstance(result, int):
        return result
    if asked.json:
        screen.json(find.to_dict(result, asked.lang))
    else:
        show(screen, result)
    return search.exit_code(result)


def _list(screen: Screen) -> int:
    from posthouse import directory

    providers = [directory.load(one) for one in directory.ids()]
    if screen.session.json:
        rows = [
            {"id": p.id, "name": p.name[screen.session.lang], "kind": p.kind.value}
            for p in providers
        ]
        screen.json({"providers": rows})
        return 0
    screen.columns([(p.id, p.name[screen.session.lang]) for p in providers])
    return 0


def show(screen: Screen, result: FindResult) -> None:
    """The whole answer for a person."""
    from posthouse.cli import card
    from posthouse.setup.find import words as find_words

    best = result.best
    if best is not None:
        name = result.address or _provider_name(best.provider, screen.session.lang)
        screen.say(screen.words.text("screen.find.heading", address=name))
        screen.blank()
        card.show(screen, card.of_candidate(best, screen.session.lang))
    else:
        screen.say(find_words.outcome_text(result.outcome, screen.session.lang), style="bold")
    findings(screen, result.findings)
    _others(screen, result)
    _conflicts(screen, result)
    if best is None or screen.session.verbose:
        _sources(screen, result)


def _provider_name(provider: str | None, lang: str) -> str:
    from posthouse import directory

    return directory.load(provider).name[lang] if provider else ""


def findings(screen: Screen, found: tuple[Finding, ...]) -> None:
    """What was noticed, a mark each."""
    from posthouse.setup.find import words as find_words

    if found:
        screen.blank()
    for finding in found:
        screen.mark(finding.status, find_words.finding_text(finding, screen.session.lang))


def _others(screen: Screen, result: FindResult) -> None:
    from posthouse.setup.find import words as find_words

    if len(result.candidates) < 2:
        return
    lang = screen.session.lang
    screen.heading("screen.find.others")
    screen.table(
        [
            (
                str(c.endpoint),
                screen.words.text(f"screen.mode.{c.endpoint.security.value}"),
                find_words.source_name(c.evidence[0].source, lang),
                find_words.trust_text(c.trust, lang),
            )
            for c in result.candidates[1:]
        ]
    )


def _conflicts(screen: Screen, result: FindResult) -> None:
    from posthouse.setup.find import words as find_words

    if not result.conflicts:
        return
    lang = screen.session.lang
    comma = screen.words.text("causes.word.comma")
    screen.heading("screen.find.conflicts")
    rows = []
    for conflict in result.conflicts:
        for number, (value, evidence) in enumerate(conflict.values):
            names = dict.fromkeys(find_words.source_name(e.source, lang) for e in evidence)
            rows.append(
                (
                    find_words.field_name(conflict, lang) if number == 0 else "",
                    find_words.value_text(conflict, value, lang),
                    comma.join(names),
                    screen.words.text("screen.find.chosen") if value == conflict.chosen else "",
                )
            )
    screen.table(rows)


def _sources(screen: Screen, result: FindResult) -> None:
    from posthouse.setup.find import words as find_words

    lang = screen.session.lang
    screen.heading("screen.find.sources")
    screen.table(
        [
            (
                find_words.source_name(report.source, lang),
                find_words.report_text(report, lang),
                f"{report.seconds * 1000:.0f} ms" if report.seconds else "",
            )
            for report in result.reports
        ]
    )
