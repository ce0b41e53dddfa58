"""The relay's configuration file, as the commands beside the relay read it.

Enters: a path, or the options ``--data`` and ``--config``. Leaves: the document, the data folder.
Fails with click's errors in the user's language: one line, exit code 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from posthouse.explain import Catalogue

if TYPE_CHECKING:
    from posthouse.send.document import ConfigError
    from posthouse.send.settings import SettingError, Table

DATA: Final = "/var/lib/posthouse"  # where the relay keeps its things unless told otherwise


def load(words: Catalogue, path: str) -> Mapping[str, Any]:
    """The document in this file."""
    from posthouse.send import document

    try:
        return document.load(Path(path))
    except document.ConfigError as error:
        raise _wrong(words, error) from None


def setting_error(words: Catalogue, path: str, error: SettingError) -> click.ClickException:
    """A mistake in the file, in words."""
    from posthouse.send.document import mistake

    return _wrong(words, mistake(Path(path), error))


def data_folder(words: Catalogue, given: Mapping[str, Any]) -> Path:
    """The relay's data folder: given, told by the configuration, or the usual one."""
    from posthouse.send.settings import SettingError

    if given.get("data"):
        return Path(given["data"])
    path = given.get("config")
    if not path:
        return Path(DATA)
    try:
        table = server_table(load(words, path))
        data = table.place("data")
        if not data:
            raise table.wrong("missing", "data")
    except SettingError as error:
        raise setting_error(words, path, error) from None
    return Path(path).parent / data


def again(given: Mapping[str, Any]) -> str:
    """The options that said which relay, for the command that is advised next; each with a blank
    before it.
    """
    from shlex import quote

    names = [name for name in ("data", "config") if given.get(name)]
    return "".join(f" --{name} {quote(given[name])}" for name in names)


def server_table(document: Mapping[str, Any]) -> Table:
    """``[server]`` for who needs one of its keys; the others are not looked at.

    Raises SettingError.
    """
    from posthouse.send.settings import Table

    server = document.get("server", {})
    return Table(server, "server", server if isinstance(server, Mapping) else ())


def _wrong(words: Catalogue, error: ConfigError) -> click.ClickException:
    return click.ClickException(f"posthouse: {error.told(words)}")
