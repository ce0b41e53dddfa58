"""Mail on its way to the domain: MTA-STS, TLS reports, DANE, and the mail servers themselves."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from posthouse.flow import Failure, Finding, NetworkFailure, Status
from posthouse.protocol import dane, fcrdns, mtasts, tlsrpt
from posthouse.protocol.dns import AnswerStatus
from posthouse.setup.domain import look, zone
from posthouse.setup.domain.checks.common import finding, items
from posthouse.setup.domain.model import Checked, Item
from posthouse.setup.domain.scene import Scene

HOSTS_LIMIT: Final = 5  # mail servers connected to; senders hardly try more
_TEXT: Final = "TXT"


async def check_mtasts(scene: Scene) -> Checked:
    """The record, the policy over HTTPS, and whether it fits the mail servers."""
    discovery, exchanges = await asyncio.gather(
        scene.run(mtasts.discover(scene.domain)), scene.exchanges()
    )
    fetched = await _policy(scene, discovery)
    found = list(mtasts.audit(discovery, fetched, exchanges.hosts))
    if exchanges.null:
        found = [
            replace(one, status=Status.SKIPPED) if one.id == "mtasts.none" else one for one in found
        ]
    name = f"_mta-sts.{scene.domain}"

    def mend(each: Finding) -> list[str]:
        # an id may be anything that is new
        stamp = scene.net.clock.now().strftime("%Y%m%d%H%M%S")
        if each.id in ("mtasts.none", "mtasts.policy_without_record", "mtasts.id_kept"):
            return [zone.txt(name, f"v=STSv1; id={stamp}")]
        return []

    policy = fetched.policy if fetched is not None else None
    shown = {
        "record": discovery.record.text if discovery.record is not None else "",
        "id": discovery.record.id if discovery.record is not None else "",
        "mode": policy.mode.value if policy is not None else "",
        "mx": list(policy.mx) if policy is not None else [],
        "max_age": policy.max_age if policy is not None else 0,
        "problem": str(fetched.problem) if fetched is not None and fetched.problem else "",
    }
    made = items("mtasts", found, scene, where=[(name, _TEXT)], mend=mend)
    return Checked("mtasts", made, shown)


async def _policy(scene: Scene, discovery: mtasts.Discovery) -> mtasts.Fetched | None:
    """What HTTPS brings. Without a record nobody asks, unless the host is there all the same."""
    host = f"mta-sts.{scene.domain}"
    there = discovery.found is mtasts.Found.ONE
    if not there and not any(answer.records for answer in await scene.exists(host)):
        return None
    try:
        async with asyncio.timeout(scene.budget.left or 0.001):
            answer = await scene.net.http.get(
                mtasts.policy_url(scene.domain), limit=mtasts.BODY_LIMIT + 1, redirects=0
            )
    except NetworkFailure as failure:
        big = failure.failure is Failure.BAD_REPLY and failure.detail.get("reason") == "too_big"
        if big:
            return mtasts.Fetched(None, mtasts.Problem.TOO_BIG)
        trusted = failure.failure is not Failure.CERTIFICATE
        return _judged(trusted=trusted)
    except TimeoutError:
        return _judged(trusted=True)
    return mtasts.judge_fetch(
        status=answer.status,
        content_type=answer.headers.get("content-type", ""),
        redirected=bool(answer.redirects),
        tls_trusted=answer.tls_trusted,
        body=answer.body,
    )


def _judged(*, trusted: bool) -> mtasts.Fetched:
    return mtasts.judge_fetch(
        status=0, content_type="", redirected=False, tls_trusted=trusted, body=b""
    )


async def check_tlsrpt(scene: Scene) -> Checked:
    """Whether the domain asks for TLS reports."""
    record, found = await scene.run(tlsrpt.fetch(scene.domain))
    name = f"_smtp._tls.{scene.domain}"

    def mend(each: Finding) -> list[str]:
        if each.id == "tlsrpt.none":
            return [zone.txt(name, f"v=TLSRPTv1; rua=mailto:tls-reports@{scene.domain}")]
        return []

    exchanges = await scene.exchanges()
    if exchanges.null:
        found = tuple(
            replace(one, status=Status.SKIPPED) if one.id == "tlsrpt.none" else one for one in found
        )
    shown = {"record": record.text if record is not None else ""}
    return Checked("tlsrpt", items("tlsrpt", found, scene, where=[(name, _TEXT)], mend=mend), shown)


async def check_dane(scene: Scene) -> Checked:
    """The TLSA records of the mail servers; compared with their certificates where allowed."""
    mx = await scene.run(dane.mail_hosts(scene.domain))
    if mx.status is not AnswerStatus.OK or not mx.hosts:
        return Checked("dane", (), {"hosts": []})
    await scene.servers()
    hosts = await asyncio.gather(
        *(scene.run(dane.lookup(host, mx_secure=mx.secure)) for host in mx.hosts[:HOSTS_LIMIT])
    )
    chains = None
    if scene.options.connect:
        looks = await looks_at(scene)
        chains = {one.host: one.chain for one in looks if one.chain}
    found = dane.audit(mx, hosts, chains, scene.net.clock.now())
    shown = {
        "signed": mx.secure,
        "hosts": [{"host": one.host, "tlsa": list(one.texts)} for one in hosts],
        "compared": sorted(chains) if chains else [],
    }
    where = [(scene.domain, "MX")]
    return Checked("dane", items("dane", found, scene, where=where, types=("TLSA",)), shown)


async def looks_at(scene: Scene) -> tuple[look.Look, ...]:
    """The mail servers, each connected to once."""

    async def make() -> tuple[look.Look, ...]:
        exchanges, servers = await scene.exchanges(), await scene.servers()
        if exchanges.null:
            return ()
        hosts = [one.host for one in servers if one.addresses][:HOSTS_LIMIT]
        looks = (look.look(scene.net, scene.options, host) for host in hosts)
        return tuple(await asyncio.gather(*looks))

    return await scene.once("looks", make)


async def check_smtp(scene: Scene) -> Checked:
    """What the mail servers say on port 25; unknown where nobody may connect."""
    exchanges = await scene.exchanges()
    if exchanges.null:
        return Checked("smtp", (), {"looked": False})
    if not scene.options.connect:
        told = finding("smtp_not_looked", Status.UNKNOWN, domain=scene.domain)
        return Checked("smtp", items("smtp", [told], scene), {"looked": False})
    looks = await looks_at(scene)
    made: list[Item] = []
    for one in looks:
        found = [*judge_look(one), *await _greeting(scene, one)]
        made += items("smtp", found, scene, where=[(one.host, "A"), (one.host, "AAAA")])
    return Checked("smtp", tuple(made), {"looked": True, "servers": [shown(one) for one in looks]})


def judge_look(one: look.Look) -> list[Finding]:
    """One mail server on port 25."""
    known = {"host": one.host, "port": one.port}
    if not one.reached:  # many networks let nobody out to port 25: that says nothing of the server
        return [finding("smtp_unreachable", Status.UNKNOWN, failure=one.failure, **known)]
    if one.failure and one.starttls is None:
        return [finding("smtp_failed", Status.FAIL, failure=one.failure, **known)]
    found = []
    if one.auth_plain:
        found.append(finding("smtp_plain_login", Status.WARN, **known))
    if not one.starttls:
        return [*found, finding("smtp_no_starttls", Status.FAIL, "tls.required", **known)]
    if one.tls is None or one.failure:
        bad = finding("smtp_tls_failed", Status.FAIL, "tls.failed", failure=one.failure, **known)
        return [*found, bad]
    tls = {"version": one.tls.version, **known}
    if not one.tls.trusted:
        problems = [problem.kind.value for problem in one.tls.problems]
        found.append(
            finding("smtp_certificate", Status.WARN, "tls.certificate", problems=problems, **known)
        )
    return [*found, finding("smtp_ok", Status.OK, **tls)]


async def _greeting(scene: Scene, one: look.Look) -> list[Finding]:
    """The name it gives itself, beside its address."""
    if not one.name or not one.address:
        return []
    reverse = await scene.run(fcrdns.check(one.address))
    return list(await scene.run(fcrdns.check_helo(one.name, reverse)))


def shown(one: look.Look) -> dict[str, object]:
    """A look as plain JSON values."""
    leaf = one.tls.leaf if one.tls is not None else None
    return {
        "host": one.host,
        "port": one.port,
        "address": one.address,
        "banner": one.banner,
        "name": one.name,
        "extensions": list(one.extensions),
        "starttls": one.starttls,
        "tls": one.tls.version if one.tls is not None else "",
        "trusted": one.tls.trusted if one.tls is not None else None,
        "certificate": list(leaf.names) if leaf is not None else [],
        "failure": one.failure,
    }
