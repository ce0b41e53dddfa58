"""The answer for programs: JSON on stdout. Light, for commands that start quickly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click


def print_json(answer: Mapping[str, Any]) -> None:
    """Print one object, ``"schema": 1`` first."""
    click.echo(json.dumps({"schema": 1, **answer}, ensure_ascii=False, indent=2))


def json_line(answer: Mapping[str, Any]) -> str:
    """One object of many, without its LF: a line each, ``"schema": 1`` first."""
    return json.dumps({"schema": 1, **answer}, ensure_ascii=False)
