"""What the owner of a domain knows: who sends for it, which servers it has, what it wants.

Enters: values from options of a command. Leaves: ``Inventory``. ``read`` makes the same from a TOML
file. Called by the command line. Fails with InventoryError alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from posthouse.protocol import dkim, dmarc
from posthouse.protocol.host import HostError, parse_ip, to_ascii
from posthouse.setup.domain.records.model import TTL
from posthouse.setup.domain.records.services import services

Network = IPv4Network | IPv6Network

NOT_OFFERED: Final = "."  # RFC 2782, RFC 7505: the service is decidedly not there
WEEK: Final = 604_800  # seconds; RFC 8461 section 3.2: weeks or greater
ENDS: Final = ("keep", "auto", "~all", "-all")
STS_MODES: Final = ("testing", "enforce", "none")
# Registered names (RFC 6186, RFC 8314 section 5.1) and what they are called here.
SERVERS: Final[Mapping[str, str]] = {
    "submissions": "_submissions._tcp",
    "submission": "_submission._tcp",
    "imaps": "_imaps._tcp",
    "imap": "_imap._tcp",
    "pop3s": "_pop3s._tcp",
    "pop3": "_pop3._tcp",
}


class InventoryError(Exception):
    """An inventory that can't be used. ``reason`` is a stable id; ``line`` 0 where there is none.

    Reasons: ``syntax``, ``too_long``, ``unknown_key``, ``missing``, ``kind``, ``domain``, ``host``,
    ``address``, ``service``, ``param``, ``selector``, ``record``, ``choice``, ``number``,
    ``server``, ``mail_address``, ``url``, ``file``, ``twice``, ``alias_target``.
    """

    def __init__(self, reason: str, key: str = "", detail: str = "", line: int = 0) -> None:
        shown = "".join(char if char.isprintable() else "?" for char in detail[:100])
        super().__init__(f"{reason}: {key} {shown}".rstrip() + (f" (line {line})" if line else ""))
        self.reason = reason
        self.key = key
        self.detail = shown
        self.line = line


@dataclass(frozen=True, slots=True)
class Service:
    """A provider that sends for the domain; ``params`` as ``services.toml`` names them."""

    id: str
    params: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Host:
    """A server of one's own: its name, its addresses (published), and whether mail leaves it."""

    name: str
    addresses: tuple[str, ...] = ()
    sends: bool = True


@dataclass(frozen=True, slots=True)
class Selector:
    """A DKIM key to publish: its record, or the name it is to be an alias of. ``gone``: from that
    day on nobody needs it."""

    selector: str
    text: str = ""
    cname: str = ""
    gone: date | None = None


@dataclass(frozen=True, slots=True)
class Mx:
    """One mail server; the host NOT_OFFERED alone says that the domain takes no mail."""

    host: str
    preference: int = 10


@dataclass(frozen=True, slots=True)
class Server:
    """Where mail programs connect; the host NOT_OFFERED says nowhere."""

    service: str  # a key of SERVERS
    host: str
    port: int = 0


@dataclass(frozen=True, slots=True)
class Spf:
    """``end``: how the record ends. "keep": as now; "auto": -all once reports allow it."""

    end: str = "keep"
    remove: tuple[str, ...] = ()  # terms that are no longer needed
    flatten: bool = False


@dataclass(frozen=True, slots=True)
class Dmarc:
    """``goal``: how far the roll-out goes; None is as far as it should. ``strangers``: senders
    seen in reports that are none of the domain's."""

    goal: dmarc.Action | None = None
    subdomains: dmarc.Action | None = None
    strict_dkim: bool = False
    strict_spf: bool = False
    mailing_lists: bool | None = None
    strangers: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Sts:
    """``host``: the web server that shows the policy, a name or addresses."""

    mode: str = ""  # "": testing, or enforce where that stands already
    max_age: int = WEEK * 2
    host: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dane:
    """Certificates (PEM or DER) of one mail server; the second is the one to come. None at all:
    the one it shows (``served.with_certificates``)."""

    host: str
    materials: tuple[bytes, ...] = field(default=(), repr=False)
    port: int = 25


