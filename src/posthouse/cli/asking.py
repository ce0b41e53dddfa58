"""What the user is asked: yes or no, a line, a secret.

Enters: a Session, the options about secrets. Leaves: answers. Questions go to stderr, so that
stdout holds the answer only. A secret comes from POSTHOUSE_PASSWORD, ``--password-file`` or a
terminal that doesn't show it, never from the command line, where every user could read it.
Fails with click's errors, which become one line and exit code 2 (or 130).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, Final

import click

from posthouse.explain import Catalogue
from posthouse.flow import Secret

VARIABLE: Final = "POSTHOUSE_PASSWORD"
SECRET_LIMIT: Final = 16_384  # characters; OAuth tokens have a few thousand


def may_ask(options: Mapping[str, Any]) -> bool:
    """Whether there is somebody to ask, who did not say ``--yes`` or ``--json``."""
    if options.get("yes") or options.get("as_json"):
        return False
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, *, default: bool = True) -> bool:
    """Yes or no."""
    return click.confirm(question, default=default, err=True)


def line(question: str, default: str = "") -> str:
    """One line, stripped."""
    answer: str = click.prompt(question, default=default, err=True, show_default=bool(default))
    return answer.strip()


def given_secret(words: Catalogue, password_file: str | None) -> Secret | None:
    """The secret that came with the call, if one did."""
    if password_file is not None:
        return _checked(words, _first_line(words, password_file))
    value = os.environ.get(VARIABLE)
    return None if value is None else _checked(words, value)


def asked_secret(words: Catalogue, question: str) -> Secret:
    """The secret from the terminal."""
    if not sys.stdin.isatty():
        raise click.ClickException(words.text("cli.error.password_terminal"))
    value: str = click.prompt(question, hide_input=True, err=True, default="", show_default=False)
    return _checked(words, value)


def _first_line(words: Catalogue, path: str) -> str:
    try:
        with click.open_file(path, encoding="utf-8") as file:
            return str(file.readline(SECRET_LIMIT)).rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise click.ClickException(words.text("cli.error.read_file", path=path)) from None


def _checked(words: Catalogue, value: str) -> Secret:
    if not value:
        raise click.ClickException(words.text("cli.error.password_empty"))
    return Secret(value)
