"""The mail servers of a domain, and whether it is signed: MX, A, AAAA, DNSSEC."""

from __future__ import annotations

from posthouse.flow import Finding, Status
from posthouse.protocol import dnssec, mx
from posthouse.protocol.dns import AnswerStatus
from posthouse.setup.domain import zone
from posthouse.setup.domain.checks.common import Mend, items
from posthouse.setup.domain.model import Checked
from posthouse.setup.domain.scene import Scene


async def check_mx(scene: Scene) -> Checked:
    """Do the records make sense, and do the servers have addresses?"""
    exchanges, servers = await scene.exchanges(), await scene.servers()
    found = [*exchanges.findings]
    if exchanges.status is AnswerStatus.NODATA:
        found += mx.implied(exchanges.domain, servers[0])
    elif exchanges.records:
        found += [each for server in servers for each in server.findings]
    if exchanges.hosts and all(each.status is Status.OK for each in found):
        params = {"domain": scene.domain, "hosts": list(exchanges.hosts)}
        found.append(Finding("mx.ok", Status.OK, None, params))
    facts = {
        "null": exchanges.null,
        "records": [{"preference": r.preference, "host": r.host} for r in exchanges.records],
        "addresses": {server.host: list(server.addresses) for server in servers},
        "providers": list(await scene.providers()),
    }
    where = [(scene.domain, "MX")]
    made = items("mx", found, scene, where=where, types=("A", "AAAA"), mend=_mend(scene))
    return Checked("mx", made, facts)


def _mend(scene: Scene) -> Mend:
    def mend(each: Finding) -> list[str]:
        if each.id == "mx.null_among_others":
            return [zone.mx(scene.domain, "")]
        if each.id == "mx.alias":
            return [zone.mx(scene.domain, str(each.params["target"]))]
        return []

    return mend


async def check_dnssec(scene: Scene) -> Checked:
    """Is the domain signed, as far as the resolver tells?"""
    await scene.ask_all((scene.domain,), "SOA", "DS")
    signed = await scene.run(dnssec.check(scene.domain))
    facts = {"authenticated": signed.authenticated, "zone": signed.zone, "ds": list(signed.ds)}
    where = [(scene.domain, "SOA"), (signed.zone or scene.domain, "DS")]
    return Checked("dnssec", items("dnssec", signed.findings, scene, where=where), facts)
