"""``posthouse domain NAME``: one audit of all a domain publishes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from posthouse.cli.command import Command
from posthouse.cli.domain import CHECKS
from posthouse.cli.options import ResolverType, Session, common, session
from posthouse.explain import Catalogue

if TYPE_CHECKING:
    from posthouse.cli.screen import Screen
    from posthouse.setup.domain import Audit, Comparison, Net, Options

FAIL_ON: Final = ("warn", "fail", "unknown", "never")


def command(words: Catalogue) -> Command:
    """Build the command."""

    def text(name: str) -> str:
        return words.text(f"cli.option.{name}")

    def run(name: str, **options: Any) -> int:
        return _run(session(words, options), name, options)

    return Command(
        "audit",
        words,
        key="cli.domain_audit",
        callback=run,
        params=[
            click.Argument(["name"], metavar=words.text("cli.arg.domain")),
            click.Option(
                ["--only"], type=click.Choice(CHECKS), multiple=True, metavar="CHECK",
                help=text("only"),
            ),
            click.Option(["--ip"], multiple=True, metavar="ADDRESS", help=text("ip")),
            click.Option(["--selector"], multiple=True, metavar="NAME", help=text("selector")),
            click.Option(["--service"], multiple=True, metavar="ID", help=text("service")),
            click.Option(["--message"], metavar="FILE", help=text("sample")),
            click.Option(["--mail-from"], multiple=True, metavar="DOMAIN", help=text("envelope")),
            click.Option(["--connect"], is_flag=True, help=text("connect")),
            click.Option(["--against"], metavar="FILE", help=text("audit_against")),
            click.Option(
                ["--resolvers"], type=ResolverType(words), multiple=True, metavar="ADDR[:PORT]",
                help=text("resolvers"),
            ),
            click.Option(
                ["--fail-on"], type=click.Choice(FAIL_ON), default="fail",
                metavar="|".join(FAIL_ON), help=text("fail_on"),
            ),
            *common(words),
        ],
    )  # fmt: skip


def _run(asked: Session, name: str, given: Mapping[str, Any]) -> int:
    from posthouse.cli.screen import Screen
    from posthouse.protocol.host import HostError, parse_host

    if asked.offline:
        raise click.UsageError(asked.words.text("cli.error.offline_audit"))
    screen = Screen(asked)
    try:
        parse_host(name)
        if given["resolvers"]:
            return _propagation(screen, name, given)
        return _audit(screen, name, given)
    except HostError as error:
        text = asked.words.text(f"find.finding.server.{error.reason}", input=name, position=1)
        raise click.UsageError(text) from None


def net_of(asked: Session) -> Net:
    """The real network, as the audit wants it."""
    from posthouse.cli.wiring import network
    from posthouse.setup.domain import Net

    parts = network(asked)
    return Net(parts.resolver, parts.dialer, parts.http, parts.clock)


def _audit(screen: Screen, name: str, given: Mapping[str, Any]) -> int:
    from posthouse.cli.progress import Progress
    from posthouse.setup import domain
    from posthouse.setup.domain import render

    words, lang = screen.words, screen.session.lang
    options = _options(screen.session, given)
    with Progress(screen).running(words.text("screen.domain.looking", domain=name)):
        audit = asyncio.run(domain.audit(name, net_of(screen.session), options))
    comparison = _comparison(words, audit, given.get("against"))
    if screen.session.json:
        more = {"comparison": render.comparison_dict(comparison, lang)} if comparison else {}
        screen.json({**render.to_dict(audit, lang), **more})
    else:
        from posthouse.cli.domain import show

        show.audit(screen, audit)
        if comparison is not None:
            show.comparison(screen, comparison)
    return _code(audit, comparison, given["fail_on"])


def _options(asked: Session, given: Mapping[str, Any]) -> Options:
    from posthouse import directory
    from posthouse.cli.file import read
    from posthouse.setup.domain import Options

    for service in given["service"]:
        if service not in directory.ids():
            text = asked.words.text("cli.error.provider_unknown", provider=service)
            raise click.UsageError(text)
    return Options(
        egress=tuple(given["ip"]),
        selectors=tuple(given["selector"]),
        providers=tuple(given["service"]),
        envelope=tuple(given["mail_from"]),
        message=read(asked.words, given["message"]) if given.get("message") else None,
        connect=given["connect"],
        checks=frozenset(given["only"]),
        ca_file=asked.ca_file,
    )


def _comparison(words: Catalogue, audit: Audit, path: str | None) -> Comparison | None:
    from posthouse.setup.domain import CompareError, compare

    if path is None:
        return None
    try:
        return compare(json.loads(Path(path).read_text("utf-8")), audit)
    except (OSError, ValueError, CompareError):
        raise click.ClickException(words.text("cli.error.no_audit", path=path)) from None


def _code(audit: Audit, comparison: Comparison | None, fail_on: str) -> int:
    from posthouse.setup.domain import Verdict, exit_code

    if fail_on == "never":
        return 0
    if comparison is not None and comparison.worse:
        return 1
    return exit_code(audit, Verdict(fail_on))


def _propagation(screen: Screen, name: str, given: Mapping[str, Any]) -> int:
    from posthouse.net.clock import SystemClock
    from posthouse.net.resolver import DnsResolver
    from posthouse.setup.domain import propagation, render

    clock = SystemClock()
    several = {
        f"{address}:{port}": DnsResolver((address, port), clock=clock)
        for address, port in given["resolvers"]
    }
    found = asyncio.run(propagation(name, several))
    if screen.session.json:
        screen.json(render.propagation_dict(found, screen.session.lang))
    else:
        from posthouse.cli.domain import show

        show.propagation(screen, found)
    return 0 if found.agreed else 1
