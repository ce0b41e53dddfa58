"""The rules of a public suffix list, and the longest one that fits a name.

Enters: a list's text; a name. Leaves: ``PublicSuffixList``, immutable once read. Called through
the package. Nothing fails.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

MAX_NAME: Final = 1_000  # characters: names in their own script may be longer than 253
_COMMENT: Final = "//"


class PublicSuffixList:
    """A list that has been read. ``private``: with the suffixes that are no registry's (github.io).

    RFC 7489 section 3.2 does not say which part to use; receivers use all of it.
    """

    __slots__ = ("_exceptions", "_rules", "_wildcards")

    def __init__(self, text: str, *, private: bool = True) -> None:
        self._rules: set[str] = set()
        self._wildcards: set[str] = set()  # "ck" for the rule "*.ck"
        self._exceptions: set[str] = set()
        for line in text.splitlines():
            if "===BEGIN PRIVATE DOMAINS===" in line and not private:
                break
            rule = line.split(None, 1)[0] if line.strip() else ""
            if rule and not rule.startswith(_COMMENT):
                self._add(rule)

    def __len__(self) -> int:
        return len(self._rules) + len(self._wildcards) + len(self._exceptions)

    def _add(self, rule: str) -> None:
        if rule.startswith("!"):
            if "." in rule:  # else it would leave no suffix at all
                self._exceptions.add(a_labels(rule[1:]))
        elif rule.startswith("*."):
            self._wildcards.add(a_labels(rule[2:]))
        else:
            self._rules.add(a_labels(rule))

    def suffix(self, name: str) -> str | None:
        """The public suffix of a name ("co.uk"); None where it is no name."""
        labels = _labels(name)
        return ".".join(labels[-self._length(labels) :]) if labels else None

    def organizational(self, name: str) -> str | None:
        """The suffix and one label more ("example.co.uk"); None for a suffix itself."""
        labels = _labels(name)
        length = self._length(labels) + 1
        return ".".join(labels[-length:]) if len(labels) >= length else None

    def is_suffix(self, name: str) -> bool:
        """Whether the name is a public suffix itself."""
        return (labels := _labels(name)) != [] and self._length(labels) == len(labels)

    def _length(self, labels: list[str]) -> int:
        """Labels of the suffix: of the exception that fits less one, else of the longest rule."""
        for start in range(len(labels)):  # from the longest to the shortest
            candidate = ".".join(labels[start:])
            if candidate in self._exceptions:
                return len(labels) - start - 1
            if candidate in self._rules:
                return len(labels) - start
            parent = ".".join(labels[start + 1 :])
            if parent in self._wildcards:
                return len(labels) - start
        return 1  # "If no rules match, the prevailing rule is '*'"


def _labels(name: str) -> list[str]:
    labels = a_labels(name.removesuffix(".")).split(".") if len(name) <= MAX_NAME else [""]
    return [] if "" in labels else labels


def a_labels(name: str) -> str:
    """A name in lower case and A-labels; letter by letter, as the list is normalised already."""
    name = name.lower()
    if name.isascii():
        return name
    return ".".join(_a_label(label) for label in name.split("."))


def _a_label(label: str) -> str:
    if label.isascii():
        return label
    try:
        return "xn--" + label.encode("punycode").decode("ascii")
    except UnicodeError:  # lone surrogates
        return label.encode("ascii", "replace").decode("ascii")


@cache
def default_list() -> PublicSuffixList:
    """The list that is installed with us. Read once: some 20 ms."""
    file = resources.files("publicsuffixlist").joinpath("public_suffix_list.dat")
    return PublicSuffixList(file.read_text("utf-8"))
