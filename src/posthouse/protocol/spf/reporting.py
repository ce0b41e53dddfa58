"""Where an SPF record asks for reports of failures: ra=, rp=, rr=. RFC 6652 section 3.

Enters: a parsed record. Leaves: ``Reporting``, None where no reports are wanted, and what is wrong
with the modifiers. Called by the receiving side and by ``lint``. Nothing fails: a bad modifier
never changes the result of a check.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from posthouse.protocol.spf.record import Code, Record

KINDS: Final = frozenset(("all", "e", "f", "n", "s"))
# The kind each result is reported under. Section 3: e is an error, n neutral or none.
_KIND_OF: Final = {
    Code.PERMERROR: "e",
    Code.TEMPERROR: "e",
    Code.FAIL: "f",
    Code.SOFTFAIL: "s",
    Code.NEUTRAL: "n",
    Code.NONE: "n",
}
MAX_LOCAL: Final = 64  # octets, RFC 5321 section 4.5.3.1.1

_LOCAL = re.compile(r"[A-Za-z0-9!#$&'*+/?^_`{|}~.=-]+")
_QP = re.compile(r"=([0-9A-Fa-f]{2})")
_NUMBER = re.compile(r"[0-9]{1,3}")


@dataclass(frozen=True, slots=True)
class Reporting:
    """``local`` at the record's domain takes reports of these kinds, of so many in a hundred."""

    local: str
    percentage: int
    kinds: frozenset[str]

    def wants(self, code: Code) -> bool:
        """Whether a result is to be reported, before the percentage is thrown."""
        kind = _KIND_OF.get(code)
        return kind is not None and bool(self.kinds & {kind, "all"})


def reporting(record: Record) -> tuple[Reporting | None, tuple[str, ...]]:
    """What is asked for, and the modifiers that are ill-formed, "ra=%{l}" for example."""
    bad: list[str] = []
    found: dict[str, str] = {}
    for modifier in record.modifiers:
        if modifier.name not in ("ra", "rp", "rr"):
            continue
        # Section 3: values are plain, without macros
        if modifier.name in found or "%" in modifier.value.text:
            bad.append(modifier.text)
        else:
            found[modifier.name] = modifier.value.text
    local = _address(found.get("ra", ""))
    percentage = _percentage(found.get("rp", "100"))
    kinds = _kinds(found.get("rr", "all"))
    for name, value in (("ra", local), ("rp", percentage), ("rr", kinds)):
        if name in found and value is None:
            bad.append(f"{name}={found[name]}")
    if local is None:  # the others mean nothing without an address
        return None, tuple(bad)
    percentage = 100 if percentage is None else percentage
    return Reporting(local, percentage, kinds or frozenset(("all",))), tuple(bad)


def _address(text: str) -> str | None:
    """A local part, quoted-printable where it has odd characters (RFC 6376 section 2.11)."""
    if not _LOCAL.fullmatch(text):
        return None
    local = _QP.sub(lambda found: chr(int(found[1], 16)), text)
    fine = local.isascii() and local.isprintable() and "@" not in local
    return local if fine and len(local) <= MAX_LOCAL else None


def _percentage(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) and int(text) <= 100 else None


def _kinds(text: str) -> frozenset[str] | None:
    """Kinds nobody knows are left out."""
    return frozenset(text.lower().split(":")) & KINDS or None
