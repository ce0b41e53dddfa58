"""Rules for signing in. The words of the server were judged by explain; here is what to do."""

from __future__ import annotations

from typing import Any, Final

from posthouse import directory
from posthouse.directory import Kind
from posthouse.flow import Endpoint, Failure, Security, Stage
from posthouse.protocol.ports import RELAY_PORT
from posthouse.setup.probe.facts import Facts, Stop
from posthouse.setup.probe.verdict.rule import Hit, Rule, link_in, quote, submission

OAUTH: Final = frozenset({"XOAUTH2", "OAUTHBEARER"})


def mx_not_submission(facts: Facts, stop: Stop) -> Hit | None:
    """The incoming server of the domain was given as the outgoing one (RFC 5598 section 4)."""
    if facts.endpoint.host not in facts.names.incoming:
        return None
    no_login = stop.failure is Failure.AUTH_NOT_OFFERED
    if not no_login and stop.cause not in ("relay.denied", "auth.required"):
        return None
    target = submission(facts)
    params = {"domain": facts.names.domain, "published": str(target) if target else ""}
    return Hit(params, target, "" if target else "unknown")


def auth_needs_tls(facts: Facts, stop: Stop) -> Hit | None:
    """The password waits for encryption: the server's rule (RFC 4954 section 4) and ours."""
    here = Endpoint(facts.endpoint.host, facts.endpoint.port, Security.STARTTLS)
    if stop.cause == "tls.required":
        return Hit(suggestion=here)
    plain = facts.endpoint.security is Security.NONE
    if plain and stop.failure is Failure.AUTH_NOT_OFFERED and "STARTTLS" in facts.extensions:
        return Hit(suggestion=here, variant="offered_after")
    return None


def auth_not_here(facts: Facts, stop: Stop) -> Hit | None:
    if stop.failure is not Failure.AUTH_NOT_OFFERED:
        return None
    target = submission(facts)
    params = {"use": str(target) if target else ""}
    if facts.endpoint.port == RELAY_PORT:
        return Hit(params, target, "relay_port" if target else "relay_port_unknown")
    return Hit(params, target)


def oauth_only(facts: Facts, stop: Stop) -> Hit | None:
    offered = _offered(stop)
    if stop.failure is not Failure.NO_COMMON_MECHANISM or not offered or not offered <= OAUTH:
        return None
    return Hit({"offered": sorted(offered)})


def no_mechanism(facts: Facts, stop: Stop) -> Hit | None:
    if stop.failure is Failure.NO_COMMON_MECHANISM:
        return Hit({"offered": sorted(_offered(stop))})
    if stop.cause == "auth.mechanism" and stop.code is not None:
        return Hit({"reply": quote(stop)}, variant="refused")
    return None


def oauth_expired(facts: Facts, stop: Stop) -> Hit | None:
    """RFC 7628 section 3.2.2: the refusal is JSON, base64, in a 334."""
    told = stop.detail.get("oauth")
    if stop.stage is not Stage.AUTH or not isinstance(told, dict) or not told:
        return None
    status = str(told.get("status") or "?")[:40]
    scope = str(told.get("scope") or "")[:200]
    return Hit({"status": status, "scope": scope}, variant="scope" if scope else "")


def password_encoding(facts: Facts, stop: Stop) -> Hit | None:
    """RFC 4616 section 2 says UTF-8; old servers compare Latin-1 or GBK bytes."""
    unsent = stop.cause != "auth.credentials" or "unfit" in stop.detail
    if unsent or "non_ascii" not in facts.hints:
        return None
    return Hit({"encoding": "UTF-8"})


def wrong_password(facts: Facts, stop: Stop) -> Hit | None:
    if stop.cause != "auth.credentials":
        return None
    if stop.detail.get("unfit"):
        return Hit({"reason": str(stop.detail["unfit"]).replace("_", " ")}, variant="unfit")
    first = next((h for h in HINTS if h in facts.hints), "")
    mechanism = str(stop.detail.get("mechanism") or "")
    params = {"username": facts.username, "hints": list(facts.hints), "mechanism": mechanism}
    if not first and mechanism in NEED_THE_PASSWORD:
        first = "hashed_store"
    return Hit(params, variant=first)


# RFC 2195: the server computes with the password itself, which a store of hashes does not hold.
NEED_THE_PASSWORD: Final = ("CRAM-MD5", "DIGEST-MD5")
# What to say first where several things look odd.
HINTS: Final = ("percent_at", "blanks", "local_part", "full_address", "colon")


def app_password(facts: Facts, stop: Stop) -> Hit | None:
    if stop.cause != "auth.app_password":
        return None
    link = _credential_page(facts.provider) or link_in(stop.text)
    return Hit({"link": link, "provider": facts.provider}, variant="linked" if link else "")


def _credential_page(provider: str) -> str:
    """Where one is made; a server's own link often leads to general help."""
    known = provider in directory.ids()
    return (directory.load(provider).credential.url or "") if known else ""


def auth_disabled(facts: Facts, stop: Stop) -> Hit | None:
    if stop.cause != "auth.disabled":
        return None
    params: dict[str, Any] = {"username": facts.username, "reply": quote(stop)}
    if stop.variant == "basic_retired" and _personal(facts):
        return Hit(params, variant="consumer")
    if stop.variant in DISABLED:
        return Hit(params, variant=stop.variant)
    # NetEase says 550 at AUTH until SMTP is switched on in the web mail (facts: S32).
    return Hit(params, variant="not_opened" if stop.code == 550 else "")


def _personal(facts: Facts) -> bool:
    """An account of a mailbox provider, where no admin can switch anything back on."""
    owner = directory.by_domain(facts.username.rpartition("@")[2])
    return owner is not None and owner.kind is Kind.MAILBOX


DISABLED: Final = (
    "tenant",
    "mailbox",
    "security_defaults",
    "conditional_access",
    "basic_retired",
    "consumer",
)


def locked(facts: Facts, stop: Stop) -> Hit | None:
    return Hit({"reply": quote(stop)}) if stop.cause == "auth.temporary" else None


def _offered(stop: Stop) -> frozenset[str]:
    offered = stop.detail.get("offered") or ()
    return frozenset(str(m) for m in offered)


RULES: Final = (
    Rule("mx_not_submission", mx_not_submission),
    Rule("auth_needs_tls", auth_needs_tls),
    Rule("auth_not_here", auth_not_here, "auth.mechanism"),
    Rule("oauth_only", oauth_only, "auth.mechanism"),
    Rule("no_mechanism", no_mechanism, "auth.mechanism"),
    Rule("oauth_expired", oauth_expired, "auth.credentials"),
    Rule("password_encoding", password_encoding, "auth.credentials"),
    Rule("wrong_password", wrong_password, "auth.credentials"),
    Rule("app_password", app_password, "auth.app_password"),
    Rule("auth_disabled", auth_disabled, "auth.disabled"),
    Rule("locked", locked, "auth.temporary"),
)
