"""The rules that map a line to a cause, read from ``rules/*.toml``.

A rule is one line of data: ``name = "WEIGHT condition... : group & group ! never"``. A group is a
list of terms parted by "|", any one of which must occur; all groups must; none after "!" may.
A term is whole words ("over quota"), may end in "*" (reject* = rejected), or is "@name", a list
of ``terms.toml``. Conditions: ``code=535``, ``code=5.4.1`` (or ``4``, ``55``:
a beginning; ``-``: none at all), ``stage=auth``, ``provider=qq`` (a beginning, too);
``variant=tenant`` names the kind of the cause that the rule shows.

Enters: the TOML texts. Leaves: one ``Index``, made once and used for every line by ``engine``.
A rule that cannot be read raises ``RuleError`` with its name: a fault of ours that a test finds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

from posthouse.explain import words
from posthouse.explain.words import KEY_LENGTH

CONDITIONS: Final = frozenset({"code", "stage", "provider", "variant"})


class RuleError(ValueError):
    """A rule or term list that says nothing sensible."""


class Rule(NamedTuple):
    """One way to know a cause. ``need`` and ``veto`` are sets of groups, one bit a group."""

    name: str  # "rcpt.unknown/phrases"
    cause: str
    weight: float  # 3 a hint, 6 likely, 9 clear, 12 and more unmistakable
    need: int
    veto: int
    code: str | None  # " 535": found at the beginning of a code in " 535 5.7.8"
    stage: str | None
    provider: str | None
    variant: str | None


# A term as it is searched for (" over quota "), its groups (one bit each: sets of small numbers are
# fastest as one integer), and the rules, by number, that one of these groups may set off.
Term = tuple[str, int, tuple[int, ...]]


@dataclass(slots=True)
class Index:
    """Everything needed to judge a line, filled once and then only read (and unfolded)."""

    rules: list[Rule]
    # By a key of ``words.split``: the terms filed there, folded into one text (``fold``). Texts
    # load fast and cost the garbage collector nothing; ``unfold`` opens a key when first met.
    terms: dict[str, str]
    signs: list[tuple[int, str, str]]  # (group, "stage", "rcpt"), the first that holds counts
    # "535", "554 mail", "5 tls", "x.7.8", "5.7.515", and "4" or "5" for any -> (cause, weight)...
    codes: dict[str, list[tuple[str, float]]]
    all_signs: int = 0
    unfolded: dict[str, tuple[Term, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.all_signs = sum({group for group, _, _ in self.signs})

    def unfold(self, key: str) -> tuple[Term, ...]:
        """The terms filed under a key that is in ``terms``."""
        lines = [line.split("\t") for line in self.terms[key].split("\n")]
        found = tuple(
            (form, _bits(map(int, groups.split())), tuple(map(int, rules.split())))
            for form, groups, rules in lines
        )
        self.unfolded[key] = found
        return found


def fold(terms: Iterable[tuple[str, Iterable[int], Iterable[int]]]) -> str:
    """Terms as one text: a line each, the form, the numbers of its groups, those of its rules."""
    return "\n".join(
        f"{form}\t{' '.join(map(str, groups))}\t{' '.join(map(str, rules))}"
        for form, groups, rules in terms
    )


class _Groups:
    """Numbers for groups of terms; equal groups share a number."""

    def __init__(self, concepts: Mapping[str, frozenset[str]]) -> None:
        self.concepts = concepts
        self.members: list[frozenset[str]] = []
        self._number: dict[frozenset[str], int] = {}

    def number(self, alternatives: str, where: str) -> int:
        members = self._members(alternatives, where)
        if members not in self._number:
            self._number[members] = len(self.members)
            self.members.append(members)
        return self._number[members]

    def _members(self, alternatives: str, where: str) -> frozenset[str]:
        members: set[str] = set()
        for item in alternatives.split("|"):
            term = item.strip()
            if term.startswith("@"):
                try:
                    members |= self.concepts[term[1:]]
                except KeyError:
                    raise RuleError(f"{where}: no term list {term}") from None
            else:
                members.add(term)
        if "" in members:
            raise RuleError(f"{where}: an empty term")
        return frozenset(members)


def build(
    terms: Mapping[str, str],
    signs: Mapping[str, Mapping[str, str]],
    causes: Mapping[str, Mapping[str, str]],
    codes: Mapping[str, Mapping[str, str]],
) -> Index:
    """Make the index of ``terms.toml``, ``signs.toml``, ``codes.toml`` and every cause's rules."""
    concepts = {name: frozenset(_split_terms(text)) for name, text in terms.items()}
    groups = _Groups(concepts)
    rules = [
        parse_rule(f"{cause}/{name}", text, groups.number)
        for cause, named in causes.items()
        for name, text in named.items()
    ]
    numbered_signs = [
        (1 << groups.number(text, f"{kind} {name}"), kind, name)
        for kind, named in signs.items()
        for name, text in named.items()
    ]
    return Index(
        rules=rules,
        terms=_file_terms(groups.members, _anchors(rules, groups.members)),
        signs=numbered_signs,
        codes={c: _weights(c, text) for table in codes.values() for c, text in table.items()},
    )


