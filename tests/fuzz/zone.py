"""A zone out of any bytes, for the algorithms that ask DNS while they run.

One record a line: name, type, data, parted by blanks; "*" is every name. Data "!servfail" (or
another status) is a failure. What is not there does not exist.
"""

from __future__ import annotations

from fuzz.smtp import text_of
from posthouse.protocol.dns import Answer, AnswerStatus, Ask

STATUSES = {f"!{status.value}": status for status in AnswerStatus}
QUESTIONS = 400  # of one check; the dearest rules make some 250


class Zone:
    """Answers, and what was asked."""

    def __init__(self, data: bytes) -> None:
        self.asked: list[Ask] = []
        self._rows: dict[tuple[str, str], list[str]] = {}
        for line in text_of(data).split("\n"):
            name, _, rest = line.partition(" ")
            kind, _, text = rest.partition(" ")
            self._rows.setdefault((name.lower(), kind.upper()), []).append(text)

    def __call__(self, ask: Ask) -> Answer:
        # Of the name, not of its text, where each backslash is escaped (RFC 1035 section 5.1).
        assert 0 < len(ask.name.replace("\\\\", "\\")) <= 253
        assert ask.name.isascii()
        assert not ask.name.startswith(".")
        assert ".." not in ask.name
        self.asked.append(ask)
        assert len(self.asked) <= QUESTIONS
        name = ask.name.lower()
        rows = self._rows.get((name, ask.type)) or self._rows.get(("*", ask.type))
        if not rows:
            there = any(one == name for one, _ in self._rows)
            status = AnswerStatus.NODATA if there else AnswerStatus.NXDOMAIN
            return Answer(ask.name, ask.type, status)
        if rows[0] in STATUSES:
            return Answer(ask.name, ask.type, STATUSES[rows[0]])
        return Answer(ask.name, ask.type, AnswerStatus.OK, tuple(rows))
