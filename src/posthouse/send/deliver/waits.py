"""How long a server asks us to wait, in its own words.

Enters: the text of a reply that says no for now, in any language. Leaves: seconds within bounds, or
None where it does not say. Called by ``outcome`` for what is deferred. Nothing raises; the time is
linear in a text that is cut at ``TEXT_LIMIT``.

A number and a unit alone mean nothing ("100 messages per 60 minutes"): a word that says "in",
"after", "for" must stand before them, or one that says "later" behind, and the text must speak of
coming back, waiting or greylisting.
"""

from __future__ import annotations

import re
from typing import Final

TEXT_LIMIT: Final = 1_000  # characters of a reply that are looked at
LEAST: Final = 5.0  # seconds: "try again in 0 seconds" is no reason to come back at once
MOST: Final = 86_400.0  # seconds: what is longer is a rule of theirs, not a time to come back

_SECOND: Final = (
    r"s(?:ec(?:ond(?:e|i|o)?s?)?)?|secs|sek(?:und(?:en?|y|er)?)?|segundos?|secondi|seconden|sekund"
    r"|секунд\w{0,2}|сек|saniye|秒钟?|秒鐘?|초"
)
_MINUTE: Final = (
    r"m(?:in(?:ut(?:e[ns]?|i|os?|er|y)?)?)?|mins|minut|хв|мин(?:ут\w{0,2})?|dakika|分钟|分鐘|分|분"
)
_HOUR: Final = (
    r"h(?:ours?|rs?|eures?)?|std|stunden?|horas?|or[ae]|uur|uren|godzin\w{0,2}|час\w{0,2}|saat"
    r"|小时|小時|个小时|時間|시간"
)
_UNITS: Final = ((re.compile(_SECOND), 1), (re.compile(_MINUTE), 60), (re.compile(_HOUR), 3_600))
_AMOUNT: Final = rf"(\d{{1,5}})\s*-?\s*({_SECOND}|{_MINUTE}|{_HOUR})(?![a-zа-я])"
_BEFORE: Final = (
    r"(?<!\w)(?:in|after|for|at least|about|wait|next|dans|après|pendant|nach|für|en|después de|"
    r"dentro de|durante|em|após|por|tra|fra|dopo|per|over|na|za|om|через|después)"
)
# "in 300 seconds", "for another 5 minutes", "dans environ 5 minutes"
_TIMED: Final = re.compile(
    rf"{_BEFORE}\s+(?:another\s+|approximately\s+|about\s+|environ\s+|etwa\s+|ca\.?\s*)?{_AMOUNT}"
)
# "请在5分钟后重试", "5分後に", "5 dakika sonra", "5분 후"
_LATER: Final = re.compile(
    rf"{_AMOUNT}\s*(?:后|後|之后|之後|以后|以後|再|sonra|후|이후|later|後に)"
)
_CLOCK: Final = re.compile(r"(?<![\d:.])(\d{1,2}):([0-5]\d):([0-5]\d)(?![\d:.])")
# "retry-after: 300", "retry=300", "delay_seconds=300"
_NAMED: Final = re.compile(r"(?:retry[ -_]?(?:after|in)|delay)[ ]?[:=][ ]?(\d{1,5})(?![\d.])")
_COME_BACK: Final = re.compile(
    r"again|retr(?:y|ies)|come back|grey|gray|later|wait|delay|defer|see you|versuch|warten|später"
    r"|réessay|patient|tard|intent|reint|attend|tente|riprov|prova|probe?er|opnieuw|spróbuj|försök"
    r"|повтор|попроб|позже|tekrar|重试|重試|再试|再試|稍后|稍後|重新|灰名单|灰名單|お待ち|しばらく|다시|재시도"
)
# A rate ("100 in 60 minutes", "within the last 5 minutes") tells no time to come back.
_RATE: Final = re.compile(r"(?:\d+ (?:\w+ ){0,2}|last |past |every |each |within )$")


def read_wait(text: str) -> float | None:
    """Seconds from now, 5 to 86,400; None where the text names no time to come back."""
    low = text[:TEXT_LIMIT].lower()
    if not _COME_BACK.search(low) or not any(char.isdigit() for char in low):
        return None
    named = _NAMED.search(low)
    if named:
        return _bounded(int(named[1]))
    for pattern in (_TIMED, _LATER):
        for found in pattern.finditer(low):
            if not _RATE.search(low, max(0, found.start() - 40), found.start()):
                return _bounded(int(found[1]) * _unit(found[2]))
    clock = _CLOCK.search(low)
    if clock and re.search("grey|gray|back|in ", low[: clock.start()]):
        return _bounded(int(clock[1]) * 3_600 + int(clock[2]) * 60 + int(clock[3]))
    return None


def _unit(word: str) -> int:
    return next((size for pattern, size in _UNITS if pattern.fullmatch(word)), 60)


def _bounded(time: int) -> float:
    return min(max(float(time), LEAST), MOST)
