"""The policy file: which servers take the domain's mail, and what if TLS fails. RFC 8461 3.2.

Enters: the octets of the file. Leaves: ``Policy``. Fails with PolicyError alone. A policy that
can't be read is no policy: senders go on as if there was none (section 3.3).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from posthouse.protocol.host import HostError, to_ascii

VERSION: Final = "STSv1"
MAX_AGE: Final = 31_557_600  # seconds, one year: section 3.2
BODY_LIMIT: Final = 64 * 1024  # octets; section 3.3 names this size
MX_LIMIT: Final = 500  # patterns; the largest providers have some ten
EXTENSIONS_LIMIT: Final = 100  # no field beside the four is known yet

_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}", re.ASCII)
_SECONDS: Final = re.compile(r"[0-9]{1,10}", re.ASCII)
_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f]")


class Mode(StrEnum):
    """What a sender does where the policy is not kept."""

    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"


class PolicyError(Exception):
    """Octets that are no policy. ``reason`` is a stable id, ``line`` counts from 1.

    Reasons: ``too_big``, ``not_utf8``, ``empty``, ``no_colon``, ``bad_key``, ``bad_value``,
    ``version``, ``mode``, ``bad_mx``, ``too_many``, ``max_age``, ``max_age_range``, ``no_version``,
    ``no_mode``, ``no_mx``, ``no_max_age``.
    """

    def __init__(self, reason: str, line: int = 0, detail: str = "") -> None:
        shown = "".join(char if char.isprintable() else "?" for char in detail[:80])
        super().__init__(f"{reason} in line {line}: {shown}" if shown else f"{reason} ({line})")
        self.reason = reason
        self.line = line
        self.detail = shown


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy. ``mx`` are patterns in lower case; ``repeated`` are keys whose later lines are
    passed over."""

    mode: Mode
    mx: tuple[str, ...]
    max_age: int
    extensions: tuple[tuple[str, str], ...] = ()
    repeated: tuple[str, ...] = ()

    def covers(self, host: str) -> bool:
        """Whether any pattern fits the name of a mail server."""
        return any(matches(pattern, host) for pattern in self.mx)


def matches(pattern: str, host: str) -> bool:
    """Section 4.1: a leading "*." stands for exactly one label, anything else for itself."""
    name = host.lower().removesuffix(".")
    wanted = pattern.lower()
    if not wanted.startswith("*."):
        return name == wanted
    first, dot, rest = name.partition(".")
    return bool(first and dot) and rest == wanted[2:]


def parse(body: bytes) -> Policy:
    """The policy in ``body``. Raises PolicyError."""
    if len(body) > BODY_LIMIT:
        raise PolicyError("too_big")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PolicyError("not_utf8", body.count(b"\n", 0, error.start) + 1) from None
    reader = _Reader()
    for number, line in enumerate(text.split("\n"), 1):
        content = line.removesuffix("\r").rstrip(" \t")
        if content:  # the grammar knows no empty lines; many files end in several
            reader.line(content, number)
    return reader.policy()


class _Reader:
    """The owner of what was read so far."""

    def __init__(self) -> None:
        self._single: dict[str, str | int] = {}
        self._mx: list[str] = []
        self._extensions: list[tuple[str, str]] = []
        self._repeated: list[str] = []
        self._any = False

    def line(self, text: str, number: int) -> None:
        key, colon, rest = text.partition(":")
        if not colon:
            raise PolicyError("no_colon", number, text)
        if not _KEY.fullmatch(key):
            raise PolicyError("bad_key", number, key)
        value = rest.lstrip(" \t")
        if not value or _FORBIDDEN.search(value):
            raise PolicyError("bad_value", number, text)
        self._any = True
        self._field(key, value, number)

    def _field(self, key: str, value: str, number: int) -> None:
        if key == "mx":
            self._add_mx(value, number)
        elif key in self._single:  # section 3.2: all but the first are passed over
            self._repeated.append(key)
        elif key in _SINGLE:
            self._single[key] = _SINGLE[key](value, number)
        elif len(self._extensions) < EXTENSIONS_LIMIT:  # unknown fields are passed over
            self._extensions.append((key, value))

    def _add_mx(self, value: str, number: int) -> None:
        if len(self._mx) >= MX_LIMIT:
            raise PolicyError("too_many", number)
        name = value.removeprefix("*.")
        try:
            if not name.isascii() or name.endswith(".") or to_ascii(name) != name.lower():
                raise PolicyError("bad_mx", number, value)  # U-labels are not allowed
        except HostError:
            raise PolicyError("bad_mx", number, value) from None
        self._mx.append(value.lower())

    def policy(self) -> Policy:
        if not self._any:
            raise PolicyError("empty")
        for key in _SINGLE:
            if key not in self._single:
                raise PolicyError(f"no_{key}")
        mode = Mode(str(self._single["mode"]))
        if not self._mx and mode is not Mode.NONE:
            raise PolicyError("no_mx")
        return Policy(
            mode,
            tuple(self._mx),
            int(self._single["max_age"]),
            tuple(self._extensions),
            tuple(dict.fromkeys(self._repeated)),
        )


def _version(value: str, line: int) -> str:
    if value != VERSION:
        raise PolicyError("version", line, value)
    return value


def _mode(value: str, line: int) -> str:
    if value not in tuple(Mode):
        raise PolicyError("mode", line, value)
    return value


def _max_age(value: str, line: int) -> int:
    if not _SECONDS.fullmatch(value):
        raise PolicyError("max_age", line, value)
    if int(value) > MAX_AGE:
        raise PolicyError("max_age_range", line, value)
    return int(value)


_SINGLE: Final[Mapping[str, Callable[[str, int], str | int]]] = {
    "version": _version,
    "mode": _mode,
    "max_age": _max_age,
}
