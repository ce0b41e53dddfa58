"""A DNS server on loopback that answers from a table, over UDP and TCP on one port.

``FakeDns({("mail.test", "A"): ["127.0.0.1"], ("slow.test", "A"): DnsReply(silent=True)})``. A name
that the table does not know is NXDOMAIN; a known name without the type asked for is NODATA; CNAMEs
are followed. ``queries`` lists what was asked.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

UDP_ROOM = 1232  # octets an answer may have before the client is sent to TCP
ANY_TYPE = "*"


@dataclass(frozen=True, slots=True)
class DnsReply:
    """How the server answers one question."""

    records: tuple[str, ...] = ()  # presentation form, names with or without the last dot
    rcode: str = "NOERROR"
    ttl: int = 300
    authenticated: bool = False  # the AD flag of a validating resolver
    delay: float = 0.0  # seconds
    silent: bool = False  # never answers
    truncated: bool = False  # UDP says TC, whatever the size; TCP gives all
    garbage: bytes | None = None  # sent instead of a DNS message


@dataclass(frozen=True, slots=True)
class DnsQuery:
    """One question the server was asked."""

    name: str  # lower case, no last dot
    type: str
    transport: str  # "udp" or "tcp"


Table = Mapping[tuple[str, str], DnsReply | Sequence[str]]


class FakeDns:
    """``async with FakeDns(table) as server``: then ``server.address`` is (host, port)."""

    def __init__(
        self,
        table: Table | None = None,
        *,
        default: DnsReply | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.table: dict[tuple[str, str], DnsReply] = {}
        for (name, type_), reply in (table or {}).items():
            self.set(name, type_, reply)
        self.default = default
        self.queries: list[DnsQuery] = []
        self.host = host
        self.port = port
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> tuple[str, int]:
        """Where the server listens."""
        return self.host, self.port

    def set(self, name: str, type_: str, reply: DnsReply | Sequence[str]) -> None:
        """Change one entry, also while the server runs; type "*" answers every type."""
        if not isinstance(reply, DnsReply):
            reply = DnsReply(tuple(reply))
        self.table[_plain(name), type_.upper()] = reply

    def asked(self, name: str, type_: str) -> int:
        """How many times that question came."""
        return sum(1 for q in self.queries if (q.name, q.type) == (_plain(name), type_.upper()))

    async def __aenter__(self) -> FakeDns:
        loop = asyncio.get_running_loop()
        udp, tcp = _socket_pair(self.host, self.port)
        self.port = udp.getsockname()[1]
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), sock=udp)
        self._tcp = await asyncio.start_server(self._serve_tcp, sock=tcp)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def datagram(self, data: bytes, peer: tuple[str, int]) -> None:
        """One UDP question (called by the transport)."""
        self._spawn(self._answer_udp(data, peer))

    def _spawn(self, work: object) -> None:
        task = asyncio.get_running_loop().create_task(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer_udp(self, data: bytes, peer: tuple[str, int]) -> None:
        answer = await self._answer(data, "udp")
        if answer is not None and self._udp is not None and not self._udp.is_closing():
            self._udp.sendto(answer, peer)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                answer = await self._answer(await reader.readexactly(size), "tcp")
                if answer is not None:
                    writer.write(len(answer).to_bytes(2, "big") + answer)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, data: bytes, transport: str) -> bytes | None:
        try:
            query = dns.message.from_wire(data)
        except Exception:  # a test may send anything
            return None
        question = query.question[0]
        name, type_ = _plain(question.name.to_text()), dns.rdatatype.to_text(question.rdtype)
        self.queries.append(DnsQuery(name, type_, transport))
        chain = self._resolve(name, type_)
        last = chain[-1][2]
        if last.delay:
            await asyncio.sleep(last.delay)
        if last.silent:
            return None
        if last.garbage is not None:
            return last.garbage
        return self._message(query, chain, transport)

    def _resolve(self, name: str, type_: str) -> list[tuple[str, str, DnsReply]]:
        chain: list[tuple[str, str, DnsReply]] = []
        for _ in range(8):  # a loop of CNAMEs ends somewhere
            exact = self.table.get((name, type_)) or self.table.get((name, ANY_TYPE))
            if exact is not None:
                return [*chain, (name, type_, exact)]
            alias = self.table.get((name, "CNAME"))
            if alias is None:
                break
            chain.append((name, "CNAME", alias))
            name = _plain(alias.records[0])
        return [*chain, (name, type_, self._missing(name))]

    def _missing(self, name: str) -> DnsReply:
        exists = any(known == name or known.endswith("." + name) for known, _ in self.table)
        if exists:
            return DnsReply()
        return self.default or DnsReply(rcode="NXDOMAIN")

    def _message(
        self, query: dns.message.Message, chain: list[tuple[str, str, DnsReply]], transport: str
    ) -> bytes:
        response = dns.message.make_response(query, recursion_available=True)
        last = chain[-1][2]
        response.set_rcode(dns.rcode.from_text(last.rcode))
        for name, type_, reply in chain:
            if reply.records:
                response.answer.append(
                    dns.rrset.from_text_list(name + ".", reply.ttl, "IN", type_, reply.records)
                )
        if not last.records:
            response.authority.append(_soa(chain[-1][0], last.ttl))
        if last.authenticated:
            response.flags |= dns.flags.AD
        wire = response.to_wire()
        if transport == "udp" and (last.truncated or len(wire) > UDP_ROOM):
            short = dns.message.make_response(query, recursion_available=True)
            short.flags |= dns.flags.TC
            return short.to_wire()
        return wire


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: FakeDns) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._server.datagram(data, addr)


def negative(rcode: str = "SERVFAIL", **more: object) -> DnsReply:
    """A short way to say: this question fails."""
    return replace(DnsReply(rcode=rcode), **more)  # type: ignore[arg-type]


def _plain(name: str) -> str:
    return name.rstrip(".").lower()


def _soa(name: str, ttl: int) -> dns.rrset.RRset:
    zone = name.rpartition(".")[2] or "test"
    text = f"ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 {ttl}"
    return dns.rrset.from_text(f"{zone}.", ttl, "IN", "SOA", text)


def _socket_pair(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket on one port; with port 0 the system chooses until both are free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for attempt in range(20):
        udp = socket.socket(family, socket.SOCK_DGRAM)
        tcp = socket.socket(family, socket.SOCK_STREAM)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            udp.bind((host, port))
            tcp.bind((host, udp.getsockname()[1]))
        except OSError:
            udp.close()
            tcp.close()
            if port or attempt == 19:
                raise
            continue
        udp.setblocking(False)
        return udp, tcp
    raise AssertionError("unreachable")
