"""What domains publish about their outgoing servers, in every format, as bytes and zone lines."""

from __future__ import annotations

import base64
import hashlib
import json


def autoconfig(*servers: tuple[str, int, str], login: str = "%EMAILADDRESS%") -> bytes:
    """(host, port, socket type) of each outgoing server, as config-v1.1.xml."""
    outgoing = "".join(
        f'<outgoingServer type="smtp"><hostname>{host}</hostname><port>{port}</port>'
        f"<socketType>{kind}</socketType><authentication>password-cleartext</authentication>"
        f"<username>{login}</username></outgoingServer>"
        for host, port, kind in servers
    )
    return (
        '<?xml version="1.0"?><clientConfig version="1.1"><emailProvider id="x">'
        f"<domain>%EMAILDOMAIN%</domain>{outgoing}</emailProvider></clientConfig>"
    ).encode()


def autodiscover(host: str, port: int, encryption: str, login: str = "") -> bytes:
    """Outlook's XML for one outgoing server."""
    schema = "http://schemas.microsoft.com/exchange/autodiscover"
    return (
        f'<?xml version="1.0"?><Autodiscover xmlns="{schema}/responseschema/2006">'
        f'<Response xmlns="{schema}/outlook/responseschema/2006a"><Account>'
        "<AccountType>email</AccountType><Action>settings</Action><Protocol><Type>SMTP</Type>"
        f"<Server>{host}</Server><Port>{port}</Port><Encryption>{encryption}</Encryption>"
        f"<LoginName>{login}</LoginName><AuthRequired>on</AuthRequired>"
        "</Protocol></Account></Response></Autodiscover>"
    ).encode()


def pacc(host: str, **authentication: object) -> bytes:
    """user-agent-configuration.json for one outgoing server."""
    return json.dumps(
        {"protocols": {"smtp": {"host": host}}, "authentication": authentication}
    ).encode()


def digest(document: bytes) -> str:
    """The TXT record that vouches for a PACC document."""
    value = base64.b64encode(hashlib.sha256(document).digest()).decode()
    return f'_ua-auto-config TXT "v=UAAC1; a=sha256; d={value}"'
