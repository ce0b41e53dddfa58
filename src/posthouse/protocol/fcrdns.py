"""The name of a sending address, and whether it is confirmed. RFC 1912 section 2.1, RFC 8601 3.

Enters: an address, and what a server says in EHLO; answers to the questions. Leaves: ``Reverse``
and findings. Receivers ask for a name (PTR), and that the name leads back to the address; the
largest refuse without. Called by the audit of a domain. Fails with ValueError for what is no
address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

from posthouse.flow import Finding, Status
from posthouse.protocol.dns import Answer, AnswerStatus, Ask, Query
from posthouse.protocol.dnsbl import reversed_ip
from posthouse.protocol.host import HostError, parse_ip, to_ascii

NAMES_LIMIT: Final = 10  # names looked up; RFC 7208 section 4.6.4 has the same limit
CAUSE: Final = "sender.ip_identity"
# Words of names that providers give to whole ranges, as labels or between hyphens.
_POOLS: Final = frozenset(
    (
        *("dynamic", "dyn", "dynip", "dhcp", "pool", "pools", "ppp", "pppoe", "dial", "dialup"),
        *("dialin", "adsl", "dsl", "vdsl", "xdsl", "sdsl", "ftth", "fttb", "cable", "cablemodem"),
        *("broadband", "residential", "unassigned", "catv", "wimax", "gprs"),
    )
)
_WORD: Final = re.compile(r"[a-z]+")
_NUMBER: Final = re.compile(r"[0-9]+")
_PART: Final = re.compile(r"[-.x]|ip")
_OWN_LABELS: Final = 2  # at the end: who runs the range, not what it is ("mail.dsl.net" is fine)

# Every id of a finding, with the params its words may use.
FINDING_IDS: Final = {
    "fcrdns.none": ("ip", "name"),
    "fcrdns.not_confirmed": ("ip", "names"),
    "fcrdns.generic": ("ip", "host"),
    "fcrdns.several": ("ip", "count", "names"),
    "fcrdns.dns_failed": ("ip", "name", "status"),
    "fcrdns.ok": ("ip", "host"),
    "fcrdns.helo_invalid": ("helo",),
    "fcrdns.helo_no_address": ("helo", "ip"),
    "fcrdns.helo_other_address": ("helo", "ip", "addresses"),
    "fcrdns.helo_differs": ("helo", "host"),
    "fcrdns.helo_ok": ("helo", "ip"),
}


@dataclass(frozen=True, slots=True)
class Reverse:
    """What DNS says of one address. ``status``: of the question for its names."""

    ip: str
    name: str  # the reverse name that was asked for
    status: AnswerStatus
    names: tuple[str, ...] = ()
    confirmed: tuple[str, ...] = ()  # those that lead back
    unknown: tuple[str, ...] = ()  # those DNS failed for
    findings: tuple[Finding, ...] = ()


def _finding(id_: str, status: Status, /, **params: Any) -> Finding:
    cause = CAUSE if status is Status.FAIL else None
    return Finding(f"fcrdns.{id_}", status, cause, params)


def reverse_name(address: str) -> str:
    """The name to ask for. Raises ValueError. RFC 1035 section 3.5, RFC 3596 section 2.5."""
    labels = reversed_ip(address)
    return f"{labels}.{'in-addr' if labels.count('.') == 3 else 'ip6'}.arpa"


def check(address: str) -> Query[Reverse]:
    """The names of an address, each looked up in turn. Raises ValueError."""
    ip = _address(address)
    name = reverse_name(str(ip))
    answer = yield Ask(name, "PTR")
    names = tuple(dict.fromkeys(r.lower().removesuffix(".") for r in answer.records if r != "."))
    confirmed, unknown = [], []
    for host in names[:NAMES_LIMIT]:
        forward = yield Ask(host, "A" if ip.version == 4 else "AAAA")
        if forward.failed:
            unknown.append(host)
        elif _leads_to(forward, ip):
            confirmed.append(host)
    found = Reverse(str(ip), name, answer.status, names, tuple(confirmed), tuple(unknown))
    return _judged(found)


def _address(address: str) -> IPv4Address | IPv6Address:
    ip = ip_address(address.strip().partition("%")[0])
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


def _leads_to(answer: Answer, ip: IPv4Address | IPv6Address) -> bool:
    return any(parse_ip(record.strip()) == str(ip) for record in answer.records)


def _judged(found: Reverse) -> Reverse:
    made = tuple(_findings(found))
    return Reverse(
        found.ip, found.name, found.status, found.names, found.confirmed, found.unknown, made
    )


def _findings(found: Reverse) -> list[Finding]:
    ip, failed = found.ip, found.status not in (AnswerStatus.NXDOMAIN, AnswerStatus.NODATA)
    if not found.names:
        if failed and found.status is not AnswerStatus.OK:
            params = {"ip": ip, "name": found.name, "status": str(found.status)}
            return [_finding("dns_failed", Status.UNKNOWN, **params)]
        return [_finding("none", Status.FAIL, ip=ip, name=found.name)]
    shown = list(found.names[:NAMES_LIMIT])
    made = []
    if len(found.names) > 1:  # RFC 1912 section 2.1: one is what everybody can deal with
        made.append(_finding("several", Status.WARN, ip=ip, count=len(found.names), names=shown))
    if not found.confirmed and found.unknown:
        params = {"ip": ip, "name": found.unknown[0], "status": "failed"}
        return [*made, _finding("dns_failed", Status.UNKNOWN, **params)]
    if not found.confirmed:
        return [*made, _finding("not_confirmed", Status.FAIL, ip=ip, names=shown)]
    good = next((host for host in found.confirmed if not is_generic(host, ip)), None)
    if good is None:
        return [*made, _finding("generic", Status.FAIL, ip=ip, host=found.confirmed[0])]
    return [*made, _finding("ok", Status.OK, ip=ip, host=good)]


def is_generic(host: str, address: str = "") -> bool:
    """Whether a name looks as if a whole range was named by a pattern. A guess by the name."""
    labels = host.lower().removesuffix(".").split(".")
    own = labels[:-_OWN_LABELS]
    if _POOLS.intersection(_WORD.findall(".".join(own))):
        return True
    return bool(address) and _holds(".".join(own), _address(address))


def _holds(name: str, ip: IPv4Address | IPv6Address) -> bool:
    """Whether the address stands in the name, in any of the usual ways to write it."""
    if isinstance(ip, IPv6Address):
        bare = name.replace("-", "").replace(".", "").replace(":", "")
        digits = f"{int(ip):032x}"
        groups = [part.lstrip("0") for part in _PART.split(name)]
        wanted = [digits[at : at + 4].lstrip("0") for at in range(0, 32, 4)]
        found, short = ([g for g in each if g] for each in (groups, wanted))
        written = len(short) > 2 and _run(found, short)  # zeros are written in many ways
        return digits in bare or digits[::-1] in bare or written
    octets = str(ip).split(".")
    found = [number.lstrip("0") or "0" for number in _NUMBER.findall(name)]
    if any(_run(found, part) for part in (octets, octets[::-1])):
        return True
    padded = "".join(octet.zfill(3) for octet in octets)
    return padded in name or f"{int(ip):08x}" in _PART.split(name)


def _run(found: list[str], wanted: list[str]) -> bool:
    size = len(wanted)
    return any(found[i : i + size] == wanted for i in range(len(found) - size + 1))


def check_helo(helo: str, reverse: Reverse) -> Query[tuple[Finding, ...]]:
    """What a server's name in EHLO is worth beside its address. RFC 5321 sections 2.3.5, 4.1.4."""
    ip = reverse.ip
    literal = helo.strip().strip("[]").lower().removeprefix("ipv6:")
    if helo.startswith("[") and helo.endswith("]") and parse_ip(literal) == ip:
        return (_finding("helo_ok", Status.OK, helo=helo, ip=ip),)
    name = _host(helo)
    if name is None:
        return (_finding("helo_invalid", Status.FAIL, helo=helo[:100]),)
    answer = yield Ask(name, "AAAA" if ":" in ip else "A")
    if answer.failed:
        status = str(answer.status)
        return (_finding("dns_failed", Status.UNKNOWN, ip=ip, name=name, status=status),)
    if not answer.records:
        return (_finding("helo_no_address", Status.FAIL, helo=name, ip=ip),)
    if not _leads_to(answer, ip_address(ip)):
        addresses = list(answer.records[:NAMES_LIMIT])
        return (_finding("helo_other_address", Status.WARN, helo=name, ip=ip, addresses=addresses),)
    made = [_finding("helo_ok", Status.OK, helo=name, ip=ip)]
    if reverse.confirmed and name not in reverse.confirmed:
        made.append(_finding("helo_differs", Status.OK, helo=name, host=reverse.confirmed[0]))
    return tuple(made)


def _host(helo: str) -> str | None:
    """A full name; an address without brackets and a bare word are none."""
    try:
        name = to_ascii(helo.strip())
    except HostError:
        return None
    local = name.endswith((".local", ".localdomain", ".lan", ".internal", ".home.arpa"))
    return name if "." in name and not local else None
