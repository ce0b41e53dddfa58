"""The addresses that send: their names, and whether block lists have them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from posthouse.directory import blocklists
from posthouse.flow import Finding, Status
from posthouse.net.resolver import answer
from posthouse.protocol import dnsbl, fcrdns
from posthouse.protocol.host import parse_ip
from posthouse.setup.domain import zone
from posthouse.setup.domain.budget import Patient
from posthouse.setup.domain.checks.common import finding, items
from posthouse.setup.domain.model import Checked
from posthouse.setup.domain.scene import Scene

LISTED: Final = dnsbl.LISTED_TEST4  # RFC 5782 section 5
LIST_SECONDS: Final = 1.5  # one list; a dead one must not hold up the rest


async def check_fcrdns(scene: Scene) -> Checked:
    """Every sending address has a name that leads back to it."""
    egress = await scene.egress()
    results = await asyncio.gather(*(scene.run(fcrdns.check(ip)) for ip in egress))
    found = [*_unusable(scene), *(each for result in results for each in result.findings)]
    if not egress:
        found.append(finding("egress_unknown", Status.UNKNOWN, domain=scene.domain))
    servers = {a: s.host for s in await scene.servers() for a in s.addresses}

    def mend(each: Finding) -> list[str]:
        ip = str(each.params.get("ip", ""))
        if each.id in ("fcrdns.none", "fcrdns.generic") and ip in servers:
            return [zone.ptr(fcrdns.reverse_name(ip), servers[ip])]
        if each.id == "fcrdns.not_confirmed" and each.params["names"]:
            return [zone.address(str(each.params["names"][0]), ip)]
        return []

    facts = {r.ip: {"names": list(r.names), "confirmed": list(r.confirmed)} for r in results}
    made = [
        item
        for result in results
        for item in items(
            "fcrdns",
            result.findings,
            scene,
            where=[(result.name, "PTR"), *((n, _type(result.ip)) for n in result.names[:3])],
            mend=mend,
        )
    ]
    rest = [each for each in found if each.id.startswith("domain.")]
    return Checked("fcrdns", (*made, *items("fcrdns", rest, scene)), {"addresses": facts})


def _type(ip: str) -> str:
    return "AAAA" if ":" in ip else "A"


def _unusable(scene: Scene) -> list[Finding]:
    bad = [text for text in scene.options.egress if parse_ip(text) is None]
    return [finding("egress_unusable", Status.UNKNOWN, address=text[:60]) for text in bad]


async def check_dnsbl(scene: Scene) -> Checked:
    """Is a sending address, or the domain, on a block list? Silence and errors are no listings."""
    lists = scene.options.blocklists
    known = blocklists.blocklists() if lists is None else lists
    by_ip = [one for one in known if one.kind is dnsbl.Kind.IP]
    by_name = [one for one in known if one.kind is dnsbl.Kind.DOMAIN]
    # Each look asks for the list's test entry in the end; a dead list holds up nobody.
    proofs = asyncio.gather(*(_proof(scene, one) for one in known))
    looks = asyncio.gather(*(_look(scene, scene.domain, one) for one in by_name))
    of_domain, of_ips, _ = await asyncio.gather(looks, _egress_looks(scene, by_ip), proofs)
    found = _once([one for one in (*of_domain, *of_ips) if one is not None])
    made = [
        item
        for one in found
        for item in items("dnsbl", [one.finding], scene, where=[(one.name, "A"), (one.name, "TXT")])
    ]
    counts = {state.value: sum(one.state is state for one in found) for state in dnsbl.State}
    return Checked("dnsbl", tuple(made), {"lists": len(known), "looks": counts})


async def _egress_looks(
    scene: Scene, lists: Sequence[dnsbl.Blocklist]
) -> list[dnsbl.Listing | None]:
    egress = await scene.egress()
    return await asyncio.gather(*(_look(scene, ip, one) for ip in egress for one in lists))


async def _proof(scene: Scene, one: dnsbl.Blocklist) -> None:
    """Ask for the entry that the list must have, ahead of those that need it."""
    subject = one.test or (dnsbl.LISTED_TEST if one.kind is dnsbl.Kind.DOMAIN else LISTED)
    with suppress(dnsbl.SubjectError):
        await Patient(scene.budget, LIST_SECONDS).ask(dnsbl.question(subject, one), "A")


def _once(found: list[dnsbl.Listing]) -> list[dnsbl.Listing]:
    """A list that does not work is told once, not for every address."""
    kept: dict[tuple[str, ...], dnsbl.Listing] = {}
    for one in found:
        works = one.state in (dnsbl.State.LISTED, dnsbl.State.CLEAR)
        key = (one.list.id, one.subject if works else "", one.state, one.reason)
        kept.setdefault(key, one)
    return list(kept.values())


async def _look(scene: Scene, subject: str, one: dnsbl.Blocklist) -> dnsbl.Listing | None:
    """One look, in its time; None where this list can't be asked about the subject."""
    try:
        dnsbl.question(subject, one)
    except dnsbl.SubjectError:
        return None
    patient = Patient(scene.budget, LIST_SECONDS)  # a listing stays one where its words are late
    return await answer(dnsbl.check(subject, one, prove=True), patient)
