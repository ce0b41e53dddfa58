"""Which language to speak, decided before anything else is built (help texts need it too).

Enters: the arguments and the environment. Leaves: "en" or "zh". Cannot fail: a wrong ``--lang``
is reported later, by the option itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

LANGUAGES: Final = ("en", "zh")


def detect(argv: Sequence[str], environ: Mapping[str, str]) -> str:
    """``--lang`` wins, then the locale in the order POSIX gives (LC_ALL, LC_MESSAGES, LANG)."""
    asked = _option(argv)
    if asked in LANGUAGES:
        return asked
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = environ.get(name, "")
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def _option(argv: Sequence[str]) -> str:
    for index, argument in enumerate(argv):
        if argument == "--":
            break
        if argument == "--lang" and index + 1 < len(argv):
            return argv[index + 1]
        if argument.startswith("--lang="):
            return argument.removeprefix("--lang=")
    return ""
