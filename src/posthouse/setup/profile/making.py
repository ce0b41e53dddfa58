"""make: one client and proven settings to files, steps and notes.

Enters: a client's name, Settings, a language. Leaves: Profile. What the client cannot do at all
(sign in with a token, know the server's mechanisms, an address of another script) ends as a note of
level FAIL and no files: a file that cannot work is worse than none. Called by the command line.
Fails with UnknownClient, and with CertificateError where the signer's PEM cannot be read.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Final

from posthouse.explain import Catalogue, catalogue
from posthouse.flow import CredentialKind, Endpoint, Security
from posthouse.protocol.host import parse_ip, to_unicode
from posthouse.setup.profile.certificate import CertificateError
from posthouse.setup.profile.clients import find_client
from posthouse.setup.profile.model import (
    PASSWORD_HERE,
    Ca,
    Client,
    File,
    Job,
    Level,
    Made,
    Note,
    Profile,
    Settings,
    SettingsError,
    Signer,
)

# PLAIN before CRAM-MD5, against what its name suggests: see protocol.smtp.sasl.choose.
_NAMED: Final = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256")
_TOKENS: Final = ("XOAUTH2", "OAUTHBEARER")
_SECURITY: Final = {Security.TLS: "SSL/TLS", Security.STARTTLS: "STARTTLS"}

Words = Iterator[tuple[str, Level, dict[str, Any]]]


def make(
    client_id: str, settings: Settings, lang: str = "en", *, signer: Signer | None = None
) -> Profile:
    """What ``client_id`` needs to send with ``settings``. Raises UnknownClient."""
    client = find_client(client_id)
    endpoint = _endpoint(client, settings)
    words = catalogue(lang)
    blocks = list(_blocks(client, settings, endpoint))
    if blocks:
        notes = _notes(iter(blocks), _params(client, settings, endpoint, words), words)
        return Profile(client, words.lang, endpoint, notes=notes, usable=False)
    job = Job(client, settings, words.lang, endpoint, _mechanism(client, settings), signer)
    made = _maker(client)(job)
    params = _params(client, settings, endpoint, words) | dict(made.params)
    own: Words = ((id, level, {}) for id, level in made.notes)
    notes = _notes(iter([*own, *_advice(client, settings, endpoint)]), params, words)
    steps = tuple(_steps(client, made, params, words))
    files = (*made.files, *_authority(client, made, settings))
    return Profile(client, words.lang, endpoint, files, steps, notes, made.text)


def error_text(error: SettingsError | CertificateError, lang: str) -> str:
    """Why the settings, or a certificate, cannot be used."""
    return catalogue(lang).text(f"profile.error.{error.reason}", detail=error.detail)


def _maker(client: Client) -> Callable[[Job], Made]:
    module, _, function = client.maker.partition(":")
    maker: Callable[[Job], Made] = getattr(
        import_module(f"posthouse.setup.profile.{module}"), function
    )
    return maker


def _authority(client: Client, made: Made, settings: Settings) -> Iterator[File]:
    """The file that the steps or a note speak of, where the maker has no place for it."""
    content = settings.ca_pem.encode()
    elsewhere = client.ca in (Ca.PAYLOAD, Ca.NONE) or any(f.content == content for f in made.files)
    if content and not elsewhere:
        yield File("ca.pem", content)


def _endpoint(client: Client, settings: Settings) -> Endpoint:
    """The proved place; one with TLS from the first byte for a client that would go on in the
    clear where somebody on the way took STARTTLS out (RFC 8314 section 3.3)."""
    if not client.forces_starttls:
        for endpoint in settings.outgoing:
            if endpoint.security is Security.TLS:
                return endpoint
    return settings.outgoing[0]


def _mechanism(client: Client, settings: Settings) -> str:
    """The one to name, for programs that must be told."""
    offered = settings.mechanisms
    if settings.needs_oauth:
        return next((m for m in _TOKENS if m in offered), _TOKENS[0])
    able = [m for m in _NAMED if not client.mechanisms or m in client.mechanisms]
    return next((m for m in able if m in offered), able[0])


def _blocks(client: Client, settings: Settings, endpoint: Endpoint) -> Words:
    """Why the client cannot work with these settings at all."""
    if settings.needs_oauth and not client.oauth and client.mechanisms:
        yield "oauth_only", Level.FAIL, {}
    elif not settings.needs_oauth and _no_common(client, settings):
        offered = ", ".join(settings.mechanisms)
        yield "mechanism", Level.FAIL, {"offered": offered, "able": ", ".join(client.mechanisms)}
    if not client.ipv6_host and ":" in endpoint.host:
        yield "ipv6_host", Level.FAIL, {}
    if not client.colon_in_username and ":" in settings.username:
        yield "colon", Level.FAIL, {}
    if not client.unicode_login and not settings.username.isascii():
        yield "unicode_login", Level.FAIL, {}
    if not client.unicode_sender and settings.mailbox.needs_smtputf8:
        yield "unicode_sender", Level.FAIL, {}


def _no_common(client: Client, settings: Settings) -> bool:
    known = settings.mechanisms
    if settings.anonymous or not known or not client.mechanisms:
        return False
    return not set(known) & set(client.mechanisms)


def _advice(client: Client, settings: Settings, endpoint: Endpoint) -> Words:
    """What to know although it works."""
    if settings.needs_oauth and client.oauth and not client.browser:
        yield "oauth", Level.INFO, {}
    if settings.credential is CredentialKind.TOKEN:
        yield "token", Level.WARN, {}
    elif not settings.username and not settings.anonymous:
        yield "username_missing", Level.WARN, {}
    elif settings.username and settings.username != settings.email:
        yield "username_differs", Level.INFO, {}
    readable = settings.incoming and settings.incoming.protocol in ("imap", "pop3")
    if client.needs_incoming and not readable:
        yield "needs_incoming", Level.WARN, {}
    if not client.forces_starttls and endpoint.security is Security.STARTTLS:
        yield "starttls_optional", Level.WARN, {}
    if parse_ip(endpoint.host):
        yield "ip_host", Level.WARN, {}
    if settings.mailbox.needs_smtputf8:
        yield "smtputf8", Level.WARN, {}
    if settings.domain != settings.mailbox.domain:
        yield "idn", Level.INFO, {"unicode": to_unicode(settings.domain)}
    if settings.ca_pem and client.ca in (Ca.SYSTEM, Ca.ENVIRONMENT):
        yield f"ca_{client.ca.value}", Level.WARN, {}


def _notes(found: Words, params: dict[str, Any], words: Catalogue) -> tuple[Note, ...]:
    return tuple(
        Note(id, level, words.text(f"profile.note.{id}", **(params | more)), more)
        for id, level, more in found
    )


def _steps(client: Client, made: Made, params: dict[str, Any], words: Catalogue) -> Iterator[str]:
    """The lines of the texts; a line whose optional part is all there was is left out."""
    for key in made.steps:
        for line in words.text(f"profile.{client.id}.{key}", **params).splitlines():
            if line.strip():
                yield line.strip()


def _params(
    client: Client, settings: Settings, endpoint: Endpoint, words: Catalogue
) -> dict[str, Any]:
    """The values that every step and note may use. Those that are "" leave optional parts out."""
    implicit = endpoint.security is Security.TLS
    browser = settings.needs_oauth and client.browser
    return {
        "client": client.name(words.lang),
        "address": settings.email,
        "domain": settings.domain,
        "name": settings.display_name,
        "host": endpoint.host,
        "port": endpoint.port,
        "security": _SECURITY[endpoint.security],
        "tls": "SSL/TLS" if implicit else "",
        "starttls": "" if implicit else "STARTTLS",
        "username": "" if settings.anonymous else settings.login,
        "password": "" if settings.anonymous or browser else _password(settings, words),
        "browser": "OAuth2" if browser else "",
        "password_here": PASSWORD_HERE,
        "other": _other(settings, endpoint),
        "ca": "ca.pem" if settings.ca_pem else "",
        # As words of a shell's command line: a name may hold what a shell would act on.
        "to_sh": shlex.quote(settings.email),
        "user_sh": "" if settings.anonymous else shlex.quote(settings.login),
        "sender_sh": shlex.quote(f"sender_canonical_maps = static:{settings.email}"),
        "exchange": "Exchange" if settings.exchange else "",
        **_incoming(settings),
    }


def _password(settings: Settings, words: Catalogue) -> str:
    """What the steps call it."""
    kind = "access_token" if settings.needs_oauth else settings.credential.value
    return words.text(f"profile.credential.{kind}")


def _other(settings: Settings, endpoint: Endpoint) -> str:
    """Another place that works, for when this one cannot be reached from somewhere."""
    for other in settings.outgoing:
        if other != endpoint:
            return f"{other} ({_SECURITY[other.security]})"
    return ""


def _incoming(settings: Settings) -> dict[str, Any]:
    server = settings.incoming
    return {
        "in_protocol": server.protocol.upper() if server else "",
        "in_host": server.host if server else "",
        "in_port": server.port if server else "",
        "in_security": _SECURITY[server.security] if server else "",
        "in_username": settings.reading_login if server else "",
    }
