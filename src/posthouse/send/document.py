"""The relay's configuration file as it stands: read within a cap, its settings not looked at.

Enters: a path. Leaves: the document. Called by ``config`` for the relay, by the commands that want
one or two of its settings and must start quickly, and by ``doctor``. Fails with ``ConfigError``
alone.
"""

from __future__ import annotations

import errno
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from posthouse.explain import Catalogue
from posthouse.send.settings import SettingError
from posthouse.send.whereabouts import line_of, misread

LIMIT: Final = 1_000_000  # octets; hundreds of rules have some 50,000


class ConfigError(Exception):
    """It can't be used. ``reason`` and ``params`` are for the catalogue (``serve.error``)."""

    def __init__(self, reason: str, **params: Any) -> None:
        super().__init__(" ".join([reason, *(f"{k}={v}" for k, v in params.items())]))
        self.reason = reason
        self.params = params

    @property
    def problem(self) -> str:
        """What is wrong, for programs: a setting's own reason where it is one."""
        error = self.params.get("error")
        return error.reason if isinstance(error, SettingError) else self.reason

    @property
    def key(self) -> str:
        """The path of the setting; "" where it is the file."""
        error = self.params.get("error")
        return error.key if isinstance(error, SettingError) else ""

    def told(self, words: Catalogue) -> str:
        """What is wrong, in words."""
        problem = self.params.get("error")
        if isinstance(problem, SettingError):
            params = {**self.params, "problem": problem.told(words)}
            return words.text("serve.error.setting", **params)
        params = dict(self.params)
        why = f"serve.why.{params.get('why')}"  # the system says it in English
        if words.has(why):
            params["error"] = words.text(why)
        if params.get("hint"):
            params["hint"] = words.text(f"serve.hint.{params['hint']}")
        return words.text(f"serve.error.{self.reason}", **params)


def mistake(path: Path, error: SettingError) -> ConfigError:
    """A setting of this file that can't be used, and its line."""
    with suppress(OSError, ValueError):
        text = path.read_bytes()[:LIMIT].decode("utf-8-sig")
        return ConfigError("setting", path=str(path), line=line_of(text, error.key), error=error)
    return ConfigError("setting", path=str(path), error=error)


def load(path: Path) -> Mapping[str, Any]:
    """The document in this file. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            raw = file.read(LIMIT + 1)
    except OSError as error:
        said, why = error.strerror or str(error), errno.errorcode.get(error.errno or 0, "")
        raise ConfigError("file", path=str(path), error=said, why=why) from None
    if len(raw) > LIMIT:
        raise ConfigError("too_large", path=str(path))
    try:
        text = raw.decode("utf-8-sig")  # editors of Windows put a mark in front
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError("not_utf8", path=str(path), line=line) from None
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # tomllib's own, and a number of 5,000 digits
        number, hint = misread(text, str(error))
        raise ConfigError(
            "toml", path=str(path), line=number, error=str(error), hint=hint
        ) from None
