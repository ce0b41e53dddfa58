"""May reports about this domain go to that address? RFC 9990 section 4.

Enters: the domain a record was found at, its organizational domain, and a report URI. Leaves:
``Permission``. Called before a report is sent, and by ``lint`` for the owner. Nothing fails.

A stranger's address takes reports only where its domain says so, at
<policy domain>._report._dmarc.<host>; else anybody could have anybody flooded with them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from posthouse.protocol.dmarc.parse import is_record, parse
from posthouse.protocol.dmarc.record import RecordError, ReportUri
from posthouse.protocol.dmarc.result import Note
from posthouse.protocol.dmarc.walk import Walker, is_within, normal
from posthouse.protocol.dns import Ask, Query

MAX_NAME: Final = 253


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether one URI may be used, and for which addresses it stands.

    Reasons: ``own`` (same organizational domain), ``given``, ``replaced`` (by the host's own rua),
    ``missing``, ``elsewhere`` (replaced by a URI at another host: then nobody gets a report),
    ``too_long``, ``failed`` (DNS; a later try may tell), ``scheme`` (no mailto).
    """

    uri: ReportUri
    tag: str  # "rua", "ruf"
    reason: str
    name: str = ""  # what was asked
    uris: tuple[ReportUri, ...] = ()  # where the reports go; none if they must not
    trace: tuple[Note, ...] = field(default=(), repr=False)

    @property
    def allowed(self) -> bool:
        """Reports may be sent."""
        return bool(self.uris)


def permission(
    domain: str, uri: ReportUri, *, tag: str = "rua", walker: Walker | None = None
) -> Query[Permission]:
    """Whether reports on ``domain``, where the record was found, may go to ``uri``.

    ``tag``: "rua", or "ruf" for failure reports, which follow the same rules (RFC 9991 section 5).
    """
    walker = walker or Walker()
    host = normal(uri.host) if not uri.host.startswith("[") else ""
    if not uri.usable:
        return Permission(uri, tag, "scheme")
    own = yield from _own(domain, host, walker)
    if own is None:
        return Permission(uri, tag, "failed", trace=tuple(walker.notes))
    if own:
        return Permission(uri, tag, "own", uris=(uri,), trace=tuple(walker.notes))
    name = f"{domain}._report._dmarc.{host}"
    if not host or len(name) > MAX_NAME:  # step 4
        return Permission(uri, tag, "too_long" if host else "missing", name)
    answer = yield Ask(name, "TXT")
    if answer.failed:  # step 5
        return Permission(uri, tag, "failed", name)
    return _decided(uri, host, name, answer.records, tag)


def _own(domain: str, host: str, walker: Walker) -> Query[bool | None]:
    """Both have the same organizational domain; None where DNS could not tell."""
    if not host:
        return False
    if domain == host:
        return True
    ours = yield from walker.organizational(domain)
    if ours is None:
        return None
    if not is_within(host, ours):
        return False
    theirs = yield from walker.organizational(host)
    return None if theirs is None else theirs == ours


def _decided(
    uri: ReportUri, host: str, name: str, records: tuple[str, ...], tag: str
) -> Permission:
    """Steps 6 to 9. Several records are no mistake here: one that can be read is enough."""
    given = False
    for text in records:
        if not is_record(text):
            continue
        try:
            policy = parse(text).policy
        except RecordError:
            continue
        given = True
        instead = policy.rua if tag == "rua" else policy.ruf
        if not instead:
            continue
        if any(normal(one.host) != host for one in instead):
            return Permission(uri, tag, "elsewhere", name)
        return Permission(uri, tag, "replaced", name, tuple(one for one in instead if one.usable))
    return Permission(uri, tag, "given" if given else "missing", name, (uri,) if given else ())
