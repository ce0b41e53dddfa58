"""The verdict's rules as one table: what was seen -> which verdict, which words, which way out."""

# ruff: noqa: E501  a table reads in rows
from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from posthouse.flow import Endpoint, Failure, Security, Stage, Status
from posthouse.net.tls import CertificateInfo, CertificateProblem, Problem, TlsSession
from posthouse.setup.probe.facts import (
    Delivery,
    Facts,
    Names,
    Neighbour,
    Relation,
    State,
    Stop,
)
from posthouse.setup.probe.verdict import RULES, decide

HOST = "mail.test"
E465 = Endpoint(HOST, 465, Security.TLS)
E587 = Endpoint(HOST, 587, Security.STARTTLS)
E25 = Endpoint(HOST, 25, Security.STARTTLS)
PLAIN = Endpoint(HOST, 587, Security.NONE)
OUT = Endpoint("smtp.mail.test", 465, Security.TLS)


def stop(
    stage: Stage,
    cause: str = "",
    failure: Failure | None = None,
    code: int | None = None,
    **more: Any,
) -> Stop:
    known = {k: more.pop(k) for k in ("text", "variant", "params", "step") if k in more}
    return Stop(
        known.get("step", stage.value),
        stage,
        cause,
        failure,
        more,
        code,
        "",
        known.get("text", ""),
        known.get("variant", ""),
        known.get("params", {}),
    )


def near(
    port: int,
    security: Security,
    protocol: str = "smtp",
    relation: Relation = Relation.PORT,
    state: State = State.OPEN,
) -> Neighbour:
    starttls = security is Security.STARTTLS if protocol == "smtp" else None
    return Neighbour(Endpoint(HOST, port, security), relation, state, 0.01, protocol, "", starttls)


N587 = near(587, Security.STARTTLS)
N465 = near(465, Security.TLS)
N25 = near(25, Security.STARTTLS)
DEAD = tuple(near(p, Security.TLS, "", Relation.PORT, State.FILTERED) for p in (465, 25, 2525))


def certificate(**changes: Any) -> CertificateInfo:
    info = CertificateInfo(
        subject="CN=mail.test",
        issuer="CN=Some CA",
        common_name="mail.test",
        names=("mail.test",),
        not_before=datetime(2026, 1, 1, tzinfo=UTC),
        not_after=datetime(2026, 3, 1, tzinfo=UTC),
        serial="01",
        key="RSA",
        key_bits=1024,
        signature_hash="sha1",
        sha256="AA:BB",
        is_ca=False,
        self_signed=False,
        issuer_url="",
        pem="",
        der=b"",
    )
    return replace(info, **changes)


def bad(*kinds: Problem, names: tuple[str, ...] = ("mail.test",), **params: Any) -> dict[str, Any]:
    problems = tuple(CertificateProblem(k, params) for k in kinds)
    session = TlsSession(
        "TLSv1.3", "X", 256, chain=(certificate(names=names),), problems=problems, trusted=False
    )
    return {"tls": session, "stop": stop(Stage.TLS, "tls.certificate", Failure.CERTIFICATE)}


