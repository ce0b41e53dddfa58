"""Writing a DMARC record. RFC 9989 section 4.8.

Enters: a Policy, or an address reports shall go to. Leaves: the text of a TXT record, or a
ReportUri. Called by whoever publishes a record. Fails with ValueError where the policy has no p,
or an address is none.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from posthouse.protocol.dmarc.parse import report_uri
from posthouse.protocol.dmarc.record import Mode, Policy, Psd, ReportUri

# What may stand unencoded in the path of a mailto; the rest, with comma and "!" (section 4.8), not.
_SAFE: Final = "@$&'*+-._~:/"


def build(policy: Policy) -> str:
    """The record's text; tags that have their defaults are left out."""
    if policy.p is None:
        raise ValueError("a record to publish needs p")
    tags = [("v", "DMARC1"), ("p", policy.p.value)]
    tags += [(name, value) for name, value in _optional(policy) if value]
    return "; ".join(f"{name}={value}" for name, value in tags)


def _optional(policy: Policy) -> list[tuple[str, str]]:
    return [
        ("sp", policy.sp or ""),
        ("np", policy.np or ""),
        ("adkim", policy.adkim if policy.adkim is not Mode.RELAXED else ""),
        ("aspf", policy.aspf if policy.aspf is not Mode.RELAXED else ""),
        ("psd", policy.psd if policy.psd is not Psd.UNKNOWN else ""),
        ("t", "y" if policy.testing else ""),
        ("rua", ",".join(one.uri for one in policy.rua)),
        ("ruf", ",".join(one.uri for one in policy.ruf)),
        # Section 4.7: without ruf, fo says nothing
        ("fo", ":".join(policy.fo) if policy.fo != ("0",) and policy.ruf else ""),
    ]


def mailto(address: str) -> ReportUri:
    """The URI for an address. Raises ValueError."""
    uri = report_uri("mailto:" + quote(address, safe=_SAFE))
    if uri is None:
        raise ValueError(f"no address: {address[:100]!r}")
    return uri
