"""Domains and senders, as check_host wants them. RFC 7208 sections 4.1 to 4.3, RFC 8616.

Enters: what stood in MAIL FROM and EHLO; targets of mechanisms after expansion. Leaves: names that
DNS can be asked, or None where no name can be made of it. Called by ``check`` and ``survey``.
Nothing fails.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from posthouse.protocol.host import MAX_LABEL, MAX_NAME, HostError, to_ascii

POSTMASTER: Final = "postmaster"
CACHED: Final = 4_096  # names; the same few hosts and includes are asked for all day


def client(ip: str) -> IPv4Address | IPv6Address:
    """The client's address; an IPv4-mapped one is IPv4 (section 5). Raises ValueError."""
    if ":" not in ip:
        return IPv4Address(ip)
    address = IPv6Address(ip)
    return address.ipv4_mapped or IPv6Address(int(address))  # without its zone


def split_sender(sender: str) -> tuple[str, str]:
    """Local part and domain. Without a local part it is "postmaster" (section 4.3)."""
    local, _, domain = sender.rpartition("@")
    return local or POSTMASTER, domain


def identity(sender: str, helo: str) -> tuple[str, str]:
    """Domain and sender to check for MAIL FROM; of an empty one it is HELO's (section 2.4)."""
    used = sender or f"{POSTMASTER}@{helo}"
    return split_sender(used)[1], used


def a_labels(domain: str) -> str | None:
    """U-labels as A-labels (RFC 8616 section 4); ASCII is left as it is."""
    if domain.isascii():
        return domain
    try:
        return ".".join(
            label if label.isascii() else to_ascii(label) for label in domain.split(".")
        )
    except HostError:
        return None


def question(target: str) -> str | None:
    """The name to ask for, in lower case and without a dot at the end; None if DNS has no such.

    A name that is too long loses labels on its left (section 7.3).
    """
    return _cached(target) if len(target) <= MAX_NAME else _question(target)


def _question(target: str) -> str | None:
    name = target.removesuffix(".").lower()
    if len(name) > MAX_NAME:
        cut = name.find(".", len(name) - MAX_NAME - 1)
        name = name[cut + 1 :] if cut >= 0 else ""
    if not name or not name.isascii():
        return None
    if name[0] == "." or name[-1] == "." or ".." in name:
        return None
    if len(name) > MAX_LABEL and any(len(label) > MAX_LABEL for label in name.split(".")):
        return None
    # A backslash would begin an escape in the text form of a name (RFC 1035 section 5.1).
    return name.replace("\\", "\\\\") if "\\" in name else name


_cached = lru_cache(CACHED)(_question)


def host(domain: str) -> str | None:
    """Section 4.3: the same for a domain to check, which also needs several labels."""
    name = question(domain)
    return name if name is not None and "." in name and name[0] != "[" else None


def within(name: str, domain: str) -> bool:
    """Whether a name is that domain or below it. Both in lower case, without a dot at the end."""
    return name == domain or name.endswith(f".{domain}")
