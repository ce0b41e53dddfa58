"""Addresses of header fields and of the command line, each in the form SMTP wants."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from posthouse.protocol.address import Address, AddressError, parse_address
from posthouse.protocol.mailboxes import Mailbox, MailboxError, read_mailboxes
from posthouse.send.client.facts import Problem, Unusable

# What nearly all fields hold: one mailbox with no mark that means something. ``read_mailboxes``
# reads the same from it, in ten times the time.
_ADDRESS: Final = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+"
_USUAL: Final = re.compile(
    rf"(?P<name>[A-Za-z0-9][A-Za-z0-9 _'-]*[A-Za-z0-9]) ?<(?P<a>{_ADDRESS})>|(?P<b>{_ADDRESS})"
)


def pairs(values: Iterable[str]) -> list[tuple[str, Address]]:
    """Display name and address of each mailbox; an empty group has none. Raises Unusable."""
    found: list[tuple[str, Address]] = []
    for value in values:
        usual = _USUAL.fullmatch(value.strip())
        if usual is not None:
            found.append((usual["name"] or "", address(usual["a"] or usual["b"])))
        elif value.strip():
            found += [(one.name, address(one.address)) for one in _mailboxes(value)]
    return found


def _mailboxes(value: str) -> list[Mailbox]:
    try:
        return read_mailboxes(value, semicolons=True)
    except MailboxError as error:
        named = error.piece or " ".join(value.split())
        raise Unusable(Problem.BAD_ADDRESS, address=named[:80], reason=str(error)) from None


def mailbox(text: str) -> tuple[str, Address]:
    """The only one. Raises Unusable."""
    found = pairs([text])
    if len(found) != 1:
        raise Unusable(Problem.BAD_ADDRESS, address=text[:80], reason="several_addresses")
    return found[0]


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
