"""Claims to candidates, and contradictions field by field: no network, no clock."""

from __future__ import annotations

from typing import Any

from posthouse.flow import CredentialKind, Endpoint, Security
from posthouse.setup.find import trust
from posthouse.setup.find.merge import Merged, merge, settled
from posthouse.setup.find.model import Claim, Evidence, Quality, Source, Trust

from .doubles import TODAY

S, Q = Source, Quality
TLS, STARTTLS, NONE = Security.TLS, Security.STARTTLS, Security.NONE
ADDRESS = "alice@example.com"


def claim(
    source: Source,
    host: str,
    port: int = 465,
    security: Security = TLS,
    quality: Quality = Q.PLAIN,
    *,
    provider: str | None = None,
    **more: Any,
) -> Claim:
    word = trust.word(source, quality)
    evidence = Evidence(source, f"{source}!", word, TODAY, provider=provider, quality=quality)
    return Claim(Endpoint(host, port, security), evidence, **more)


def places(found: Merged) -> list[tuple[str, int]]:
    return [(c.endpoint.host, c.endpoint.port) for c in found.candidates]


def conflict(found: Merged, field: str) -> list[tuple[str, list[str]]]:
    return [
        (value, [e.source.value for e in evidence])
        for c in found.conflicts
        if c.field == field
        for value, evidence in c.values
    ]


def test_no_claims() -> None:
    assert merge([], ADDRESS) == Merged((), (), ())


def test_the_better_source_first() -> None:
    found = merge([claim(S.SRV, "b.test"), claim(S.AUTOCONFIG, "a.test")], ADDRESS)
    assert places(found) == [("a.test", 465), ("b.test", 465)]
    assert [c.trust for c in found.candidates] == [Trust.PUBLISHED, Trust.PUBLISHED]


def test_465_before_587_whatever_the_order_of_a_source() -> None:
    found = merge([claim(S.SRV, "m.test", 587, STARTTLS), claim(S.SRV, "m.test")], ADDRESS)
    assert places(found) == [("m.test", 465), ("m.test", 587)]


def test_an_agreement_on_587_does_not_put_it_before_465() -> None:
    claims = [
        claim(S.AUTOCONFIG, "m.test"),
        claim(S.AUTOCONFIG, "m.test", 587, STARTTLS),
        claim(S.SRV, "m.test", 587, STARTTLS),
    ]
    found = merge(claims, ADDRESS)
    assert places(found) == [("m.test", 465), ("m.test", 587)]
    assert [c.trust for c in found.candidates] == [Trust.CONFIRMED, Trust.CONFIRMED]


def test_hosts_stay_together() -> None:
    claims = [
        claim(S.SRV, "a.test", 587, STARTTLS),
        claim(S.SRV, "a.test"),
        claim(S.SRV, "b.test"),
    ]
    assert places(merge(claims, ADDRESS)) == [("a.test", 465), ("a.test", 587), ("b.test", 465)]


def test_agreement_of_independent_sources_overtakes_one() -> None:
    listed = claim(S.DIRECTORY, "good.test", quality=Q.LISTED)
    alone = claim(S.AUTOCONFIG, "other.test")
    assert places(merge([listed, alone], ADDRESS))[0] == ("other.test", 465)
    agreed = merge([listed, alone, claim(S.SRV, "good.test")], ADDRESS)
    assert places(agreed)[0] == ("good.test", 465)
    assert agreed.candidates[0].trust is Trust.CONFIRMED


def test_two_answers_from_one_web_space_are_one_voice() -> None:
    claims = [claim(S.AUTOCONFIG, "a.test"), claim(S.AUTODISCOVER, "a.test")]
    found = merge(claims, ADDRESS)
    assert found.candidates[0].trust is Trust.PUBLISHED
    assert len(found.candidates[0].evidence) == 2


def test_nobody_outvotes_the_organisation_or_the_provider() -> None:
    others = [claim(s, "x.test") for s in (S.AUTOCONFIG, S.SRV)]
    others.append(claim(S.MX, "x.test", quality=Q.OFFICIAL))
    organisation = claim(S.ORGANISATION, "own.test")
    official = claim(S.DIRECTORY, "official.test", quality=Q.OFFICIAL)
    found = merge([*others, official, organisation], ADDRESS)
    assert [c.endpoint.host for c in found.candidates] == ["own.test", "official.test", "x.test"]