@dataclass(frozen=True, slots=True)
class Bimi:
    """Where the logo is, and its certificate."""

    logo: str
    certificate: str = ""
    selector: str = "default"


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything of one domain. What is empty is left as it stands in DNS."""

    domain: str
    services: tuple[Service, ...] = ()
    addresses: tuple[Network, ...] = ()  # mail leaves from
    send_hosts: tuple[str, ...] = ()  # the same, by names others look after
    hosts: tuple[Host, ...] = ()
    mx: tuple[Mx, ...] = ()
    selectors: tuple[Selector, ...] = ()
    sends: bool = True  # False: the domain sends no mail at all
    dmarc_reports: tuple[str, ...] = ()
    failure_reports: tuple[str, ...] = ()
    tls_reports: tuple[str, ...] = ()
    spf: Spf = field(default_factory=Spf)
    dmarc: Dmarc = field(default_factory=Dmarc)
    sts: Sts | None = None
    dane: tuple[Dane, ...] = ()
    bimi: Bimi | None = None
    servers: tuple[Server, ...] = ()
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # whole name -> target
    ttl: int = TTL


def from_options(
    domain: str,
    *,
    services: Sequence[str] = (),
    addresses: Sequence[str] = (),
    send_hosts: Sequence[str] = (),
    mx: Sequence[str] = (),
    dmarc_reports: Sequence[str] = (),
    tls_reports: Sequence[str] = (),
    flatten: bool = False,
) -> Inventory:
    """The inventory of a command's options. A service is "m365" or
    "ses:region=eu-west-1,tokens=a+b+c". Raises InventoryError."""
    return checked(
        Inventory(
            domain_of(domain, "domain"),
            tuple(service_of(one) for one in services),
            tuple(network_of(one, "addresses") for one in addresses),
            tuple(host_of(one, "send_hosts") for one in send_hosts),
            mx=tuple(mx_of(one) for one in mx),
            dmarc_reports=tuple(mail_of(one, "reports.dmarc") for one in dmarc_reports),
            tls_reports=tuple(report_of(one, "reports.tls") for one in tls_reports),
            spf=Spf(flatten=flatten),
        )
    )


def checked(inventory: Inventory) -> Inventory:
    """The same, where its parts agree. Raises InventoryError."""
    aliases = {name for name, target in inventory.names.items() if parse_ip(target[0]) is None}
    for host in inventory.hosts:
        if host.name in aliases or (host.addresses and host.name in inventory.names):
            raise InventoryError("twice", "names", host.name)
    targets = [one.host for one in inventory.mx] + [one.host for one in inventory.servers]
    for host_name in targets:  # RFC 2181 section 10.3, RFC 2782: never an alias
        if host_name in aliases:
            raise InventoryError("alias_target", "names", host_name)
    _once("dkim", (one.selector for one in inventory.selectors))
    _once("host", (one.name for one in inventory.hosts))
    _once("mx", (one.host for one in inventory.mx))
    if len(inventory.mx) > 1 and any(one.host == NOT_OFFERED for one in inventory.mx):
        raise InventoryError("host", "mx", NOT_OFFERED)  # RFC 7505 section 3: it stands alone
    return inventory


def _once(key: str, values: Iterable[str]) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise InventoryError("twice", key, value)
        seen.add(value)


# Values, each from its text


def domain_of(text: str, key: str) -> str:
    """A domain in A-labels."""
    try:
        name = to_ascii(text.strip())
    except HostError:
        raise InventoryError("domain", key, text) from None
    if "." not in name:
        raise InventoryError("domain", key, text)
    return name


def host_of(text: str, key: str) -> str:
    """The name of a server; an address is none."""
    try:
        if parse_ip(text.strip()) is None:
            return to_ascii(text.strip())
    except HostError:
        pass
    raise InventoryError("host", key, text)


def address_of(text: str, key: str) -> str:
    """One address in its shortest form."""
    found = parse_ip(text.strip())
    if found is None:
        raise InventoryError("address", key, text)
    return found


def network_of(text: str, key: str) -> Network:
    """An address or range. Bits below the prefix are a slip, not a wish."""
    try:
        return ip_network(text.strip())
    except ValueError:
        raise InventoryError("address", key, text) from None


def mail_of(text: str, key: str) -> str:
    """A mail address, with or without "mailto:"."""
    address = text.strip().removeprefix("mailto:")
    try:
        uri = dmarc.mailto(address)
    except ValueError:
        raise InventoryError("mail_address", key, text) from None
    if not uri.usable:
        raise InventoryError("mail_address", key, text)
    return uri.uri


def report_of(text: str, key: str) -> str:
    """Where TLS reports go: an address, or an https URL. RFC 8460 section 3."""
    return url_of(text, key) if "://" in text else mail_of(text, key)


def url_of(text: str, key: str) -> str:
    """An https URL that can stand in a record."""
    plain = text.strip()
    uri = dmarc.report_uri(plain)
    if uri is None or not plain.startswith("https://") or not uri.host or ";" in plain:
        raise InventoryError("url", key, text)
    return plain


def mx_of(text: str) -> Mx:
    """ "mx.example.com" or "20 mx2.example.com"; "." is none."""
    words = text.split()
    if words == [NOT_OFFERED]:
        return Mx(NOT_OFFERED, 0)
    preference = 10
    if len(words) == 2 and words[0].isascii() and words[0].isdigit() and int(words[0]) <= 65_535:
        preference, words = int(words[0]), words[1:]
    if len(words) != 1:
        raise InventoryError("host", "mx", text)
    return Mx(host_of(words[0], "mx"), preference)


def server_of(service: str, text: str) -> Server:
    """ "smtp.example.com:465"; "." is not offered."""
    key = f"servers.{service}"
    if service not in SERVERS:
        raise InventoryError("unknown_key", key)
    if text.strip() == NOT_OFFERED:
        return Server(service, NOT_OFFERED)
    host, _, port = text.strip().rpartition(":")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise InventoryError("server", key, text)
    return Server(service, host_of(host, key), int(port))


def selector_of(name: str, text: str = "", cname: str = "") -> Selector:
    """A key; its record must be one."""
    try:
        selector = to_ascii(name.strip())
    except HostError:
        if not name.strip().replace("-", "").isdigit():  # "2024" is a fine selector
            raise InventoryError("selector", "dkim.selector", name) from None
        selector = name.strip()
    if bool(text) == bool(cname):
        raise InventoryError("missing", "dkim.record", name)
    if text:
        try:
            dkim.parse_key_record(text)
        except dkim.KeyRecordError as error:
            raise InventoryError("record", "dkim.record", error.reason) from None
    return Selector(selector, text, host_alias(cname) if cname else "")


def host_alias(text: str) -> str:
    """The target of an alias, which may have labels that begin with "_"."""
    plain = text.strip().removesuffix(".").lower()
    bare = ".".join(label.replace("_", "") for label in plain.split("."))
    try:
        to_ascii(bare)
    except HostError:
        raise InventoryError("host", "cname", text) from None
    if not plain.isascii():
        raise InventoryError("host", "cname", text)
    return plain


def service_of(text: str) -> Service:
    """ "m365", or "ses:region=eu-west-1,tokens=a+b+c"."""
    id_, _, rest = text.strip().partition(":")
    known = services().get(id_)
    params = {}
    for part in filter(None, rest.split(",")):
        name, equals, value = part.partition("=")
        if not equals:
            raise InventoryError("param", "services", part)
        several = known is not None and name.strip() in known.lists
        values = value.split("+") if several else [value]  # "+" is also a letter of keys
        params[name.strip()] = tuple(one.strip() for one in values if one.strip())
    return service(id_, params)


def service(id_: str, params: Mapping[str, tuple[str, ...]]) -> Service:
    """A service that is known, with params it knows."""
    known = services().get(id_.strip())
    if known is None:
        raise InventoryError("service", "services", id_)
    for name, values in params.items():
        if name not in known.params:
            raise InventoryError("param", f"{id_}.{name}", ", ".join(known.params))
        if not values:
            raise InventoryError("param", f"{id_}.{name}")
    return Service(known.id, dict(params))
