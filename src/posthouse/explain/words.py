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
    words: list[str]  # in their order, those of scripts that part them
    wide: list[str]  # CJK characters and pairs of such, each once

    @property
    def keys(self) -> list[str]:
        """All that a term may be filed under: words, their first letters, pairs; CJK."""
        stems = [word[:KEY_LENGTH] for word in self.words if len(word) > KEY_LENGTH]
        return [*self.words, *stems, *map(" ".join, pairwise(self.words)), *self.wide]


def split(text: str) -> Words:
    """Bring any text to the common form."""
    if not text.isascii():
        return _split_wide(text.lower())
    found = text.translate(_ASCII).split()
    return Words(f" {' '.join(found)} ", found, [])


def _split_wide(lower: str) -> Words:
    # NFKD takes accents off letters (é -> e + mark) and makes full-width forms plain; it also
    # takes Hangul syllables and voiced kana apart, so those are put together again by NFC.
    # NFKD makes capitals of small signs, too ("㏑" and its kin), hence lower once more.
    plain = unicodedata.normalize("NFKD", lower.translate(_PLAIN)).lower()
    folded = unicodedata.normalize("NFC", _MARK.sub("", plain))
    runs = re.findall(_ANY, folded)
    latin = [run for run in runs if not is_cjk(run[0])]
    spaced = f" {' '.join(latin)} "
    if len(latin) == len(runs):
        return Words(spaced, latin, [])
    tight = "".join(runs)
    return Words(f"{spaced}\n{tight}", latin, _wide(tight))


def _wide(tight: str) -> list[str]:
    """What a CJK term may be filed under (``rules.search_form``)."""
    return [*dict.fromkeys((*tight, *map("".join, pairwise(tight))))]


def is_cjk(char: str) -> bool:
    """Kana, Han or Hangul: scripts whose words need no spaces."""
    return (
        "\u3040" <= char <= "\u30ff" or "\u3400" <= char <= "\u9fff" or "\uac00" <= char <= "\ud7af"
    )
