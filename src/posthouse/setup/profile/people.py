"""Mail programs for people that are set up by hand or by XML: Thunderbird and Outlook.

Enters: a Job. Leaves: Made: the steps, and the XML that these programs ask a domain for. Called by
``making`` and ``domain``. Nothing fails. draft-ietf-mailmaint-autoconfig; [MS-OXDSCLI] for POX.
"""

from __future__ import annotations

from typing import Final

from posthouse.flow import Endpoint, Security
from posthouse.setup.profile import quote
from posthouse.setup.profile.model import File, Job, Made, Settings

_SOCKET: Final = {Security.TLS: "SSL", Security.STARTTLS: "STARTTLS"}
_ENCRYPTION: Final = {Security.TLS: "SSL", Security.STARTTLS: "TLS"}  # Outlook's words
_RESPONSE: Final = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
_AUTODISCOVER: Final = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"


def thunderbird(job: Job) -> Made:
    """The steps; with a server for reading mail also the XML."""
    settings, incoming = job.settings, job.settings.incoming
    if incoming is None or incoming.protocol not in ("imap", "pop3"):
        return Made(steps=("outgoing",))
    file = File(
        "config-v1.1.xml",
        autoconfig(settings, job.endpoint, personal=True),
        f"{settings.domain}.xml",
    )
    return Made((file,), steps=("steps", "last"))


def outlook(job: Job) -> Made:
    """Classic Outlook. An Exchange mailbox is added as one; SMTP is not asked for."""
    return Made(steps=("exchange",) if job.settings.exchange else _with_login(job))


def outlook_new(job: Job) -> Made:
    """The Outlook that comes with Windows 11."""
    return Made(steps=("exchange",) if job.settings.exchange else ("steps",))


def _with_login(job: Job) -> tuple[str, ...]:
    return ("steps", "anonymous" if job.settings.anonymous else "login", "last")


def autodiscover(job: Job) -> Made:
    """What https://autodiscover.DOMAIN/autodiscover/autodiscover.xml has to answer."""
    content = autodiscover_xml(job.settings, job.endpoint)
    return Made((File("autodiscover.xml", content, "/autodiscover/autodiscover.xml"),))


def autoconfig(settings: Settings, endpoint: Endpoint, *, personal: bool) -> bytes:
    """config-v1.1.xml. ``personal``: for this address; else for everybody of the domain."""
    user = settings.login if personal else template(settings.login, settings)
    outgoing = [endpoint, *(e for e in settings.outgoing if e != endpoint)]
    domain = quote.xml(settings.domain)
    label = quote.xml(settings.mailbox.domain)
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>\n<clientConfig version="1.1">\n',
        f'  <emailProvider id="{domain}">\n    <domain>{domain}</domain>\n',
        f"    <displayName>{label}</displayName>\n",
        f"    <displayShortName>{label}</displayShortName>\n",
        *_autoconfig_incoming(settings, personal=personal),
        *(_autoconfig_server("outgoingServer", "smtp", e, user, settings) for e in outgoing),
        "  </emailProvider>\n</clientConfig>\n",
    ]
    return "".join(parts).encode()


def template(username: str, settings: Settings) -> str:
    """The user name with what belongs to the one address replaced by the format's words."""
    local = settings.email.rpartition("@")[0]
    if username == settings.email:
        return "%EMAILADDRESS%"
    return "%EMAILLOCALPART%" if username == local else username


def _autoconfig_incoming(settings: Settings, *, personal: bool) -> list[str]:
    server = settings.incoming
    if server is None or server.protocol not in ("imap", "pop3"):
        return []
    user = settings.reading_login
    if not personal:
        user = template(user, settings)
    place = Endpoint(server.host, server.port, server.security)
    return [_autoconfig_server("incomingServer", server.protocol, place, user, settings)]


def _autoconfig_server(
    element: str, kind: str, place: Endpoint, user: str, settings: Settings
) -> str:
    way = "OAuth2" if settings.needs_oauth else "password-cleartext"
    if settings.anonymous and element == "outgoingServer":
        way = "none"
    lines = [
        f"<hostname>{quote.xml(place.host)}</hostname>",
        f"<port>{place.port}</port>",
        f"<socketType>{_SOCKET[place.security]}</socketType>",
        f"<authentication>{way}</authentication>",
        *([] if way == "none" else [f"<username>{quote.xml(user)}</username>"]),
    ]
    body = "".join(f"      {line}\n" for line in lines)
    return f'    <{element} type="{kind}">\n{body}    </{element}>\n'


def autodiscover_xml(settings: Settings, endpoint: Endpoint) -> bytes:
    """The answer to Outlook's question. Its schema wants the protocols in any order."""
    parts = [
        '<?xml version="1.0" encoding="utf-8"?>\n',
        f'<Autodiscover xmlns="{_AUTODISCOVER}">\n  <Response xmlns="{_RESPONSE}">\n',
        f"    <User>\n      <DisplayName>{quote.xml(settings.display_name or settings.email)}"
        "</DisplayName>\n    </User>\n",
        "    <Account>\n      <AccountType>email</AccountType>\n      <Action>settings</Action>\n",
        *_pox_incoming(settings),
        _pox_protocol("SMTP", endpoint, settings.login, auth=not settings.anonymous),
        "    </Account>\n  </Response>\n</Autodiscover>\n",
    ]
    return "".join(parts).encode()


def _pox_incoming(settings: Settings) -> list[str]:
    server = settings.incoming
    if server is None or server.protocol not in ("imap", "pop3"):
        return []
    place = Endpoint(server.host, server.port, server.security)
    user = settings.reading_login
    return [_pox_protocol(server.protocol.upper(), place, user, auth=True)]


def _pox_protocol(kind: str, place: Endpoint, user: str, *, auth: bool) -> str:
    """``SPA`` is NTLM, which would keep a password from working. ``AuthRequired`` is the box "My
    outgoing server (SMTP) requires authentication"."""
    lines = {
        "Type": kind,
        "Server": place.host,
        "Port": str(place.port),
        "DomainRequired": "off",
        "LoginName": user if auth else "",
        "SPA": "off",
        "SSL": "on",
        "Encryption": _ENCRYPTION[place.security],
        "AuthRequired": "on" if auth else "off",
    }
    if kind == "SMTP":
        lines |= {"UsePOPAuth": "off", "SMTPLast": "off"}
    body = "".join(f"        <{k}>{quote.xml(v)}</{k}>\n" for k, v in lines.items() if v)
    return f"      <Protocol>\n{body}      </Protocol>\n"