def _anchors(rules: list[Rule], members: list[frozenset[str]]) -> dict[int, list[int]]:
    """Of each rule, the group with the fewest terms: only where that occurs is the rule tried."""
    anchors: dict[int, list[int]] = {}
    for number, rule in enumerate(rules):
        needed = [group for group in range(len(members)) if rule.need >> group & 1]
        rarest = min(needed, key=lambda group: (len(members[group]), group))
        anchors.setdefault(rarest, []).append(number)
    return anchors


def _weights(code: str, text: str) -> list[tuple[str, float]]:
    try:
        pairs = [item.split() for item in text.split(",")]
        return [(cause, float(weight)) for cause, weight in pairs]
    except ValueError:
        raise RuleError(f"code {code}: {text!r}") from None


def parse_rule(name: str, text: str, number: Callable[[str, str], int]) -> Rule:
    """Read one rule; ``number(alternatives, where)`` gives the number of a group."""
    head, colon, body = text.partition(" : ")
    weight, *conditions = head.split()
    if not colon or not body.strip():
        raise RuleError(f"{name}: no terms")
    wanted, _, never = body.partition(" ! ")
    given = dict(item.partition("=")[::2] for item in conditions)
    if not given.keys() <= CONDITIONS:
        raise RuleError(f"{name}: unknown condition in {head!r}")
    try:
        value = float(weight)
    except ValueError:
        raise RuleError(f"{name}: no weight in {head!r}") from None
    return Rule(
        name=name,
        cause=name.partition("/")[0],
        weight=value,
        need=_bits(number(group, name) for group in wanted.split(" & ")),
        veto=_bits([number(never, name)] if never else []),
        code=f" {given['code']}" if "code" in given else None,
        stage=given.get("stage"),
        provider=given.get("provider"),
        variant=given.get("variant"),
    )


def _bits(numbers: Iterable[int]) -> int:
    return sum(1 << number for number in set(numbers))


def _split_terms(text: str) -> Iterator[str]:
    for line in text.splitlines():
        for item in line.split("|"):
            if term := item.strip():
                yield term


def _file_terms(members: list[frozenset[str]], anchors: Mapping[int, list[int]]) -> dict[str, str]:
    forms: dict[str, tuple[tuple[str, ...], set[int]]] = {}
    for number, terms in enumerate(members):
        for term in terms:
            form, keys = search_form(term)
            forms.setdefault(form, (keys, set()))[1].add(number)
    # A term is filed once, under its key that the fewest terms share: that one is looked up least.
    shared = Counter(key for keys, _ in forms.values() for key in keys)
    filed: dict[str, list[tuple[str, Iterable[int], Iterable[int]]]] = {}
    for form, (keys, numbers) in sorted(forms.items()):
        key = min(keys, key=lambda k: (shared[k], k))
        started = sorted({rule for group in numbers for rule in anchors.get(group, ())})
        filed.setdefault(key, []).append((form, sorted(numbers), started))
    return {key: fold(terms) for key, terms in sorted(filed.items())}


def search_form(term: str) -> tuple[str, tuple[str, ...]]:
    """The text to look for, and the keys it could be filed under."""
    common = words.split(term)
    if "*" in term[:-1]:
        raise RuleError(f"{term!r}: a * inside")
    if "\n" in common.text:
        tight = common.text.partition("\n")[2]
        return tight, _cjk_keys(tight)
    parts = common.text.split()
    if not parts:
        raise RuleError(f"{term!r}: no words")
    pairs = tuple(map(" ".join, pairwise(parts)))
    if not term.endswith("*"):
        return common.text, pairs or tuple(parts)
    if len(parts[-1]) < KEY_LENGTH:
        raise RuleError(f"{term!r}: at least {KEY_LENGTH} letters before *")
    return common.text.rstrip(), pairs[:-1] or (*parts[:-1], parts[-1][:KEY_LENGTH])


def _cjk_keys(tight: str) -> tuple[str, ...]:
    """Its pairs of CJK characters, or the one character it has ("本ip")."""
    pairs = tuple(tight[i : i + 2] for i in range(len(tight) - 1))
    return tuple(p for p in pairs if words.is_cjk(p[0]) and words.is_cjk(p[1])) or tuple(
        char for char in tight if words.is_cjk(char)
    )
