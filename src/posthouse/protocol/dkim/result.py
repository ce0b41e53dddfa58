"""What came out for one signature, and for all of a message.

Enters: nothing. Leaves: ``Result``, one for each signature, and ``Verification``. Called by
``verify``; read by ``dmarc``, ``arc``, ``authres`` and whoever shows or judges a message. The
words of a reason stand in the catalogue under "dkim.reason.<id>". RFC 8601 section 2.7.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Code(StrEnum):
    """The results of RFC 8601 section 2.7.1, the best first."""

    PASS = "pass"  # noqa: S105  a result, not a password
    TEMPERROR = "temperror"  # a later try may give another result
    POLICY = "policy"  # we do not take this signature: it is beyond a limit of ours
    FAIL = "fail"  # looked at, and wrong
    NEUTRAL = "neutral"  # not to be read as a signature
    PERMERROR = "permerror"  # readable, but it can never be verified
    NONE = "none"  # no signature


# Reason -> result. "syntax" and its like are neutral by the words of RFC 8601; what can be read
# but lacks something needed (the From field in h=, the key) is a permanent error.
REASONS: Final[Mapping[str, Code]] = {
    "ok": Code.PASS,
    # The field.
    "syntax": Code.NEUTRAL,
    "tag_missing": Code.NEUTRAL,
    "tag_value": Code.NEUTRAL,
    "version": Code.NEUTRAL,
    "algorithm": Code.NEUTRAL,
    "canonicalization": Code.NEUTRAL,
    "domain": Code.NEUTRAL,
    "query": Code.NEUTRAL,
    "from_not_signed": Code.PERMERROR,
    "identity": Code.PERMERROR,
    "expired": Code.FAIL,
    "rsa_sha1": Code.FAIL,
    # The key.
    "key_unavailable": Code.TEMPERROR,
    "no_key": Code.PERMERROR,
    "key_syntax": Code.PERMERROR,
    "key_version": Code.PERMERROR,
    "key_missing": Code.PERMERROR,
    "key_type": Code.PERMERROR,
    "key_data": Code.PERMERROR,
    "key_revoked": Code.PERMERROR,
    "key_service": Code.PERMERROR,
    "key_hash": Code.PERMERROR,
    "key_mismatch": Code.PERMERROR,
    "key_strict": Code.PERMERROR,
    "key_too_short": Code.FAIL,
    # The message.
    "body_too_short": Code.FAIL,
    "body_changed": Code.FAIL,
    "header_changed": Code.FAIL,
    # Our limits.
    "future": Code.POLICY,
    "key_too_long": Code.POLICY,
    "too_many_names": Code.POLICY,
    "too_many_signatures": Code.POLICY,
    "header_too_large": Code.POLICY,
}


@dataclass(frozen=True, slots=True)
class Result:
    """What came out for one signature. Where its field could not be read, most is empty."""

    code: Code
    reason: str  # a key of REASONS
    tag: str = ""  # the tag at fault, where one is
    domain: str = ""  # d=
    selector: str = ""  # s=
    algorithm: str = ""  # a=
    identity: str = ""  # i=
    signature: str = ""  # the first characters of b=, for header.b (RFC 6008)
    key_bits: int | None = None
    testing: bool = False  # t=y: to be treated as if there were no signature
    length: int | None = None  # l=
    body_length: int | None = None  # octets of the canonical body
    signed: tuple[str, ...] = ()  # names in h= that stand in the message, in h='s order
    oversigned: tuple[str, ...] = ()  # names in h= once more than in the message: none can be added
    signed_at: int | None = None  # t=
    expires: int | None = None  # x=
    authenticated_key: bool = False  # DNSSEC proved the key record

    @property
    def passed(self) -> bool:
        """The signature is good."""
        return self.code is Code.PASS

    @property
    def uncovered(self) -> int:
        """Octets at the end of the body that l= leaves open to anybody."""
        if self.length is None or self.body_length is None:
            return 0
        return max(0, self.body_length - self.length)

    @property
    def from_protected(self) -> bool:
        """No second From can be added without breaking the signature."""
        return "from" in self.oversigned

    @property
    def alignment_domain(self) -> str:
        """The domain DMARC may compare with From's; "" where the signature proves nothing."""
        return self.domain if self.passed and not self.testing else ""


@dataclass(frozen=True, slots=True)
class Verification:
    """What came out for a message: its signatures, topmost first."""

    results: tuple[Result, ...] = ()

    @property
    def code(self) -> Code:
        """The best result of all; none where there is no signature."""
        order = list(Code)
        return min((result.code for result in self.results), key=order.index, default=Code.NONE)

    @property
    def passed(self) -> tuple[Result, ...]:
        """The good signatures."""
        return tuple(result for result in self.results if result.passed)
