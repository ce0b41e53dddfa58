"""One audit under way: the domain, what it is asked with, and what its checks share.

Enters: a domain, ``Net``, ``Options``. Leaves, to the checks: mail servers, addresses, SPF, DMARC
and the domain's providers, each worked out once, by whoever needs it first. Questions that will be
needed are asked side by side ahead of the algorithms, which ask one after the other and then find
their answers waiting. Nothing fails but a bug.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeVar

from posthouse import directory
from posthouse.net.resolver import answer
from posthouse.protocol import dmarc, mx, psl, spf
from posthouse.protocol.dmarc.walk import targets
from posthouse.protocol.dns import Answer, AnswerStatus, Query
from posthouse.protocol.host import parse_ip
from posthouse.setup.domain import facts
from posthouse.setup.domain.budget import Budget, Shared
from posthouse.setup.domain.model import Net, Options
from posthouse.setup.domain.sample import Sample, read_sample

T = TypeVar("T")

WARM_DEPTH: Final = 8  # includes in includes asked for ahead; the survey goes on by itself
WARM_NAMES: Final = 40  # records asked for ahead
URIS: Final = 10  # report addresses looked at ahead

_ASKING: Final = frozenset({"include", "redirect", "a", "mx"})  # terms of SPF that ask

MailServers = tuple[mx.Exchanges, tuple[mx.Exchange, ...]]


class Scene:
    """What every check is given."""

    def __init__(self, domain: str, net: Net, options: Options) -> None:
        self.domain = domain
        self.net = net
        self.options = options
        self.budget = Budget(net.resolver, limit=options.queries, seconds=options.seconds)
        self._shared = Shared()

    async def close(self) -> None:
        """End whatever still runs."""
        await self._shared.close()
        await self.budget.close()

    async def once(self, key: str, make: Callable[[], Awaitable[T]]) -> T:
        """What ``make`` gives, made once."""
        return await self._shared.once(key, make)

    async def run(self, query: Query[T]) -> T:
        """The result of an algorithm that asks DNS."""
        return await answer(query, self.budget)

    async def ask_all(self, names: Iterable[str], *types: str) -> list[Answer]:
        """Many questions at once."""
        return await self.budget.ask_all([(n, t) for n in names for t in types])

    async def exists(self, host: str) -> tuple[Answer, ...]:
        """The answers for a host's addresses; AAAA is left out where there is no such name."""
        four = await self.budget.ask(host, "A")
        if four.status is AnswerStatus.NXDOMAIN:  # that is said of all types (RFC 8020)
            return (four,)
        return four, await self.budget.ask(host, "AAAA")

    # What checks share

    async def exchanges(self) -> mx.Exchanges:
        """The domain's MX records."""
        return await self.once("exchanges", lambda: self.run(mx.lookup(self.domain)))

    async def servers(self) -> tuple[mx.Exchange, ...]:
        """The mail servers with their addresses; the domain itself where it has no MX."""
        return await self.once("servers", self._servers)

    async def _servers(self) -> tuple[mx.Exchange, ...]:
        found = await self.exchanges()
        hosts = found.hosts
        if not found.records and not found.status.value.startswith("nx"):
            hosts = (self.domain,)  # RFC 5321 section 5.1: the domain's own address
        await self.ask_all(hosts, "A", "AAAA")
        return tuple([await self.run(mx.host(host)) for host in hosts])

    async def egress(self) -> tuple[str, ...]:
        """The addresses that send, as given; else those of the mail servers."""
        given = tuple(dict.fromkeys(filter(None, map(parse_ip, self.options.egress))))
        if given:
            return given
        servers = await self.servers()
        found = (parse_ip(a) for server in servers for a in server.addresses)
        return tuple(dict.fromkeys(ip for ip in found if ip))[: facts.EGRESS_LIMIT]

    async def providers(self) -> tuple[str, ...]:
        """Directory ids: whose tenant the domain is by MX, who may send by SPF, who was named."""
        return await self.once("providers", self._providers)

    async def _providers(self) -> tuple[str, ...]:
        found, texts = await asyncio.gather(self.exchanges(), self.budget.ask(self.domain, "TXT"))
        matches = (directory.by_mx(host) for host in found.hosts)
        tenants = [match.provider.id for match in matches if match is not None]
        terms = [text for text in texts.records if spf.is_record(text)]
        senders = [one for text in terms for one in facts.senders_in(text)]
        return tuple(dict.fromkeys([*tenants, *senders, *self.options.providers]))

    async def spf_survey(self, domain: str = "") -> spf.Survey:
        """The SPF of the domain, or of another."""
        name = domain or self.domain

        async def make() -> spf.Survey:
            await self._warm_spf(name, set(), WARM_DEPTH)
            return await self.run(spf.survey(name))

        return await self.once(f"spf {name}", make)

    async def _warm_spf(self, domain: str, seen: set[str], depth: int) -> None:
        """Ask for all that the record of ``domain`` leads to, each level at once."""
        if domain in seen or len(seen) >= WARM_NAMES or depth < 0:
            return
        seen.add(domain)
        reply = await self.budget.ask(domain, "TXT")
        texts = [text for text in reply.records if spf.is_record(text)]
        try:
            record = spf.parse(texts[0]) if len(texts) == 1 else None
        except spf.RecordError:
            return
        terms = [term for term in record.terms if term.name in _ASKING] if record else ()
        await asyncio.gather(*(self._warm_term(term, domain, seen, depth) for term in terms))

    async def _warm_term(
        self, term: spf.Mechanism | spf.Modifier, domain: str, seen: set[str], depth: int
    ) -> None:
        value = term.domain if isinstance(term, spf.Mechanism) else term.value
        if value is not None and value.literal is None:
            return  # depends on the message
        target = value.literal.lower().removesuffix(".") if value and value.literal else domain
        if term.name in ("include", "redirect"):
            await self._warm_spf(target, seen, depth - 1)
        elif term.name == "a":
            await self.ask_all((target,), "A", "AAAA")
        elif term.name == "mx":
            hosts = (await self.run(mx.lookup(target))).hosts[: spf.DEFAULT_LIMITS.mx_names]
            await self.ask_all(hosts, "A", "AAAA")

    async def dmarc_survey(self) -> dmarc.Survey:
        """The DMARC of the domain."""
        return await self.once("dmarc", self._dmarc)

    async def _dmarc(self) -> dmarc.Survey:
        names = [f"_dmarc.{name}" for name in targets(self.domain)]
        replies = await self.ask_all(names, "TXT")
        await self._warm_reports(replies)
        return await self.run(dmarc.survey(self.domain, psl.default_list()))

    async def _warm_reports(self, replies: Sequence[Answer]) -> None:
        """Whether strangers take the reports: the questions for it, at once."""
        names: list[str] = []
        for reply in replies:
            owner = reply.name.removeprefix("_dmarc.")
            for host in facts.report_hosts(reply.records)[:URIS]:
                if host == owner or host.endswith(f".{owner}"):
                    continue
                names += [f"_dmarc.{name}" for name in targets(host)]
                names.append(f"{owner}._report._dmarc.{host}")
        await self.ask_all(dict.fromkeys(names), "TXT")

    async def organizational(self) -> str:
        """The organizational domain by DMARC's tree walk; the domain itself where it is unknown."""
        found = await self.dmarc_survey()
        return found.discovery.organizational or self.domain

    async def sample(self) -> Sample | None:
        """The mail that was handed in, checked; None where there is none."""
        raw = self.options.message
        if raw is None:
            return None
        now = self.net.clock.now()
        return await self.once("sample", lambda: self.run(read_sample(raw, now)))
