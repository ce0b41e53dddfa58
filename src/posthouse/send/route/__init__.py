"""route: which way each recipient of a letter goes, and why.

Enters: the ``[[hop]]`` and ``[[route]]`` tables of the configuration (``hops``, ``read``); then
facts of a letter and a recipient. Leaves: ``Hop``s, and a ``Choice`` each (``routes``). Carries
nothing, knows no network. Only reading fails, with ``SettingError``.
"""

from __future__ import annotations

from posthouse.send.route.hops import read_hops
from posthouse.send.route.read import read_routes
from posthouse.send.route.routes import Routes
from posthouse.send.route.rule import (
    Check,
    Checked,
    Condition,
    Facts,
    Rule,
    facts_of,
    read_header,
)
from posthouse.send.settings import SettingError

__all__ = [
    "Check",
    "Checked",
    "Condition",
    "Facts",
    "Routes",
    "Rule",
    "SettingError",
    "facts_of",
    "read_header",
    "read_hops",
    "read_routes",
]
