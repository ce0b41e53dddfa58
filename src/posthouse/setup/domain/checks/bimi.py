"""BIMI: the record, and the logo and mark certificate it names."""

from __future__ import annotations

import asyncio
from typing import Final

from posthouse.flow import Failure, NetworkFailure
from posthouse.protocol import bimi, dmarc
from posthouse.setup.domain.checks.common import items
from posthouse.setup.domain.model import Checked
from posthouse.setup.domain.scene import Scene

LOGO_LIMIT: Final = 256_000  # octets; what is fetched, more than any logo may have
MARK_LIMIT: Final = 256_000
_OK: Final = 200
_WHOLE: Final = 100  # percent


async def check_bimi(scene: Scene) -> Checked:
    """Would a logo be shown?"""
    selector = scene.options.bimi_selector
    await scene.budget.ask(bimi.record_name(scene.domain, selector), "TXT")
    survey, organizational = await asyncio.gather(scene.dmarc_survey(), scene.organizational())
    asserted = await scene.run(bimi.lookup(scene.domain, selector, organizational=organizational))
    record = asserted.record
    logo: bytes | str | None = None
    mark: bytes | str | None = None
    if record is not None and not record.declined:
        logo, mark = await asyncio.gather(
            _fetch(scene, record.location, LOGO_LIMIT), _fetch(scene, record.evidence, MARK_LIMIT)
        )
    found = bimi.audit(
        asserted,
        _dmarc(survey, scene.domain),
        logo=logo,
        mark=mark,
        now=scene.net.clock.now(),
        organizational=organizational,
    )
    shown = {
        "record": record.text if record is not None else "",
        "logo": record.location if record is not None else "",
        "evidence": record.evidence if record is not None else "",
    }
    where = [(asserted.name, "TXT")]
    return Checked("bimi", items("bimi", found, scene, where=where, types=("TXT",)), shown)


def _dmarc(survey: dmarc.Survey, domain: str) -> bimi.Dmarc | None:
    """What BIMI has to know of DMARC."""
    record = survey.discovery.record
    if record is None or record.effective is None:
        return None
    policy, found = record.effective, survey.discovery
    if found.inherited:
        action = policy.for_subdomain(exists=True)
        return bimi.Dmarc(found.domain, action.value, "", _percent(record), policy.testing)
    below = policy.sp.value if policy.sp is not None else ""
    action = policy.p or dmarc.Action.NONE
    return bimi.Dmarc(domain, action.value, below, _percent(record), policy.testing)


def _percent(record: dmarc.Record) -> int:
    """pct= of RFC 7489: BIMI's receivers still look at it."""
    told = [one.text for one in record.problems if one.tag == "pct"]
    return int(told[0]) if told and told[0].isascii() and told[0].isdigit() else _WHOLE


async def _fetch(scene: Scene, url: str, limit: int) -> bytes | str | None:
    """The document, or a word for why there is none."""
    if not url:
        return None
    try:
        async with asyncio.timeout(scene.budget.left or 0.001):
            answer = await scene.net.http.get(url, limit=limit)
    except NetworkFailure as failure:
        if failure.failure is Failure.BAD_REPLY:
            return "too_big" if failure.detail.get("reason") == "too_big" else "redirect"
        return "certificate" if failure.failure is Failure.CERTIFICATE else "unreachable"
    except (TimeoutError, ValueError):
        return "unreachable"
    if not answer.tls_trusted:
        return "certificate"
    return answer.body if answer.status == _OK else "status"