def test_forged_dns_does_not_beat_a_known_provider() -> None:
    listed = claim(S.DIRECTORY, "smtp.qq.com", quality=Q.LISTED, provider="qq")
    found = merge([claim(S.SRV, "smtp.evil.test"), listed], "a@qq.com")
    assert found.candidates[0].endpoint.host == "smtp.qq.com"
    assert conflict(found, "host") == [("smtp.qq.com", ["directory"]), ("smtp.evil.test", ["srv"])]


def tenant(host: str, provider: str) -> Claim:
    return claim(S.MX, host, quality=Q.LISTED, provider=provider)


def test_a_stale_autoconfig_file_stands_behind_the_tenants_server() -> None:
    stale = claim(S.AUTOCONFIG, "mail.example.com")
    found = merge([stale, tenant("smtp.exmail.qq.com", "exmail")], ADDRESS)
    assert [c.endpoint.host for c in found.candidates] == ["smtp.exmail.qq.com", "mail.example.com"]
    assert [f.id for f in found.findings] == ["autoconfig_contradicted"]
    assert conflict(found, "host") == [
        ("smtp.exmail.qq.com", ["mx"]),
        ("mail.example.com", ["autoconfig"]),
    ]


def test_srv_beside_it_makes_autoconfig_a_statement_again() -> None:
    claims = [
        claim(S.AUTOCONFIG, "mail.example.com"),
        claim(S.SRV, "mail.example.com"),
        tenant("smtp.exmail.qq.com", "exmail"),
    ]
    found = merge(claims, ADDRESS)
    assert found.candidates[0].endpoint.host == "mail.example.com"
    assert found.findings == ()


def test_another_name_of_the_tenants_server_is_no_contradiction() -> None:
    other = claim(S.AUTOCONFIG, "hwsmtp.exmail.qq.com")
    found = merge([other, tenant("smtp.exmail.qq.com", "exmail")], ADDRESS)
    assert found.findings == ()
    assert found.candidates[0].endpoint.host == "hwsmtp.exmail.qq.com"


def test_plain_is_never_offered() -> None:
    found = merge([claim(S.AUTOCONFIG, "m.test", 25, NONE)], ADDRESS)
    assert found.candidates == ()
    assert [(f.id, f.params["host"], f.params["port"]) for f in found.findings] == [
        ("plain_only", "m.test", 25)
    ]


def test_plain_beside_tls_is_silently_left_out() -> None:
    claims = [claim(S.AUTOCONFIG, "m.test"), claim(S.AUTOCONFIG, "m.test", 25, NONE)]
    found = merge(claims, ADDRESS)
    assert places(found) == [("m.test", 465)]
    assert found.findings == ()


def test_port_25_goes_where_anything_else_is_proven() -> None:
    claims = [claim(S.AUTOCONFIG, "a.test", 25, STARTTLS), claim(S.SRV, "b.test", 587, STARTTLS)]
    assert places(merge(claims, ADDRESS)) == [("b.test", 587)]


def test_port_25_alone_is_shown_and_flagged() -> None:
    found = merge([claim(S.SRV, "a.test", 25, STARTTLS)], ADDRESS)
    assert places(found) == [("a.test", 25)]
    assert [f.id for f in found.findings] == ["relay_port"]


def test_guesses_and_hints_vanish_beside_an_answer() -> None:
    claims = [claim(S.GUESS, "smtp.example.com"), claim(S.NS, "ns.test"), claim(S.SRV, "m.test")]
    assert places(merge(claims, ADDRESS)) == [("m.test", 465)]
    assert places(merge(claims[:2], ADDRESS)) == [("ns.test", 465), ("smtp.example.com", 465)]


def test_what_was_learned_in_the_clear_stays_last() -> None:
    claims = [
        claim(S.AUTOCONFIG, "evil.test", quality=Q.UNTRUSTED),
        claim(S.AUTODISCOVER, "weak.test"),
    ]
    found = merge(claims, ADDRESS)
    assert places(found) == [("weak.test", 465), ("evil.test", 465)]
    assert found.candidates[1].trust is Trust.UNTRUSTED


# conflicts


def test_no_conflict_where_one_lists_fewer() -> None:
    claims = [
        claim(S.DIRECTORY, "m.test", quality=Q.LISTED),
        claim(S.DIRECTORY, "m.test", 587, STARTTLS, Q.LISTED),
        claim(S.SRV, "m.test", 587, STARTTLS),
    ]
    assert merge(claims, ADDRESS).conflicts == ()


