"""DKIM: the keys that are published, and the signature of a mail that was handed in.

DNS can't be asked for all selectors of a domain: those are looked at that the caller names, that a
signed mail carries, that the domain's providers use; where nothing is known, the usual ones. A name
that no one uses is asked as well: where it has an answer too, a wildcard answers, which is no key.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from posthouse.flow import Finding, Status
from posthouse.protocol import dkim
from posthouse.protocol.dkim.key import MIN_RSA_BITS, RSA_BITS
from posthouse.protocol.dns import Answer, AnswerStatus
from posthouse.setup.domain import facts
from posthouse.setup.domain.checks.common import finding, items
from posthouse.setup.domain.model import Checked, Item
from posthouse.setup.domain.sample import Sample
from posthouse.setup.domain.scene import Scene

SELECTORS_LIMIT: Final = 60  # asked for; a caller's list may be long
_CONTROL_LETTERS: Final = 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """One selector to look at. ``sure``: its key must be there."""

    selector: str
    domain: str
    sure: bool
    why: str  # "given", "message", "provider", "common"


async def check_dkim(scene: Scene) -> Checked:
    """Every selector worth a look."""
    wanted = await _wanted(scene)
    control = await scene.budget.ask(_name(control_label(scene.domain), scene.domain), "TXT")
    answers = await scene.ask_all([_name(w.selector, w.domain) for w in wanted], "TXT")
    looked = list(zip(wanted, answers, strict=True))
    made: list[Item] = []
    keys: list[dict[str, Any]] = []
    for want, answer in looked:
        wild = want.domain == scene.domain and is_wildcard(answer, control)
        found, key = _one(scene, want, answer, wild)
        made += items("dkim", found, scene, where=[(answer.name, "TXT")])
        keys += [key] if key else []
    rest = [*_wild(scene, control), *await _nothing(scene, keys, looked), *await _signed(scene)]
    made += items("dkim", rest, scene, where=[(control.name, "TXT")] if control.records else ())
    selectors = {"keys": keys, "asked": [want.selector for want in wanted]}
    return Checked("dkim", tuple(made), selectors)


def control_label(domain: str) -> str:
    """A selector that nobody has; the same for the same domain, so that it may be cached."""
    return "x" + hashlib.sha256(domain.encode()).hexdigest()[:_CONTROL_LETTERS]


def is_wildcard(answer: Answer, control: Answer) -> bool:
    """Whether the answer is what any other name gets as well."""
    return bool(answer.records) and set(answer.records) == set(control.records)


def _name(selector: str, domain: str) -> str:
    return f"{selector}._domainkey.{domain}"


async def _wanted(scene: Scene) -> list[Wanted]:
    given = (*scene.options.selectors, *scene.options.signing_keys)
    found = [Wanted(one.lower(), scene.domain, True, "given") for one in given]
    sample = await scene.sample()
    if sample is not None:
        found += [Wanted(s, d, True, "message") for d, s in sample.signers if _related(d, scene)]
    known = facts.providers()
    theirs = [known[id_] for id_ in await scene.providers() if id_ in known]
    chosen = [s for one in theirs for s in one.selectors]
    found += [Wanted(s, scene.domain, False, "provider") for s in chosen]
    if not found:
        usual = facts.common_selectors()
        found += [Wanted(s, scene.domain, False, "common") for s in usual]
    unique = {(one.selector, one.domain): one for one in reversed(found)}
    return list(reversed(unique.values()))[:SELECTORS_LIMIT]


def _related(domain: str, scene: Scene) -> bool:
    name, own = domain.lower(), scene.domain
    return name == own or name.endswith(f".{own}") or own.endswith(f".{name}")


def _one(
    scene: Scene, want: Wanted, answer: Answer, wild: bool
) -> tuple[list[Finding], dict[str, Any] | None]:
    """What there is to say about one selector, and the key where there is one."""
    known: dict[str, Any] = {"selector": want.selector, "name": answer.name}
    if answer.failed and (want.sure or want.why == "provider"):
        failed = finding("dkim_dns_failed", Status.UNKNOWN, status=answer.status.value, **known)
        return [failed], None
    if not answer.records or wild:
        if not want.sure:
            return [], None
        return [finding("dkim_missing", Status.FAIL, "sender.auth_failed", **known)], None
    found: list[Finding] = []
    if len(answer.records) > 1:  # RFC 6376 section 3.6.2.2: what comes of it is undefined
        found.append(finding("dkim_several", Status.WARN, count=len(answer.records), **known))
    try:
        record = dkim.parse_key_record(answer.records[0])
    except dkim.KeyRecordError as error:
        if error.reason == "key_revoked":
            status = Status.FAIL if want.sure else Status.SKIPPED
            return [*found, finding("dkim_revoked", status, **known)], None
        return [*found, finding("dkim_syntax", Status.FAIL, reason=error.reason, **known)], None
    found += [*judge_key(record, known), *_signing_key(scene, want, record, known)]
    key = {
        **known,
        "kind": record.kind,
        "bits": record.bits,
        "testing": record.testing,
        "alias": answer.canonical,
        "usable": all(each.status is not Status.FAIL for each in found),
    }
    return found, key


def judge_key(record: dkim.KeyRecord, known: dict[str, Any]) -> list[Finding]:
    """RFC 8301 section 3.2 for the length, RFC 6376 section 3.6.1 for the rest."""
    size = {**known, "bits": record.bits, "kind": record.kind}
    found = []
    if record.kind == "rsa" and record.bits < MIN_RSA_BITS:
        found.append(finding("dkim_short", Status.FAIL, "sender.auth_failed", **size))
    elif record.kind == "rsa" and record.bits < RSA_BITS:
        found.append(finding("dkim_weak", Status.WARN, **size))
    if record.testing:
        found.append(finding("dkim_testing", Status.WARN, **known))
    if not record.for_sha256:
        found.append(finding("dkim_hash", Status.FAIL, **known))
    if not record.allows("email"):
        found.append(finding("dkim_service", Status.FAIL, **known))
    return found or [finding("dkim_ok", Status.OK, **size)]


def _signing_key(
    scene: Scene, want: Wanted, record: dkim.KeyRecord, known: dict[str, Any]
) -> list[Finding]:
    """Whether the private key that was handed in belongs to the published one."""
    pem = scene.options.signing_keys.get(want.selector)
    if pem is None:
        return []
    try:
        fits = dkim.matches(dkim.read_private_key(pem), record)
    except dkim.PrivateKeyError as error:
        return [finding("dkim_private_unreadable", Status.FAIL, reason=error.reason, **known)]
    if fits:
        return [finding("dkim_private_fits", Status.OK, **known)]
    return [finding("dkim_private_differs", Status.FAIL, "sender.auth_failed", **known)]


def _wild(scene: Scene, control: Answer) -> list[Finding]:
    if not control.records:
        return []
    params = {"domain": scene.domain, "name": control.name}
    return [finding("dkim_wildcard", Status.WARN, **params)]


async def _nothing(
    scene: Scene, keys: list[dict[str, Any]], looked: list[tuple[Wanted, Answer]]
) -> list[Finding]:
    """No key was found, and nobody said where one should be."""
    if keys or any(want.sure for want, _ in looked):
        return []
    root = await scene.budget.ask(f"_domainkey.{scene.domain}", "TXT")
    if root.status is AnswerStatus.NXDOMAIN:  # RFC 8020: then there is nothing below it either
        return [finding("dkim_none", Status.WARN, "sender.auth_failed", domain=scene.domain)]
    asked = [want.selector for want, _ in looked]
    return [finding("dkim_not_found", Status.UNKNOWN, domain=scene.domain, selectors=asked)]


async def _signed(scene: Scene) -> list[Finding]:
    """The signatures of the mail that was handed in."""
    sample: Sample | None = await scene.sample()
    if sample is None:
        return []
    if not sample.dkim.results:
        return [finding("dkim_unsigned", Status.FAIL, "sender.auth_failed", domain=scene.domain)]
    found = []
    for one in sample.dkim.results:
        known = {"domain": one.domain, "selector": one.selector, "reason": one.reason}
        if one.passed:
            found.append(finding("dkim_signature_ok", Status.OK, **known))
        elif one.code is dkim.Code.TEMPERROR:
            found.append(finding("dkim_signature_unsure", Status.UNKNOWN, **known))
        else:
            bad = finding("dkim_signature_bad", Status.FAIL, "sender.auth_failed", **known)
            found.append(bad)
    return found
