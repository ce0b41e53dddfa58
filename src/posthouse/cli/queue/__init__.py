"""``posthouse queue``: what waits in the relay's queue, and what a person does to it.

``look`` lists and shows, ``change`` holds, releases, retries and deletes, ``prune`` removes old
events, ``choose`` has the filters of all. A command's module is imported when it is called.
"""

from __future__ import annotations

from typing import Final

import click

from posthouse.cli.command import help_option
from posthouse.explain import Catalogue

COMMANDS: Final = ("list", "show", "hold", "release", "retry", "delete", "prune")
_LOOKS: Final = ("list", "show")


class Queue(click.Group):
    """The group."""

    def __init__(self, words: Catalogue) -> None:
        super().__init__("queue", add_help_option=False, no_args_is_help=False)
        self.words = words
        lang = click.Option(["--lang"], metavar="en|zh", help=words.text("cli.option.lang"))
        self.params += [lang, help_option(words)]
        self.callback = lambda **_: None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, the usual one first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Build one command."""
        if cmd_name not in COMMANDS:
            return None
        from posthouse.cli.queue import change, look, prune

        build = look.subcommand if cmd_name in _LOOKS else change.subcommand
        if cmd_name == "prune":
            return prune.subcommand(self.words)
        return build(self.words, cmd_name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Without a command there is nothing to do."""
        if not args:
            missing = self.words.text("cli.error.missing", name="|".join(COMMANDS))
            raise click.UsageError(missing, ctx)
        return super().parse_args(ctx, args)

    def get_help(self, ctx: click.Context) -> str:
        """The whole help text."""
        from posthouse.cli.help import group_help

        return group_help(self, ctx, self.words, "queue", COMMANDS)


def command(words: Catalogue) -> Queue:
    """Build the group."""
    return Queue(words)
