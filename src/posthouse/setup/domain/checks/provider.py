"""The checklist of the providers that handle a domain's mail: what they want in its DNS."""

from __future__ import annotations

import asyncio
from typing import Final

from posthouse.flow import Finding, Status
from posthouse.protocol import mx
from posthouse.protocol.dns import Answer
from posthouse.setup.domain import facts, zone
from posthouse.setup.domain.checks.common import finding, items
from posthouse.setup.domain.model import Checked, Item
from posthouse.setup.domain.scene import Scene
from posthouse.setup.domain.spf_record import proposal, reaches

CHECK: Final = "provider"


async def check_provider(scene: Scene) -> Checked:
    """Each provider's own list."""
    known = facts.providers()
    theirs = [known[id_] for id_ in await scene.providers() if id_ in known]
    lists = await asyncio.gather(*(_one(scene, provider) for provider in theirs))
    made = tuple(item for items_ in lists for item in items_)
    shown = {one.id: {"source": one.source, "date": one.date} for one in theirs}
    return Checked(CHECK, made, {"providers": shown})


async def _one(scene: Scene, provider: facts.Provider) -> list[Item]:
    parts = await asyncio.gather(
        _spf(scene, provider),
        *(_row(scene, provider, row) for row in provider.rows),
        *(_selector(scene, provider, one) for one in scene.options.selectors),
        *(_return_path(scene, provider, one) for one in scene.options.envelope),
    )
    return [item for part in parts for item in part]


async def _spf(scene: Scene, provider: facts.Provider) -> list[Item]:
    """Its include, directly or by way of another record."""
    if not provider.spf:
        return []
    survey = await scene.spf_survey()
    if any(each.status is Status.UNKNOWN for each in survey.findings):
        return []  # the SPF check tells
    wanted = {provider.spf, *provider.include}
    known = {"provider": provider.id, "include": provider.spf}
    where = [(scene.domain, "TXT")]
    if reaches(scene, survey, wanted):
        told = finding("provider_spf_ok", Status.OK, **known)
        return list(items(CHECK, [told], scene, where=where))
    told = finding("provider_spf_missing", Status.FAIL, "sender.auth_failed", **known)
    text = await proposal(scene)
    publish = [zone.txt(scene.domain, text)] if text else []
    return list(items(CHECK, [told], scene, where=where, mend=lambda _: publish))


async def _row(scene: Scene, provider: facts.Provider, row: facts.Row) -> list[Item]:
    """One record of the list."""
    name = f"{row.name}.{scene.domain}" if row.name else scene.domain
    answer = await scene.budget.ask(name, row.type)
    told = _judged(answer, provider.id, row, name)
    publish = [zone.cname(name, row.values[0])] if _exact(row) and not _good(told) else []
    return list(items(CHECK, [told], scene, where=[(name, row.type)], mend=lambda _: publish))


def _exact(row: facts.Row) -> bool:
    return row.type == "CNAME" and "*" not in row.values[0]


def _good(told: Finding) -> bool:
    return told.status is Status.OK


def _judged(answer: Answer, provider: str, row: facts.Row, name: str) -> Finding:
    wanted = row.values[0]
    known = {"provider": provider, "name": name, "type": row.type, "wanted": wanted}
    if answer.failed:
        return finding("provider_unsure", Status.UNKNOWN, **known)
    bad = Status.FAIL if row.needed else Status.WARN
    if not answer.records:
        return finding("provider_missing", bad, **known)
    if any(facts.fits(p, record) for p in row.values for record in answer.records):
        return finding("provider_ok", Status.OK, **known)
    value = answer.records[0].removesuffix(".")[:200]
    return finding("provider_other", Status.WARN, value=value, **known)


async def _selector(scene: Scene, provider: facts.Provider, selector: str) -> list[Item]:
    """The alias that a service wants for every selector it gave out."""
    if not provider.selector_target:
        return []
    name = f"{selector}._domainkey"
    target = provider.selector_target.format(selector=selector)
    return await _row(scene, provider, facts.Row(name, "CNAME", (target,)))


async def _return_path(scene: Scene, provider: facts.Provider, domain: str) -> list[Item]:
    """The MAIL FROM domain of a service: its MX, and an SPF record that includes the service."""
    if not provider.return_path_mx:
        return []
    exchanges, survey = await asyncio.gather(scene.run(mx.lookup(domain)), scene.spf_survey(domain))
    known = {"provider": provider.id, "domain": domain}
    where = [(domain, "MX"), (domain, "TXT")]
    fits = [host for host in exchanges.hosts if facts.fits(provider.return_path_mx, host)]
    pattern = provider.return_path_mx
    if exchanges.status.value in ("servfail", "timeout", "refused"):
        told = finding("provider_return_path_unsure", Status.UNKNOWN, **known)
    elif fits:
        told = finding("provider_return_path_ok", Status.OK, host=fits[0], **known)
    else:
        told = finding("provider_return_path_mx", Status.FAIL, wanted=pattern, **known)
    made = list(items(CHECK, [told], scene, where=where))
    include = provider.include[0]
    if not reaches(scene, survey, {include}):
        bad = finding(
            "provider_return_path_spf", Status.FAIL, "sender.auth_failed", include=include, **known
        )
        line = zone.txt(domain, f"v=spf1 include:{include} ~all")
        made += items(CHECK, [bad], scene, where=where, mend=lambda _: [line])
    return made
