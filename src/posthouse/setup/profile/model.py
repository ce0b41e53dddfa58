"""What enters and leaves: proven settings, and what one client needs to use them.

Enters: fields found and proved elsewhere. Leaves: Settings, checked, and the shapes that ``make``
answers with. Called by every maker of this package and by the command line. Nothing here holds a
password, and there is no field for one. Fails with SettingsError, whose ``reason`` is an id of the
catalogue ("profile.error.<reason>").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from posthouse.flow import CredentialKind, Endpoint, Security
from posthouse.protocol.address import Address, AddressError, parse_address
from posthouse.protocol.discovery.offer import Incoming
from posthouse.protocol.host import HostError, parse_host, parse_ip
from posthouse.setup.profile.certificate import CertificateError, check_authorities

# Stand in files at the one place where a person has to write something. ASCII, without a character
# that any syntax quotes, so that a search for them finds them everywhere.
PASSWORD_HERE: Final = "PUT-THE-PASSWORD-HERE"  # noqa: S105  not a password
USERNAME_HERE: Final = "PUT-THE-USER-NAME-HERE"

_MAX_TEXT: Final = 320  # characters of a user name or display name; more is no name
_OAUTH: Final = frozenset({"XOAUTH2", "OAUTHBEARER", "OAUTH2"})
# The words that autoconfig files use for what a person calls "password".
_PASSWORD_WORDS: Final = {"PASSWORD-CLEARTEXT": ("PLAIN", "LOGIN"), "PASSWORD-ENCRYPTED": ()}
_NO_LOGIN: Final = frozenset({"NONE", "CLIENT-IP-ADDRESS"})


class SettingsError(ValueError):
    """Settings that no client could use. ``reason``: address, no_server, server, plain, username,
    display_name, ca_unreadable, ca_leaf; ``detail`` is short printable text."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Settings:
    """One proven setting. Raises SettingsError where it contradicts itself.

    ``outgoing``: the proved place first, others that work after it; never without encryption.
    ``username``: "" where only the provider's page can tell it. ``auth``: SASL mechanisms that the
    server offers or an autoconfig file names, () where it is not known. ``ca_pem``: certificates of
    a private authority to trust besides the system's. ``exchange``: the mailbox is on Exchange or
    Microsoft 365.
    """

    address: str
    outgoing: tuple[Endpoint, ...]
    username: str = ""
    credential: CredentialKind = CredentialKind.UNKNOWN
    auth: tuple[str, ...] = ()
    incoming: Incoming | None = None
    incoming_username: str = ""  # "": the same as for sending
    display_name: str = ""
    ca_pem: str = ""
    exchange: bool = False

    def __post_init__(self) -> None:
        _check_address(self.address)
        _check_servers(self.outgoing, self.incoming)
        for reason in ("username", "display_name", "incoming_username"):
            _check_line(reason, getattr(self, reason))
        if self.ca_pem:
            try:
                check_authorities(self.ca_pem)
            except CertificateError as error:
                raise SettingsError(error.reason, error.detail) from None

    @property
    def mailbox(self) -> Address:
        """The address taken apart."""
        return parse_address(self.address)

    @property
    def email(self) -> str:
        """The address as programs want it: the domain in ASCII."""
        return self.mailbox.wire

    @property
    def domain(self) -> str:
        """The domain in A-labels."""
        return self.mailbox.ascii_domain

    @property
    def login(self) -> str:
        """The user name, or the mark where it has to be written. Where one token is user name and
        password at once, it is a secret and stands in no file."""
        if self.credential is CredentialKind.TOKEN:
            return USERNAME_HERE
        return self.username or USERNAME_HERE

    @property
    def reading_login(self) -> str:
        """The user name for the server for reading mail, which always wants one."""
        return self.incoming_username or (self.email if self.anonymous else self.login)

    @property
    def anonymous(self) -> bool:
        """Whether there is no login at all: a relay that knows this machine by its address."""
        return self.credential is CredentialKind.NONE

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """SASL names, whatever the source called them; () where they are not known."""
        found: list[str] = []
        for word in self.auth:
            name = word.upper().removeprefix("SASL ")
            if name not in _NO_LOGIN:
                found += _PASSWORD_WORDS.get(name, (name,))
        return tuple(dict.fromkeys(found))

    @property
    def needs_oauth(self) -> bool:
        """Whether no password is accepted."""
        if self.credential is CredentialKind.OAUTH2:
            return True
        known = self.mechanisms
        return bool(known) and _OAUTH.issuperset(known)

    @property
    def mail_from(self) -> str:
        """What programs write in From: ``"Alice" <alice@example.com>``, or the bare address."""
        if not self.display_name:
            return self.email
        quoted = self.display_name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}" <{self.email}>'


def _check_address(address: str) -> None:
    try:
        parse_address(address)
    except AddressError as error:
        raise SettingsError("address", error.reason) from None


