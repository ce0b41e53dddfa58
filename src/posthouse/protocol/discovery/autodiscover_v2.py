"""Microsoft Autodiscover v2: one JSON answer that only says where to go on.

Enters: the user's address; the answer's bytes. Leaves: URLs to ask; V2Answer. Called by
setup.find, as the quickest way to recognise a mailbox at Microsoft. Fails with DiscoveryError.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from posthouse.protocol.discovery.jsontree import parse_json
from posthouse.protocol.discovery.offer import DiscoveryError, printable, web_url

# What we ask for: the place of the POX answer, which names SMTP servers; others name Exchange's.
PROTOCOL: Final = "AutodiscoverV1"
# Where a URL leads that belongs to a mailbox at Microsoft 365, worldwide and in China.
_MICROSOFT: Final = {
    "outlook.office365.com": "microsoft365",
    "outlook.office.com": "microsoft365",
    "autodiscover-s.outlook.com": "microsoft365",
    "partner.outlook.cn": "microsoft365-cn",
    "autodiscover-s.partner.outlook.cn": "microsoft365-cn",
    "outlook.live.com": "outlook",
}


@dataclass(frozen=True, slots=True)
class V2Answer:
    """``protocol`` and ``url``, or ``error`` (code, message). ``hosted_by``: "microsoft365",
    "microsoft365-cn", "outlook", or None for a server that we do not know by name."""

    protocol: str = ""
    url: str | None = None
    hosted_by: str | None = None
    error: tuple[str, str] | None = None


def urls(address: str, domain: str) -> tuple[str, ...]:
    """Where to ask; ``domain`` in A-labels."""
    query = f"Email={quote(address, safe='@', errors='replace')}&Protocol={PROTOCOL}"
    return (f"https://autodiscover.{domain}/autodiscover/autodiscover.json?{query}",)


def parse(document: bytes) -> V2Answer:
    """Read one answer. Raises DiscoveryError: ``missing_field``, ``bad_url``."""
    members = {name.lower(): value for name, value in parse_json(document).members().items()}
    code = members.get("errorcode")
    if code is not None:
        message = members.get("errormessage")
        text = message.text() if message and isinstance(message.data, str) else ""
        return V2Answer(error=(printable(str(code.data), 40), printable(text)))
    url_value, protocol = members.get("url"), members.get("protocol")
    if url_value is None or protocol is None:
        raise DiscoveryError("missing_field", 1, "Protocol" if url_value else "Url")
    url = web_url(url_value.text())
    # Only TLS proves that the answer is from whom it claims (MS-OXDISCO section 4).
    if url is None or not url.lower().startswith("https://"):
        raise DiscoveryError("bad_url", url_value.line, url_value.text())
    return V2Answer(printable(protocol.text(), 40), url, _hosted_by(url))


def _hosted_by(url: str) -> str | None:
    try:
        host = (urlsplit(url).hostname or "").lower()
    except ValueError:
        return None
    return _MICROSOFT.get(host)
