"""Block lists in DNS: is an address or a domain on one, and why. RFC 5782.

Enters: an address or a domain, the facts of a list (``directory.blocklists``), answers to one to
three questions. Leaves: ``Listing``, ``Health`` and findings. Called by the audit of a domain and
by monitors. Only an answer that the list gives for listings counts as one: its errors, a resolver
that lies and a silent list never do. Fails with SubjectError where there is nothing to ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from posthouse.flow import Finding, Status
from posthouse.protocol.dns import Answer, AnswerStatus, Ask, Query
from posthouse.protocol.host import HostError, to_ascii

EVIDENCE_LIMIT: Final = 500  # characters of a list's own words
CODES_LIMIT: Final = 20  # answers looked at; a combined list gives four at most
LISTED_TEST4: Final = "127.0.0.2"  # RFC 5782 section 5: always listed
CLEAR_TEST4: Final = "127.0.0.1"  # never listed
LISTED_TEST6: Final = "::ffff:7f00:2"
CLEAR_TEST6: Final = "::ffff:7f00:1"
LISTED_TEST: Final = "test"  # of lists of domains
CLEAR_TEST: Final = "invalid"

_LOOPBACK: Final = "127."  # section 2.1: what a list answers is in 127.0.0.0/8
# Spamhaus began with these, others follow: never a listing, whatever list says so.
_ERRORS: Final = {
    "127.255.255.252": "wrong_name",
    "127.255.255.254": "public_resolver",
    "127.255.255.255": "rate_limit",
}
_ERROR_NETWORK: Final = "127.255.255."


class Kind(StrEnum):
    """What a list lists."""

    IP = "ip"
    DOMAIN = "domain"


class State(StrEnum):
    """How one look came out."""

    LISTED = "listed"
    CLEAR = "clear"
    ERROR = "error"  # the list refused, or the answer is not the list's
    TIMEOUT = "timeout"


class SubjectError(Exception):
    """Text that this list can't be asked about. ``reason`` is a stable id.

    Reasons: ``not_ip``, ``no_ipv6``, ``not_domain``, ``too_long``.
    """

    def __init__(self, reason: str, subject: str) -> None:
        super().__init__(f"{reason}: {subject[:80]}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Blocklist:
    """The facts of one list.

    ``codes``: answer -> id of its meaning ("sbl"; words "dnsbl.meaning.<id>"). With ``mask`` they
    are numbers of which the last octet is the sum. ``errors``: answer -> why the list did not look.
    """

    id: str
    name: str
    zone: str
    kind: Kind
    removal: str  # where one asks to be taken off
    ipv6: bool = False
    codes: Mapping[str, str] = field(default_factory=dict)
    mask: bool = False
    errors: Mapping[str, str] = field(default_factory=dict)
    registration: bool = False  # it answers only those who signed up
    public_resolvers: bool = True  # it answers through resolvers that serve everybody
    test: str = ""  # its own name that is always listed, where it is not RFC 5782's
    source: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """One look at one list.

    ``meanings``: ids, "other" for an answer that the facts don't know. ``reason`` for ERROR:
    "wrong_name", "public_resolver", "rate_limit", "refused", "servfail", "not_the_list",
    "ip_query", "unproven" (clear, but the list does not know its own test entry either).
    """

    subject: str
    list: Blocklist
    name: str  # what was asked for
    state: State
    codes: tuple[str, ...] = ()
    meanings: tuple[str, ...] = ()
    evidence: str = ""  # the list's own words (TXT)
    reason: str = ""

    @property
    def finding(self) -> Finding:
        """The same for a report."""
        known = {"subject": self.subject, "list": self.list.name, "zone": self.list.zone}
        if self.state is State.LISTED:
            said = {"codes": list(self.codes), "meanings": list(self.meanings)}
            told = {"evidence": self.evidence, "removal": self.list.removal}
            params = {**known, **said, **told}
            return Finding("dnsbl.listed", Status.FAIL, "sender.reputation", params)
        if self.state is State.CLEAR:
            return Finding("dnsbl.clear", Status.OK, None, known)
        if self.state is State.TIMEOUT:
            return Finding("dnsbl.timeout", Status.UNKNOWN, None, known)
        params = {**known, "reason": self.reason, "codes": list(self.codes)}
        return Finding("dnsbl.error", Status.UNKNOWN, None, params)


class Pulse(StrEnum):
    """Whether a list works, as seen from here. RFC 5782 section 5."""

    WORKS = "works"
    EMPTY = "empty"  # not even its test entry is there: gone, or it does not answer us
    LISTS_ALL = "lists_all"  # what must never be listed is: gone, and its domain sold
    ERROR = "error"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Health:
    """One look at a list's test entries. ``reason`` as in ``Listing``."""

    list: Blocklist
    pulse: Pulse
    reason: str = ""

    @property
    def finding(self) -> Finding:
        """The same for a report."""
        params = {"list": self.list.name, "zone": self.list.zone, "reason": self.reason}
        status = Status.OK if self.pulse is Pulse.WORKS else Status.UNKNOWN
        return Finding(f"dnsbl.health_{self.pulse}", status, None, params)


_SUBJECT: Final = ("subject", "list", "zone")
_HEALTH: Final = ("list", "zone", "reason")
# Every id of a finding, with the params its words may use.
FINDING_IDS: Final = {
    "dnsbl.listed": (*_SUBJECT, "codes", "meanings", "evidence", "removal"),
    "dnsbl.clear": _SUBJECT,
    "dnsbl.timeout": _SUBJECT,
    "dnsbl.error": (*_SUBJECT, "reason", "codes"),
    "dnsbl.health_works": _HEALTH,
    "dnsbl.health_empty": _HEALTH,
    "dnsbl.health_lists_all": _HEALTH,
    "dnsbl.health_error": _HEALTH,
    "dnsbl.health_timeout": _HEALTH,
}


