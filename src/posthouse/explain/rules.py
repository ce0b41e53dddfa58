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

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Final, NamedTuple

from posthouse.explain import words
from posthouse.explain.words import KEY_LENGTH, Words

SEEN: Final = 1_000  # an occurrence in a line outweighs any number of terms
VOCABULARY: Final = 20_000  # words kept open: more than servers use; what is no word makes it more
CODE: Final = 3  # characters of a code and its parts, which do
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
    bound: bool = False  # whether any of code, stage and provider is asked for


# A term as it is searched for (" over quota "), its groups (one bit each: as one integer, for a
# common word is in a hundred of them), and the rules, by number, that one of these may set off.
Term = tuple[str, int, tuple[int, ...]]
# What is known where a word, or a pair of words, occurs: of the terms thereby proved all groups,
# all rules and the terms themselves; then the terms that the line's text has yet to prove.
Told = tuple[int, tuple[int, ...], tuple[Term, ...], tuple[Term, ...]]
Entry = tuple[Told, dict[str, Told]]  # of a word, and of it with what follows
Check = tuple[int, int, bool, Rule]  # need, veto and bound of a rule, which are read the fastest so
Filed = dict[str, list[tuple[str, list[int]]]]  # by key: the terms, each with its groups


class Index:
    """Everything needed to judge a line, filled once and then only read."""

    __slots__ = ("all_signs", "checks", "codes", "opened", "rules", "signs", "terms")

    def __init__(
        self,
        rules: list[Rule],
        terms: dict[str, str],
        signs: list[tuple[int, str, str]],
        codes: dict[str, list[tuple[str, float]]],
    ) -> None:
        self.rules = rules
        self.checks: list[Check] = [(rule.need, rule.veto, rule.bound, rule) for rule in rules]
        self.terms = terms
        self.opened = _Opened(terms)
        # By group: its place, "stage" or "provider", "rcpt". The first in place counts.
        self.signs = {group: (at, kind, name) for at, (group, kind, name) in enumerate(signs)}
        self.all_signs = bits(self.signs)
        # "535", "554 mail", "5 tls", "x.7.8", "5.7.515", "4" or "5" for any -> (cause, weight)...
        self.codes = codes


class _Opened(dict[str, Entry | None]):
    """What each word tells, and CJK key; None: nothing. Opened when first met and kept."""

    def __init__(self, terms: Mapping[str, str]) -> None:
        # By word, first letters or CJK key: the terms filed there, folded into one text (``fold``).
        # Texts load fast and cost the garbage collector nothing.
        self._terms = terms

    def __missing__(self, word: str) -> Entry | None:
        stem = word[:KEY_LENGTH]
        if word not in self._terms and stem not in self._terms:
            if word.isalpha() or len(word) <= CODE:  # ids and long numbers do not come again
                self._keep(word, None)
            return None
        own: list[Term] = []
        after: dict[str, list[Term]] = {}
        for place in dict.fromkeys((word, stem)):
            for line in self._terms.get(place, "").splitlines():
                form, groups, rules, follower = line.split("\t")
                term: Term = (form, bits(map(int, groups.split())), tuple(map(int, rules.split())))
                if not follower:
                    own.append(term)
                elif place == word:
                    after.setdefault(follower, []).append(term)
        told = _told(own, word)
        pairs = {
            other: _both(told, _told(terms, f"{word} {other}")) for other, terms in after.items()
        }
        entry = (told, pairs) if own or pairs else None
        self._keep(word, entry)
        return entry

    def _keep(self, word: str, entry: Entry | None) -> None:
        if len(self) >= VOCABULARY:
            self.clear()
        self[word] = entry


def _told(terms: list[Term], said: str) -> Told:
    """Terms parted into those that ``said`` proves and those that more of the line may."""
    proved = tuple(term for term in terms if term[0] in f" {said} " or term[0] == said)
    possible = tuple(term for term in terms if term not in proved and _spans(term[0]))
    found = 0
    for _, groups, _ in proved:
        found |= groups
    return found, tuple({rule for term in proved for rule in term[2]}), proved, possible


def _both(one: Told, other: Told) -> Told:
    return (
        one[0] | other[0],
        tuple({*one[1], *other[1]}),
        one[2] + other[2],
        one[3] + other[3],
    )


def _spans(form: str) -> bool:
    """Whether more than one word makes the term, or CJK characters, which have no words."""
    return " " in form.strip() or not form.startswith(" ")


def bits(numbers: Iterable[int]) -> int:
    """Small numbers as the bits of one integer."""
    return sum(1 << number for number in set(numbers))


