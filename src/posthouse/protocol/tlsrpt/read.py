"""Reading TLS reports. RFC 8460 sections 4 and 5.

Enters: bytes as they come. Leaves: ``TlsReport``s, with a note for each thing that is not as it
should be. Fails with ReportError alone: ``not_json`` and what unpacking fails with.
"""

from __future__ import annotations

import ipaddress
import json
import re
from datetime import UTC, datetime
from typing import Any, Final

from posthouse.protocol.dmarc.report import Limits, ReportError, unpack
from posthouse.protocol.tlsrpt.model import (
    POLICY_TYPES,
    RESULT_TYPES,
    Failure,
    Note,
    PolicyReport,
    TlsReport,
)

DEFAULT_LIMITS: Final = Limits()
# Commas and brackets of one document: what Python builds of them is twenty times as large.
TOKENS: Final = 2_000_000
POLICIES: Final = 10_000
DETAILS: Final = 100_000  # of one policy
LINES: Final = 1_000  # of one policy's text; an MTA-STS policy has a line for each MX
VALUE: Final = 4_096  # characters of one value
COUNT: Final = 10**12
NOTES: Final = 100

_FRACTION: Final = re.compile(r"(\.[0-9]{6})[0-9]+")


def read(raw: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[TlsReport, ...]:
    """All reports in a file or mail, at least one. Raises ReportError."""
    reports: list[TlsReport] = []
    error: ReportError | None = None
    for document in unpack(raw, limits):
        if not document.is_json:
            continue
        try:
            reports.append(_Reader().report(_load(document.data)))
        except ReportError as found:
            error = error or found
    if not reports:
        raise error or ReportError("not_a_report")
    return tuple(reports)


def _load(data: bytes) -> dict[str, Any]:
    if sum(data.count(mark) for mark in (b",", b"[", b"{")) > TOKENS:
        raise ReportError("bomb", "tokens")
    try:
        # duplicate names: the last counts, as RFC 8259 section 4 says most readers do
        found = json.loads(data.decode("utf-8-sig", "replace"), strict=False)
    except (ValueError, RecursionError) as error:
        raise ReportError("not_json", type(error).__name__) from None
    if not isinstance(found, dict) or not ("policies" in found or "report-id" in found):
        raise ReportError("not_a_report")
    return found


class _Reader:
    """One report on its way in."""

    def __init__(self) -> None:
        self._notes: list[Note] = []

    def note(self, id_: str, /, **params: Any) -> None:
        note = Note(id_, params)
        if len(self._notes) < NOTES and note not in self._notes:
            self._notes.append(note)

    def report(self, data: dict[str, Any]) -> TlsReport:
        period = self._object(data, "date-range")
        start = self._date(period, "start-datetime")
        end = self._date(period, "end-datetime")
        if start is not None and end is not None and end < start:
            self.note("range_reversed")
            start, end = end, start
        policies = [self._policy(one) for one in self._objects(data, "policies", POLICIES)]
        for name in ("organization-name", "report-id"):
            if not data.get(name):
                self.note("missing", field=name)
        return TlsReport(
            self._text(data, "organization-name"),
            self._text(data, "report-id"),
            start,
            end,
            tuple(policies),
            self._text(data, "contact-info"),
            tuple(self._notes),
        )

    def _policy(self, data: dict[str, Any]) -> PolicyReport:
        policy = self._object(data, "policy")
        totals = self._object(data, "summary")
        details = [self._failure(one) for one in self._objects(data, "failure-details", DETAILS)]
        failures = self._number(totals, "total-failure-session-count")
        counted = sum(one.count for one in details)
        if details and counted != failures:  # section 4.4: they should add up; many don't
            self.note("sum_differs", told=failures, counted=counted)
        return PolicyReport(
            self._word(policy, "policy-type", POLICY_TYPES),
            self._text(policy, "policy-domain").lower(),
            self._texts(policy, "policy-string"),
            self._texts(policy, "mx-host"),
            self._number(totals, "total-successful-session-count"),
            failures,
            tuple(details),
        )

    def _failure(self, data: dict[str, Any]) -> Failure:
        return Failure(
            self._word(data, "result-type", RESULT_TYPES),
            self._number(data, "failed-session-count"),
            self._address(data, "sending-mta-ip"),
            self._text(data, "receiving-mx-hostname"),
            self._text(data, "receiving-mx-helo"),
            self._address(data, "receiving-ip"),
            self._text(data, "additional-information"),
            self._text(data, "failure-reason-code"),
        )

    def _object(self, data: dict[str, Any], name: str) -> dict[str, Any]:
        found = data.get(name)
        if found is None:
            return {}
        if isinstance(found, dict):
            return found
        self.note("kind", field=name)
        return {}

    def _objects(self, data: dict[str, Any], name: str, most: int) -> list[dict[str, Any]]:
        """A list of objects; one alone is taken for a list of one."""
        found = data.get(name)
        if found is None:
            return []
        rows = found if isinstance(found, list) else [found]
        if len(rows) > most:
            self.note("over", field=name, limit=most)
        fine = [row for row in rows[:most] if isinstance(row, dict)]
        if len(fine) != len(rows[:most]):
            self.note("kind", field=name)
        return fine

    def _text(self, data: dict[str, Any], name: str) -> str:
        found = data.get(name)
        if found is None:
            return ""
        if not isinstance(found, str):
            self.note("kind", field=name)
            return ""
        return _clean(found)

    def _texts(self, data: dict[str, Any], name: str) -> tuple[str, ...]:
        """RFC 8460 shows mx-host as text and as a list; both are in use."""
        found = data.get(name)
        if found is None:
            return ()
        rows = found if isinstance(found, list) else [found]
        texts = tuple(_clean(row) for row in rows[:LINES] if isinstance(row, str))
        if len(texts) != len(rows):
            self.note("kind", field=name)
        return texts

    def _word(self, data: dict[str, Any], name: str, known: frozenset[str]) -> str:
        word = self._text(data, name)[:100].strip().lower()
        if word not in known:
            self.note("word_unknown" if word else "missing", **_about(name, word))
        return word

    def _number(self, data: dict[str, Any], name: str) -> int:
        found = data.get(name, 0)
        if isinstance(found, str) and found.isascii() and found.isdigit() and len(found) < 16:
            found = int(found)
            self.note("kind", field=name)
        if isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= COUNT:
            return found
        self.note("number", field=name, value=str(found)[:40])
        return 0

    def _date(self, data: dict[str, Any], name: str) -> datetime | None:
        """RFC 3339; without a zone it is taken for UTC."""
        text = self._text(data, name)
        if not text:
            self.note("missing", field=name)
            return None
        try:
            found = datetime.fromisoformat(_FRACTION.sub(r"\1", text.strip()))
            return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
        except (ValueError, OverflowError):
            self.note("date", field=name, value=text[:40])
            return None

    def _address(self, data: dict[str, Any], name: str) -> str:
        text = self._text(data, name).strip()
        if not text:
            return ""
        try:
            return str(ipaddress.ip_address(text.strip("[]")))
        except ValueError:
            self.note("address", value=text[:100])
            return text[:100]


def _about(name: str, word: str) -> dict[str, str]:
    return {"field": name, "value": word} if word else {"field": name}


def _clean(text: str) -> str:
    """JSON can escape half a surrogate pair, which no file or database takes."""
    return text[:VALUE].encode("utf-8", "replace").decode("utf-8")