def test_port() -> None:
    claims = [claim(S.AUTOCONFIG, "m.test"), claim(S.SRV, "m.test", 587, STARTTLS)]
    found = merge(claims, ADDRESS)
    assert conflict(found, "port") == [("465", ["autoconfig"]), ("587", ["srv"])]
    assert conflict(found, "host") == []


def test_security() -> None:
    claims = [claim(S.AUTOCONFIG, "m.test", 587, STARTTLS), claim(S.AUTODISCOVER, "m.test", 587)]
    found = merge(claims, ADDRESS)
    assert conflict(found, "security") == [("starttls", ["autoconfig"]), ("tls", ["autodiscover"])]


def test_plain_against_encrypted_is_a_conflict() -> None:
    claims = [
        claim(S.AUTOCONFIG, "m.test", 587, STARTTLS),
        claim(S.AUTODISCOVER, "m.test", 587, NONE),
    ]
    found = merge(claims, ADDRESS)
    assert conflict(found, "security") == [("starttls", ["autoconfig"]), ("none", ["autodiscover"])]


def test_username() -> None:
    claims = [
        claim(S.AUTOCONFIG, "m.test", username="alice"),
        claim(S.AUTODISCOVER, "m.test", username=ADDRESS),
        claim(S.SRV, "m.test"),  # SRV says nothing of it
    ]
    found = merge(claims, ADDRESS)
    assert found.candidates[0].username == "alice"
    assert conflict(found, "username") == [("alice", ["autoconfig"]), (ADDRESS, ["autodiscover"])]


def test_credential_an_app_password_is_a_password() -> None:
    directory = claim(S.DIRECTORY, "smtp.qq.com", quality=Q.LISTED, provider="qq")
    password = CredentialKind.PASSWORD
    found = merge([directory, claim(S.AUTOCONFIG, "smtp.qq.com", credential=password)], "a@qq.com")
    assert found.candidates[0].credential is CredentialKind.AUTH_CODE
    assert conflict(found, "credential") == []


def test_credential_oauth_is_not() -> None:
    claims = [
        claim(S.AUTOCONFIG, "m.test", credential=CredentialKind.PASSWORD),
        claim(S.AUTODISCOVER, "m.test", credential=CredentialKind.OAUTH2),
    ]
    found = merge(claims, ADDRESS)
    assert conflict(found, "credential") == [
        ("password", ["autoconfig"]),
        ("oauth2", ["autodiscover"]),
    ]


def test_login_methods() -> None:
    shared = [
        claim(S.AUTOCONFIG, "m.test", auth=("PLAIN", "LOGIN")),
        claim(S.AUTODISCOVER, "m.test", auth=("LOGIN",)),
    ]
    assert conflict(merge(shared, ADDRESS), "auth") == []
    apart = [shared[0], claim(S.AUTODISCOVER, "m.test", auth=("NTLM",))]
    assert conflict(merge(apart, ADDRESS), "auth") == [
        ("PLAIN LOGIN", ["autoconfig"]),
        ("NTLM", ["autodiscover"]),
    ]


def test_guesses_contradict_nobody() -> None:
    claims = [claim(S.SRV, "m.test"), claim(S.GUESS, "smtp.example.com"), claim(S.NS, "n.test")]
    assert merge(claims, ADDRESS).conflicts == ()


# when the search may end


def is_settled(claims: list[Claim], *pending: Source) -> bool:
    return settled(claims, merge(claims, ADDRESS).candidates[0], set(pending))


def test_settled() -> None:
    srv, web = claim(S.SRV, "a.test"), claim(S.AUTOCONFIG, "b.test")
    official = claim(S.DIRECTORY, "o.test", quality=Q.OFFICIAL)
    assert is_settled([official], S.PACC, S.AUTOCONFIG, S.SRV, S.MX)
    assert not is_settled([srv], S.AUTOCONFIG)
    assert not is_settled([web], S.PACC)
    assert is_settled([web], S.MX, S.NS)
    assert is_settled([srv], S.NS, S.AUTODISCOVER)
    assert not is_settled([srv, claim(S.AUTODISCOVER, "b.test")], S.MX, S.AUTOCONFIG)
    assert is_settled([srv])
    assert not is_settled([claim(S.GUESS, "a.test")], S.NS)


def test_a_tenant_does_not_wait_for_autoconfig_alone() -> None:
    claims = [tenant("smtp.exmail.qq.com", "exmail")]
    assert is_settled(claims, S.AUTOCONFIG, S.NS)
    assert not is_settled(claims, S.AUTOCONFIG, S.SRV)
