"""The words every part of Posthouse shares: what was tried, what happened, why it failed.

Enters: nothing (this module imports no other part of Posthouse, and has no clock, socket or
randomness). Leaves: small frozen facts, and one named owner of mutable state, ``Trace``.
A ``Cause`` is one row of the vocabulary of causes; its words live in ``explain``'s catalogues.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final


class Stage(StrEnum):
    """Where in the way of a message something happened."""

    DNS = "dns"
    CONNECT = "connect"
    GREETING = "greeting"
    EHLO = "ehlo"
    TLS = "tls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    QUEUE = "queue"
    ANY = "any"


class Who(StrEnum):
    """Who can do something about a cause. Several may be named, the likeliest first."""

    YOU = "you"
    YOUR_ADMIN = "your_admin"  # whoever runs your domain, tenant or mail server
    PROVIDER = "provider"  # whoever runs the outgoing server
    NETWORK = "network"  # your ISP, firewall, Wi-Fi or VPN
    RECIPIENT = "recipient"
    THEIR_ADMIN = "their_admin"  # whoever runs the receiving server
    SOFTWARE = "software"  # the maker of the sending program
    NOBODY = "nobody"  # waiting is enough


class Retry(StrEnum):
    """Whether the same attempt may succeed later with nothing changed."""

    NO = "no"
    YES = "yes"
    MAYBE = "maybe"


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause of failure: the same word in the wizard, the relay, the bounce and the report."""

    id: str  # "auth.credentials"; never translated
    stage: Stage
    who: tuple[Who, ...]
    retry: Retry
    codes: tuple[str, ...] = ()  # typical reply and enhanced codes, for the cause's page


class Security(StrEnum):
    """How a port is protected. RFC 8314 section 3: implicit TLS and STARTTLS are two modes."""

    TLS = "tls"  # TLS from the first byte (submissions, 465)
    STARTTLS = "starttls"  # plain first, then upgraded (RFC 3207; submission, 587)
    NONE = "none"  # never good enough for a password


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One place to hand in mail."""

    host: str  # lower case, A-label form, no trailing dot; or an IP address in plain form
    port: int
    security: Security

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class CredentialKind(StrEnum):
    """What the server wants where a client asks for "password"."""

    PASSWORD = "password"  # noqa: S105  the mailbox password
    APP_PASSWORD = "app_password"  # noqa: S105  made in the account's settings
    AUTH_CODE = "auth_code"  # 授权码 of Chinese providers
    OAUTH2 = "oauth2"
    KEY = "key"  # an API or SMTP key used as the password
    TOKEN = "token"  # noqa: S105  the same token as user name and password
    NONE = "none"  # no login (a relay that knows you by address)
    UNKNOWN = "unknown"


class Secret:
    """A password or token on its way through. It shows as *** wherever it is printed by mistake."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value, for the one line of code that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> Any:
        raise TypeError("a Secret is never stored")


class Failure(StrEnum):
    """What can go wrong below SMTP. ``explain``'s rules map each to a Cause."""

    NAME_NOT_FOUND = "name_not_found"  # NXDOMAIN
    NO_ADDRESS = "no_address"  # the name exists, but has neither A nor AAAA
    DNS_FAILED = "dns_failed"  # SERVFAIL, REFUSED, bogus DNSSEC
    DNS_TIMEOUT = "dns_timeout"
    REFUSED = "refused"  # RST to our SYN
    TIMEOUT = "timeout"  # no answer to our SYN
    UNREACHABLE = "unreachable"  # ICMP says so
    OFFLINE = "offline"  # this machine has no route at all
    EXHAUSTED = "exhausted"  # this machine has no file descriptor, port or memory left for it
    CLOSED = "closed"  # the peer ended the connection in an orderly way, too early
    RESET = "reset"  # RST in the middle
    SILENT = "silent"  # connected, but nothing comes within the time allowed
    NOT_SMTP = "not_smtp"  # another protocol answers (detail "protocol")
    TLS_EXPECTED = "tls_expected"  # plain words met a TLS port
    PLAIN_EXPECTED = "plain_expected"  # a TLS hello met plain words
    TLS_NOT_OFFERED = "tls_not_offered"  # no STARTTLS in the EHLO list
    TLS_STRIPPED = "tls_stripped"  # STARTTLS erased on the way (XXXXXXXA)
    TLS_HANDSHAKE = "tls_handshake"  # alert, versions, ciphers, garbage
    CERTIFICATE = "certificate"  # handshake fine, certificate not acceptable
    AUTH_NOT_OFFERED = "auth_not_offered"
    NO_COMMON_MECHANISM = "no_common_mechanism"
    SMTPUTF8_NOT_OFFERED = "smtputf8_not_offered"
    TOO_BIG_FOR_SIZE = "too_big_for_size"  # larger than the SIZE that EHLO told
    BAD_REPLY = "bad_reply"  # not to be read as an SMTP reply


