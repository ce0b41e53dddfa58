"""The 40 causes of failure, as facts.

Enters: ``causes.toml``, by way of ``store``. Leaves: ``flow.Cause`` and, for a cause's page, an
example reply and a reference. Called by all who name a cause. An id that is none raises KeyError.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from posthouse.explain import store
from posthouse.flow import Cause, Retry, Stage, Who


def cause(id: str) -> Cause:
    """The cause of that id. KeyError where there is none."""
    return _all()[id]


def causes() -> tuple[Cause, ...]:
    """All causes, in the order a message meets them."""
    return tuple(_all().values())


def example(cause_id: str) -> str:
    """A reply as a server would say it."""
    return str(store.causes()[cause_id]["example"])


def reference(cause_id: str) -> str:
    """Where to read more: RFC sections, pages."""
    return str(store.causes()[cause_id]["reference"])


@cache
def _all() -> dict[str, Cause]:
    return {id_: _cause(id_, row) for id_, row in store.causes().items()}


def _cause(id_: str, row: dict[str, Any]) -> Cause:
    return Cause(
        id=id_,
        stage=Stage(row["stage"]),
        who=tuple(Who(who) for who in row["who"]),
        retry=Retry(row["retry"]),
        codes=tuple(row["codes"]),
    )
