"""The root: run one command, turn whatever goes wrong into one clear line and an exit code.

Enters: the arguments and the language. Leaves: the exit code. Nothing escapes: usage errors are
said in the user's language, a bug in a short report without secrets.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from posthouse import __version__
from posthouse.cli.command import COMMANDS, Root
from posthouse.cli.language import LANGUAGES
from posthouse.cli.narrow import ERRORS
from posthouse.explain import Catalogue, catalogue

OK: Final = 0
PROBLEM: Final = 1
USAGE: Final = 2
UNDETERMINED: Final = 3
SIGN_IN_REFUSED: Final = 4
INTERRUPTED: Final = 130
FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def run(argv: Sequence[str], lang: str) -> int:
    """Run the command; never raises."""
    words = catalogue(lang)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=ERRORS)  # a narrow console must not end in a traceback
    group = build(words)
    try:
        code = group.main(list(argv), prog_name="posthouse", standalone_mode=False)
    except click.UsageError as error:
        _usage(error, words)
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo(words.text("cli.error.interrupted"), err=True)
        return INTERRUPTED
    except click.ClickException as error:
        click.echo(error.format_message(), err=True)
        return USAGE
    except (BrokenPipeError, SystemExit):  # the latter is what click makes of the former
        # The reader has gone (``| head``): nothing to say, and nowhere to say it.
        shut_output()
        return OK
    except Exception as error:
        _failed(error, words)
        return PROBLEM
    return code if isinstance(code, int) else OK


def shut_output() -> None:
    """Nothing can be written to stdout: what is left of it must not complain once more."""
    with contextlib.suppress(OSError):  # a stream that is no file needs no such care
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def build(words: Catalogue) -> Root:
    """The command group in one language."""
    return Root(
        words,
        invoke_without_command=True,
        callback=lambda **_options: _bare(),
        params=[
            click.Option(
                ["--lang"],
                type=click.Choice(LANGUAGES),
                metavar="en|zh",
                help=words.text("cli.option.lang"),
            ),
            click.Option(
                ["--version"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_version,
                help=words.text("cli.option.version"),
            ),
        ],
    )


def _bare() -> None:
    ctx = click.get_current_context()
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"posthouse {__version__}")
        ctx.exit()


def _usage(error: click.UsageError, words: Catalogue) -> None:
    """One line that says what is wrong, one that says where help is."""
    click.echo(f"posthouse: {_reason(error, words)}", err=True)
    path = error.ctx.command_path if error.ctx is not None else "posthouse"
    click.echo(words.text("cli.error.see_help", command=path), err=True)


def _reason(error: click.UsageError, words: Catalogue) -> str:
    match error:
        case click.NoSuchOption():
            near = ", ".join(error.possibilities or ())
            key = "no_such_option_near" if near else "no_such_option"
            return words.text(f"cli.error.{key}", option=error.option_name, near=near)
        case click.MissingParameter():
            name = error.param.human_readable_name if error.param else "?"
            return words.text("cli.error.missing", name=name)
        case click.BadParameter():
            return _bad_value(error, words)
        case click.BadOptionUsage():
            return words.text("cli.error.option_value", option=error.option_name)
    return _unnamed(error, words)


def _unnamed(error: click.UsageError, words: Catalogue) -> str:
    """click has no class of its own for these; its English tells them apart."""
    message = error.format_message()
    if "No such command" in message:
        name = message.split("'")[1] if "'" in message else message
        near = _near(name, error.ctx)
        key = "no_such_command_near" if near else "no_such_command"
        return words.text(f"cli.error.{key}", name=name, near=near)
    if "unexpected extra argument" in message:
        extra = message.partition("(")[2].rpartition(")")[0]
        return words.text("cli.error.extra", extra=extra)
    return message


def _bad_value(error: click.BadParameter, words: Catalogue) -> str:
    option = error.param.opts[-1] if error.param and error.param.opts else "?"
    kind = error.param.type if error.param else None
    if isinstance(kind, click.Choice):
        return words.text(
            "cli.error.choice",
            option=option,
            choices=words.text("causes.word.comma").join(map(str, kind.choices)),
        )
    if isinstance(kind, click.Path | click.File):
        return words.text("cli.error.file", option=option)
    if isinstance(kind, click.FloatRange | click.IntRange):
        return words.text("cli.error.range", option=option, least=kind.min, most=kind.max)
    return error.message


def _near(name: str, ctx: click.Context | None) -> str:
    """The command that may be meant, of the group where it was looked for."""
    from difflib import get_close_matches

    group = ctx.command if ctx is not None else None
    names = group.list_commands(ctx) if ctx and isinstance(group, click.Group) else COMMANDS
    return next(iter(get_close_matches(name, names, 1)), "")


def _failed(error: Exception, words: Catalogue) -> None:
    """A bug, unless it is ``> FILE`` on a disk that is full."""
    if isinstance(error, OSError) and error.errno in FULL:
        shut_output()
        click.echo(words.text("cli.error.full", why=error.strerror), err=True)
    else:
        _bug(error, words)


def _bug(error: Exception, words: Catalogue) -> None:
    """Type and places only: messages and values may hold a secret."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{os.path.basename(f.filename)}:{f.lineno} {f.name}" for f in frames[-4:]]
    version = f"{__version__}, Python {sys.version.split()[0]}, {sys.platform}"
    click.echo(words.text("cli.error.bug", kind=type(error).__name__, version=version), err=True)
    for place in places:
        click.echo(f"  {place}", err=True)
