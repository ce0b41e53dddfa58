"""click's Command and Group with help from the catalogues, laid out by display width.

click wraps help by counting characters, which breaks lines of Chinese at twice the width; rich
measures what the terminal shows. Both classes only replace how help is written.
"""

from __future__ import annotations

import importlib
from typing import Any, Final

import click

from posthouse.explain import Catalogue

COMMANDS: Final = (
    "setup",
    "find",
    "probe",
    "explain",
    "profile",
    "domain",
    "send",
    "serve",
    "user",
    "queue",
    "route",
    "doctor",
    "completion",
)


class Command(click.Command):
    """A command whose help comes from the catalogue: ``<key>.help`` and ``<key>.example``."""

    def __init__(self, name: str, words: Catalogue, *, key: str = "", **more: Any) -> None:
        more.setdefault("add_help_option", False)
        super().__init__(name, **more)
        self.words = words
        self.key = key or f"cli.{name}"
        self.params.append(help_option(words))

    def get_help(self, ctx: click.Context) -> str:
        """The whole help text."""
        from posthouse.cli.help import command_help

        return command_help(self, ctx, self.words, self.key)


class Root(click.Group):
    """The group: it names all commands and imports only the one called."""

    def __init__(self, words: Catalogue, **more: Any) -> None:
        super().__init__("posthouse", add_help_option=False, no_args_is_help=False, **more)
        self.words = words
        self.params.append(help_option(words))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of the way from an address to an answer."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module and build it in the language asked for."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"posthouse.cli.{cmd_name}")
        command: click.Command = module.command(self.words)
        return command

    def get_help(self, ctx: click.Context) -> str:
        """The whole help text."""
        from posthouse.cli.help import root_help

        return root_help(self, ctx, self.words, COMMANDS)


def help_option(words: Catalogue) -> click.Option:
    def show(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit()

    return click.Option(
        ["-h", "--help"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help=words.text("cli.option.help"),
    )
