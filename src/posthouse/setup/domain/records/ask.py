"""Algorithms that ask DNS, with a memory and with records that are not published yet.

Enters: a query, what has been answered, what is to be believed instead. Leaves: the query's result.
Called by the plan: the record it proposes is judged by the same code as a live one. Nothing fails.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import TypeVar

from posthouse.protocol.dns import Answer, AnswerStatus, Ask, Query

T = TypeVar("T")
Key = tuple[str, str]
Answers = MutableMapping[Key, Answer]


def key_of(name: str, type_: str) -> Key:
    """One question, whatever its letters."""
    return name.lower().rstrip("."), type_.upper()


def remembering(query: Query[T], known: Answers, instead: Mapping[Key, Answer]) -> Query[T]:
    """The same query: what is known is not asked again, what is in ``instead`` never."""
    try:
        ask = next(query)
        while True:
            key = key_of(ask.name, ask.type)
            answer = instead.get(key) or known.get(key)
            if answer is None:
                answer = known[key] = yield ask
            ask = query.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result


def texts(name: str, *values: str) -> dict[Key, Answer]:
    """A TXT record set that is not published yet."""
    status = AnswerStatus.OK if values else AnswerStatus.NODATA
    return {key_of(name, "TXT"): Answer(name, "TXT", status, values)}


def question(name: str, type_: str) -> Query[Answer]:
    """One question as a query."""
    return (yield Ask(name, type_))
