"""The replies of the set-up scenarios come to the causes that the scenarios name."""

from __future__ import annotations

from typing import Any

import pytest

from posthouse import explain
from posthouse.flow import Failure, NetworkFailure, Stage
from unit.explain import shared

REPLIES: list[tuple[str, Stage | None, str]] = [
    ("S05", Stage.RCPT, "554 5.7.1 <a@b.test>: Relay access denied"),
    ("S15", Stage.GREETING, "554 5.7.1 Your IP 192.0.2.1 is on our block list"),
    ("S15", Stage.GREETING, "521 go away"),
    ("S16", Stage.GREETING, "421 too many connections"),
    ("S17", Stage.EHLO, "501 Syntactically invalid EHLO argument(s)"),
    ("S17", Stage.EHLO, "504 5.5.2 <localhost>: Helo command rejected: need a full name"),
    ("S17", Stage.EHLO, "550 5.7.1 bad name"),
    ("S18", Stage.EHLO, "502 5.5.2 Error: command not recognized"),
    ("S18", Stage.EHLO, "500 what?"),
    ("S21", Stage.TLS, "454 4.7.0 TLS not available due to local problem"),
    ("S21", Stage.TLS, "502 5.5.1 not today"),
    ("S29", Stage.AUTH, "530 5.7.0 Must issue a STARTTLS command first"),
    ("S29", Stage.MAIL, "538 5.7.11 Encryption needed"),
    ("S30", Stage.AUTH, "535 5.7.8 Error: authentication failed"),
    ("S30", Stage.AUTH, "535 no"),
    ("S31", Stage.AUTH, "534-5.7.9 Application-specific password required"),
    ("S31", Stage.AUTH, "535 5.7.0 NEOBHODIM parol prilozheniya"),
    ("S31", Stage.AUTH, "535 5.7.0 (#AUTH005) Too many bad auth attempts."),
    ("S32", Stage.AUTH, "550 User has no permission"),
    ("S32", Stage.AUTH, "535 5.7.139 SmtpClientAuthentication is disabled for the Tenant."),
    ("S33", Stage.AUTH, "504 5.7.4 Unrecognized authentication type"),
    ("S34", Stage.AUTH, "334 eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIn0="),
    ("S35", Stage.AUTH, "454 4.7.0 too many login attempts"),
    ("S37", Stage.MAIL, "553 5.7.1 <a@b.test>: Sender address rejected: not owned by user c"),
    ("S37", Stage.MAIL, "550 5.7.60 you may not send as this sender"),
    ("S37", Stage.DATA, "554 Message rejected: Email address is not verified."),
    ("S38", Stage.MAIL, "450 4.1.8 <a@b.test>: Sender address rejected: Domain not found"),
    ("S39", Stage.MAIL, "552 5.3.4 Message size exceeds fixed limit"),
    ("S40", Stage.DATA, "521 5.5.2 mail.test Error: bare <LF> received"),
    ("S40", Stage.DATA, "500 5.5.2 Line too long"),
    ("S40", Stage.MAIL, "550 5.6.7 this address needs SMTPUTF8, which is not offered"),
    ("S41", Stage.RCPT, "550 5.1.1 no such user"),
    ("S41", Stage.RCPT, "501 5.1.3 bad address syntax"),
    ("S41", Stage.RCPT, "550 5.2.1 mailbox disabled"),
    ("S41", Stage.RCPT, "452 4.2.2 mailbox full"),
    ("S42", Stage.RCPT, "550 5.7.1 relaying denied"),
    ("S43", Stage.RCPT, "450 4.2.0 Greylisted, see you in 300 seconds"),
    ("S44", Stage.RCPT, "452 4.5.3 too many recipients"),
    ("S45", Stage.RCPT, "556 5.1.10 recipient domain has a null MX"),
    ("S46", Stage.DATA, "550 5.7.23 SPF violation"),
    ("S46", Stage.DATA, "550 5.7.26 unauthenticated"),
    ("S46", Stage.DATA, "550 5.7.509 b.test does not pass DMARC"),
    ("S46", Stage.DATA, "550 5.7.515 b.test lacks the required authentication level"),
    ("S47", Stage.DATA, "550 5.7.25 no PTR record"),
    ("S47", Stage.DATA, "554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org"),
    ("S48", Stage.DATA, "552 5.7.0 its content presents a potential security issue"),
    ("S48", Stage.DATA, "554 5.7.1 rejected as spam"),
    ("S50", Stage.DATA, "550 5.4.5 Daily user sending limit exceeded"),
    ("S50", Stage.MAIL, "421 4.7.28 unusual rate of mail"),
    ("S50", Stage.DATA, "454 Throttling failure: Daily message quota exceeded."),
]

