"""The rules, from the ``[[route]]`` tables of the configuration.

Enters: the whole document, the names of its hops. Leaves: ``Routes``. Called once at the start, and
by ``route test``. Fails with SettingError: a rule that leads nowhere, one that can never be
reached, and above all a table whose mail would have no way at all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from posthouse.send.hop import Action, Choice, Hop, with_fallbacks
from posthouse.send.route import pattern
from posthouse.send.route.hops import unknown_hop
from posthouse.send.route.pattern import Pattern
from posthouse.send.route.routes import Routes
from posthouse.send.route.rule import HeaderRule, Rule
from posthouse.send.settings import SettingError, Table, tables

CONDITIONS: Final = ("sender", "recipient", "user", "header", "larger", "smaller")
KEYS: Final = ("name", *CONDITIONS, "hop", "action")
MOST: Final = 1_000  # rules; more are a table of addresses, which has another place
_FIELD_NAME: Final = frozenset(map(chr, range(33, 127))) - {":"}  # RFC 5322 section 2.2


def read_routes(document: Mapping[str, Any], hops: Mapping[str, Hop]) -> Routes:
    """All rules, compiled. ``hops`` are those there are, by their names. Raises SettingError."""
    rows = tables(document, "route")
    if len(rows) > MOST:
        raise SettingError("range", "route", len(rows), least=1, most=MOST)
    rules = [_rule(raw, path, place, hops) for place, (path, raw) in enumerate(rows, 1)]
    _check_order(rules, [path for path, _ in rows])
    used = with_fallbacks(hops, [rule.choice.hop for rule in rules])
    return Routes(rules, [hop for hop in hops if hop not in used])


def _check_order(rules: Sequence[Rule], paths: Sequence[str]) -> None:
    """One default, at the end; no name twice."""
    names: set[str] = set()
    for rule, path in zip(rules[:-1], paths, strict=False):
        if rule.is_default:
            raise SettingError("unreachable", path)
    for rule, path in zip(rules, paths, strict=True):
        if rule.name in names:
            raise SettingError("twice", f"{path}.name", rule.name)
        names.add(rule.name)
    if not rules or not rules[-1].is_default:
        raise SettingError("no_default", "route")


def _rule(raw: Mapping[str, Any], path: str, place: int, hops: Collection[str]) -> Rule:
    table = Table(raw, path, KEYS)
    is_default = not any(key in table for key in CONDITIONS)
    name = table.text("name", "" if is_default else f"#{place}")
    larger, smaller = table.octets("larger"), table.octets("smaller")
    if larger is not None and smaller is not None and smaller <= larger + 1:
        raise table.wrong("sizes", "smaller", larger=larger)  # both are strict: no size is left
    return Rule(
        name,
        sender=_patterns(table, "sender"),
        recipient=_patterns(table, "recipient"),
        user=table.texts("user"),
        header=_header(table),
        larger=larger,
        smaller=smaller,
        choice=_choice(table, name, hops),
    )


def _choice(table: Table, name: str, hops: Collection[str]) -> Choice:
    """Where the rule leads: a hop, or what else is done."""
    if "hop" in table and "action" in table:
        raise table.wrong("both", "action", other="hop")
    if "hop" in table:
        hop = table.text("hop")
        if hop not in hops:
            raise unknown_hop(table.at("hop"), hop, hops)
        return Choice(Action.DELIVER, hop, name)
    if "action" not in table:
        raise SettingError("no_target", table.path, choices="hop, action")
    action = table.choice("action", Action, Action.HOLD)
    if action is Action.DELIVER:
        raise table.wrong("action_deliver", "action")
    return Choice(action, "", name)


def _patterns(table: Table, key: str) -> tuple[Pattern, ...]:
    found = []
    for text in table.texts(key):
        try:
            found.append(pattern.parse(text))
        except ValueError as error:
            raise SettingError(str(error), table.at(key), text) from None
    return tuple(found)


def _header(table: Table) -> tuple[HeaderRule, ...]:
    """``{ "X-Stream" = "bulk*" }``, or several globs for one field."""
    raw = table.mapping("header")
    fields = Table(raw, table.at("header"), raw)
    found = []
    for name in raw:
        if not name or not set(name) <= _FIELD_NAME:
            raise SettingError("field_name", table.at("header"), name)
        globs = fields.texts(name)
        found.append(HeaderRule(name.lower(), globs, tuple(map(pattern.glob, globs))))
    return tuple(found)
