"""click's Command and Group with help from the catalogues, laid out by display width.

click wraps help by counting characters, which breaks lines of Chinese at twice the width; rich
measures what the terminal shows. The classes replace how help is written, and build or import a
command only when it is called.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import click
from click.core import ParameterSource

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
FREE: Final = "TEXT"  # the metavar of options whose value may be empty, as a subject may


class Command(click.Command):
    """A command whose help comes from the catalogue: ``<key>.help`` and ``<key>.example``."""

    def __init__(self, name: str, words: Catalogue, *, key: str = "", **more: Any) -> None:
        more.setdefault("add_help_option", False)
        super().__init__(name, **more)
        self.words = words
        self.key = key or f"cli.{name}"
        self.params.append(help_option(words))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, and no option is empty: ``--domain "$DOMAIN"`` without that variable would
        choose the messages of all domains, ``--config "$FILE"`` another relay.
        """
        try:
            rest = super().parse_args(ctx, args)
        except click.BadOptionUsage as error:
            error.ctx = error.ctx or ctx  # whose help it is that helps
            raise
        for param in self.params:
            name = param.name or ""
            if ctx.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
                continue
            value = ctx.params.get(name)
            empty = "" in value if isinstance(value, tuple) else value == ""
            if empty and isinstance(param, click.Option) and param.metavar != FREE:
                raise click.BadOptionUsage(param.opts[-1], "empty", ctx=ctx)
        return rest

    def get_help(self, ctx: click.Context) -> str:
        """The whole help text."""
        from posthouse.cli.help import command_help

        return command_help(self, ctx, self.words, self.key)


class Group(click.Group):
    """A command whose first word names one of its own commands, which is built when it is called.

    ``build`` makes the command of a name. The help's words are ``cli.<name>.help`` and
    ``.example``, and ``cli.<name>_<command>.short`` of each command.
    """

    def __init__(
        self,
        name: str,
        words: Catalogue,
        names: Sequence[str],
        build: Callable[[str], click.Command],
    ) -> None:
        super().__init__(
            name, add_help_option=False, no_args_is_help=False, invoke_without_command=True
        )
        self.words = words
        self._names = names
        self._build = build
        lang = click.Option(["--lang"], metavar="en|zh", help=words.text("cli.option.lang"))
        self.params += [lang, help_option(words)]
        self.callback = self._needed

    def _needed(self, **_: Any) -> None:
        """click's own complaint of a missing command is in English, whatever the language."""
        if click.get_current_context().invoked_subcommand is None:
            names = "|".join(self._names)
            raise click.UsageError(self.words.text("cli.error.missing", name=names))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, the usual one first."""
        return list(self._names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Build one command."""
        return self._build(cmd_name) if cmd_name in self._names else None

    def get_help(self, ctx: click.Context) -> str:
        """The whole help text."""
        from posthouse.cli.help import group_help

        return group_help(self, ctx, self.words, self.name or "", self._names)


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
