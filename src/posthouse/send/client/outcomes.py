"""What each recipient's answer means: an ``Outcome`` with its cause.

Enters: a ``Carried``, or what kept a connection from being opened. Leaves: outcomes. Called by
``crew`` and the command line. Nothing fails.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from posthouse.explain import explain_failure, explain_reply
from posthouse.explain.explanation import Explanation
from posthouse.flow import NetworkFailure, Stage
from posthouse.letter import Outcome, Result
from posthouse.net.smtp_open import Refused
from posthouse.net.smtp_work import Carried
from posthouse.protocol.smtp.reply import Reply

TOO_MANY: Final = "rate.recipients"  # the cause of a refusal that holds for one transaction alone


def outcomes_of(
    recipients: Iterable[str], carried: Carried, host: str, peer: str
) -> dict[str, Outcome]:
    """One for each recipient of a transaction."""
    where = f"{host} [{peer}]" if peer and peer != host else host
    found = {}
    for one in recipients:
        said = carried.replies.get(one)
        if said is not None:
            found[one] = _answered(one, *said, host, where)
        else:
            found[one] = _unanswered(one, carried.failure, where)
    return found


def why(error: NetworkFailure | Refused, host: str) -> Explanation:
    """What ended a connection, explained."""
    if isinstance(error, Refused):
        return explain_reply(error.reply, stage=error.stage, host=host)
    return explain_failure(error)


def _answered(one: str, stage: Stage, reply: Reply, host: str, where: str) -> Outcome:
    if reply.is_success:
        result, cause = Result.DELIVERED, None
    else:
        cause = explain_reply(reply, stage=stage, host=host).cause.id
        passing = cause == TOO_MANY and stage is Stage.RCPT  # RFC 5321 section 4.5.3.1.10, of 552
        refused = reply.code >= 500 and not passing  # section 4.2.1
        result = Result.REFUSED if refused else Result.DEFERRED
    enhanced = str(reply.enhanced) if reply.enhanced else ""
    return Outcome(one, result, reply.code, enhanced, reply.text, where, stage, cause)


def _unanswered(one: str, failure: NetworkFailure | None, where: str) -> Outcome:
    if failure is None:
        return Outcome(one, Result.DEFERRED, host=where)
    cause = explain_failure(failure).cause.id
    text = str(failure.detail.get("text") or failure.failure)
    return Outcome(one, Result.DEFERRED, 0, "", text, where, failure.stage, cause)
