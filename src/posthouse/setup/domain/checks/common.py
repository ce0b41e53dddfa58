"""What every check does with what it found: findings become items, with the answers behind them.

Enters: findings, the scene, and where a check looked. Leaves: ``Item``s. Called by the checks.
Nothing fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from posthouse.flow import Finding, Status
from posthouse.protocol.dns import Answer
from posthouse.setup.domain.model import Evidence, Item
from posthouse.setup.domain.scene import Scene

EVIDENCE_LIMIT: Final = 6  # answers shown with one finding
RECORDS_LIMIT: Final = 20  # of one answer
RECORD_LENGTH: Final = 1_000  # characters; the longest DKIM key has 800

Where = Sequence[tuple[str, str]]
Mend = Callable[[Finding], Sequence[str]]


def finding(id_: str, status: Status, cause: str | None = None, /, **params: Any) -> Finding:
    """A finding of the audit's own; its words are "domain.finding.<id>"."""
    return Finding(f"domain.{id_}", status, cause, params)


def items(
    check: str,
    findings: Iterable[Finding],
    scene: Scene,
    *,
    where: Where = (),
    types: Sequence[str] = (),
    mend: Mend | None = None,
) -> tuple[Item, ...]:
    """Findings with their evidence: the answers for the names they speak of, else ``where``.

    ``types``: what this check asks such names for. ``mend`` gives the records to publish.
    """
    made = []
    for each in findings:
        named = [(name, type_) for name in _names(each) for type_ in types]
        shown = tuple(_evidence(scene, named)) or tuple(_evidence(scene, where))
        publish = tuple(mend(each)) if mend is not None else ()
        made.append(Item(check, each, shown[:EVIDENCE_LIMIT], publish))
    return tuple(made)


def _names(each: Finding) -> Iterator[str]:
    for value in each.params.values():
        if isinstance(value, str) and "." in value and " " not in value:
            yield value


def _evidence(scene: Scene, where: Iterable[tuple[str, str]]) -> Iterator[Evidence]:
    seen = set()
    for name, type_ in where:
        answer = scene.budget.known(name, type_)
        if answer is not None and (answer.name, answer.type) not in seen:
            seen.add((answer.name, answer.type))
            yield evidence(answer)


def evidence(answer: Answer) -> Evidence:
    """An answer, fit to be shown."""
    records = tuple(record[:RECORD_LENGTH] for record in answer.records[:RECORDS_LIMIT])
    return Evidence(
        answer.name,
        answer.type,
        answer.status.value,
        records,
        answer.ttl,
        answer.server,
        answer.authenticated,
    )
