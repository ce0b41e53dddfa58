"""Lines of a zone file, as an administrator pastes them. RFC 1035 section 5.1.

Enters: names, texts, hosts. Leaves: one line a record; long TXT values are cut into strings.
Nothing fails.
"""

from __future__ import annotations

from posthouse.protocol.txt import quoted


def txt(name: str, text: str) -> str:
    """A TXT record."""
    return f"{name}. IN TXT {quoted(text)}"


def cname(name: str, target: str) -> str:
    """An alias."""
    return f"{name}. IN CNAME {target.removesuffix('.')}."


def ptr(name: str, host: str) -> str:
    """The name of an address; ``name`` is the reverse name."""
    return f"{name}. IN PTR {host.removesuffix('.')}."


def address(host: str, ip: str) -> str:
    """A or AAAA."""
    return f"{host}. IN {'AAAA' if ':' in ip else 'A'} {ip}"


def srv(name: str, host: str, port: int) -> str:
    """A service. Port 0 and host "" say that there is none (RFC 2782)."""
    return f"{name}. IN SRV 0 {1 if host else 0} {port} {host.removesuffix('.')}."


def mx(name: str, host: str, preference: int = 10) -> str:
    """A mail server; the empty host is the null MX (RFC 7505)."""
    return f"{name}. IN MX {preference if host else 0} {host.removesuffix('.')}."
