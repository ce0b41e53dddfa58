"""From a failure or a refusal at one step to a ``Stop`` with its cause.

Enters: what went wrong and at which step. Leaves: ``Stop`` and the Explanation behind it, by
``explain``'s rules. Pure; called by the session for every step that fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from posthouse import explain
from posthouse.explain import Explanation
from posthouse.flow import NetworkFailure, Stage
from posthouse.protocol.smtp import Reply
from posthouse.setup.probe.facts import Stop


class Stopped(Exception):
    """The way ended at a step. Caught by ``probe``; never leaves it."""

    def __init__(self, stop: Stop, explanation: Explanation | None) -> None:
        super().__init__(stop.step)
        self.stop = stop
        self.explanation = explanation


def of_failure(step: str, stage: Stage, failure: NetworkFailure, provider: str | None) -> Stopped:
    """A failure below SMTP. The step's own stage wins over the stream's "any"."""
    where = stage if failure.stage is Stage.ANY else failure.stage
    placed = NetworkFailure(failure.failure, where, **failure.detail)
    explained = explain.explain_failure(placed, provider=provider)
    stop = Stop(
        step,
        where,
        explained.cause.id,
        failure.failure,
        failure.detail,
        text=str(failure.detail.get("text") or ""),
        params=explained.params,
    )
    return Stopped(stop, explained)


def of_reply(
    step: str,
    stage: Stage,
    reply: Reply,
    *,
    host: str,
    provider: str | None,
    context: Mapping[str, Any],
    detail: Mapping[str, Any] | None = None,
) -> Stopped:
    """A reply that says no."""
    explained = explain.explain_reply(
        reply, stage=stage, provider=provider, host=host, context=context
    )
    stop = Stop(
        step,
        stage,
        explained.cause.id,
        None,
        detail or {},
        reply.code,
        str(reply.enhanced or ""),
        reply.text,
        explained.variant or "",
        explained.params,
    )
    return Stopped(stop, explained)
