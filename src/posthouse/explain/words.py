"""The common form in which lines and rule terms are compared.

Enters: decoded text. Leaves: ``Words``: lower case, accents and punctuation gone, single spaces,
and the Chinese, Japanese and Korean characters apart, since those scripts have no word breaks.
Called by ``reading`` for every line and by ``rules`` for every term, so that both sides agree.
Nothing can fail.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import Final, NamedTuple

KEY_LENGTH: Final = 4  # letters of a word that look it up: enough to part, few enough to stem
MANY_WORDS: Final = 150  # of one line: more than any reply has, so repeats are looked for

# ASCII at one go: capitals become small, all that is no letter or digit a blank.
_ASCII: Final = {code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)}
_CJK: Final = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_ANY: Final = f"[{_CJK}]+|[^\\W_{_CJK}]+"  # compiled when first needed: that takes 4 ms
# Letters that NFKD leaves whole, as people type them where their keyboard has none.
_PLAIN: Final = str.maketrans(
    {"ł": "l", "ı": "i", "ø": "o", "đ": "d", "ß": "ss", "æ": "ae", "œ": "oe"}
)
_MARK: Final = re.compile(r"[\u0300-\u036f]")


class Words(NamedTuple):
    """One line, ready to be searched."""

    # " user unknown ": a term of whole words is found as " term ". Where the line has CJK
    # characters, everything follows once more without spaces: "smtp服务未开启".
    text: str
    keys: list[str]  # words, their first letters, pairs of words; CJK characters and pairs


def split(text: str) -> Words:
    """Bring any text to the common form."""
    if not text.isascii():
        return _split_wide(text.lower())
    found = text.translate(_ASCII).split()
    return Words(f" {' '.join(found)} ", _keys(found))


def _keys(found: list[str]) -> list[str]:
    # A list with what occurs twice in it costs less than a set without; not so where somebody
    # says one word 800 times, and it is searched for 800 times.
    if len(found) > MANY_WORDS:
        return [*dict.fromkeys(_with_repeats(found))]
    return _with_repeats(found)


def _with_repeats(found: list[str]) -> list[str]:
    stems = [word[:KEY_LENGTH] for word in found if len(word) > KEY_LENGTH]
    return [*found, *stems, *map(" ".join, pairwise(found))]


def _split_wide(lower: str) -> Words:
    # NFKD takes accents off letters (é -> e + mark) and makes full-width forms plain; it also
    # takes Hangul syllables and voiced kana apart, so those are put together again by NFC.
    # NFKD makes capitals of small signs, too ("㏑" and its kin), hence lower once more.
    plain = unicodedata.normalize("NFKD", lower.translate(_PLAIN)).lower()
    folded = unicodedata.normalize("NFC", _MARK.sub("", plain))
    runs = re.findall(_ANY, folded)
    latin = [run for run in runs if not is_cjk(run[0])]
    spaced = f" {' '.join(latin)} "
    keys = _keys(latin)
    if len(latin) == len(runs):
        return Words(spaced, keys)
    tight = "".join(runs)
    keys += dict.fromkeys((*tight, *map("".join, pairwise(tight))))
    return Words(f"{spaced}\n{tight}", keys)


def is_cjk(char: str) -> bool:
    """Kana, Han or Hangul: scripts whose words need no spaces."""
    return (
        "\u3040" <= char <= "\u30ff" or "\u3400" <= char <= "\u9fff" or "\uac00" <= char <= "\ud7af"
    )