class NetworkFailure(Exception):
    """Theirs or the network's fault, never a bug of ours.

    ``detail`` holds plain JSON values that the words may use (host, port, seconds, protocol...).
    """

    def __init__(self, failure: Failure, stage: Stage, **detail: Any) -> None:
        super().__init__(f"{stage}: {failure} {detail}" if detail else f"{stage}: {failure}")
        self.failure = failure
        self.stage = stage
        self.detail: dict[str, Any] = detail


class Status(StrEnum):
    """How one step, or one thing looked at, came out. Unknown is never shown as good."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing noticed. ``id`` names its words in the catalogue; ``params`` fill them."""

    id: str  # "certificate.expires_soon"; never translated
    status: Status
    cause: str | None = None  # Cause.id
    params: Mapping[str, Any] = field(default_factory=dict)  # plain JSON values


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a probe or delivery, as it ended (or, while ``seconds`` is None, as it runs)."""

    name: str  # "resolve", "connect", "starttls"...; words under "step.<name>"
    stage: Stage
    status: Status
    started: float  # seconds since the trace began
    seconds: float | None  # how long it took
    detail: Mapping[str, Any] = field(default_factory=dict)  # plain JSON values
    cause: str | None = None  # Cause.id where it failed


class Mark(StrEnum):
    """Transcript marks, as swaks users know them."""

    SENT = "->"
    RECEIVED = "<-"
    SERVER_ERROR = "<**"
    OURS = "***"
    SENT_TLS = "~>"
    RECEIVED_TLS = "<~"


@dataclass(frozen=True, slots=True)
class Line:
    """One transcript line. Credentials are masked before a Line is made."""

    mark: Mark
    text: str
    at: float  # seconds since the trace began


TRANSCRIPT_LIMIT: Final = 2_000  # lines kept; a hostile server must not fill the memory


class Trace:
    """All that happened in one probe or delivery: the owner of its steps and transcript.

    Transcript, progress display, JSON and reports render it. ``clock`` gives monotonic seconds;
    ``watch`` is called with each Step when it starts and again when it ends, and with each Line.
    """

    def __init__(
        self, clock: Callable[[], float], watch: Callable[[Step | Line], None] | None = None
    ) -> None:
        self._clock = clock
        self._begin = clock()
        self._watch = watch
        self.steps: list[Step] = []
        self.lines: list[Line] = []

    def now(self) -> float:
        """Seconds since the trace began."""
        return self._clock() - self._begin

    def start(self, name: str, stage: Stage) -> Step:
        """Announce a step; give what comes back to ``end``."""
        step = Step(name, stage, Status.UNKNOWN, self.now(), None)
        self._tell(step)
        return step

    def end(
        self,
        step: Step,
        status: Status = Status.OK,
        *,
        cause: str | None = None,
        **detail: Any,
    ) -> Step:
        """Record how the step ended."""
        done = replace(
            step, status=status, seconds=self.now() - step.started, detail=detail, cause=cause
        )
        self.steps.append(done)
        self._tell(done)
        return done

    def line(self, mark: Mark, text: str) -> None:
        """Record one transcript line, already masked."""
        if len(self.lines) < TRANSCRIPT_LIMIT:
            entry = Line(mark, text, self.now())
            self.lines.append(entry)
            self._tell(entry)

    def find(self, name: str) -> Step | None:
        """The latest step of that name, if it has ended."""
        return next((s for s in reversed(self.steps) if s.name == name), None)

    def _tell(self, item: Step | Line) -> None:
        if self._watch is not None:
            self._watch(item)
