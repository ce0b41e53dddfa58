"""A small zone as a table, for the tests of SPF."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from posthouse.protocol.dns import Answer, AnswerStatus, Ask

Rows = Mapping[str, Sequence[str]]


def zone(rows: Rows, *, broken: Sequence[str] = ()) -> Callable[[Ask], Answer]:
    """Answers from rows such as {"example.com TXT": ["v=spf1 -all"]}; ``broken`` names time out."""
    names = {key.rpartition(" ")[0] for key in rows}

    def lookup(ask: Ask) -> Answer:
        found = tuple(rows.get(f"{ask.name} {ask.type}", ()))
        if ask.name in broken:
            return Answer(ask.name, ask.type, AnswerStatus.TIMEOUT)
        if found:
            return Answer(ask.name, ask.type, AnswerStatus.OK, found)
        missing = AnswerStatus.NODATA if ask.name in names else AnswerStatus.NXDOMAIN
        return Answer(ask.name, ask.type, missing)

    return lookup
