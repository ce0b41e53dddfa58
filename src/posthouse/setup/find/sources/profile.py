"""The organisation's own file (--profile): an IT department's autoconfig, .mobileconfig or JSON.

Enters: a query and the file. Leaves: its servers, which beat everything else; a finding where the
file is for other domains. Fails: ``ProfileError`` where the file can't be read or used, with the
line that is wrong: settings an IT department gave out are not silently replaced by others.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from posthouse.flow import Finding, Status
from posthouse.protocol.discovery import organisation
from posthouse.protocol.discovery.offer import MAX_DOCUMENT, DiscoveryError
from posthouse.setup.find import trust
from posthouse.setup.find.model import Claim, Evidence, Found, Quality, Query, Source
from posthouse.setup.find.sources import web


class ProfileError(Exception):
    """The file can't be used. ``finding`` says why and where."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.id)
        self.finding = finding


def ask(query: Query, file: Path, now: datetime) -> Found:
    """Read the file for this address. Raises ProfileError."""
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_DOCUMENT + 1)
    except OSError as error:
        raise _error(file, "unreadable_file", None, error.strerror or "") from None
    try:
        found = organisation.parse(content, address=query.address)
    except DiscoveryError as error:
        raise _error(file, error.reason, error.line, error.detail) from None
    if not found.speaks_for(query.domain):
        params = {"file": file.name, "domain": query.domain, "domains": list(found.domains[:5])}
        return Found(findings=(Finding("profile_other_domain", Status.WARN, None, params),))
    evidence = Evidence(
        source=Source.ORGANISATION,
        where=file.name,
        trust=trust.word(Source.ORGANISATION, Quality.PLAIN),
        checked=now,
    )
    return Found(
        tuple(
            Claim(o.endpoint, evidence, o.username, web.mechanisms(o.auth), o.credential)
            for o in found.outgoing
        ),
        incoming=found.incoming,
    )


def _error(file: Path, reason: str, line: int | None, detail: str) -> ProfileError:
    params = {"file": file.name, "reason": reason, "line": line or "", "detail": detail}
    return ProfileError(Finding("profile_unusable", Status.FAIL, None, params))
