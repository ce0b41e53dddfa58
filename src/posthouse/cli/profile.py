"""``posthouse profile ADDRESS --for CLIENT``: the file or the steps for one program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from posthouse.cli.command import Command
from posthouse.cli.options import Session, common, session
from posthouse.explain import Catalogue

if TYPE_CHECKING:
    from posthouse.cli.screen import Screen


def command(words: Catalogue) -> Command:
    """Build the command."""
    from posthouse.cli import find

    def text(name: str) -> str:
        return words.text(f"cli.option.{name}")

    def run(address: str | None, **options: Any) -> int:
        return _run(session(words, options), address, options)

    return Command(
        "profile",
        words,
        callback=run,
        params=[
            click.Argument(["address"], required=False, metavar=words.text("cli.arg.address")),
            *client_options(words),
            click.Option(["--list", "list_clients"], is_flag=True, help=text("list_clients")),
            click.Option(["--no-probe"], is_flag=True, help=text("no_probe")),
            click.Option(["--user"], metavar="NAME", help=text("user")),
            click.Option(["--display-name"], metavar="NAME", help=text("display_name")),
            click.Option(["--sign-cert"], metavar="FILE", help=text("sign_cert")),
            click.Option(["--sign-key"], metavar="FILE", help=text("sign_key")),
            *find.source_options(words),
            *common(words),
        ],
    )


def client_options(words: Catalogue) -> list[click.Parameter]:
    """For which program, and where to."""
    return [
        click.Option(["--for", "client"], metavar="CLIENT", help=words.text("cli.option.client")),
        click.Option(["--out"], metavar="FILE", help=words.text("cli.option.out")),
    ]


def _run(asked: Session, address: str | None, given: Mapping[str, Any]) -> int:
    from posthouse.cli import handout, search, wizard
    from posthouse.cli.screen import Screen

    words, screen = asked.words, Screen(asked)
    if given["list_clients"]:
        return _list(screen)
    if not address:
        raise click.UsageError(words.text("cli.error.missing", name=words.text("cli.arg.address")))
    if not given.get("client"):
        raise click.UsageError(words.text("cli.error.client_needed"))
    client = handout.client(screen, given["client"])
    found = search.run(screen, address, given)
    if isinstance(found, int):
        return found
    if found.best is None:
        return wizard.nothing(screen, found)
    choice = None
    if not (given["no_probe"] or asked.offline):
        choice = wizard.Wizard(screen, given, asks=False).reach(found)
    made = handout.make(screen, client.id, handout.settings(screen, found, choice, given), given)
    if isinstance(made, int):
        return made
    code = handout.give(screen, made, given.get("out"))
    if choice is not None and not choice.works:
        screen.note(words.text("screen.profile.unproved"))
        return code or 1
    return code


def _list(screen: Screen) -> int:
    from posthouse.setup import profile

    lang = screen.session.lang
    clients = profile.clients()
    if screen.session.json:
        rows = [
            {"id": c.id, "name": c.name(lang), "kinds": [k.value for k in c.kinds]}
            | {"file": c.file or None, "aliases": list(c.aliases)}
            for c in clients
        ]
        screen.json({"clients": rows})
        return 0
    screen.columns([(c.id, c.name(lang)) for c in clients])
    return 0
