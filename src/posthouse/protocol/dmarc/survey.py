"""The DMARC of one domain, looked at as its owner would: record, policy, report addresses.

Enters: a domain, a public suffix list or none, and DNS answers. Leaves: ``Survey`` with a grade
and findings. Called by the audit of a domain. Nothing fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from posthouse.flow import Finding, Status
from posthouse.protocol.dmarc.external import Permission, permission
from posthouse.protocol.dmarc.former import Suffixes
from posthouse.protocol.dmarc.lint import Grade, finding, grade, lint
from posthouse.protocol.dmarc.record import Action, ReportUri
from posthouse.protocol.dmarc.result import Discovery, Note
from posthouse.protocol.dmarc.walk import Walker, normal
from posthouse.protocol.dns import Query

URIS = 10  # checked of each tag: each costs up to nine questions


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is to say about a domain's DMARC."""

    domain: str
    discovery: Discovery
    grade: Grade
    findings: tuple[Finding, ...] = ()
    permissions: tuple[Permission, ...] = ()  # of rua, then of ruf


def survey(domain: str, suffixes: Suffixes | None = None) -> Query[Survey]:
    """The survey of a domain; without ``suffixes``, the standards are not compared."""
    walker = Walker()
    name = normal(domain)
    if not name:
        return Survey(domain, Discovery("", problem="author_malformed"), Grade.MISSING)
    found = yield from walker.discover(name)
    owner = found.organizational
    if found.record is not None and not owner:
        owner = (yield from walker.organizational(name)) or ""
    permissions = yield from _permissions(found, walker)
    findings = [*_found(found), *_notes(walker.notes)]
    if found.record is not None:
        findings += lint(found.record)
        findings += _permitted(permissions)
        findings += _places(found, owner, suffixes)
    found = replace(found, organizational=owner, trace=tuple(walker.notes))
    level = grade(found.record, inherited=found.inherited)
    return Survey(name, found, level, tuple(findings), permissions)


def _permissions(found: Discovery, walker: Walker) -> Query[tuple[Permission, ...]]:
    rows: list[Permission] = []
    if found.record is None:
        return ()
    tags: tuple[tuple[str, tuple[ReportUri, ...]], ...] = (
        ("rua", found.record.policy.rua),
        ("ruf", found.record.policy.ruf),
    )
    for tag, uris in tags:
        for uri in uris[:URIS]:
            rows.append((yield from permission(found.domain, uri, tag=tag, walker=walker)))
    return tuple(rows)


def _found(found: Discovery) -> Iterator[Finding]:
    if found.failed:
        yield finding("dns_failed", Status.UNKNOWN, domain=found.author)
    elif found.record is None:
        yield finding("none", Status.FAIL, domain=found.author)
    elif found.inherited:
        policy = found.policy.for_subdomain(exists=True) if found.policy else Action.NONE
        yield finding(
            "inherited",
            Status.OK if policy is not Action.NONE else Status.WARN,
            domain=found.author,
            source=found.domain,
            policy=policy.value,
        )


def _notes(notes: list[Note]) -> Iterator[Finding]:
    for note in notes:
        if note.id == "record_several":
            domain = str(note.params["name"]).removeprefix("_dmarc.")
            yield finding("several", Status.FAIL, domain=domain, count=note.params["count"])
        elif note.id == "record_foreign":
            yield finding("foreign", Status.WARN, **note.params)


def _permitted(permissions: tuple[Permission, ...]) -> Iterator[Finding]:
    for one in permissions:
        uri = one.uri.uri
        if one.reason in ("missing", "too_long"):
            yield finding("rua_external", Status.FAIL, tag=one.tag, uri=uri, name=one.name)
        elif one.reason == "elsewhere":
            yield finding("rua_elsewhere", Status.FAIL, tag=one.tag, uri=uri, name=one.name)
        elif one.reason == "failed":
            yield finding("rua_unsure", Status.UNKNOWN, tag=one.tag, uri=uri)


def _places(found: Discovery, owner: str, suffixes: Suffixes | None) -> Iterator[Finding]:
    record = found.record
    if record is not None and owner and found.domain != owner and not found.inherited:
        # section 4.7: below the organizational domain, sp and np are never looked at
        tags = " ".join(tag for tag in ("sp", "np") if record.has(tag))
        if tags:
            yield finding(
                "subdomain_tags",
                Status.WARN,
                domain=found.domain,
                tags=tags,
                organizational=owner,
            )
    before = suffixes.organizational(found.author) if suffixes is not None else owner
    if owner and before and before != owner:
        yield finding(
            "organizational_differs",
            Status.WARN,
            domain=found.author,
            now=owner,
            before=before,
        )
