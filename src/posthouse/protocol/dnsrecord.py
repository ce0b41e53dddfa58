"""Names and the data of records: from the octets of a DNS message to presentation form.

Enters: a message, and where in it something stands. Leaves: names as octets (labels with their
lengths, not compressed) and text as dnspython writes it, which also reads the rare types. Called by
``dnsmessage``. Fails with WireError alone, in time linear in the octets read. RFC 1035 sections 3.3
and 4.1.4.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final

from dns.ipv6 import inet_ntoa

NAME_LIMIT: Final = 255  # octets, RFC 1035 section 2.3.4
LABEL_LIMIT: Final = 63  # octets, the same
POINTERS_LIMIT: Final = 16  # in one name; whoever writes one needs a single pointer
TYPES: Final[Mapping[str, int]] = {  # those that need no look into dnspython's table
    **{"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28},
    **{"SRV": 33, "DS": 43, "DNSKEY": 48, "TLSA": 52},
}
ROOT: Final = b"\0"

_POINTER: Final = 0xC0
_SRV: Final = struct.Struct("!HHH")
_TIMES: Final = struct.Struct("!IIIII")
# RFC 1035 section 5.1: what a name in presentation form cannot hold as it is.
_ESCAPES: Final = {
    **{code: f"\\{code:03d}" for code in range(256) if not 0x20 < code < 0x7F},
    **{ord(char): f"\\{char}" for char in '"().;\\@$'},
}


class WireError(ValueError):
    """Octets that are no DNS message."""


def name_at(wire: bytes, at: int, end: int) -> tuple[bytes, int]:
    """The name at an offset, and the offset after it. RFC 1035 section 4.1.4.

    A pointer leads to a place before all that was read of the name, and what is there ends before
    that as well: no octet is read twice.
    """
    begin, after, name, pointers = at, 0, b"", 0
    while at < end and len(name) + at - begin < NAME_LIMIT:
        length = wire[at]
        if length == 0:
            return name + wire[begin : at + 1], after or at + 1
        if length <= LABEL_LIMIT:
            at += 1 + length
            continue
        pointers += 1
        if length < _POINTER or at + 1 == end or pointers > POINTERS_LIMIT:
            break
        target = (length - _POINTER) << 8 | wire[at + 1]
        if target >= begin:
            break
        name += wire[begin:at]
        after = after or at + 2
        at, begin, end = target, target, begin
    raise WireError("name")


def name_until(wire: bytes, start: int, end: int) -> bytes:
    """The name that ends where the data of its record ends."""
    name, after = name_at(wire, start, end)
    if after != end:
        raise WireError("name")
    return name


def name_text(name: bytes) -> str:
    """A name in presentation form, with its last dot."""
    labels = []
    at = 0
    while length := name[at]:
        after = at + 1 + length
        labels.append(name[at + 1 : after].decode("latin-1").translate(_ESCAPES))
        at = after
    return ".".join(labels) + "."


def data_text(type_: int, wire: bytes, start: int, end: int) -> str:
    """The data of a record of class IN in presentation form; of TXT, the strings joined."""
    return (
        _READERS[type_](wire, start, end) if type_ in _READERS else _rare(type_, wire, start, end)
    )


def soa_minimum(wire: bytes, start: int, end: int) -> int:
    """How long "no" holds, in seconds, by the data of an SOA record. RFC 2308 section 4."""
    minimum: int = _soa_fields(wire, start, end)[1][-1]
    return minimum


def _a(wire: bytes, start: int, end: int) -> str:
    if end - start != 4:
        raise WireError("A")
    return ".".join(map(str, wire[start:end]))


def _aaaa(wire: bytes, start: int, end: int) -> str:
    if end - start != 16:
        raise WireError("AAAA")
    return inet_ntoa(wire[start:end])


def _host(wire: bytes, start: int, end: int) -> str:
    return name_text(name_until(wire, start, end))


def _mx(wire: bytes, start: int, end: int) -> str:
    host = _host(wire, start + 2, end)
    return f"{wire[start] << 8 | wire[start + 1]} {host}"


def _srv(wire: bytes, start: int, end: int) -> str:
    host = _host(wire, start + _SRV.size, end)
    priority, weight, port = _SRV.unpack_from(wire, start)
    return f"{priority} {weight} {port} {host}"


def _txt(wire: bytes, start: int, end: int) -> str:
    strings = []
    while start < end:
        after = start + 1 + wire[start]
        strings.append(wire[start + 1 : after])
        start = after
    if start != end or not strings:
        raise WireError("TXT")
    return _joined(strings)


def _joined(strings: list[bytes]) -> str:
    data = b"".join(strings)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _soa(wire: bytes, start: int, end: int) -> str:
    names, numbers = _soa_fields(wire, start, end)
    return " ".join([*map(name_text, names), *map(str, numbers)])


def _soa_fields(wire: bytes, start: int, end: int) -> tuple[tuple[bytes, bytes], tuple[int, ...]]:
    server, at = name_at(wire, start, end)
    mailbox, at = name_at(wire, at, end)
    if end - at != _TIMES.size:
        raise WireError("SOA")
    return (server, mailbox), _TIMES.unpack_from(wire, at)


_READERS: Final[Mapping[int, Callable[[bytes, int, int], str]]] = {
    TYPES[name]: reader
    for name, reader in (
        ("A", _a),
        ("AAAA", _aaaa),
        ("CNAME", _host),
        ("MX", _mx),
        ("NS", _host),
        ("PTR", _host),
        ("SOA", _soa),
        ("SRV", _srv),
        ("TXT", _txt),
    )
}


def _rare(type_: int, wire: bytes, start: int, end: int) -> str:
    """Any other type, as dnspython knows it."""
    import dns.exception
    import dns.rdata
    import dns.rdataclass
    import dns.rdatatype
    import dns.rdtypes.txtbase

    try:
        data = dns.rdata.from_wire(
            dns.rdataclass.IN, dns.rdatatype.RdataType.make(type_), wire, start, end - start
        )
    except (dns.exception.DNSException, ValueError):
        raise WireError(f"type {type_}") from None
    if isinstance(data, dns.rdtypes.txtbase.TXTBase):
        return _joined(list(data.strings))
    return data.to_text()
