"""What dnspython makes of DNS messages: the measure for ``protocol.dnsmessage``."""

from __future__ import annotations

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rdtypes.txtbase
import dns.rrset

from posthouse.protocol.dnsmessage import RECORDS_LIMIT, UDP_PAYLOAD, Question, Reply

RCODES = (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)


def query(name: str, type_: str, id_: int) -> dns.message.QueryMessage:
    """A question as it is asked. Raises what dnspython raises."""
    made = dns.message.make_query(
        dns.name.from_text(name),
        dns.rdatatype.from_text(type_),
        want_dnssec=True,
        payload=UDP_PAYLOAD,
        id=id_,
    )
    made.flags |= dns.flags.AD
    return made


def query_by_dnspython(name: str, type_: str) -> bytes | None:
    """The octets of a question with id 7; None where dnspython refuses it."""
    try:
        return query(name, type_, 7).to_wire()
    except (dns.exception.DNSException, ValueError):
        return None


def read_by_dnspython(question: Question, wire: bytes) -> Reply | None:
    """The reply; None where dnspython takes it for malformed or for another question's."""
    try:
        asked = query(question.name, question.type, int.from_bytes(wire[:2], "big"))
        response = dns.message.from_wire(wire, ignore_trailing=True)
        if not asked.is_response(response):
            return None
        if response.rcode() not in RCODES:
            return Reply(int(response.rcode()))
        assert isinstance(response, dns.message.QueryMessage)
        chain = response.resolve_chaining()
    except (dns.exception.DNSException, ValueError):
        return None
    return Reply(
        int(response.rcode()),
        False,
        bool(response.flags & dns.flags.AD),
        chain.canonical_name.to_text(omit_final_dot=True).lower(),
        _records(chain.answer) if chain.answer is not None else (),
        chain.minimum_ttl,
    )


def _records(rrset: dns.rrset.RRset) -> tuple[str, ...]:
    rows = []
    for rdata in list(rrset)[:RECORDS_LIMIT]:
        if isinstance(rdata, dns.rdtypes.txtbase.TXTBase):
            data = b"".join(rdata.strings)
            try:
                rows.append(data.decode("utf-8"))
            except UnicodeDecodeError:
                rows.append(data.decode("latin-1"))
        else:
            rows.append(rdata.to_text())
    return tuple(rows)
