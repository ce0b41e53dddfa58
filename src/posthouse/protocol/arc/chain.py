"""The sets of a chain, found and put in order, before any key is asked for.

Enters: a header. Leaves: ``ArcSet``, the first hop's first. Called by ``verify`` and ``seal``.
Fails with ChainError alone. RFC 8617 sections 4.1, 4.2 and 5.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from posthouse.protocol.authres import AuthResults, parse_arc
from posthouse.protocol.dkim.canon import Canon
from posthouse.protocol.dkim.fields import Field, Header, canonical
from posthouse.protocol.dkim.signature import (
    Algorithm,
    Signature,
    SignatureError,
    algorithm_of,
    check_key_name,
    domain_of,
    octets,
    read_signature,
    read_values,
    required,
    seconds,
)
from posthouse.protocol.dkim.verify import own_field

SEAL: Final = b"arc-seal"
MESSAGE: Final = b"arc-message-signature"
RESULTS: Final = b"arc-authentication-results"
INSTANCES_LIMIT: Final = 50  # RFC 8617 section 4.2.1

_INSTANCE: Final = re.compile(r"[0-9]{1,2}", re.ASCII)
_VALIDITY: Final = ("none", "pass", "fail")


class ChainError(Exception):
    """Fields that are no chain. ``reason`` is a stable id, ``instance`` the set (0: not known).

    Reasons: ``instance`` (an i= is missing, wrong or too large), ``duplicate``, ``incomplete``
    (one of the three fields lacks, or a whole set), ``seal_syntax``, ``message_syntax``,
    ``seal_signs_h``, ``message_signs_seal``, ``chain_value`` (cv= is not what it must be).
    """

    def __init__(self, reason: str, instance: int = 0) -> None:
        super().__init__(f"{reason} in {instance}")
        self.reason = reason
        self.instance = instance


@dataclass(frozen=True, slots=True)
class Seal:
    """What an ARC-Seal field says."""

    algorithm: Algorithm
    value: bytes  # b=, decoded
    domain: str
    selector: str
    validity: str  # cv=: what the sealer found the chain before it to be
    signed_at: int | None = None

    @property
    def key_name(self) -> str:
        """Where the public key is published."""
        return f"{self.selector}._domainkey.{self.domain}"


@dataclass(frozen=True, slots=True)
class ArcSet:
    """The three fields one server added."""

    instance: int
    seal: Seal
    signature: Signature
    results: AuthResults
    seal_field: Field
    message_field: Field
    results_field: Field


def present(header: Header) -> bool:
    """Whether there is any ARC field."""
    return any(name in header.places for name in (SEAL, MESSAGE, RESULTS))


def highest(header: Header) -> int:
    """The highest instance that any field claims; 0 where there is none."""
    return max((_claimed(field) for field in _all(header)), default=0)


def _all(header: Header) -> list[Field]:
    return [field for name in (SEAL, MESSAGE, RESULTS) for field in header.named(name)]


def _claimed(field: Field) -> int:
    try:
        return _instance(field)
    except ChainError:
        return 0


def read_chain(header: Header) -> tuple[ArcSet, ...]:
    """All sets, the first hop's first. Raises ChainError. RFC 8617 section 5.2, step 3."""
    found: dict[bytes, dict[int, Field]] = {}
    for name in (SEAL, MESSAGE, RESULTS):
        fields = found[name] = {}
        for field in header.named(name):
            instance = _instance(field)
            if instance in fields:
                raise ChainError("duplicate", instance)
            fields[instance] = field
    last = max(max(fields, default=0) for fields in found.values())
    for instance in range(1, last + 1):
        if any(instance not in fields for fields in found.values()):
            raise ChainError("incomplete", instance)
    return tuple(
        _read_set(n, found[SEAL][n], found[MESSAGE][n], found[RESULTS][n])
        for n in range(1, last + 1)
    )


def sealed_data(sets: tuple[ArcSet, ...]) -> bytes:
    """What the seal of the last of ``sets`` signs. RFC 8617 section 5.1.1."""
    fields = [f for one in sets for f in (one.results_field, one.message_field, one.seal_field)]
    return canonical(fields[:-1]) + own_field(fields[-1], Canon.RELAXED)


def _instance(field: Field) -> int:
    """i=. In the results it stands first, before the server's name."""
    if field.name == RESULTS:
        read = parse_arc(field.value)
        number = read[0] if read else 0
    else:
        try:
            text = read_values(field.value).get("i", "")
        except SignatureError:
            reason = "seal_syntax" if field.name == SEAL else "message_syntax"
            raise ChainError(reason) from None
        number = int(text) if _INSTANCE.fullmatch(text) else 0
    if not 1 <= number <= INSTANCES_LIMIT:
        raise ChainError("instance")
    return number


def _read_set(instance: int, seal: Field, message: Field, results: Field) -> ArcSet:
    read = parse_arc(results.value)
    try:
        signature = _message(read_values(message.value))
    except SignatureError:
        raise ChainError("message_syntax", instance) from None
    if SEAL in signature.names:  # section 4.1.2
        raise ChainError("message_signs_seal", instance)
    try:
        parsed = _seal(read_values(seal.value))
    except SignatureError as error:
        reason = "seal_signs_h" if error.tag == "h" else "seal_syntax"
        raise ChainError(reason, instance) from None
    return ArcSet(
        instance=instance,
        seal=parsed,
        signature=signature,
        results=read[1] if read else AuthResults(""),
        seal_field=seal,
        message_field=message,
        results_field=results,
    )


def _message(tags: Mapping[str, str]) -> Signature:
    """ARC-Message-Signature: DKIM's tags without v=, with another i= and another default of c=.

    Section 4.1.2; that c= is relaxed/relaxed where it lacks is what all sealers hold to.
    """
    shared = {name: value for name, value in tags.items() if name != "i"}
    return read_signature({"c": "relaxed/relaxed", **shared})


def _seal(tags: Mapping[str, str]) -> Seal:
    """ARC-Seal. Raises SignatureError. Section 4.1.3: h= makes the seal void."""
    if "h" in tags:
        raise SignatureError("tag_value", "h")
    validity = required(tags, "cv")
    if validity not in _VALIDITY:
        raise SignatureError("tag_value", "cv")
    domain, selector = domain_of(required(tags, "d"), "d"), domain_of(required(tags, "s"), "s")
    check_key_name(selector, domain)
    return Seal(
        algorithm=algorithm_of(tags),
        value=octets(tags, "b"),
        domain=domain,
        selector=selector,
        validity=validity,
        signed_at=seconds(tags, "t"),
    )