F = Failure
S = Stage
CASES: list[tuple[str, Endpoint, dict[str, Any], str, str, str | None, Endpoint | None]] = [
    # name, endpoint, facts, verdict, variant, cause, suggestion
    ("typo", E587, {"stop": stop(S.DNS, failure=F.NAME_NOT_FOUND), "names": Names("smtp.gmail.com")},
     "name_unknown", "typo", "dns.server_name", Endpoint("smtp.gmail.com", 587, Security.STARTTLS)),
    ("published", E587, {"stop": stop(S.DNS, failure=F.NAME_NOT_FOUND),
                         "names": Names(domain="mail.test", published=(OUT,))},
     "name_unknown", "published", "dns.server_name", OUT),
    ("unknown", E587, {"stop": stop(S.DNS, failure=F.NAME_NOT_FOUND)},
     "name_unknown", "", "dns.server_name", None),
    ("no address", E587, {"stop": stop(S.DNS, failure=F.NO_ADDRESS)},
     "no_address", "", "dns.server_name", None),
    ("only MX", E587, {"stop": stop(S.DNS, failure=F.NO_ADDRESS), "names": Names(incoming=("mx.test",))},
     "no_address", "mail_domain", "dns.server_name", None),
    ("MX and SRV", E587, {"stop": stop(S.DNS, failure=F.NO_ADDRESS), "names": Names(published=(OUT,))},
     "no_address", "published", "dns.server_name", OUT),
    ("servfail", E587, {"stop": stop(S.DNS, failure=F.DNS_FAILED, server="9.9.9.9", status="servfail")},
     "dns_failed", "", "dns.temporary", None),
    ("dns silent", E587, {"stop": stop(S.DNS, failure=F.DNS_TIMEOUT, server="9.9.9.9", seconds=5.0)},
     "dns_failed", "silent", "dns.temporary", None),
    ("offline", E587, {"stop": stop(S.CONNECT, failure=F.OFFLINE)}, "offline", "", "conn.timeout", None),
    ("unreachable", E587, {"stop": stop(S.CONNECT, failure=F.UNREACHABLE)},
     "unreachable", "", "conn.timeout", None),
    ("v6 only", E587, {"stop": stop(S.CONNECT, failure=F.OFFLINE), "names": Names(addresses=("2001:db8::1",))},
     "ipv6_only", "", "conn.timeout", None),
    ("refused", E465, {"stop": stop(S.CONNECT, failure=F.REFUSED), "neighbours": (N587, N25)},
     "refused", "", "conn.refused", E587),
    ("refused all", E465, {"stop": stop(S.CONNECT, failure=F.REFUSED)},
     "refused", "nothing", "conn.refused", None),
    ("blocked port", E465, {"stop": stop(S.CONNECT, failure=F.TIMEOUT, seconds=10.0),
                            "neighbours": (N587, N25)},
     "works_elsewhere", "", "conn.timeout", E587),
    ("465 before 587", E25, {"stop": stop(S.CONNECT, failure=F.TIMEOUT), "neighbours": (N587, N465)},
     "works_elsewhere", "", "conn.timeout", E465),
    ("all dead", E587, {"stop": stop(S.CONNECT, failure=F.TIMEOUT), "neighbours": DEAD},
     "filtered", "", "conn.timeout", None),
    ("alive", E587, {"stop": stop(S.CONNECT, failure=F.TIMEOUT),
                     "neighbours": (near(25, Security.TLS, "", Relation.PORT, State.REFUSED),)},
     "filtered", "alive", "conn.timeout", None),
    ("port 25 is no way out", E465, {"stop": stop(S.CONNECT, failure=F.REFUSED), "neighbours": (N25,)},
     "refused", "", "conn.refused", None),
    ("http", E587, {"stop": stop(S.GREETING, failure=F.NOT_SMTP, protocol="http")},
     "captive_portal", "", "conn.lost", None),
    ("http on TLS port", E465, {"stop": stop(S.TLS, failure=F.PLAIN_EXPECTED, protocol="http")},
     "captive_portal", "", "conn.lost", None),
    ("http that waits", E587, {"stop": stop(S.GREETING, failure=F.SILENT),
                               "neighbours": (near(587, Security.TLS, "http", Relation.MODE),)},
     "captive_portal", "", "conn.lost", None),
    ("imap", E587, {"stop": stop(S.GREETING, failure=F.NOT_SMTP, protocol="imap")},
     "incoming_server", "", "protocol.error", None),
    ("imaps", E587, {"stop": stop(S.GREETING, failure=F.SILENT),
                     "neighbours": (near(587, Security.TLS, "imap", Relation.MODE),),
                     "names": Names(published=(OUT,))},
     "incoming_server", "published", "protocol.error", OUT),
    ("ssh", E587, {"stop": stop(S.GREETING, failure=F.NOT_SMTP, protocol="ssh", text="SSH-2.0")},
     "wrong_service", "", "protocol.error", None),
    ("noise", E587, {"stop": stop(S.GREETING, failure=F.BAD_REPLY, protocol="unknown")},
     "wrong_service", "unknown", "protocol.error", None),
    ("plain to 465", replace(E465, security=Security.STARTTLS),
     {"stop": stop(S.GREETING, failure=F.SILENT),
      "neighbours": (near(465, Security.TLS, "smtp", Relation.MODE),)},
     "tls_from_first_byte", "", "tls.failed", E465),
    ("tls to 587", replace(E587, security=Security.TLS),
     {"stop": stop(S.TLS, failure=F.PLAIN_EXPECTED, protocol="smtp", text="220 mail.test ESMTP")},
     "starttls_here", "", "tls.failed", E587),
    ("rst", E587, {"stop": stop(S.GREETING, failure=F.RESET)}, "hangs_up", "", "conn.lost", None),
    ("rst, 465 answers", E587, {"stop": stop(S.GREETING, failure=F.CLOSED), "neighbours": (N465,)},
     "hangs_up", "elsewhere", "conn.lost", E465),
    ("rst on 465", E465, {"stop": stop(S.TLS, failure=F.RESET)}, "hangs_up", "", "conn.lost", None),
    ("old and closes", E465, {"stop": stop(S.TLS, failure=F.CLOSED), "versions": {"TLSv1.0": True}},
     "old_tls", "", "tls.failed", None),
    ("tarpit on 465", E465, {"stop": stop(S.TLS, failure=F.SILENT)}, "slow_greeting", "tls", "conn.timeout", None),
    ("tarpit", E587, {"stop": stop(S.GREETING, failure=F.SILENT, seconds=10.0)},
     "slow_greeting", "", "conn.timeout", None),
    ("listed", E25, {"stop": stop(S.GREETING, "sender.reputation", code=554,
                                  text="192.0.2.1 blocked using zen.spamhaus.org")},
     "ip_blocked", "", "sender.reputation", None),
    ("bad reputation", E25, {"stop": stop(S.GREETING, "sender.reputation", code=554, text="go away")},
     "ip_blocked", "unnamed", "sender.reputation", None),
    ("own page", E25, {"stop": stop(S.GREETING, "sender.reputation", code=554, text="https://x.test/why")},
     "ip_blocked", "linked", "sender.reputation", None),
    ("421", E587, {"stop": stop(S.GREETING, "rate.limited", code=421)}, "too_many", "", "rate.limited", None),
    ("421 later", E587, {"stop": stop(S.RCPT, "rate.limited", code=421)},
     "too_many", "speed", "rate.limited", None),
    ("554", E587, {"stop": stop(S.GREETING, "policy.other", code=554, text="no")},
     "greeting_refused", "", "policy.other", None),
    ("helo", E587, {"stop": stop(S.EHLO, "protocol.error", code=501, text="bad name")},
     "helo_name", "", "sender.ip_identity", None),
    ("helo at rcpt", E587, {"stop": stop(S.RCPT, "sender.ip_identity", code=504,
                                         text="<x>: Helo command rejected: need fully-qualified hostname")},
     "helo_name", "", "sender.ip_identity", None),
    ("ancient", E587, {"stop": stop(S.EHLO, "protocol.error", code=502), "passed": frozenset({"helo"})},
     "ancient", "", "protocol.error", None),
    ("erased", E587, {"stop": stop(S.TLS, failure=F.TLS_STRIPPED, seen="XXXXXXXA"), "neighbours": (N465,)},
     "starttls_erased", "elsewhere", "tls.failed", E465),
    ("erased alone", E587, {"stop": stop(S.TLS, failure=F.TLS_STRIPPED)},
     "starttls_erased", "", "tls.failed", None),
    ("none", E587, {"stop": stop(S.TLS, failure=F.TLS_NOT_OFFERED)}, "no_encryption", "", "tls.failed", None),
    ("none, 465 does", E587, {"stop": stop(S.TLS, failure=F.TLS_NOT_OFFERED), "neighbours": (N465,)},
     "no_encryption", "elsewhere", "tls.failed", E465),
    ("454", E587, {"stop": stop(S.TLS, "tls.failed", code=454, text="TLS not available", step="starttls")},
     "starttls_broken", "refused", "tls.failed", None),
    ("garbage", E587, {"stop": stop(S.TLS, failure=F.PLAIN_EXPECTED, protocol="unknown", step="tls")},
     "starttls_broken", "", "tls.failed", None),
    ("tls 1.0", E587, {"stop": stop(S.TLS, failure=F.TLS_HANDSHAKE, kind="version"),
                       "versions": {"TLSv1.0": True, "TLSv1.2": False}},
     "old_tls", "", "tls.failed", None),
    ("tls ?", E587, {"stop": stop(S.TLS, failure=F.TLS_HANDSHAKE, kind="version")},
     "old_tls", "unknown", "tls.failed", None),
    ("weak dh", E465, {"stop": stop(S.TLS, failure=F.TLS_HANDSHAKE, kind="weak_dh", reason="dh_key_too_small")},
     "weak_tls", "", "tls.failed", None),
    ("alert", E465, {"stop": stop(S.TLS, failure=F.TLS_HANDSHAKE, kind="peer_error", reason="internal error")},
     "tls_failed", "", "tls.failed", None),
    ("expired", E587, bad(Problem.EXPIRED, days=5), "expired", "", "tls.certificate", None),
    ("clock ahead", E587, {**bad(Problem.EXPIRED, days=5), "clock_behind": -9e7},
     "clock_wrong", "ahead", "tls.certificate", None),
    ("clock behind", E587, {**bad(Problem.NOT_YET_VALID), "clock_behind": 9.5e7},
     "clock_wrong", "", "tls.certificate", None),
    ("not yet", E587, bad(Problem.NOT_YET_VALID), "not_yet_valid", "", "tls.certificate", None),
    ("scanner", E587, bad(Problem.INTERCEPTION, Problem.UNKNOWN_CA, product="Avast"),
     "intercepted", "", "tls.certificate", None),
    ("self-signed", E587, bad(Problem.SELF_SIGNED), "self_signed", "", "tls.certificate", None),
    ("private CA", E587, bad(Problem.UNKNOWN_CA), "unknown_ca", "", "tls.certificate", None),
    ("other name", E587, bad(Problem.WRONG_NAME, names=("*.x.test", "mx.x.test")),
     "wrong_name", "unproven", "tls.certificate", Endpoint("mx.x.test", 587, Security.STARTTLS)),
    ("other name, proven", E587, {**bad(Problem.WRONG_NAME, names=("a.test", "b.test")),
                                  "names": Names(same_address=("b.test",))},
     "wrong_name", "", "tls.certificate", Endpoint("b.test", 587, Security.STARTTLS)),
    ("wildcard only", E587, bad(Problem.WRONG_NAME, names=("*.x.test",)),
     "wrong_name", "unnamed", "tls.certificate", None),
    ("no chain", E587, bad(Problem.MISSING_INTERMEDIATE), "missing_intermediate", "", "tls.certificate", None),
    ("weak key", E587, bad(Problem.WEAK_KEY), "weak_certificate", "", "tls.failed", None),
    ("sha-1", E587, bad(Problem.WEAK_SIGNATURE), "weak_certificate", "signature", "tls.failed", None),
    ("other", E587, bad(Problem.INVALID, reason="not for servers"), "bad_certificate", "", "tls.certificate", None),
    ("mx as smtp", E25, {"stop": stop(S.AUTH, "auth.mechanism", F.AUTH_NOT_OFFERED),
                         "names": Names(domain="mail.test", incoming=(HOST,), published=(OUT,))},
     "mx_not_submission", "", "auth.mechanism", OUT),
    ("mx, relay denied", E25, {"stop": stop(S.RCPT, "relay.denied", code=554),
                               "names": Names(domain="mail.test", incoming=(HOST,))},
     "mx_not_submission", "unknown", "relay.denied", None),
    ("530", PLAIN, {"stop": stop(S.MAIL, "tls.required", code=530)},
     "auth_needs_tls", "", "tls.required", replace(PLAIN, security=Security.STARTTLS)),
    ("auth after tls", PLAIN, {"stop": stop(S.AUTH, "auth.mechanism", F.AUTH_NOT_OFFERED),
                               "extensions": {"STARTTLS": ""}},
     "auth_needs_tls", "offered_after", "auth.mechanism", replace(PLAIN, security=Security.STARTTLS)),
    ("no auth on 25", E25, {"stop": stop(S.AUTH, "auth.mechanism", F.AUTH_NOT_OFFERED), "neighbours": (N587,)},
     "auth_not_here", "relay_port", "auth.mechanism", E587),
    ("no auth on 25, nothing else", E25, {"stop": stop(S.AUTH, "auth.mechanism", F.AUTH_NOT_OFFERED)},
     "auth_not_here", "relay_port_unknown", "auth.mechanism", None),
    ("no auth", E587, {"stop": stop(S.AUTH, "auth.mechanism", F.AUTH_NOT_OFFERED)},
     "auth_not_here", "", "auth.mechanism", None),
    ("oauth only", E587, {"stop": stop(S.AUTH, "auth.mechanism", F.NO_COMMON_MECHANISM, offered=["XOAUTH2"])},
     "oauth_only", "", "auth.mechanism", None),
    ("ntlm only", E587, {"stop": stop(S.AUTH, "auth.mechanism", F.NO_COMMON_MECHANISM, offered=["NTLM"])},
     "no_mechanism", "", "auth.mechanism", None),
    ("504", E587, {"stop": stop(S.AUTH, "auth.mechanism", code=504)},
     "no_mechanism", "refused", "auth.mechanism", None),
    ("token", E587, {"stop": stop(S.AUTH, "auth.credentials", code=535, oauth={"status": "400"})},
     "oauth_expired", "", "auth.credentials", None),
    ("token scope", E587, {"stop": stop(S.AUTH, "auth.credentials", code=535,
                                        oauth={"status": "400", "scope": "mail"})},
     "oauth_expired", "scope", "auth.credentials", None),
    ("535", E587, {"stop": stop(S.AUTH, "auth.credentials", code=535)},
     "wrong_password", "", "auth.credentials", None),
    ("535 blanks", E587, {"stop": stop(S.AUTH, "auth.credentials", code=535), "hints": ("blanks",)},
     "wrong_password", "blanks", "auth.credentials", None),
    ("535 %40 first", E587, {"stop": stop(S.AUTH, "auth.credentials", code=535),
                             "hints": ("blanks", "percent_at")},
     "wrong_password", "percent_at", "auth.credentials", None),
    ("535 umlaut", E587, {"stop": stop(S.AUTH, "auth.credentials", code=535), "hints": ("non_ascii",)},
     "password_encoding", "", "auth.credentials", None),
    ("unfit", E587, {"stop": stop(S.AUTH, "auth.credentials", unfit="control_character")},
     "wrong_password", "unfit", "auth.credentials", None),
    ("app", E587, {"stop": stop(S.AUTH, "auth.app_password", code=534, text="see https://x.test/a.")},
     "app_password", "linked", "auth.app_password", None),
    ("app, no link", E587, {"stop": stop(S.AUTH, "auth.app_password", code=534)},
     "app_password", "", "auth.app_password", None),
    ("tenant", E587, {"stop": stop(S.AUTH, "auth.disabled", code=535, variant="tenant")},
     "auth_disabled", "tenant", "auth.disabled", None),
    ("disabled", E587, {"stop": stop(S.AUTH, "auth.disabled", code=535, variant="other")},
     "auth_disabled", "", "auth.disabled", None),
    ("retired", E587, {"stop": stop(S.AUTH, "auth.disabled", code=535, variant="basic_retired")},
     "auth_disabled", "basic_retired", "auth.disabled", None),
    ("retired for me", E587, {"stop": stop(S.AUTH, "auth.disabled", code=535, variant="basic_retired"),
                              "username": "a@outlook.com"},
     "auth_disabled", "consumer", "auth.disabled", None),
    ("163", E587, {"stop": stop(S.AUTH, "auth.disabled", code=550)},
     "auth_disabled", "not_opened", "auth.disabled", None),
    ("454 auth", E587, {"stop": stop(S.AUTH, "auth.temporary", code=454)}, "locked", "", "auth.temporary", None),
    ("from", E587, {"stop": stop(S.MAIL, "sender.not_allowed", code=553), "username": "a@x.test",
                    "delivery": Delivery("b@x.test")},
     "from_not_owned", "", "sender.not_allowed", None),
    ("from alone", E587, {"stop": stop(S.MAIL, "sender.not_allowed", code=553)},
     "from_not_owned", "alone", "sender.not_allowed", None),
    ("sender domain", E587, {"stop": stop(S.MAIL, "sender.invalid", code=550),
                             "delivery": Delivery("a@no.test"), "names": Names(missing_record="NXDOMAIN")},
     "sender_domain", "nxdomain", "sender.invalid", None),
    ("sender domain without mx", E587, {"stop": stop(S.MAIL, "sender.invalid", code=550),
                                        "names": Names(missing_record="MX")},
     "sender_domain", "missing", "sender.invalid", None),
    ("blocked", E587, {"stop": stop(S.MAIL, "sender.account_blocked", code=550)},
     "account_blocked", "", "sender.account_blocked", None),
    ("size", E587, {"stop": stop(S.MAIL, "msg.too_big", F.TOO_BIG_FOR_SIZE),
                    "extensions": {"SIZE": "35000000"}, "delivery": Delivery(size=41_000_000, raw_size=30_000_000)},
     "too_big", "", "msg.too_big", None),
    ("size, ours", E587, {"stop": stop(S.MAIL, "msg.too_big", F.TOO_BIG_FOR_SIZE),
                          "extensions": {"SIZE": "1000"}, "delivery": Delivery(size=2000)},
     "too_big", "plain", "msg.too_big", None),
    ("552", E587, {"stop": stop(S.DATA, "msg.too_big", code=552)}, "too_big", "unknown_limit", "msg.too_big", None),
    ("utf8", E587, {"stop": stop(S.MAIL, "protocol.error", F.SMTPUTF8_NOT_OFFERED),
                    "delivery": Delivery("jösé@x.test")},
     "smtputf8_missing", "", "protocol.error", None),
    ("8 bit", E587, {"stop": stop(S.MAIL, "protocol.error", eight_bit=True)},
     "eight_bit_missing", "", "protocol.error", None),
    ("bare lf", E587, {"stop": stop(S.DATA, "msg.malformed", code=521, text="bare <LF> received")},
     "bare_lf", "", "msg.malformed", None),
    ("malformed", E587, {"stop": stop(S.DATA, "msg.malformed", code=550, text="no From header")},
     "malformed", "", "msg.malformed", None),
    ("rcpt typo", E587, {"stop": stop(S.RCPT, "rcpt.domain", code=550),
                         "delivery": Delivery(recipient="a@gmal.com"), "names": Names(domain_suggestion="gmail.com")},
     "rcpt_domain", "typo", "rcpt.domain", None),
    ("rcpt null mx", E587, {"stop": stop(S.RCPT, "rcpt.domain", code=556), "names": Names(missing_record="null MX")},
     "rcpt_domain", "null_mx", "rcpt.domain", None),
    ("user", E587, {"stop": stop(S.RCPT, "rcpt.unknown", code=550)}, "unknown_user", "", "rcpt.unknown", None),
    ("user syntax", E587, {"stop": stop(S.RCPT, "rcpt.syntax", code=501)},
     "unknown_user", "syntax", "rcpt.syntax", None),
    ("full", E587, {"stop": stop(S.RCPT, "rcpt.mailbox_full", code=452)},
     "recipient_closed", "full", "rcpt.mailbox_full", None),
    ("disabled user", E587, {"stop": stop(S.RCPT, "rcpt.disabled", code=550)},
     "recipient_closed", "", "rcpt.disabled", None),
    ("relay, no login", E587, {"stop": stop(S.RCPT, "relay.denied", code=554), "extensions": {"AUTH": "PLAIN"}},
     "relay_denied", "", "relay.denied", None),
    ("relay, logged in", E587, {"stop": stop(S.RCPT, "relay.denied", code=554), "passed": frozenset({"auth"})},
     "relay_denied", "wrong_server", "relay.denied", None),
    ("relay, no AUTH", E587, {"stop": stop(S.RCPT, "relay.denied", code=554)},
     "relay_denied", "no_login_here", "relay.denied", None),
    ("POP before SMTP", E587,
     {"stop": stop(S.RCPT, "relay.denied", code=550, text="You must check your mail first")},
     "relay_denied", "pop_first", "relay.denied", None),
    ("530 auth", E587, {"stop": stop(S.MAIL, "auth.required", code=530), "extensions": {"AUTH": "PLAIN"}},
     "relay_denied", "", "auth.required", None),
    ("grey", E587, {"stop": stop(S.RCPT, "rate.greylisted", code=450, text="try again in 5 minutes")},
     "greylisted", "", "rate.greylisted", None),
    ("grey still", E587, {"stop": stop(S.RCPT, "rate.greylisted", code=450), "delivery": Delivery(waited=60.0)},
     "greylisted", "still", "rate.greylisted", None),
    ("recipients", E587, {"stop": stop(S.RCPT, "rate.recipients", code=452)},
     "too_many_recipients", "", "rate.recipients", None),
    ("dmarc", E587, {"stop": stop(S.DATA, "sender.auth_failed", code=550),
                     "delivery": Delivery("a@x.test"), "names": Names(record="x.test. TXT ...")},
     "auth_failed", "record", "sender.auth_failed", None),
    ("ptr", E25, {"stop": stop(S.RCPT, "sender.ip_identity", code=550, text="no PTR for 192.0.2.9")},
     "no_ptr", "", "sender.ip_identity", None),
    ("ptr wrong", E25, {"stop": stop(S.RCPT, "sender.ip_identity", code=550), "names": Names(pointer="a.test")},
     "no_ptr", "named", "sender.ip_identity", None),
    ("attachment", E587, {"stop": stop(S.DATA, "msg.attachment", code=552, text="invoice.exe is blocked")},
     "attachment", "kinds", "msg.attachment", None),
    ("virus", E587, {"stop": stop(S.DATA, "msg.attachment", code=552, text="Virus found by mail.test")},
     "attachment", "", "msg.attachment", None),
    ("spam", E587, {"stop": stop(S.DATA, "msg.spam", code=550)}, "spam", "", "msg.spam", None),
    ("lost", E587, {"stop": stop(S.DATA, "conn.lost", F.RESET)}, "lost_in_data", "", "conn.lost", None),
    ("lost after the dot", E587, {"stop": stop(S.DATA, "conn.lost", F.CLOSED, sent_all=True)},
     "lost_in_data", "after_end", "conn.lost", None),
    ("lost when big", E587, {"stop": stop(S.DATA, "conn.lost", F.SILENT), "delivery": Delivery(small_passed=True)},
     "lost_in_data", "small_passed", "conn.lost", None),
    ("quota", E587, {"stop": stop(S.DATA, "sender.quota", code=550)}, "quota", "", "sender.quota", None),
    ("quota wait", E587, {"stop": stop(S.DATA, "sender.quota", code=450, text="try in 24 hours")},
     "quota", "wait", "sender.quota", None),
    ("anything", E587, {"stop": stop(S.MAIL, "server.error", code=451, text="disk full")},
     "step_failed", "", "server.error", None),
    ("anything silent", E587, {"stop": stop(S.MAIL, "conn.lost", F.CLOSED)},
     "step_failed", "silent", "conn.lost", None),
    ("fine", E587, {}, "ok", "", None, None),
    ("fine, logged in", E587, {"passed": frozenset({"auth", "tls"})}, "ok", "auth", None, None),
    ("fine, sent", E587, {"passed": frozenset({"auth", "rcpt", "message"})}, "ok", "message", None, None),
    ("plain", PLAIN, {}, "ok", "plain", None, None),
    ("v6 dead", E587, {"broken_family": "IPv6"}, "ipv6_broken", "", "conn.timeout", None),
    ("grey passed", E587, {"delivery": Delivery(waited=300.0)}, "greylisted", "passed", "rate.greylisted", None),
    ("split", E587, {"delivery": Delivery(batches=(2, 1))}, "too_many_recipients", "split", "rate.recipients", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("endpoint", "seen", "id_", "variant", "cause", "suggestion"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_verdict(
    endpoint: Endpoint,
    seen: dict[str, Any],
    id_: str,
    variant: str,
    cause: str | None,
    suggestion: Endpoint | None,
) -> None:
    verdict = decide(Facts(endpoint, **seen))
    finding = verdict.finding
    found = (finding.id, finding.params.get("variant", ""), finding.cause, verdict.suggestion)
    assert found == (id_, variant, cause, suggestion)


def test_only_what_went_well_is_ok() -> None:
    assert decide(Facts(E587)).finding.status is Status.OK
    assert decide(Facts(PLAIN)).finding.status is Status.WARN
    assert decide(Facts(E587, stop=stop(S.AUTH, "auth.credentials", code=535))).finding.status is (
        Status.FAIL
    )


def test_every_rule_is_shown_by_a_case() -> None:
    assert {rule.id for rule in RULES} == {case[3] for case in CASES} - {"ok", "ipv6_broken"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("450 4.2.0 Greylisted, see http://x.test/?age=00:05:00", 300),
        ("451 try again in 300 seconds", 300),
        ("450 please retry in 5 minutes", 300),
        ("请在 10 分钟后重试", 600),
        ("come back in 2 h", 7200),
        ("451 4.7.1 try later", 0),
        ("try in 900 days", 0),
    ],
)
def test_wait_told(text: str, seconds: int) -> None:
    from posthouse.setup.probe.verdict.message import wait_told

    assert wait_told(stop(S.RCPT, "rate.greylisted", code=450, text=text)) == seconds