def numbers(found: int) -> list[int]:
    """The bits of an integer as small numbers."""
    return [number for number in range(found.bit_length()) if found >> number & 1]


def fold(filed: Filed, anchors: Mapping[int, list[int]]) -> dict[str, str]:
    """By word: its terms, a line each: form, its groups, its rules, the word that must follow."""
    folded: dict[str, list[str]] = {}
    for key, found in filed.items():
        word, _, follower = key.partition(" ")
        for form, groups in found:
            rules = sorted({rule for group in groups for rule in anchors.get(group, ())})
            line = (form, " ".join(map(str, groups)), " ".join(map(str, rules)), follower)
            folded.setdefault(word, []).append("\t".join(line))
    return {word: "\n".join(lines) for word, lines in folded.items()}


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
    lines: Iterable[Words] = (),
) -> Index:
    """Make the index of ``terms.toml``, ``signs.toml``, ``codes.toml`` and every cause's rules.

    ``lines`` are such as will be judged: they show which groups seldom occur.
    """
    concepts = {name: frozenset(_split_terms(text)) for name, text in terms.items()}
    groups = _Groups(concepts)
    rules = [
        parse_rule(f"{cause}/{name}", text, groups.number)
        for cause, named in causes.items()
        for name, text in named.items()
    ]
    numbered_signs = [
        (groups.number(text, f"{kind} {name}"), kind, name)
        for kind, named in signs.items()
        for name, text in named.items()
    ]
    filed = _file_terms(groups.members)
    anchors = _anchors(rules, _often(filed, lines, len(groups.members)))
    return Index(
        rules=rules,
        terms=fold(filed, anchors),
        signs=numbered_signs,
        codes=_codes(codes),
    )


def _codes(tables: Mapping[str, Mapping[str, str]]) -> dict[str, list[tuple[str, float]]]:
    """What every code says. "5.7.606-649" is each of them that has no row of its own."""
    found: dict[str, list[tuple[str, float]]] = {}
    single: dict[str, list[tuple[str, float]]] = {}
    for table in tables.values():
        for code, text in table.items():
            weights = _weights(code, text)
            if spread := re.fullmatch(r"(\d\.\d\.)(\d{1,3})-(\d{1,3})", code):
                first, last = int(spread[2]), int(spread[3])
                found |= {f"{spread[1]}{n}": weights for n in range(first, last + 1)}
            else:
                single[code] = weights
    return found | single


def _anchors(rules: list[Rule], often: list[int]) -> dict[int, list[int]]:
    """Of each rule, the group that occurs least: only where it does is the rule tried."""
    anchors: dict[int, list[int]] = {}
    for number, rule in enumerate(rules):
        rarest = min(numbers(rule.need), key=lambda group: (often[group], group))
        anchors.setdefault(rarest, []).append(number)
    return anchors


def _often(filed: Filed, lines: Iterable[Words], size: int) -> list[int]:
    """How often each group occurs: in lines, which weigh most, then by how many terms it has."""
    often = [0] * size
    for found in filed.values():
        for _, groups in found:
            for group in groups:
                often[group] += 1
    for line in lines:
        heard = {
            group
            for key in set(line.keys) & filed.keys()
            for form, groups in filed[key]
            if form in line.text
            for group in groups
        }
        for group in heard:
            often[group] += SEEN
    return often


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
        need=bits(number(group, name) for group in wanted.split(" & ")),
        veto=bits([number(never, name)] if never else []),
        code=f" {given['code']}" if "code" in given else None,
        stage=given.get("stage"),
        provider=given.get("provider"),
        variant=given.get("variant"),
        bound=not given.keys() <= {"variant"},
    )


def _split_terms(text: str) -> Iterator[str]:
    for line in text.splitlines():
        for item in line.split("|"):
            if term := item.strip():
                yield term


def _file_terms(members: list[frozenset[str]]) -> Filed:
    forms: dict[str, tuple[tuple[str, ...], set[int]]] = {}
    for number, terms in enumerate(members):
        for term in terms:
            form, keys = search_form(term)
            forms.setdefault(form, (keys, set()))[1].add(number)
    # A term is filed once, under its key that the fewest terms share: that one is looked up least.
    shared = Counter(key for keys, _ in forms.values() for key in keys)
    filed: Filed = {}
    for form, (keys, found) in sorted(forms.items()):
        key = min(keys, key=lambda k: (shared[k], k))
        filed.setdefault(key, []).append((form, sorted(found)))
    return dict(sorted(filed.items()))


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
