"""``posthouse setup ADDRESS``: find, probe and a settings card in one go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from posthouse.cli.command import Command
from posthouse.cli.options import Session, common, session
from posthouse.explain import Catalogue


def command(words: Catalogue) -> Command:
    """Build the command."""
    from posthouse.cli import account, find, profile

    def text(name: str) -> str:
        return words.text(f"cli.option.{name}")

    def run(address: str, **options: Any) -> int:
        return _run(session(words, options), address, options)

    return Command(
        "setup",
        words,
        callback=run,
        params=[
            click.Argument(["address"], metavar=words.text("cli.arg.address")),
            click.Option(["-y", "--yes"], is_flag=True, help=text("yes")),
            click.Option(["--no-login"], is_flag=True, help=text("no_login")),
            *account.options(words),
            click.Option(["--save-password"], metavar="FILE", help=text("save_password")),
            *profile.client_options(words),
            *find.source_options(words),
            *common(words),
        ],
    )


def _run(asked: Session, address: str, given: Mapping[str, Any]) -> int:
    from posthouse.cli import asking, wizard
    from posthouse.cli.screen import Screen

    if asked.offline:
        raise click.UsageError(asked.words.text("cli.error.offline_probe"))
    return wizard.Wizard(Screen(asked), given, asks=asking.may_ask(given)).run(address)
