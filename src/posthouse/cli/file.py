"""Files that the user names, read whole."""

from __future__ import annotations

from typing import Final

import click

from posthouse.explain import Catalogue

LIMIT: Final = 268_435_456  # octets of a file that are read: more is no mail


def read(words: Catalogue, path: str) -> bytes:
    """A file, or standard input for "-". Raises click's error in the user's language."""
    try:
        with click.open_file(path, "rb") as file:
            return bytes(file.read(LIMIT))
    except OSError:
        raise click.ClickException(words.text("cli.error.read_file", path=path)) from None