def reversed_ip(address: str) -> str:
    """An address as lists and reverse zones name it. Raises ValueError. RFC 5782 sections 2.1, 2.4.

    An IPv4 address mapped to IPv6 is asked for as what it is, but for the two test entries.
    """
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped and not ip.ipv4_mapped.is_loopback:
        ip = ip.ipv4_mapped
    if isinstance(ip, IPv4Address):
        return ".".join(reversed(str(ip).split(".")))
    return ".".join(reversed(f"{int(ip):032x}"))


def question(subject: str, list_: Blocklist) -> str:
    """The name to ask for. Raises SubjectError."""
    if list_.kind is Kind.DOMAIN:
        return f"{_domain(subject)}.{list_.zone}"
    try:
        labels = reversed_ip(subject.strip())
    except ValueError:
        raise SubjectError("not_ip", subject) from None
    if labels.count(".") > 3 and not list_.ipv6:
        raise SubjectError("no_ipv6", subject)
    return f"{labels}.{list_.zone}"


def _domain(subject: str) -> str:
    try:
        name = to_ascii(subject.strip())  # refuses addresses: such lists answer those with an error
    except HostError as error:
        raise SubjectError(
            "too_long" if "long" in error.reason else "not_domain", subject
        ) from None
    if len(name) > 180:  # room for the longest zone within 253 octets (RFC 1035 section 2.3.4)
        raise SubjectError("too_long", subject)
    return name


def check(subject: str, list_: Blocklist, *, prove: bool = False) -> Query[Listing]:
    """Look for one address or domain in one list. Raises SubjectError.

    ``prove``: where it is clear, ask for the test entry too; a list that does not know even that
    (gone, or closed to us) says nothing. The answer is kept by the resolver, so many looks cost one
    question more.
    """
    name = question(subject, list_)
    answer = yield Ask(name, "A")
    state, codes, reason = judge(answer, list_)
    if state is State.LISTED:
        told = yield Ask(name, "TXT")
        meanings = tuple(dict.fromkeys(m for code in codes for m in meaning(code, list_)))
        return Listing(subject, list_, name, state, codes, meanings, _evidence(told))
    if state is State.CLEAR and prove:
        test = yield Ask(_test_name(list_), "A")
        proven, _, why = judge(test, list_)
        if proven is State.CLEAR:
            return Listing(subject, list_, name, State.ERROR, (), (), "", "unproven")
        if proven is not State.LISTED:
            return Listing(subject, list_, name, proven, (), (), "", why)
    return Listing(subject, list_, name, state, codes, (), "", reason)


def judge(answer: Answer, list_: Blocklist) -> tuple[State, tuple[str, ...], str]:
    """State, the answers that count, and the reason of an error."""
    if answer.status is AnswerStatus.TIMEOUT:
        return State.TIMEOUT, (), ""
    if answer.failed:
        return State.ERROR, (), str(answer.status)
    codes = tuple(sorted(set(answer.records[:CODES_LIMIT])))
    if not codes:
        return State.CLEAR, (), ""
    errors = {code: _error(code, list_) for code in codes}
    listing = tuple(code for code in codes if not errors[code])
    if listing:
        return State.LISTED, listing, ""
    return State.ERROR, codes, errors[codes[0]]


def _error(code: str, list_: Blocklist) -> str:
    """Why an answer is no listing; "" where it is one."""
    if code in list_.errors:
        return list_.errors[code]
    if code in _ERRORS:
        return _ERRORS[code]
    if code.startswith(_ERROR_NETWORK):
        return "refused"
    if not code.startswith(_LOOPBACK):  # a resolver or a new owner answers for everything
        return "not_the_list"
    # Section 2.1 keeps 127.0.0.1 free: old lists and search pages of resolvers answer with it.
    return "not_the_list" if code == CLEAR_TEST4 else ""


def meaning(code: str, list_: Blocklist) -> tuple[str, ...]:
    """The ids of what an answer means."""
    if not list_.mask:
        return (list_.codes.get(code, "other"),)
    last = code.rpartition(".")[2]
    number = int(last) if last.isascii() and last.isdigit() else 0
    found = tuple(id_ for bit, id_ in list_.codes.items() if number & int(bit))
    return found or ("other",)


def _evidence(answer: Answer) -> str:
    text = " ".join(answer.records[:3])
    return "".join(char if char.isprintable() else " " for char in text)[:EVIDENCE_LIMIT].strip()


def _test_name(list_: Blocklist, *, clear: bool = False) -> str:
    if list_.kind is Kind.DOMAIN:
        return f"{CLEAR_TEST if clear else list_.test or LISTED_TEST}.{list_.zone}"
    return f"{reversed_ip(CLEAR_TEST4 if clear else list_.test or LISTED_TEST4)}.{list_.zone}"


def health(list_: Blocklist) -> Query[Health]:
    """Whether the list works: its test entry is listed, and what never may be is not."""
    test = yield Ask(_test_name(list_), "A")
    state, _, reason = judge(test, list_)
    if state in (State.ERROR, State.TIMEOUT):
        return Health(list_, Pulse(state), reason)
    if state is State.CLEAR:
        return Health(list_, Pulse.EMPTY)
    never = yield Ask(_test_name(list_, clear=True), "A")
    state, _, _ = judge(never, list_)
    return Health(list_, Pulse.LISTS_ALL if state is State.LISTED else Pulse.WORKS)
