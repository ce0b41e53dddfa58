"""``posthouse completion SHELL``: the script that makes the shell complete our commands."""

from __future__ import annotations

from typing import Any, Final

import click

from posthouse.cli.command import Command
from posthouse.explain import Catalogue

SHELLS: Final = ("bash", "zsh", "fish")


def command(words: Catalogue) -> Command:
    """Build the command."""

    def run(shell: str, **_options: Any) -> None:
        from click.shell_completion import get_completion_class

        from posthouse.cli.root import build

        maker = get_completion_class(shell)
        if maker is None:  # pragma: no cover - SHELLS are click's own three
            raise click.UsageError(shell)
        click.echo(maker(build(words), {}, "posthouse", "_POSTHOUSE_COMPLETE").source())

    return Command(
        "completion",
        words,
        callback=run,
        params=[
            click.Argument(["shell"], type=click.Choice(SHELLS)),
            click.Option(["--lang"], metavar="en|zh", help=words.text("cli.option.lang")),
        ],
    )
