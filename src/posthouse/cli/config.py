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
    from posthouse.send.settings import SettingError

DATA: Final = "/var/lib/posthouse"  # where the relay keeps its things unless told otherwise
LIMIT: Final = 1_048_576  # octets of a configuration that are read; real ones have some thousand


def load(words: Catalogue, path: str) -> Mapping[str, Any]:
    """The document in this file."""
    import tomllib

    try:
        with open(path, "rb") as file:
            content = file.read(LIMIT + 1)
    except OSError:
        raise click.ClickException(words.text("settings.error.file", path=path)) from None
    if len(content) > LIMIT:
        raise _wrong(words, path, words.text("settings.error.too_long"))
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _wrong(words, path, words.text("settings.error.syntax", why=str(error))) from None


def setting_error(words: Catalogue, path: str, error: SettingError) -> click.ClickException:
    """A mistake in the file, in words."""
    return _wrong(words, path, error.told(words))


def data_folder(words: Catalogue, given: Mapping[str, Any]) -> Path:
    """The relay's data folder: given, told by the configuration, or the usual one."""
    from posthouse.send.settings import SettingError

    if given.get("data"):
        return Path(given["data"])
    if not given.get("config"):
        return Path(DATA)
    server = load(words, given["config"]).get("server", {})
    data = server.get("data", DATA) if isinstance(server, Mapping) else None
    if not isinstance(data, str) or not data:
        error = SettingError("kind", "server.data", data, wanted="text")
        raise setting_error(words, given["config"], error)
    return Path(given["config"]).parent / data  # as the relay itself reads it


def _wrong(words: Catalogue, path: str, text: str) -> click.ClickException:
    return click.ClickException(f"posthouse: {path}: {text}")
