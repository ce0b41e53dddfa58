"""What DNS-based sources share: asking, and turning a failed answer into a report.

Enters: a name and a type. Leaves: an ``Answer``, or the ``Found`` that says why there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from posthouse.net.resolver import Answer, AnswerStatus
from posthouse.setup.find.model import Found, State

RECORDS_READ: Final = 20  # of one answer; more than any real domain has

_STATES: Final[Mapping[AnswerStatus, State]] = {
    AnswerStatus.SERVFAIL: State.FAILED,
    AnswerStatus.REFUSED: State.FAILED,
    AnswerStatus.TIMEOUT: State.TIMED_OUT,
}


def failure(answer: Answer) -> Found | None:
    """The report for an answer that tells nothing about the domain; None for a real answer."""
    state = _STATES.get(answer.status)
    if state is None:
        return None
    params = {"name": answer.name, "status": answer.status.value, "resolver": answer.server}
    return Found(state=state, detail="dns", params=params)


def where(answer: Answer) -> str:
    """The record, as evidence."""
    return f"{answer.name} {answer.type}"


def host(text: str) -> str:
    """A host name from a record, in the form names are compared in."""
    return text.strip().rstrip(".").lower()
