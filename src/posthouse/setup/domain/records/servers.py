"""The names and servers of a domain: addresses, MX, SRV, names for mail programs, DANE, PTR.

Enters: the draft. Leaves: entries, findings, records that others must publish. Called by ``plan``.
Nothing fails.
"""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.flow import Status
from posthouse.protocol import dane
from posthouse.protocol.dkim.signature import within
from posthouse.protocol.dns import Query
from posthouse.protocol.fcrdns import reverse_name
from posthouse.setup.domain.records.draft import Draft
from posthouse.setup.domain.records.inventory import NOT_OFFERED, SERVERS, Dane, Server
from posthouse.setup.domain.records.model import Change, Entry, Stage
from posthouse.setup.domain.records.policies import host_records


def plan_hosts(draft: Draft) -> Query[None]:
    """Servers of one's own, and the names that lead to them."""
    for host in draft.inventory.hosts:
        if host.addresses and within(host.name, draft.domain):
            yield from host_records(draft, "host", host.name, host.addresses, "host")
        if host.sends:
            for address in host.addresses:
                yield from _reverse(draft, host.name, address)
    for name, target in draft.inventory.names.items():
        yield from host_records(draft, "host", name, target, "name")


def _reverse(draft: Draft, host: str, address: str) -> Query[None]:
    """The name of the address: whoever owns it publishes that. Large receivers refuse without."""
    name = reverse_name(address)
    answer = yield from draft.ask(name, "PTR")
    if answer.failed:
        return
    names = [one.lower().removesuffix(".") for one in answer.records]
    if host in names:
        return
    draft.say("ptr", Status.FAIL, address=address, host=host, names=", ".join(names))
    record = draft.record(name, "PTR", f"{host}.")
    change = Change.CHANGE if names else Change.ADD
    live = answer.records[:1]
    draft.elsewhere.append(Entry("host", record, change, "ptr", Stage.HOSTS, live))


def plan_mx(draft: Draft) -> Query[tuple[str, ...]]:
    """The mail servers: those wished, else those of now. Leaves their names, best first."""
    answer = yield from draft.ask(draft.domain, "MX")
    wished = draft.inventory.mx
    if not wished:
        rows = sorted(one.split() for one in answer.records if len(one.split()) == 2)
        return tuple(row[1].lower().removesuffix(".") or NOT_OFFERED for row in rows)
    values = [f"{one.preference} {_dotted(one.host)}" for one in wished]
    nobody = wished[0].host == NOT_OFFERED
    why = "mx_null" if nobody else "mx"
    yield from draft.exactly("mx", draft.domain, "MX", values, answer, why=why, stage=Stage.SERVERS)
    yield from _no_aliases(draft, "MX", [one.host for one in wished])
    return tuple(one.host for one in sorted(wished, key=lambda one: one.preference))


def _dotted(host: str) -> str:
    return host if host == NOT_OFFERED else f"{host}."


def _no_aliases(draft: Draft, type_: str, hosts: Sequence[str]) -> Query[None]:
    """RFC 2181 section 10.3, RFC 2782: servers are named by their own name."""
    planned = {host.name for host in draft.inventory.hosts} | set(draft.inventory.names)
    for host in hosts:
        if host == NOT_OFFERED or host in planned:
            continue
        answer = yield from draft.ask(host, "A")
        if answer.canonical:
            draft.say("alias_target", Status.FAIL, name=draft.domain, type=type_, host=host)


def plan_srv(draft: Draft) -> Query[None]:
    """Where mail programs find the servers. RFC 6186, RFC 8314 section 5.1."""
    wished: dict[str, list[Server]] = {}
    for one in draft.inventory.servers:
        wished.setdefault(one.service, []).append(one)
    for service, servers in wished.items():
        name = f"{SERVERS[service]}.{draft.domain}"
        values = [
            "0 0 0 ." if one.host == NOT_OFFERED else f"0 1 {one.port} {one.host}."
            for one in servers
        ]
        nobody = servers[0].host == NOT_OFFERED
        live = yield from draft.ask(name, "SRV")
        yield from draft.exactly(
            "srv",
            name,
            "SRV",
            values,
            live,
            why="srv_none" if nobody else "srv",
            stage=Stage.SERVERS,
            params={"service": service},
        )
        yield from _no_aliases(draft, "SRV", [one.host for one in servers])


def plan_dane(draft: Draft) -> Query[None]:
    """TLSA records of the mail servers. RFC 7672; the old one goes after the new has been seen."""
    for wish in draft.inventory.dane:
        yield from _tlsa(draft, wish)


def _tlsa(draft: Draft, wish: Dane) -> Query[None]:
    if not wish.materials:
        draft.say("dane_unseen", Status.UNKNOWN, host=wish.host, port=wish.port)
        return
    name = dane.tlsa_name(wish.host, wish.port)
    records = list(dict.fromkeys(str(dane.build(one)) for one in wish.materials))
    if len(records) > 1:  # RFC 7671 section 8.1: both, for two TTLs, before the server changes
        wait = 2 * draft.inventory.ttl
        draft.say("dane_roll", Status.SKIPPED, host=wish.host, wait=wait)
    address = yield from draft.ask(wish.host, "A")
    if not address.failed and not address.authenticated:
        draft.say("dane_unsigned", Status.WARN, host=wish.host)
    live = yield from draft.ask(name, "TLSA")
    if not within(wish.host, draft.domain):
        draft.say("dane_foreign", Status.SKIPPED, host=wish.host)
        draft.elsewhere += [
            Entry("dane", draft.record(name, "TLSA", one), Change.ADD, "dane", Stage.POLICY)
            for one in records
            if one not in {text.lower() for text in live.records}
        ]
        return
    yield from draft.exactly(
        "dane",
        name,
        "TLSA",
        records,
        live,
        why="dane",
        stage=Stage.POLICY,
        removal=Stage.LATER,
        params={"host": wish.host},
    )
