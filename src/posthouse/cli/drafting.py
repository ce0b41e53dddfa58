"""The one message of ``send``: a file, standard input, or a few words with files attached.

Enters: the arguments. Leaves: a ``Draft``. Called by ``cli.send``. Fails with click's errors.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from posthouse.explain import Catalogue
from posthouse.send import client


def one(words: Catalogue, message: str | None, given: Mapping[str, Any]) -> client.Draft:
    """The one message: a file, standard input, or a few words."""
    if message is None:
        text = given.get("text") or ""
        fields = {
            "from": given["sender"].strip(),
            "to": list(given["to"]),
            "subject": given.get("subject") or "",
            "text": _text(words) if text == "-" else text,
            "attachments": [_attached(words, path) for path in given["attach"]],
        }
        fields["id"] = f"{time.time_ns()} {os.getpid()}"  # typed twice is meant twice
        data = json.dumps(fields).encode("utf-8", "surrogateescape")
        return client.Draft(fields["subject"] or "-", data, client.Kind.JSON)
    try:
        if message == "-":
            return client.one_message(sys.stdin.buffer, "-")
        with Path(message).open("rb") as stream:
            return client.one_message(stream, os.path.basename(message))
    except client.SourceError as error:
        raise click.UsageError(words.text(f"send.source.{error.reason}", path=message)) from None
    except OSError:
        raise click.ClickException(words.text("cli.error.read_file", path=message)) from None


def _attached(words: Catalogue, path: str) -> dict[str, str]:
    """A file to go with the text, under its own name."""
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(client.MESSAGE_LIMIT + 1)
    except OSError:
        raise click.ClickException(words.text("cli.error.read_file", path=path)) from None
    if len(data) > client.MESSAGE_LIMIT:
        raise click.UsageError(words.text("send.problem.too_long"))
    return {"name": os.path.basename(path), "content": base64.b64encode(data).decode()}


def _text(words: Catalogue) -> str:
    """Standard input, whatever the locale says."""
    data = sys.stdin.buffer.read(client.MESSAGE_LIMIT + 1)
    if len(data) > client.MESSAGE_LIMIT:
        raise click.UsageError(words.text("send.problem.too_long"))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise click.UsageError(words.text("send.error.text_form")) from None
