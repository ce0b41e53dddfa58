"""DKIM in the audit: sizes, selectors, wildcards, and a mail that was handed in."""

from __future__ import annotations

from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from posthouse.protocol import dkim
from posthouse.setup.domain.checks.dkim import control_label
from unit.domain.letters import letter, signed
from unit.domain.world import GOOD, SERVFAIL, ids, item, look, verdicts

NAME = "s1._domainkey.good.test"


def key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return _key(bits)


@cache
def _key(bits: int) -> rsa.RSAPrivateKey:
    made = dkim.generate("rsa", bits)
    assert isinstance(made, rsa.RSAPrivateKey)
    return made


def weak(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=bits)


def record(bits: int = 2048, *, testing: bool = False) -> str:
    return dkim.record_text(key(bits), testing=testing)


SHORT = (  # 768 bits: no program makes such keys any more, some still publish them
    "v=DKIM1; k=rsa; p=MHwwDQYJKoZIhvcNAQEBBQADawAwaAJhAMBDWmUXuAwYfIbWCvIFGFbBvSrOCtvCXwYDlX2g"
    "vUYMvHoMrYf4WX0b+pJXhxwzZ0VTtpMDTYOZWbNJTTxdMUHiiBN4K5VDS1Gh7+Uou65MDyZ4ElJoK3xbkJ0tUfqF"
    "mQIDAQAB"
)


@pytest.mark.parametrize(
    ("text", "id_", "verdict"),
    [
        (record(1024), "domain.dkim_weak", "warn"),
        (record(2048), "domain.dkim_ok", "ok"),
        (record(2048, testing=True), "domain.dkim_testing", "warn"),
        ("v=DKIM1; k=rsa; p=", "domain.dkim_revoked", "fail"),
        ("v=DKIM1; k=rsa; p=AAAA", "domain.dkim_syntax", "fail"),
        ("v=DKIM1 k=rsa", "domain.dkim_syntax", "fail"),
        (record(2048).replace("k=rsa", "k=rsa; h=sha1"), "domain.dkim_hash", "fail"),
        (record(2048).replace("k=rsa", "k=rsa; s=tlsrpt"), "domain.dkim_service", "fail"),
    ],
)
async def test_what_a_key_is_worth(text: str, id_: str, verdict: str) -> None:
    found = await look({**GOOD, (NAME, "TXT"): [text]}, "dkim", selectors=("s1",))
    assert verdicts(found)[id_] == verdict
    assert item(found, id_).evidence[0].name == NAME


async def test_less_than_1024_bits_fail() -> None:
    try:
        text = dkim.record_text(weak(768))
    except ValueError:  # this OpenSSL makes none so short
        text = SHORT
    found = await look({**GOOD, (NAME, "TXT"): [text]}, "dkim", selectors=("s1",))
    assert verdicts(found)["domain.dkim_short"] == "fail"
    assert item(found, "domain.dkim_short").finding.params["bits"] == 768


async def test_a_named_selector_without_a_key_is_a_failure() -> None:
    found = await look(GOOD, "dkim", selectors=("gone",))
    assert verdicts(found) == {"domain.dkim_missing": "fail"}


async def test_a_wildcard_is_no_key() -> None:
    """The answer for any name is not the key of the selector one asked for."""
    table = {
        **GOOD,
        (NAME, "TXT"): [record()],
        (f"{control_label('good.test')}._domainkey.good.test", "TXT"): [record()],
    }
    found = await look(table, "dkim", selectors=("s1",))
    assert verdicts(found) == {"domain.dkim_missing": "fail", "domain.dkim_wildcard": "warn"}
    assert found.check("dkim").facts["keys"] == []


async def test_a_real_key_beside_a_wildcard_counts() -> None:
    table = {
        **GOOD,
        (NAME, "TXT"): [record()],
        (f"{control_label('good.test')}._domainkey.good.test", "TXT"): ["v=spf1 -all"],
    }
    found = await look(table, "dkim", selectors=("s1",))
    assert verdicts(found) == {"domain.dkim_ok": "ok", "domain.dkim_wildcard": "warn"}


async def test_the_selectors_of_the_domains_provider_are_found() -> None:
    table = {
        **GOOD,
        ("good.test", "MX"): ["1 smtp.google.com."],
        ("google._domainkey.good.test", "TXT"): [record()],
    }
    found = await look(table, "dkim")
    assert [one["selector"] for one in found.check("dkim").facts["keys"]] == ["google"]


async def test_nothing_below_domainkey_is_told_from_not_found() -> None:
    assert verdicts(await look(GOOD, "dkim")) == {"domain.dkim_none": "warn"}
    table = {**GOOD, ("nobody-guesses._domainkey.good.test", "TXT"): [record()]}
    assert verdicts(await look(table, "dkim")) == {"domain.dkim_not_found": "unknown"}


async def test_a_silent_server_hides_no_key() -> None:
    found = await look({**GOOD, (NAME, "TXT"): SERVFAIL}, "dkim", selectors=("s1",))
    assert verdicts(found) == {"domain.dkim_dns_failed": "unknown"}


async def test_the_signing_key_is_held_against_the_published_one() -> None:
    table = {**GOOD, (NAME, "TXT"): [record()]}
    own = {"s1": dkim.write_private_key(key())}
    other = {"s1": dkim.write_private_key(key(1024))}
    assert "domain.dkim_private_fits" in ids(await look(table, "dkim", signing_keys=own))
    found = await look(table, "dkim", signing_keys=other)
    assert verdicts(found)["domain.dkim_private_differs"] == "fail"


async def test_a_signed_mail_names_its_selector_and_verifies() -> None:
    table = {**GOOD, (NAME, "TXT"): [record()]}
    found = await look(table, "dkim", message=signed(key()))
    assert verdicts(found) == {"domain.dkim_ok": "ok", "domain.dkim_signature_ok": "ok"}


async def test_a_mail_signed_with_another_key_fails() -> None:
    table = {**GOOD, (NAME, "TXT"): [record()]}
    found = await look(table, "dkim", message=signed(key(1024)))
    assert verdicts(found)["domain.dkim_signature_bad"] == "fail"


async def test_a_mail_without_a_signature_fails() -> None:
    assert verdicts(await look(GOOD, "dkim", message=letter()))["domain.dkim_unsigned"] == "fail"
