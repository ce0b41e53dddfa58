"""Amazon SES: regions, hosts, and the password made from an IAM secret."""

from __future__ import annotations

import re

import pytest

from posthouse.directory import ses
from posthouse.flow import Secret

from .shared import path

DOC_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # of the provider's own documentation
PASSWORDS = [
    ("us-east-1", "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9"),
    ("eu-west-1", "BMW5RDrXmmVs0lV7GpI4oLkHXpZ4stDsk6q91z1g38Pk"),
]


@pytest.mark.parametrize(("region", "value"), PASSWORDS)
@pytest.mark.parametrize("wrap", [str, Secret])
def test_password(region: str, value: str, wrap: type[str] | type[Secret]) -> None:
    password = ses.password(wrap(DOC_KEY), region)
    assert password.reveal() == value
    assert value not in repr(password)


def test_every_region_has_its_host() -> None:
    assert len(ses.REGIONS) >= 19
    for region in ses.REGIONS:
        assert ses.host(region) == f"email-smtp.{region}.amazonaws.com"
        assert [e.port for e in ses.endpoints(region)] == [465, 587, 2465, 2587, 25]
        assert {e.host for e in ses.endpoints(region)} == {ses.host(region)}


def test_regions_are_those_of_the_errata() -> None:
    text = path("errata.md").read_text("utf-8").partition("## SES regions")[2]
    line = text.partition("nodemailer")[2].partition("AWS's page")[0]
    assert set(ses.REGIONS) == set(re.findall(r"[a-z]{2}(?:-[a-z]+)+-\d", line))


UNKNOWN = [("eu-west-9", "eu-west-1"), ("us-esat-1", "us-east-1"), ("mars", None), ("", None)]


@pytest.mark.parametrize(("region", "suggestion"), UNKNOWN)
@pytest.mark.parametrize("ask", [ses.host, lambda region: ses.password(DOC_KEY, region)])
def test_unknown_region(region: str, suggestion: str | None, ask: object) -> None:
    assert callable(ask)
    with pytest.raises(ses.SesError) as refusal:
        ask(region)
    assert refusal.value.reason == "ses.unknown_region"
    assert refusal.value.suggestion == suggestion


REFUSED = [
    (DOC_KEY, "ASIAIOSFODNN7EXAMPLE", "ses.temporary_key"),
    ("ASIAIOSFODNN7EXAMPLE", "", "ses.temporary_key"),
    ("AKIAIOSFODNN7EXAMPLE", "", "ses.key_id_as_secret"),
]


@pytest.mark.parametrize(("secret", "key_id", "reason"), REFUSED)
def test_refused_keys(secret: str, key_id: str, reason: str) -> None:
    with pytest.raises(ses.SesError) as refusal:
        ses.password(secret, "us-east-1", key_id=key_id)
    assert refusal.value.reason == reason
    assert secret not in str(refusal.value)


def test_a_lasting_key_id_beside_the_secret_is_fine() -> None:
    password = ses.password(DOC_KEY, " US-East-1 ", key_id="AKIAIOSFODNN7EXAMPLE")
    assert password.reveal() == PASSWORDS[0][1]