FAILURES: list[tuple[str, Failure, Stage, dict[str, Any], str | None]] = [
    ("S01", Failure.NAME_NOT_FOUND, Stage.DNS, {"host": "smtp.gmial.com"}, None),
    ("S02", Failure.NO_ADDRESS, Stage.DNS, {}, "no_address"),
    ("S03", Failure.DNS_FAILED, Stage.DNS, {}, None),
    ("S03", Failure.DNS_TIMEOUT, Stage.DNS, {}, None),
    ("S04", Failure.TIMEOUT, Stage.CONNECT, {"port": 587}, None),
    ("S06", Failure.REFUSED, Stage.CONNECT, {"port": 587}, None),
    ("S07", Failure.TIMEOUT, Stage.CONNECT, {"port": 25}, "port25"),
    ("S08", Failure.OFFLINE, Stage.CONNECT, {}, "offline"),
    ("S08", Failure.UNREACHABLE, Stage.CONNECT, {}, "unreachable"),
    ("S09", Failure.RESET, Stage.GREETING, {"port": 587}, "hung_up"),
    ("S10", Failure.SILENT, Stage.GREETING, {"port": 587}, "silent"),
    ("S11", Failure.TLS_EXPECTED, Stage.GREETING, {}, "tls_expected"),
    ("S11", Failure.SILENT, Stage.GREETING, {"port": 465}, "tls_expected"),
    ("S12", Failure.PLAIN_EXPECTED, Stage.TLS, {"protocol": "smtp"}, "plain_expected"),
    ("S13", Failure.NOT_SMTP, Stage.GREETING, {"protocol": "http"}, "captive"),
    ("S14", Failure.NOT_SMTP, Stage.GREETING, {"protocol": "imap"}, "not_smtp"),
    ("S19", Failure.TLS_NOT_OFFERED, Stage.EHLO, {}, "not_offered"),
    ("S20", Failure.TLS_STRIPPED, Stage.EHLO, {}, "stripped"),
    ("S22", Failure.CERTIFICATE, Stage.TLS, {"problem": "expired"}, "expired"),
    ("S23", Failure.CERTIFICATE, Stage.TLS, {"problem": "not_yet_valid"}, "not_yet_valid"),
    ("S23", Failure.CERTIFICATE, Stage.TLS, {"problem": "clock"}, "clock"),
    ("S24", Failure.CERTIFICATE, Stage.TLS, {"problem": "interception"}, "interception"),
    ("S25", Failure.CERTIFICATE, Stage.TLS, {"problem": "wrong_name"}, "wrong_name"),
    ("S26", Failure.CERTIFICATE, Stage.TLS, {"problem": "missing_intermediate"},
     "missing_intermediate"),
    ("S27", Failure.TLS_HANDSHAKE, Stage.TLS, {"kind": "versions"}, "old_versions"),
    ("S28", Failure.AUTH_NOT_OFFERED, Stage.AUTH, {"tls": True}, "not_offered"),
    ("S28", Failure.AUTH_NOT_OFFERED, Stage.AUTH, {"tls": False}, "after_tls"),
    ("S33", Failure.NO_COMMON_MECHANISM, Stage.AUTH, {}, "no_common"),
    ("S39", Failure.TOO_BIG_FOR_SIZE, Stage.MAIL, {}, None),
    ("S40", Failure.SMTPUTF8_NOT_OFFERED, Stage.MAIL, {}, "smtputf8"),
    ("S49", Failure.SILENT, Stage.DATA, {}, "data"),
    ("S49", Failure.CLOSED, Stage.DATA, {}, "data"),
]  # fmt: skip


@pytest.fixture(scope="module")
def causes() -> dict[str, str]:
    return {row["id"]: row["cause"] for row in shared.rows("scenarios.tsv")}


def allows(wanted: str, cause: str) -> bool:
    """The table says "a|b", or "rcpt.*"."""
    return any(
        cause == one or (one.endswith("*") and cause.startswith(one[:-1]))
        for one in wanted.split("|")
    )


@pytest.mark.parametrize(("scenario", "stage", "reply"), REPLIES)
def test_reply(causes: dict[str, str], scenario: str, stage: Stage, reply: str) -> None:
    found = explain.explain_reply(reply, stage=stage)
    assert allows(causes[scenario], found.cause.id), found
    assert found.stage is stage


@pytest.mark.parametrize(("scenario", "failure", "stage", "detail", "variant"), FAILURES)
def test_failure(
    causes: dict[str, str],
    scenario: str,
    failure: Failure,
    stage: Stage,
    detail: dict[str, Any],
    variant: str | None,
) -> None:
    found = explain.explain_failure(NetworkFailure(failure, stage, **detail))
    assert allows(causes[scenario], found.cause.id), found
    assert found.variant == variant
    assert found.stage is stage
    assert found.confidence == 1.0


def test_every_scenario_with_a_cause_is_here(causes: dict[str, str]) -> None:
    here = {row[0] for row in REPLIES} | {row[0] for row in FAILURES}
    # S36 is the other side of S30, told apart by context; S51 and S52 name no cause of their own.
    elsewhere = {"S36", "S51", "S52"}
    assert here | elsewhere == set(causes)


def test_every_failure_has_a_row() -> None:
    for failure in Failure:
        assert explain.explain_failure(NetworkFailure(failure, Stage.ANY)).cause in explain.causes()
