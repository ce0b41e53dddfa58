"""A letter and those of its recipients who go one way, and how it is said to a server.

Enters: a task, the extensions that a server offers. Leaves: a ``Transaction``: MAIL, RCPT, content.
Shared by the pool, which carries it, and ``prepare``, which recodes and signs. Nothing fails.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from posthouse.letter import Item, Letter
from posthouse.net.smtp_carry import Carrier
from posthouse.net.smtp_open import Refused
from posthouse.protocol.smtp import command as c
from posthouse.send.deliver.places import End
from posthouse.send.hop import Hop

_BEYOND_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_NEEDS: Final = (
    ("BODY", "8BITMIME"),
    ("SMTPUTF8", "SMTPUTF8"),
    ("RET", "DSN"),
    ("ENVID", "DSN"),
)


@dataclass(frozen=True, slots=True)
class Way:
    """A hop, and the domain whose MX decides where that has no targets of its own."""

    hop: Hop
    domain: str = ""


class Lack(NamedTuple):
    """Something that a server lacks for a letter, and who may have it."""

    error: Refused
    carrier: Carrier  # to the first that lacks it
    left: tuple[End, ...]  # those as good that were not asked yet

    def without(self, end: End) -> Lack:
        """This one was asked, or can't be reached."""
        return self._replace(left=tuple([one for one in self.left if one != end]))


class Task(NamedTuple):
    """A letter, and the recipients of it that go this way."""

    letter: Letter
    items: tuple[Item, ...]
    lack: Lack | None = None

    @property
    def recipients(self) -> tuple[str, ...]:
        """Their addresses."""
        return tuple(item.recipient.address for item in self.items)


class Transaction(NamedTuple):
    """One message as it is handed over: wire form."""

    mail: c.Mail
    recipients: tuple[c.Rcpt, ...]
    content: bytes


def as_it_is(task: Task, extensions: Mapping[str, str], *, binary: bool = False) -> Transaction:
    """The letter unchanged, with those parameters that the server knows."""
    letter = task.letter
    mail = c.Mail(letter.sender, mail_parameters(letter, extensions))
    return Transaction(
        mail, recipients_of(task, extensions, utf8="SMTPUTF8" in mail.params), letter.content
    )


def recipients_of(task: Task, extensions: Mapping[str, str], *, utf8: bool) -> tuple[c.Rcpt, ...]:
    """RCPT for each, with what a server that knows DSN is told (RFC 3461).

    ``utf8``: the transaction is one of SMTPUTF8.
    """
    dsn = "DSN" in extensions
    return tuple(
        [c.Rcpt(item.recipient.address, _asked(item, utf8) if dsn else {}) for item in task.items]
    )


def _asked(item: Item, utf8: bool) -> dict[str, str | None]:
    params = dict(item.recipient.params)
    original = params.get("ORCPT")
    if original and not (utf8 or original.isascii()):  # RFC 6533 section 3
        params["ORCPT"] = _BEYOND_ASCII.sub(lambda one: f"\\x{{{ord(one[0]):X}}}", original)
    return params


def mail_parameters(letter: Letter, extensions: Mapping[str, str]) -> dict[str, str | None]:
    """What of the client's parameters this server knows (RFC 3461, RFC 6152, RFC 6531)."""
    params: dict[str, str | None] = {}
    if "SIZE" in extensions:
        params["SIZE"] = str(len(letter.content))
    for name, needs in _NEEDS:
        if name in letter.params and needs in extensions:
            params[name] = letter.params[name]
    return params
