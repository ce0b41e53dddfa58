"""The relay's DKIM keys: read from the configuration, chosen by the domain in From.

Enters: the ``[[dkim]]`` tables and a reader of files. Leaves: ``Keys``: a ``Signer`` for a domain,
or None. Called by the daemon (``read_dkim``) and by ``prepare``. ``read_dkim`` fails with
SettingError; nothing else does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from posthouse.protocol.dkim import (
    PrivateKeyError,
    Signer,
    SigningError,
    SigningKey,
    read_private_key,
)
from posthouse.protocol.host import HostError, to_ascii
from posthouse.send.settings import Table

FROM_LIMIT: Final = 4_000  # octets of a From field that are read
_KEYS: Final = ("domain", "selector", "key")
# To the end where it is never closed: no second look at the same octets.
_QUOTED: Final = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?')
_COMMENT: Final = re.compile(rb"\([^()]*\)")
_DOMAIN: Final = re.compile(rb"@[ \t]*([^\s<>@,;:\"()\[\]]{1,255})[ \t]*")


class Keys:
    """All keys, by domain."""

    def __init__(self, keys: Iterable[SigningKey]) -> None:
        by_domain: dict[str, list[SigningKey]] = {}
        for key in keys:
            by_domain.setdefault(key.domain, []).append(key)
        # Two keys of a domain (RSA and Ed25519) sign together: RFC 8463 section 3.
        self._signers = {domain: Signer(own) for domain, own in by_domain.items()}

    def __bool__(self) -> bool:
        return bool(self._signers)

    def signer(self, domain: str) -> tuple[str, Signer] | None:
        """The signer of a domain, or of the nearest one above it that has a key.

        A signature of the parent is aligned in relaxed mode, which is DMARC's default.
        """
        name = domain
        while name:
            signer = self._signers.get(name)
            if signer is not None:
                return name, signer
            name = name.partition(".")[2]
        return None


def read_dkim(rows: Iterable[tuple[str, Mapping[str, Any]]], read: Callable[[str], bytes]) -> Keys:
    """``[[dkim]]`` tables with their paths; ``read`` gives a file's octets or raises OSError."""
    return Keys([_key(Table(row, path, _KEYS), read) for path, row in rows])


def _key(table: Table, read: Callable[[str], bytes]) -> SigningKey:
    domain, selector, name = (table.text(key) for key in _KEYS)
    for key, value in zip(_KEYS, (domain, selector, name), strict=True):
        if not value:
            raise table.wrong("missing", key)
    try:
        private = read_private_key(read(name))
    except OSError as error:
        raise table.wrong("key_unreadable", "key", why=error.strerror or "") from None
    except PrivateKeyError as error:
        raise table.wrong(f"key_{error.reason}", "key") from None
    try:
        return SigningKey(domain, selector, private)
    except SigningError:
        raise table.wrong("dkim_domain", "domain") from None


def from_domain(header: bytes) -> str:
    """The one domain of the From field, in A-label form; "" where there is none or several.

    A message with two From fields, or authors of two domains, has nobody whom a signature of one
    of them would speak for.
    """
    fields = _FROM.findall(header)
    if len(fields) != 1:
        return ""
    value = fields[0][:FROM_LIMIT]
    bare = _COMMENT.sub(b" ", _QUOTED.sub(b'"x"', value))
    named = [found[1] for found in _DOMAIN.finditer(bare)]
    domains = {domain.decode("utf-8", "replace").lower().rstrip(".") for domain in named}
    if len(domains) != 1:
        return ""
    try:
        return to_ascii(domains.pop())
    except HostError:
        return ""


_FROM: Final = re.compile(rb"(?:\A|\n)from[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", re.IGNORECASE)
