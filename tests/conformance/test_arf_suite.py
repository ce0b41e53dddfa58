"""Feedback reports of RFC 5965, RFC 6591 and others, compared with what mail-auth reads in them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from conformance.suites import files, need
from posthouse.protocol import arf

PATHS = files("arf-mail-auth-rs", ".eml")


def camel(text: str) -> str:
    """As the suite's JSON writes a word: "auth-failure" is "AuthFailure"."""
    special = {"bodyhash": "BodyHash", "": "Unspecified"}
    return special.get(text, "".join(part.capitalize() for part in text.split("-")))


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def as_suite(one: arf.FeedbackReport) -> dict[str, Any]:
    sender = one.original_mail_from
    return {
        "feedback_type": camel(one.feedback_type),
        "arrival_date": int(one.arrival.timestamp()) if one.arrival else None,
        "authentication_results": list(one.authentication_results),
        "incidents": one.incidents,
        "original_envelope_id": one.original_envelope_id or None,
        "original_mail_from": sender,
        "original_rcpt_to": one.original_rcpt_to[0] if one.original_rcpt_to else None,
        "reported_domain": list(one.reported_domains),
        "reported_uri": list(one.reported_uris),
        "reporting_mta": one.reporting_mta or None,
        "source_ip": one.source_ip or None,
        "user_agent": one.user_agent,
        "version": int(one.version),
        "source_port": one.source_port,
        "auth_failure": camel(one.auth_failure),
        "delivery_result": camel(one.delivery_result),
        "dkim_adsp_dns": one.dkim_adsp_dns or None,
        "dkim_canonicalized_header": one.dkim_canonicalized_header or None,
        "dkim_domain": one.dkim_domain or None,
        "dkim_identity": one.dkim_identity or None,
        "dkim_selector": one.dkim_selector or None,
        "dkim_selector_dns": one.dkim_selector_dns or None,
        "spf_dns": one.spf_dns[0] if one.spf_dns else None,
        "headers": flat(one.original.decode()) if one.headers_only else None,
    }


def expected(path: Path) -> dict[str, Any]:
    """The suite's values; ours have no folds and no angle brackets around addresses."""
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    found["authentication_results"] = [flat(one) for one in found["authentication_results"]]
    for name in ("original_mail_from", "original_rcpt_to"):
        found[name] = found[name].strip("<>") if found[name] else found[name]
    if found["headers"]:
        found["headers"] = flat(found["headers"])
    return found


def test_the_suite_is_here() -> None:
    need("arf-mail-auth-rs")
    assert len(PATHS) >= 5


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_field_by_field(path: Path) -> None:
    ours = as_suite(arf.read(path.read_bytes()))
    theirs = expected(path.with_suffix(".json"))
    assert ours == {name: theirs[name] for name in ours}
    left = set(theirs) - set(ours)
    assert left <= {"dkim_canonicalized_body", "identity_alignment", "message"}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_the_canonical_body_is_decoded(path: Path) -> None:
    theirs = json.loads(path.with_suffix(".json").read_text("utf-8"))["dkim_canonicalized_body"]
    ours = arf.read(path.read_bytes()).dkim_canonicalized_body
    assert bool(ours) == bool(theirs)
    if theirs:
        assert ours.startswith(b"This is a message body")
