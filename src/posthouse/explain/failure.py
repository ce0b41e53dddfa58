"""From a failure below SMTP to an Explanation, by ``rules/failures.toml``.

Enters: a ``flow.NetworkFailure``. Leaves: an ``Explanation`` that is certain, since the failure
is a fact and not a text. Called by the probe and later by delivery. Every ``flow.Failure`` has a
row, which a test holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from posthouse.explain import store
from posthouse.explain.causes import cause
from posthouse.explain.explanation import Explanation
from posthouse.flow import NetworkFailure, Stage


def explain_failure(failure: NetworkFailure, *, provider: str | None = None) -> Explanation:
    """Explain what went wrong below SMTP; ``provider`` is a directory id."""
    facts = {**failure.detail, "failure": failure.failure.value, "stage": failure.stage.value}
    row = next(row for row in store.rows("failures") if _holds(row["when"], facts))
    found = cause(row["cause"])
    return Explanation(
        cause=found,
        stage=found.stage if failure.stage is Stage.ANY else failure.stage,
        confidence=1.0,
        rule=f"failure {failure.failure.value}",
        evidence=(str(failure),),
        provider=provider,
        variant=row.get("variant"),
        params=dict(failure.detail),
    )


def _holds(when: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    return all(facts.get(name) == value for name, value in when.items())