def _check_servers(outgoing: tuple[Endpoint, ...], incoming: Incoming | None) -> None:
    if not outgoing:
        raise SettingsError("no_server")
    for server in (*outgoing, *((incoming,) if incoming else ())):
        try:
            normal = parse_host(server.host)
        except HostError as error:
            raise SettingsError("server", error.reason) from None
        if normal != server.host or not 1 <= server.port <= 65_535:
            raise SettingsError("server", f"{server.host}:{server.port}")
        # RFC 8314 section 3: what is set up here never sends mail or a password in the clear.
        if server.security is Security.NONE:
            raise SettingsError("plain", f"{server.host}:{server.port}")


def _check_line(reason: str, text: str) -> None:
    """One printable line: no syntax can be broken by a line end that cannot be there."""
    if len(text) > _MAX_TEXT or not text.isprintable() or text != text.strip():
        raise SettingsError(reason.removeprefix("incoming_"))


class Kind(StrEnum):
    """What a client is given."""

    FILE = "file"
    STEPS = "steps"
    TEXT = "text"


class Ca(StrEnum):
    """How a client comes to trust a private authority."""

    FILE = "file"  # its settings name a file
    ENVIRONMENT = "environment"  # the variable SSL_CERT_FILE of its process
    SYSTEM = "system"  # only the system's own list
    STEPS = "steps"  # a list of its own, which its steps lead to
    PAYLOAD = "payload"  # the authority is inside the file
    NONE = "none"  # nothing is trusted by it


@dataclass(frozen=True, slots=True)
class Client:
    """One program that sends mail, and what it can do. () in ``mechanisms``: all that matter."""

    id: str
    maker: str  # "module:function" of this package, imported when it is asked for
    kinds: tuple[Kind, ...]
    file: str = ""  # the main file's name
    aliases: tuple[str, ...] = ()
    mechanisms: tuple[str, ...] = ()
    oauth: bool = False  # can sign in with a token
    browser: bool = False  # gets the token itself, by the provider's page in a browser
    needs_incoming: bool = False  # is of no use without a server for reading mail
    ca: Ca = Ca.SYSTEM
    ipv6_host: bool = True  # takes an IPv6 address in place of a host name
    colon_in_username: bool = True
    unicode_login: bool = True
    unicode_sender: bool = True  # can send from an address that needs SMTPUTF8 (RFC 6531)
    forces_starttls: bool = True  # gives up where STARTTLS is missing, instead of going on

    def name(self, lang: str) -> str:
        """What people call it."""
        from posthouse.explain import catalogue

        return catalogue(lang).text(f"profile.name.{self.id}")


@dataclass(frozen=True, slots=True)
class File:
    """One file. ``place`` is where the program looks for it ("~" is the user's home)."""

    name: str
    content: bytes
    place: str = ""
    mode: int = 0o644  # 0o600 where a password will be written into it
    append: bool = False  # the place may hold other settings already: add, do not replace


class Level(StrEnum):
    """How much a note matters."""

    INFO = "info"
    WARN = "warn"
    FAIL = "fail"  # the client cannot work with these settings; there are no files


@dataclass(frozen=True, slots=True)
class Note:
    """One thing to know. ``id`` never changes with the language."""

    id: str
    level: Level
    text: str
    params: Mapping[str, Any] = field(default_factory=dict)  # plain JSON values


@dataclass(frozen=True, slots=True)
class Profile:
    """All that one client needs. ``usable`` is False where it cannot work with the settings."""

    client: Client
    lang: str
    endpoint: Endpoint  # the outgoing server that the client is told
    files: tuple[File, ...] = ()
    steps: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    text: str = ""  # for clients of kind TEXT
    usable: bool = True


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs a configuration profile: PEM of the certificate (its chain after it) and the key.

    Only for the one who hosts profiles; the key is used once and never kept or printed.
    """

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Job:
    """What a maker is given."""

    client: Client
    settings: Settings
    lang: str
    endpoint: Endpoint
    mechanism: str  # for programs that must be told one: PLAIN, LOGIN, CRAM-MD5 or an OAuth one
    signer: Signer | None = None

    @property
    def implicit_tls(self) -> bool:
        """TLS from the first byte; otherwise STARTTLS (RFC 8314 section 3.3)."""
        return self.endpoint.security is Security.TLS

    @property
    def host_is_ip(self) -> bool:
        """Whether the server is given by its IP address."""
        return parse_ip(self.endpoint.host) is not None

    @property
    def bracketed(self) -> str:
        """The host as URLs write it."""
        return f"[{self.endpoint.host}]" if ":" in self.endpoint.host else self.endpoint.host


@dataclass(frozen=True, slots=True)
class Made:
    """What a maker gives back. ``steps`` and ``notes`` name texts of the catalogue."""

    files: tuple[File, ...] = ()
    steps: tuple[str, ...] = ("steps",)  # keys under "profile.<client id>."
    params: Mapping[str, Any] = field(default_factory=dict)  # more values for the steps
    notes: tuple[tuple[str, Level], ...] = ()  # (id under "profile.note.", level)
    text: str = ""
