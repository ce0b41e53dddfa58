"""A time as people write it in a configuration: "30s", "1.5h", "5d".

Enters: a value of a TOML table and its path. Leaves: seconds. Called by the readers of this stage's
tables. Fails with ``SettingError``: the key, a stable reason, what would be right. A time always
has its unit: two programs never agree on what a bare number means.
"""

from __future__ import annotations

import re
from typing import Any, Final

_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_TIME: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*([smhd])", re.IGNORECASE)


class SettingError(ValueError):
    """A setting that can't be used. ``key`` is its path, ``reason`` a stable word.

    Reasons: ``time``, ``range`` (params ``least``, ``most``), ``order`` (``most`` below ``first``),
    ``unknown_key``, ``missing``, ``kind``, and those of a key file (``unreadable``, ``encrypted``,
    ``too_short``...).
    """

    def __init__(self, key: str, reason: str, **params: Any) -> None:
        told = "".join(f", {name} {value}" for name, value in params.items())
        super().__init__(f"{key}: {reason}{told}")
        self.key = key
        self.reason = reason
        self.params = params


def seconds(value: object, key: str, *, least: float, most: float) -> float:
    """The time ``value`` names. Raises SettingError ``time`` or ``range``."""
    found = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise SettingError(key, "time")
    time = float(found[1]) * _SECONDS[found[2].lower()]
    if not least <= time <= most:
        raise SettingError(key, "range", least=f"{least:.0f}s", most=f"{most:.0f}s")
    return time
