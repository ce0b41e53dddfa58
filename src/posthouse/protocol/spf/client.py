"""The client being checked: its address, its names, and the values of macros.

Enters: what the SMTP session told. Leaves: comparisons with answers, and %{p}, which asks DNS.
Called by ``check``. Fails with ValueError where the address is none.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import cached_property, lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from posthouse.protocol.dns import Answer, AnswerStatus, Ask
from posthouse.protocol.spf import names

UNKNOWN: Final = "unknown"  # section 7.3, for %{r}, and for a %{p} that can't be proved
_OK: Final = AnswerStatus.OK


class Client:
    """The owner of what is known of a client; its names are looked up when first wanted."""

    def __init__(
        self, ip: str, sender: str, helo: str, *, receiver: str, now: int, names_limit: int
    ) -> None:
        self._ip = names.client(ip)
        self._sender, self._helo, self._receiver, self._now = sender, helo, receiver, now
        self._names_limit = names_limit
        self._names: list[str] | None = None
        self.value = int(self._ip)
        self.four = self._ip.version == 4
        self.type = "A" if self.four else "AAAA"  # section 5
        self.plain = str(self._ip)

    @property
    def arpa(self) -> str:
        """Where PTR records of the address are."""
        return self._ip.reverse_pointer

    def hit(self, answer: Answer, cidr4: int, cidr6: int) -> str:
        """The address in an answer that matches to so many bits, "" if none does."""
        shift = 32 - cidr4 if self.four else 128 - cidr6
        wanted = self.value >> shift
        for text in answer.records:
            value = _number(text, self.four)
            if value is not None and value >> shift == wanted:
                return text
        return ""

    def claimed(self, answer: Answer) -> list[str]:
        """The names of a PTR answer; section 4.6.4: those past the limit are ignored."""
        rows = answer.records[: self._names_limit]
        return [row.removesuffix(".").lower() for row in rows]

    def proves(self, host: str) -> Generator[Ask, Answer, bool]:
        """Whether a claimed name leads back to the client. An error skips it (section 5.5)."""
        asked = names.question(host)
        if asked is None:
            return False
        answer = yield Ask(asked, self.type)
        return answer.status is _OK and bool(self.hit(answer, 32, 128))

    def name(self, domain: str) -> Generator[Ask, Answer, str]:
        """%{p}: the domain itself before one below it before any other. Section 7.3."""
        if self._names is None:
            self._names = []
            answer = yield Ask(self.arpa, "PTR")
            for host in self.claimed(answer) if answer.status is _OK else ():
                if (yield from self.proves(host)):
                    self._names.append(host)
        lower = domain.lower()
        below = [host for host in self._names if names.within(host, lower)]
        if lower in below:
            return lower
        return (below or self._names or [UNKNOWN])[0]

    @cached_property
    def values(self) -> dict[str, str]:
        """The letters of section 7.2, all but d and p, which change on the way."""
        local, owner = names.split_sender(self._sender)
        owner = names.a_labels(owner) or owner
        return {
            "s": f"{local}@{owner}",
            "l": local,
            "o": owner,
            "i": self.plain if self.four else ".".join(f"{self.value:032X}"),
            "v": "in-addr" if self.four else "ip6",
            "h": names.a_labels(self._helo) or self._helo,
            "c": self.plain,
            "r": self._receiver or UNKNOWN,
            "t": str(self._now),
        }


@lru_cache(4_096)
def _number(text: str, four: bool) -> int | None:
    """An address of the wanted family, None for anything else."""
    try:
        return int(IPv4Address(text)) if four else int(IPv6Address(text))
    except ValueError:
        return None
