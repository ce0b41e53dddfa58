"""Terminals that can't show every character: GBK, GB 2312, Latin-1, ASCII.

Enters: nothing; importing it makes the error handler ``ERRORS`` known, for ``reconfigure``. Leaves:
a sign of ours as the nearest one that the encoding has, anything else as "?". Never a "?" for a
mark, which would say "could not be determined". Nothing can fail.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Final

ERRORS: Final = "posthouse-narrow"

# What stands for a sign, the nearest first; GB 2312 has the first ones, ASCII the last.
_STAND_INS: Final[Mapping[str, str]] = {
    "✓": "√+",
    "✗": "×x",
    "·": "-",
    "→": ">",
    "×": "x",
    "…": "~",
    "—": "-",
}


def _plainer(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wanted = error.object[error.start : error.end]
    return "".join(_nearest(sign, error.encoding) for sign in wanted), error.end


def _nearest(sign: str, encoding: str) -> str:
    candidates = (one for one in _STAND_INS.get(sign, "") if _has(encoding, one))
    return next(candidates, "?")


def _has(encoding: str, sign: str) -> bool:
    try:
        sign.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


codecs.register_error(ERRORS, _plainer)
