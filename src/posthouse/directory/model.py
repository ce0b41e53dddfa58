"""The shape of what is known about one provider of outgoing mail.

Enters: nothing. Leaves: frozen facts, made by ``read`` from one TOML file each, used by ``find``,
``explain`` and the settings card. Nothing here can fail: ``lint`` has checked the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from posthouse.flow import CredentialKind, Endpoint, Security

Words = Mapping[str, str]  # {"en": ..., "zh": ...}: the same thing said in each language
Steps = Mapping[str, tuple[str, ...]]  # {"en": (...), "zh": (...)}: as many steps in each language


class Trust(StrEnum):
    """How well a fact is known."""

    OFFICIAL = "official"  # read on the provider's own page
    DIRECTORY = "directory"  # read in public directories
    SECONDARY = "secondary"  # somebody says so: a probe decides


class Kind(StrEnum):
    """What a provider gives out."""

    MAILBOX = "mailbox"  # addresses under its own domains
    TENANT = "tenant"  # mailboxes under its customers' domains, known by their MX
    SERVICE = "service"  # sending for programs, with any verified domain


class UsernameForm(StrEnum):
    """What a server wants as user name."""

    ADDRESS = "address"  # the full address
    LOCAL = "local"  # the part before @
    LOCAL_DOT_DOMAIN = "local_dot_domain"  # the address with a dot where @ stands
    FIXED = "fixed"  # one literal for everybody: "apikey"
    TOKEN = "token"  # noqa: S105  the same token as the password
    ISSUED = "issued"  # given out by the provider together with the password
    CUSTOM = "custom"  # the note says


@dataclass(frozen=True, slots=True)
class Server:
    """One outgoing server. ``region`` names the choice among several ("eu"), else is empty."""

    endpoint: Endpoint
    trust: Trust
    region: str = ""
    auth: tuple[str, ...] = ()  # SASL mechanisms known to work; empty: not known
    note: Words | None = None


@dataclass(frozen=True, slots=True)
class UsernameRule:
    """Which user name to give. ``alternatives`` are tried by hand where sources differ."""

    form: UsernameForm
    value: str = ""  # only where form is FIXED
    alternatives: tuple[UsernameForm, ...] = ()
    note: Words | None = None

    def for_address(self, address: str) -> str | None:
        """The user name of this address; None where only the provider's page can tell it."""
        return username_of(self.form, address, self.value)


def username_of(form: UsernameForm, address: str, value: str = "") -> str | None:
    """The user name in the given form, or None where the address does not decide it."""
    local, _, domain = address.rpartition("@")
    match form:
        case UsernameForm.ADDRESS:
            return address
        case UsernameForm.LOCAL:
            return local
        case UsernameForm.LOCAL_DOT_DOMAIN:
            return f"{local}.{domain}"
        case UsernameForm.FIXED:
            return value
        case _:
            return None


@dataclass(frozen=True, slots=True)
class Credential:
    """What stands where a client asks for a password, and where to make it."""

    kinds: tuple[CredentialKind, ...]  # the preferred one first
    trust: Trust
    url: str | None = None  # where to make it
    steps: Steps | None = None  # how to make it, numbered by their order
    requires: Words | None = None  # what must be so before: "2-Step Verification is on"
    admin_must_allow: bool = False  # whoever runs the domain has to switch it on first


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one account may send. None: not known, never "no limit"."""

    trust: Trust
    per_day: int | None = None  # messages, or recipients where the provider counts those
    per_hour: int | None = None
    per_minute: int | None = None
    recipients: int | None = None  # in one message
    note: Words | None = None


@dataclass(frozen=True, slots=True)
class End:
    """A dated end of something: of password login, of a server name."""

    date: str  # "2025-05-01", "2026-12" or "2027-H2": as exact as the provider is
    what: str  # "basic_auth", "password_login"; never translated
    words: Words
    trust: Trust


@dataclass(frozen=True, slots=True)
class Pattern:
    """A host name pattern: ``*.`` in front is one or more labels, ``*`` inside a label its rest."""

    pattern: str
    trust: Trust


@dataclass(frozen=True, slots=True)
class Source:
    """Where facts were read, and when."""

    name: str
    date: str  # "2026-03" or "2026-03-31"
    trust: Trust
    covers: tuple[str, ...]  # which parts of the file: "servers", "mx", "credential"...
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Provider:
    """All that is known about one provider."""

    id: str
    kind: Kind
    name: Words
    domains: tuple[str, ...]  # of its addresses; "*.x" is any name below x
    mx: tuple[Pattern, ...]  # incoming hosts of its customers' domains
    ns: tuple[Pattern, ...]  # name servers: no more than a hint
    servers: tuple[Server, ...]  # all of them, in the order RFC 8314 prefers
    also_hosts: tuple[str, ...]  # older or other names of its servers, never offered
    regions: tuple[str, ...]  # where the host name holds the region (SES)
    username: UsernameRule
    credential: Credential
    limits: Limits | None
    ends: tuple[End, ...]
    notes: tuple[Words, ...]
    remedies: Mapping[str, Mapping[str, Words]]  # cause id -> variant ("" is the usual) -> words
    sources: tuple[Source, ...]

    @property
    def offered(self) -> tuple[Server, ...]:
        """The servers that may be shown as good: a password never goes over a plain one."""
        return tuple(s for s in self.servers if s.endpoint.security is not Security.NONE)

    @property
    def plain_only(self) -> tuple[Server, ...]:
        """The servers known only without encryption (RFC 8314 section 3): to warn, not to use."""
        return tuple(s for s in self.servers if s.endpoint.security is Security.NONE)

    def remedy(self, cause_id: str, lang: str, variant: str | None = None) -> str | None:
        """This provider's own remedy for a cause, or None where the general one is right."""
        variants = self.remedies.get(cause_id, {})
        words = variants.get(variant or "") or variants.get("")
        return None if words is None else words.get(lang, words["en"])


@dataclass(frozen=True, slots=True)
class TenantMatch:
    """The provider that an MX host points to."""

    provider: Provider
    pattern: str  # the rule that matched, as evidence
    trust: Trust
