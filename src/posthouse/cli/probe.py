"""``posthouse probe HOST[:PORT]|ADDRESS``: prove one server step by step, and say what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from posthouse.cli.command import Command
from posthouse.cli.options import Session, common, session
from posthouse.explain import Catalogue

if TYPE_CHECKING:
    from posthouse.cli.account import Account
    from posthouse.cli.screen import Screen
    from posthouse.flow import Endpoint
    from posthouse.setup.probe import Envelope, Options

MODES = ("tls", "starttls", "none")


def command(words: Catalogue) -> Command:
    """Build the command."""
    from posthouse.cli import account, find

    def text(name: str) -> str:
        return words.text(f"cli.option.{name}")

    def run(target: str, **options: Any) -> int:
        return _run(session(words, options), target, options)

    return Command(
        "probe",
        words,
        callback=run,
        params=[
            click.Argument(["target"], metavar=words.text("cli.arg.target")),
            click.Option(["--port"], type=click.IntRange(1, 65535), metavar="N", help=text("port")),
            click.Option(
                ["--security"],
                type=click.Choice(MODES),
                metavar="|".join(MODES),
                help=text("security"),
            ),
            click.Option(["--login"], is_flag=True, help=text("login")),
            *account.options(words),
            click.Option(["--mail-from"], metavar="ADDRESS", help=text("mail_from")),
            click.Option(["--rcpt-to"], metavar="ADDRESS", multiple=True, help=text("rcpt_to")),
            click.Option(["--open-relay"], is_flag=True, help=text("open_relay")),
            click.Option(["--ehlo"], metavar="NAME", help=text("ehlo")),
            click.Option(["--against"], metavar="FILE", help=text("against")),
            *find.source_options(words),
            *common(words),
        ],
    )


def _run(asked: Session, target: str, given: Mapping[str, Any]) -> int:
    from posthouse.cli import prove, search
    from posthouse.cli.screen import Screen
    from posthouse.setup import find, probe

    words = asked.words
    if asked.offline:
        raise click.UsageError(words.text("cli.error.offline_probe"))
    screen = Screen(asked)
    entry = find.read_input(target)
    if not entry.ok:
        return search.refuse(screen, entry.findings)
    place = _place(screen, target, given) if entry.address else target
    if isinstance(place, int):
        return place
    if entry.server is not None and not asked.json:
        for finding in entry.findings:
            screen.warn(finding.status, find.words.finding_text(finding, asked.lang))
    address = entry.address.wire if entry.address else ""
    host = entry.server.host if entry.server else place.host  # type: ignore[union-attr]
    who = _account(screen, address, host, given)
    envelope = _envelope(given, who, words)
    result = prove.run(
        screen,
        prove.Wanted(place, who, envelope, given),
        _options(given, asked, address),
    )
    if asked.json:
        screen.json(probe.to_dict(result, asked.lang))
    else:
        prove.show(screen, result, details=True)
    return prove.exit_code(result)


def _place(screen: Screen, target: str, given: Mapping[str, Any]) -> Endpoint | int:
    """The best server for an address, or the exit code where none is known."""
    from posthouse.cli import find as find_command
    from posthouse.cli import search
    from posthouse.setup import find

    found = search.run(screen, target, given)
    if isinstance(found, int):
        return found
    if found.best is not None:
        return found.best.endpoint
    if screen.session.json:
        screen.json(find.to_dict(found, screen.session.lang))
    else:
        find_command.show(screen, found)
    return search.exit_code(found)


def _account(screen: Screen, address: str, host: str, given: Mapping[str, Any]) -> Account:
    from posthouse.cli import account, asking

    words = screen.words
    sender = given.get("mail_from") or address
    name = account.username_for(address, host, given.get("user"))
    secret = asking.given_secret(words, given.get("password_file")) if given["login"] else None
    if given["login"] and not name:
        raise click.UsageError(words.text("cli.error.user_needed"))
    if given["login"] and secret is None:
        secret = asking.asked_secret(words, words.text("screen.ask.password", user=name))
    if given.get("send_test") and secret is None:
        raise click.UsageError(words.text("cli.error.test_needs_login"))
    return account.account(
        sender or (name if "@" in name else ""), name, secret, host, given["oauth"]
    )


def _envelope(given: Mapping[str, Any], who: Account, words: Catalogue) -> Envelope | None:
    """MAIL and RCPT to ask about, where no test message brings its own."""
    from posthouse.setup.probe import Envelope

    recipients = tuple(given.get("rcpt_to") or ())
    if given.get("open_relay") and not recipients:
        raise click.UsageError(words.text("cli.error.relay_needs_rcpt"))
    if not recipients and not given.get("mail_from"):
        return None
    return Envelope(who.address, recipients)


def _options(given: Mapping[str, Any], asked: Session, address: str) -> Options:
    from dataclasses import replace

    from posthouse.cli import prove

    options = replace(
        prove.options(asked, address),
        thorough=bool(given.get("thorough")),
        open_relay=bool(given.get("open_relay")),
        before=_extensions_of(given.get("against"), asked.words),
    )
    return replace(options, ehlo_name=given["ehlo"]) if given.get("ehlo") else options


def _extensions_of(path: str | None, words: Catalogue) -> dict[str, str] | None:
    """The EHLO keywords of an earlier ``probe --json``."""
    import json

    if path is None:
        return None
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)["extensions"]
    except (OSError, ValueError, KeyError, TypeError):
        raise click.ClickException(words.text("cli.error.read_file", path=path)) from None
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else None
