"""Times and sizes as people write them in a configuration: "30s", "4h", "10M".

Enters: a value of a TOML table. Leaves: seconds, octets. Called by every reader of settings. Fails
with ValueError alone. A time always has its unit: whether a bare 30 is seconds or minutes is what
two programs never agree on. A size may be a bare number of octets.
"""

from __future__ import annotations

import re
from typing import Final

_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
# As Postfix and most others count in mail: 1024, whatever the letter.
_OCTETS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}

# Enough digits for any honest value, few enough that nothing overflows.
_TIME: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*([smhd])", re.IGNORECASE)
_SIZE: Final = re.compile(r"([0-9]{1,13})\s*([KMG]?)B?", re.IGNORECASE)
MOST_OCTETS: Final = 1 << 40  # a TiB: no message is larger


def seconds(value: object) -> float:
    """ "30s", "1.5h", "5d" in seconds. Raises ValueError."""
    found = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("not a time")
    return float(found[1]) * _SECONDS[found[2].lower()]


def octets(value: object) -> int:
    """ "10M", "512K", "52428800" or 52428800 in octets. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("not a size")
    found = _SIZE.fullmatch(str(value).strip())
    size = int(found[1]) * _OCTETS[found[2].upper()] if found else -1
    if not 0 <= size <= MOST_OCTETS:
        raise ValueError("not a size")
    return size


def time_text(value: float) -> str:
    """Seconds in the largest unit that leaves no fraction: 5400.0 is "90m"."""
    for unit in "dhm":
        if value and value % _SECONDS[unit] == 0:
            return f"{value / _SECONDS[unit]:.0f}{unit}"
    return f"{value:.3f}".rstrip("0").rstrip(".") + "s"


def size_text(value: int) -> str:
    """Octets in the largest unit that leaves no fraction: 10485760 is "10M"."""
    for unit in "GMK":
        if value and value % _OCTETS[unit] == 0:
            return f"{value // _OCTETS[unit]}{unit}"
    return str(value)
