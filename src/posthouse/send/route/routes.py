"""The rules compiled: which of them decides for one recipient.

Enters: ``Rule``s in their order, the last without conditions; then facts and recipients. Leaves: a
``Choice``, or how each rule came out until one decided. Called for every recipient of every letter,
and by ``route test``. Nothing fails.

Each address, domain and user that any rule names is a key of a dict whose value is a number with
one bit a rule. Rules without that condition have their bit in every answer. The first rule that may
hold is the lowest bit that all three answers share, so that the work does not grow with the rules;
only then are sizes and header fields looked at. ``explain`` goes the long way; tests hold both
against each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from posthouse.send.hop import Action, Choice
from posthouse.send.route.pattern import Kind, Parts, Pattern, parents, parts
from posthouse.send.route.rule import Check, Checked, Condition, Facts, HeaderRule, Rule

REMEMBERED: Final = 4_096  # senders and users whose bits are kept: one letter asks many times


class Routes:
    """All rules. ``unused`` names the hops that none of them leads to."""

    def __init__(self, rules: Sequence[Rule], unused: Iterable[str] = ()) -> None:
        if not rules or not rules[-1].is_default:
            raise ValueError("the last rule must have no conditions")
        self.rules = tuple(rules)
        self.unused = tuple(unused)
        self._recipients = _Addresses([rule.recipient for rule in rules])
        self._senders = _Addresses([rule.sender for rule in rules])
        self._users: dict[str, int] = {}
        for bit, rule in _bits(rules):
            for user in rule.user:
                self._users[user] = self._users.get(user, 0) | bit
        self._any_user = sum(bit for bit, rule in _bits(rules) if not rule.user)
        self._holds = sum(bit for bit, rule in _bits(rules) if rule.choice.action is Action.HOLD)
        # Rules that look at the letter itself: most tables have few.
        self._closer = sum(bit for bit, rule in _bits(rules) if _looks_closer(rule))
        self._of_letter = lru_cache(REMEMBERED)(self._letter_bits)

    def choose(self, facts: Facts, recipient: str, *, released: bool = False) -> Choice:
        """What is done with this recipient of the letter.

        ``released``: a person has let it go, so that rules which hold are passed over; only where
        the default itself holds there is no other way.
        """
        bits = self._of_letter(facts.sender, facts.user) & self._recipients.bits(recipient)
        if released:
            bits = bits & ~self._holds or self._holds & bits
        while True:
            lowest = bits & -bits
            rule = self.rules[lowest.bit_length() - 1]
            if not lowest & self._closer or _closer_holds(rule, facts):
                return rule.choice
            bits ^= lowest  # the default has no conditions: a bit is always left

    def explain(self, facts: Facts, recipient: str) -> tuple[Checked, ...]:
        """Every rule in order with its conditions, up to the one that decides (the last)."""
        found = []
        for rule in self.rules:
            found.append(Checked(rule, tuple(_checks(rule, facts, recipient))))
            if found[-1].holds:
                break
        return tuple(found)

    def _letter_bits(self, sender: str, user: str) -> int:
        return self._senders.bits(sender) & (self._users.get(user, 0) | self._any_user)


class _Addresses:
    """The patterns of one condition in all rules, by what they are compared with."""

    def __init__(self, patterns: Sequence[Sequence[Pattern]]) -> None:
        self._exact: dict[str, int] = {}
        self._domains: dict[str, int] = {}
        self._below: dict[str, int] = {}
        self._any = 0
        for place, ones in enumerate(patterns):
            if not ones:
                self._any |= 1 << place
            for one in ones:
                table = self._table(one.kind)
                table[one.value] = table.get(one.value, 0) | 1 << place

    def bits(self, address: str) -> int:
        """The rules whose patterns fit this address, and those without patterns."""
        found = self._any
        if not (self._exact or self._domains or self._below):
            return found
        whole, domain = parts(address)
        found |= self._exact.get(whole, 0) | self._domains.get(domain, 0)
        if self._below:
            for parent in parents(domain):
                found |= self._below.get(parent, 0)
        return found

    def _table(self, kind: Kind) -> dict[str, int]:
        if kind is Kind.DOMAIN:
            return self._domains
        return self._below if kind is Kind.BELOW else self._exact


def _bits(rules: Sequence[Rule]) -> list[tuple[int, Rule]]:
    return [(1 << place, rule) for place, rule in enumerate(rules)]


def _looks_closer(rule: Rule) -> bool:
    return bool(rule.header) or rule.larger is not None or rule.smaller is not None


def _closer_holds(rule: Rule, facts: Facts) -> bool:
    """The conditions on the letter itself; the header last, as it has to be parsed."""
    if rule.larger is not None and facts.size <= rule.larger:
        return False
    if rule.smaller is not None and facts.size >= rule.smaller:
        return False
    return not rule.header or all(one.fits(facts.header()) for one in rule.header)


def _checks(rule: Rule, facts: Facts, recipient: str) -> Iterable[Check]:
    if rule.sender:
        yield _address(Condition.SENDER, rule.sender, facts.sender)
    if rule.recipient:
        yield _address(Condition.RECIPIENT, rule.recipient, recipient)
    if rule.user:
        found = (facts.user,) if facts.user else ()
        yield Check(Condition.USER, facts.user in rule.user, rule.user, found)
    if rule.larger is not None:
        yield _size(Condition.LARGER, facts.size > rule.larger, rule.larger, facts)
    if rule.smaller is not None:
        yield _size(Condition.SMALLER, facts.size < rule.smaller, rule.smaller, facts)
    for one in rule.header:
        yield _header(one, facts)


def _address(condition: Condition, patterns: tuple[Pattern, ...], address: str) -> Check:
    looked_up = parts(address)
    holds = any(_fits(pattern, looked_up) for pattern in patterns)
    return Check(condition, holds, tuple(one.text for one in patterns), (address or "<>",))


def _fits(pattern: Pattern, address: Parts) -> bool:
    match pattern.kind:
        case Kind.ADDRESS:
            return address.address == pattern.value
        case Kind.DOMAIN:
            return address.domain == pattern.value
        case Kind.BELOW:
            return address.domain.endswith(f".{pattern.value}")
    return not address.address  # Kind.NULL


def _size(condition: Condition, holds: bool, limit: int, facts: Facts) -> Check:
    return Check(condition, holds, (str(limit),), (str(facts.size),))


def _header(one: HeaderRule, facts: Facts) -> Check:
    header = facts.header()
    found = tuple(header.get(one.name, ()))
    return Check(Condition.HEADER, one.fits(header), one.globs, found, one.name)
