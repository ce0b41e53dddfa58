"""Addresses of header fields and of the command line, each in the form SMTP wants."""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import getaddresses
from functools import lru_cache

from posthouse.protocol.address import Address, AddressError, parse_address
from posthouse.send.client.facts import Problem, Unusable


def pairs(values: Iterable[str]) -> list[tuple[str, Address]]:
    """Display name and address of each mailbox; an empty group has none. Raises Unusable."""
    found = getaddresses([value for value in values if value.strip()])
    return [(name, address(text)) for name, text in found if text]


def addresses(values: Iterable[str]) -> list[Address]:
    """The addresses alone. Raises Unusable."""
    return [one for _, one in pairs(values)]


@lru_cache(4_096)
def address(text: str) -> Address:
    """One address. Raises Unusable."""
    try:
        return parse_address(text)
    except AddressError as error:
        raise Unusable(Problem.BAD_ADDRESS, address=text[:80], reason=error.reason) from None
