"""The shapes of a probe: what is asked, what was seen, and what comes out.

Enters: the caller's wish (``Login``, ``Envelope``, ``TestMessage``, ``Options``). Leaves:
``ProbeResult``. Between them stand ``Stop``, ``Neighbour`` and ``Facts``: plain values that the
verdict's rules read. Nothing here does anything, and nothing but ``Login`` holds a secret.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from posthouse.explain import Explanation
from posthouse.flow import (
    CredentialKind,
    Endpoint,
    Failure,
    Finding,
    Secret,
    Security,
    Stage,
    Trace,
)
from posthouse.net.clock import Clock
from posthouse.net.dial import Dialer
from posthouse.net.http import Http
from posthouse.net.resolver import Resolver
from posthouse.net.tls import TlsSession

# What a domain may lack, besides the name of a record type.
NULL_MX: Final = "null MX"  # RFC 7505
NO_DOMAIN: Final = "NXDOMAIN"


@dataclass(frozen=True, slots=True)
class Login:
    """Who signs in. It is used once, with one mechanism, and only inside verified TLS."""

    username: str
    secret: Secret
    kind: CredentialKind = CredentialKind.UNKNOWN  # OAUTH2: ``secret`` is an access token
    mechanism: str | None = None  # None: the best one the server offers
    address: str = ""  # the mailbox it belongs to, where ``username`` is not an address


@dataclass(frozen=True, slots=True)
class Envelope:
    """MAIL and RCPT to try. Without a ``TestMessage`` it is taken back with RSET."""

    sender: str
    recipients: tuple[str, ...]
    size: int | None = None  # bytes the caller means to send later; declared to a SIZE server


@dataclass(frozen=True, slots=True)
class TestMessage:
    """A message to really send. ``content`` is the caller's own; else a short one is written."""

    __test__ = False  # not a test case, whatever its name

    content: bytes | None = None
    lang: str = "en"
    pad: int = 0  # bytes of filler, to see whether only big messages break


@dataclass(frozen=True, slots=True)
class FetchBack:
    """Where the test message should arrive, read by IMAP over TLS."""

    host: str
    username: str
    secret: Secret
    port: int = 993
    wait: float = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Net:
    """What a probe reaches the outside with; each has its double. ``token`` is fresh randomness."""

    resolver: Resolver
    dialer: Dialer
    clock: Clock
    http: Http | None = None  # None: no web server is asked for the time
    token: Callable[[], str] = field(default=lambda: secrets.token_hex(16))


@dataclass(frozen=True, slots=True)
class Options:
    """How a probe behaves. ``timeout`` seconds bound each step."""

    timeout: float = 10.0
    ehlo_name: str = "[127.0.0.1]"  # RFC 5321 section 4.1.3; tells nothing about the user
    ca_file: str | None = None
    look_around: bool = True
    thorough: bool = False  # also the TLS versions by raw hello, DANE, MTA-STS, PTR
    before: Mapping[str, str] | None = None  # extensions of an earlier run, to compare with
    open_relay: bool = False  # also see, before signing in, whether the envelope is taken
    patience: float = 0.0  # seconds a greylisted recipient may be waited for, then tried again
    address: str = ""  # the e-mail address this is about; its domain tells the right server


class State(StrEnum):
    """What another place to connect to did."""

    OPEN = "open"
    SILENT = "silent"  # connected, and neither words nor TLS
    REFUSED = "refused"
    FILTERED = "filtered"  # no answer at all
    UNREACHABLE = "unreachable"
    CLOSED = "closed"  # hung up on us


class Relation(StrEnum):
    """What makes a neighbour a neighbour."""

    PORT = "port"
    MODE = "mode"  # the same port, the other security
    FAMILY = "family"  # the other of IPv4 and IPv6


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another place that was looked at after a failure. Never any credential."""

    endpoint: Endpoint
    relation: Relation
    state: State
    seconds: float
    protocol: str = ""  # "smtp", "imap", "pop3", "http", "ssh", "tls", ""
    address: str = ""
    starttls: bool | None = None  # None: not seen

    @property
    def usable(self) -> bool:
        """An SMTP server with encryption was seen here."""
        secure = self.endpoint.security is Security.TLS or self.starttls is True
        return self.state is State.OPEN and self.protocol == "smtp" and secure


@dataclass(frozen=True, slots=True)
class Stop:
    """The step that ended the way, and what was seen there. ``cause`` is explain's."""

    step: str
    stage: Stage
    cause: str
    failure: Failure | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    code: int | None = None
    enhanced: str = ""
    text: str = ""
    variant: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the envelope and the message did. Numbers are bytes and recipients."""

    sender: str = ""
    recipients: tuple[str, ...] = ()
    recipient: str = ""  # the one that was refused
    size: int = 0  # as sent, after encoding
    raw_size: int = 0  # before encoding
    batches: tuple[int, ...] = ()  # accepted recipients of each transaction
    message_id: str = ""
    waited: float = 0.0  # seconds a greylisted recipient was waited for
    small_passed: bool | None = None  # after a big one was lost, did 1 KB pass


@dataclass(frozen=True, slots=True)
class Names:
    """What DNS and the directory know about the host and the address's domain."""

    suggestion: str = ""  # the host that was probably meant
    domain: str = ""  # of the address
    domain_suggestion: str = ""
    incoming: tuple[str, ...] = ()  # MX hosts of ``domain`` and of the host as a domain
    published: tuple[Endpoint, ...] = ()  # by SRV or the directory, best first
    addresses: tuple[str, ...] = ()
    same_address: tuple[str, ...] = ()  # certificate names that lead to the same machine
    missing_record: str = ""  # the record a sender's or recipient's domain lacks
    record: str = ""  # the DNS record to publish, as a zone file line
    ip: str = ""  # our address as the server told it
    pointer: str = ""  # the name its PTR record gives


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the verdict is made from: no clock, no network, no secret."""

    endpoint: Endpoint
    stop: Stop | None = None
    passed: frozenset[str] = frozenset()  # names of the steps that went well
    tls: TlsSession | None = None
    extensions: Mapping[str, str] = field(default_factory=dict)
    neighbours: tuple[Neighbour, ...] = ()
    names: Names = field(default_factory=Names)
    delivery: Delivery = field(default_factory=Delivery)
    username: str = ""
    kind: CredentialKind = CredentialKind.UNKNOWN
    hints: tuple[str, ...] = ()  # what looks odd about user name or password
    ehlo_name: str = ""
    clock_behind: float | None = None  # seconds our clock is behind; negative: ahead
    now: str = ""  # our date, ISO 8601
    provider: str = ""
    broken_family: str = ""  # "IPv6" where it failed and the other family carried us
    versions: Mapping[str, bool | None] = field(default_factory=dict)  # TLS versions by raw hello


@dataclass(frozen=True, slots=True)
class Verdict:
    """The one sentence at the end, and the place to use instead."""

    finding: Finding
    suggestion: Endpoint | None = None


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Everything a probe found. ``render.to_dict`` writes it as JSON."""

    endpoint: Endpoint
    verdict: Finding
    trace: Trace
    explanation: Explanation | None = None
    findings: tuple[Finding, ...] = ()
    extensions: Mapping[str, str] = field(default_factory=dict)
    tls: TlsSession | None = None
    neighbours: tuple[Neighbour, ...] = ()
    suggestion: Endpoint | None = None
    delivery: Delivery = field(default_factory=Delivery)
