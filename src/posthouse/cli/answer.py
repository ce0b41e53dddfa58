"""The answer for programs: JSON on stdout. Light, for commands that start quickly.

JSON is UTF-8 whatever the terminal speaks (RFC 8259 section 8.1): where it speaks something else
(GB18030, GBK, Latin-1), what is beyond ASCII is written as escapes, so that nothing is lost.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import click


def print_json(answer: Mapping[str, Any]) -> None:
    """Print one object, ``"schema": 1`` first."""
    click.echo(json.dumps({"schema": 1, **answer}, ensure_ascii=escapes(), indent=2))


def json_line(answer: Mapping[str, Any]) -> str:
    """One object of many, without its LF: a line each, ``"schema": 1`` first."""
    return json.dumps({"schema": 1, **answer}, ensure_ascii=escapes())


def escapes() -> bool:
    """Whether stdout can't take UTF-8 as it is."""
    name = getattr(sys.stdout, "encoding", None) or "utf-8"
    return name.lower().replace("-", "").replace("_", "") != "utf8"
