"""Help texts, laid out by display width so that Chinese lines up too.

Enters: a command and the catalogue. Leaves: one string. Imported only when help is shown.
"""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich.console import Console
from rich.table import Table

from posthouse.cli.prose import WIDEST
from posthouse.cli.screen import Prose, padded
from posthouse.explain import Catalogue


def command_help(command: click.Command, ctx: click.Context, words: Catalogue, key: str) -> str:
    """Usage, what the command does, its options, an example."""
    console = _console()
    pieces = [
        param.make_metavar(ctx) for param in command.params if isinstance(param, click.Argument)
    ]
    usage = " ".join([ctx.command_path, *pieces, words.text("cli.help.options_slot")])
    with console.capture() as got:
        _usage(console, words, usage)
        _paragraph(console, words.text(f"{key}.help"))
        _heading(console, words.text("cli.help.options"))
        _rows(console, [_option_row(p, ctx) for p in command.params if isinstance(p, click.Option)])
        _example(console, words, key)
    return got.get().rstrip()


def root_help(
    group: click.Group, ctx: click.Context, words: Catalogue, names: Sequence[str]
) -> str:
    """What Posthouse is, its commands, and where to begin."""
    console = _console()
    with console.capture() as got:
        usage = f"posthouse {words.text('cli.help.command_slot')}"
        _usage(console, words, usage)
        _paragraph(console, words.text("cli.root.help"))
        _heading(console, words.text("cli.help.commands"))
        _rows(console, [(name, words.text(f"cli.{name}.short")) for name in names])
        _heading(console, words.text("cli.help.options"))
        _rows(console, [_option_row(p, ctx) for p in group.params if isinstance(p, click.Option)])
        _example(console, words, "cli.root")
    return got.get().rstrip()


def group_help(
    group: click.Group, ctx: click.Context, words: Catalogue, name: str, names: Sequence[str]
) -> str:
    """What a group of commands is for, and the commands."""
    console = _console()
    key = f"cli.{name}"
    with console.capture() as got:
        usage = f"{ctx.command_path} {words.text('cli.help.command_slot')}"
        _usage(console, words, usage)
        _paragraph(console, words.text(f"{key}.help"))
        _heading(console, words.text("cli.help.commands"))
        _rows(console, [(one, words.text(f"cli.{name}_{one}.short")) for one in names])
        _example(console, words, key)
    return got.get().rstrip()


def _console() -> Console:
    console = Console(color_system=None)
    return Console(color_system=None, width=min(console.width, WIDEST))


def _usage(console: Console, words: Catalogue, usage: str) -> None:
    console.print(f"{words.text('cli.help.usage')} {usage}\n", markup=False, highlight=False)


def _example(console: Console, words: Catalogue, key: str) -> None:
    _heading(console, words.text("cli.help.example"))
    for line in words.text(f"{key}.example").splitlines():
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)


def _paragraph(console: Console, text: str) -> None:
    for paragraph in text.strip().split("\n\n"):
        body = " ".join(paragraph.split("\n"))
        console.print(padded(Prose(body), 2))
        console.print()


def _heading(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False)


def _rows(console: Console, rows: list[tuple[str, str]]) -> None:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for left, right in rows:
        table.add_row(f"  {left}", Prose(right))
    console.print(padded(table, 0))
    console.print()


def _option_row(option: click.Option, ctx: click.Context) -> tuple[str, str]:
    names = ", ".join(sorted(option.opts, key=len))
    if option.secondary_opts:
        names += " / " + ", ".join(option.secondary_opts)
    metavar = "" if option.is_flag or option.count else f" {option.make_metavar(ctx)}"
    return names + metavar, option.help or ""
