"""The aggregate reports a domain got: read from a folder, and what they say about its stage.

Enters: a folder of files as they came (XML, gzip, zip, mails), or reports already read; the domain,
its policy of now, which senders are its own. Leaves: reports; ``dmarc.Evidence``. Called by the
command line and by the plan. Files that are no reports are counted and named, not raised; a folder
that can't be read raises OSError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from posthouse.protocol import dmarc
from posthouse.protocol.dmarc.report import (
    AggregateReport,
    ReportError,
    ReportRecord,
    evidence,
    read,
)
from posthouse.protocol.dmarc.report.unpack import DEFAULT_LIMITS
from posthouse.setup.domain.records.inventory import Network

FILES_LIMIT: Final = 20_000  # of one folder: a year of fifty reporters
DAY: Final = 86_400  # seconds
# Older reports say nothing about the senders of today.
RECENT: Final = 90 * DAY


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that is no report, and why."""

    file: str
    reason: str


def read_folder(folder: Path) -> tuple[tuple[AggregateReport, ...], tuple[Unread, ...]]:
    """All reports in a folder and those below it; a single file is fine as well."""
    files = [folder] if folder.is_file() else sorted(p for p in folder.rglob("*") if p.is_file())
    if not files and not folder.is_dir():
        raise FileNotFoundError(2, "No such file or directory", str(folder))
    found: list[AggregateReport] = []
    unread: list[Unread] = []
    for path in files[:FILES_LIMIT]:
        try:
            with path.open("rb") as file:
                found += read(file.read(DEFAULT_LIMITS.size + 1))
        except ReportError as error:
            unread.append(Unread(path.name, error.reason))
        except OSError as error:
            unread.append(Unread(path.name, error.strerror or "unreadable"))
    if len(files) > FILES_LIMIT:
        unread.append(Unread(folder.name, "too_many"))
    return tuple(found), tuple(unread)


def stage_evidence(
    reports: Iterable[AggregateReport],
    domain: str,
    *,
    action: dmarc.Action | None,
    own: Callable[[str], bool],
    strangers: Sequence[Network],
    now: datetime,
) -> dmarc.Evidence:
    """What the reports of this stage say: those since the last one that saw another policy.

    ``own``: whether an address sends for the domain.
    """
    oldest = now.timestamp() - RECENT
    ours = [
        one
        for one in reports
        if one.published.domain.lower().rstrip(".") == domain and one.metadata.end > oldest
    ]
    if action is not None:
        other = [one.metadata.end for one in ours if one.published.p.lower() != action.value]
        began = max(other, default=0)
        ours = [one for one in ours if one.metadata.begin >= began]
        ours = [one for one in ours if one.published.p.lower() == action.value]

    def known(record: ReportRecord) -> bool | None:
        try:
            address = ip_address(record.source_ip)
        except ValueError:
            return None
        if own(str(address)):
            return True
        return False if any(address in network for network in strangers) else None

    return evidence(ours, known)
