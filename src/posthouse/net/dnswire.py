"""One DNS question on the wire: UDP, and TCP where UDP was too small.

Enters: a question and a server. Leaves: an ``Answer``. Only ``net.resolver`` uses it, and imports
it when the first question is asked. dnspython writes and reads the messages; the sockets are our
own, connected ones, so that a closed port or a missing route is seen at once and not as silence.
What can fail: nothing; it waits for ever for a silent server, and the caller ends that.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rdtypes.txtbase
import dns.resolver
import dns.rrset

from posthouse.flow import Failure, NetworkFailure
from posthouse.net.pipe import failure_of
from posthouse.net.stream import Stream, TcpStream
from posthouse.protocol.dns import Answer, AnswerStatus

UDP_PAYLOAD: Final = 1232  # DNS flag day 2020: what passes without fragments everywhere
RECORDS_LIMIT: Final = 200  # of one answer; a real MX or TXT set has some dozens at most
PORT: Final = 53

Server = tuple[str, int]

_RCODES: Final = {
    dns.rcode.NXDOMAIN: AnswerStatus.NXDOMAIN,
    dns.rcode.REFUSED: AnswerStatus.REFUSED,
}


def system_servers() -> list[Server]:
    """The resolvers this machine is set up with; none if it has none."""
    try:
        found = dns.resolver.Resolver().nameservers
    except (dns.exception.DNSException, OSError):
        return []
    return [(server, PORT) for server in found if isinstance(server, str) and "/" not in server]


def server_text(server: Server) -> str:
    """The server for people: the port only where it is not 53."""
    host, port = server
    if port == PORT:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def query(name: str, type_: str) -> dns.message.Message | None:
    """A question with DO and AD set, or None for a name that no DNS can hold.

    RFC 6840 section 5.7: AD in a query asks the resolver to say in AD what DNSSEC proved.
    """
    try:
        qname = dns.name.from_text(name)
        rdtype = dns.rdatatype.from_text(type_)
    except (dns.exception.DNSException, UnicodeError, ValueError):
        return None
    message = dns.message.make_query(qname, rdtype, want_dnssec=True, payload=UDP_PAYLOAD)
    message.flags |= dns.flags.AD
    return message


async def exchange(message: dns.message.Message, name: str, type_: str, server: Server) -> Answer:
    """Ask one server once."""
    text = server_text(server)
    try:
        response = await _udp(message, server)
        if response.flags & dns.flags.TC:
            response = await _tcp(message, server)
    except (OSError, NetworkFailure) as error:
        kind = (error if isinstance(error, NetworkFailure) else failure_of(error)).failure
        status = AnswerStatus.REFUSED if kind is Failure.REFUSED else AnswerStatus.TIMEOUT
        return Answer(name, type_, status, server=text, offline=kind is Failure.OFFLINE)
    except dns.exception.DNSException:
        return Answer(name, type_, AnswerStatus.SERVFAIL, server=text)
    return _answer(response, name, type_, text)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.queue.put_nowait(data)

    def error_received(self, error: Exception) -> None:
        self.queue.put_nowait(error)


async def _udp(message: dns.message.Message, server: Server) -> dns.message.Message:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(_Datagrams, remote_addr=server)
    try:
        transport.sendto(message.to_wire())
        while True:
            data = await protocol.queue.get()
            if isinstance(data, Exception):
                raise data
            response = _parsed(message, data)
            if response is not None:
                return response
    finally:
        transport.close()


def _parsed(message: dns.message.Message, data: bytes) -> dns.message.Message | None:
    """The response in a datagram; None for one that may be forged (RFC 5452 section 9.1)."""
    try:
        response = dns.message.from_wire(data, ignore_trailing=True)
    except dns.message.Truncated as error:
        return cast(dns.message.Message, error.message())  # type: ignore[no-untyped-call]
    except (dns.exception.DNSException, ValueError):
        if data[:2] == message.id.to_bytes(2, "big"):
            raise dns.exception.FormError from None  # ours, and malformed: do not wait for more
        return None
    return response if message.is_response(response) else None


async def _tcp(message: dns.message.Message, server: Server) -> dns.message.Message:
    """RFC 7766 section 8: two octets of length, then the message."""
    stream = await TcpStream.connect(*server)
    try:
        return await _ask(stream, message)
    finally:
        stream.abort()  # nothing is left to say, and TIME_WAIT costs a port


async def _ask(stream: Stream, message: dns.message.Message) -> dns.message.Message:
    wire = message.to_wire()
    await stream.write(len(wire).to_bytes(2, "big") + wire)
    data = b""
    while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
        more = await stream.read()
        if not more:
            raise dns.exception.FormError
        data += more
    try:
        response = dns.message.from_wire(data[2 : 2 + int.from_bytes(data[:2], "big")])
    except ValueError:  # dnspython's readers of single records raise it
        raise dns.exception.FormError from None
    if not message.is_response(response):
        raise dns.exception.FormError
    return response


def _answer(response: dns.message.Message, name: str, type_: str, server: str) -> Answer:
    rcode = response.rcode()
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        status = _RCODES.get(rcode, AnswerStatus.SERVFAIL)
        return Answer(name, type_, status, server=server)
    try:
        chain = cast(dns.message.QueryMessage, response).resolve_chaining()
    except (dns.exception.DNSException, AttributeError):
        return Answer(name, type_, AnswerStatus.SERVFAIL, server=server)
    records = _records(chain.answer) if chain.answer is not None else ()
    status = AnswerStatus.OK if records else AnswerStatus.NODATA
    return Answer(
        name,
        type_,
        _RCODES.get(rcode, status),
        records,
        chain.minimum_ttl,
        bool(response.flags & dns.flags.AD),
        server,
        canonical=chain.canonical_name.to_text(omit_final_dot=True).lower(),
    )


def _records(rrset: dns.rrset.RRset) -> tuple[str, ...]:
    rows = []
    for rdata in list(rrset)[:RECORDS_LIMIT]:
        if isinstance(rdata, dns.rdtypes.txtbase.TXTBase):
            rows.append(_text(b"".join(rdata.strings)))
        else:
            rows.append(rdata.to_text())
    return tuple(rows)


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
