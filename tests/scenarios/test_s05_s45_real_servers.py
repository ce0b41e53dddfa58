"""The same verdicts from a real Postfix, with a real login, on the real ports.

Names are looked up by unbound and NSD where Postfix asks them; ours come from the scene.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from canaries import PASSWORD, WRONG_PASSWORD
from fakes.certs import Authority, Kind
from peers import dovecot, postfix, process, unbound
from posthouse.flow import Endpoint, Security
from posthouse.setup.probe import Envelope, Login, Options, ProbeResult, TestMessage
from scenarios.conftest import Scene, finding_ids, login, says

pytestmark = [pytest.mark.netns, pytest.mark.peer("postfix", "dovecot", "nsd", "unbound")]

HOST, DOMAIN = "real.test", "firma.test"
MAIL, STORE = "127.0.0.60", "127.0.0.61"
ALICE, BOB = f"alice@{DOMAIN}", f"bob@{DOMAIN}"
BAD_CERTIFICATE, BROKEN = "127.0.0.62", "127.0.0.63"
ZONES = {
    DOMAIN: [f"@ MX 10 {HOST}."],
    "null.test": ["@ MX 0 ."],
    "bl.test": ["1.0.0.127 A 127.0.0.2", '1.0.0.127 TXT "listed for the test"'],
}
SETTINGS = {
    "message_size_limit": "20000",
    "smtpd_recipient_limit": "2",
    "smtputf8_enable": "no",
    "virtual_mailbox_maps": f"inline:{{ {ALICE}=x {BOB}=x }}",
    "smtpd_sender_login_maps": f"inline:{{ {ALICE}={ALICE} boss@{DOMAIN}=boss@{DOMAIN} }}",
    "smtpd_sender_restrictions": "reject_sender_login_mismatch, reject_unknown_sender_domain",
    "smtpd_helo_restrictions": "reject_non_fqdn_helo_hostname",
    "smtpd_recipient_restrictions": "reject_unknown_recipient_domain",
}


@pytest.fixture(scope="module")
def authority_of_servers() -> Authority:
    return Authority(process.new_folder("ca"))


@pytest.fixture(scope="module")
def running(authority_of_servers: Authority) -> Iterator[dovecot.Dovecot]:
    certificate = authority_of_servers.issue(hosts=[HOST])
    with (
        unbound.with_nsd(ZONES),
        dovecot.running(STORE, {ALICE: PASSWORD, BOB: PASSWORD}, certificate) as store,
        postfix.running(
            MAIL, certificate, name=HOST, domains=[DOMAIN], lmtp=store, settings=SETTINGS
        ),
    ):
        yield store


async def ask(
    scene: Scene,
    authority: Authority,
    port: int = 587,
    *,
    at: str = MAIL,
    who: Login | None = None,
    **wish: Any,
) -> ProbeResult:
    """Probe the real server, known by its name."""
    scene.authority = authority
    scene.dns.set(HOST, "A", [at])
    security = Security.TLS if port == 465 else Security.STARTTLS
    return await scene.probe(Endpoint(HOST, port, security), login=who, **wish)


def to(*recipients: str, sender: str = ALICE, **more: Any) -> dict[str, Any]:
    return {"who": login(ALICE), "envelope": Envelope(sender, recipients), **more}


CASES: list[tuple[str, dict[str, Any], str, str | None, tuple[str, ...]]] = [
    ("S30 wrong", {"who": login(ALICE, WRONG_PASSWORD)}, "wrong_password", "auth.credentials",
     (HOST, ALICE)),
    ("S30 right", {"who": login(ALICE)}, "ok", None, (HOST,)),
    ("S37", to(BOB, sender=f"boss@{DOMAIN}"), "from_not_owned", "sender.not_allowed",
     (ALICE, f"boss@{DOMAIN}")),
    ("S39", to(BOB, message=TestMessage(pad=30_000)), "too_big", "msg.too_big", ("20 KB", "30 KB")),
    ("S40", to(f"jösé@{DOMAIN}"), "smtputf8_missing", "protocol.error", ("SMTPUTF8",)),
    ("S41", to(f"nobody@{DOMAIN}"), "unknown_user", "rcpt.unknown", (f"nobody@{DOMAIN}",)),
    ("S45 null MX", to("bob@null.test"), "rcpt_domain", "rcpt.domain", ("null.test", "null MX")),
    ("S17", to(BOB, options=Options(ehlo_name="laptop")), "helo_name", "sender.ip_identity",
     ("laptop", "EHLO")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wish", "verdict", "cause", "essentials"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
async def test_a_real_postfix(
    scene: Scene,
    running: dovecot.Dovecot,
    authority_of_servers: Authority,
    wish: dict[str, Any],
    verdict: str,
    cause: str | None,
    essentials: tuple[str, ...],
) -> None:
    scene.dns.set("null.test", "MX", ["0 ."])
    result = await ask(scene, authority_of_servers, **wish)
    says(result, verdict, cause, *essentials)


async def test_s44_recipients_are_split(
    scene: Scene, running: dovecot.Dovecot, authority_of_servers: Authority
) -> None:
    before = len(running.messages(BOB))
    wish = to(ALICE, BOB, f"alice+a@{DOMAIN}", message=TestMessage())
    wish["envelope"] = Envelope(ALICE, (ALICE, BOB, ALICE))
    result = await ask(scene, authority_of_servers, **wish)
    says(result, "too_many_recipients", "rate.recipients", "3", "2")
    assert result.delivery.batches == (2, 1)
    arrived = process.wait_for_messages(lambda: running.messages(BOB)[before:], 1)
    assert result.delivery.message_id.encode() in arrived[0]


async def test_s05_s42_relay_denied_at_the_mx(
    scene: Scene, running: dovecot.Dovecot, authority_of_servers: Authority
) -> None:
    scene.dns.set(DOMAIN, "MX", [f"10 {HOST}."])
    scene.dns.set(f"_submissions._tcp.{DOMAIN}", "SRV", [f"0 1 465 {HOST}."])
    envelope = Envelope(ALICE, ("carol@null.test",))
    result = await ask(scene, authority_of_servers, 25, envelope=envelope)
    says(result, "mx_not_submission", "relay.denied", HOST, f"{HOST}:465")
    assert "relay_port" in finding_ids(result)


@pytest.mark.parametrize(
    ("kind", "verdict", "essentials"),
    [
        (Kind.EXPIRED, "expired", ("5",)),
        (Kind.SELF_SIGNED, "self_signed", (":",)),
        (Kind.WRONG_NAME, "wrong_name", ("mx.elsewhere.test",)),
        (Kind.MISSING_INTERMEDIATE, "missing_intermediate", ("Posthouse Test Intermediate",)),
        (Kind.INTERCEPTION, "intercepted", ("Avast",)),
    ],
)
async def test_s22_s26_certificates(
    scene: Scene,
    running: dovecot.Dovecot,
    authority_of_servers: Authority,
    kind: Kind,
    verdict: str,
    essentials: tuple[str, ...],
) -> None:
    certificate = authority_of_servers.issue(kind, hosts=[HOST])
    with server(BAD_CERTIFICATE, certificate=certificate, lmtp=running) as peer:
        result = await ask(
            scene, authority_of_servers, at=BAD_CERTIFICATE, who=login(ALICE, WRONG_PASSWORD)
        )
        assert "sasl" not in peer.daemon.log().lower()
    says(result, verdict, "tls.certificate", HOST, *essentials)


@contextmanager
def server(host: str, **how: Any) -> Iterator[postfix.Postfix]:
    how = {"ports": (postfix.SUBMISSION,), "domains": [DOMAIN], "name": HOST, **how}
    certificate = how.pop("certificate")
    with postfix.running(host, certificate, **how) as peer:
        yield peer


async def test_s19_without_a_certificate_there_is_no_encryption(
    scene: Scene, running: dovecot.Dovecot, authority_of_servers: Authority
) -> None:
    plain = {"smtpd_tls_security_level": "none", "smtpd_tls_auth_only": "no"}
    with server(BROKEN, certificate=None, lmtp=running, settings=plain) as peer:
        result = await ask(scene, authority_of_servers, at=BROKEN, who=login(ALICE))
        assert "sasl" not in peer.daemon.log().lower()
    says(result, "no_encryption", "tls.failed", f"{HOST}:587")


async def test_s21_a_key_that_does_not_fit(
    scene: Scene, running: dovecot.Dovecot, authority_of_servers: Authority
) -> None:
    one, other = (authority_of_servers.issue(hosts=[name]) for name in (HOST, "else.test"))
    files = {"smtpd_tls_cert_file": str(one.cert_file), "smtpd_tls_key_file": str(other.key_file)}
    settings = {"smtpd_tls_chain_files": "", "smtpd_tls_security_level": "may", **files}
    with server(BROKEN, certificate=one, lmtp=running, settings=settings):
        result = await ask(scene, authority_of_servers, at=BROKEN, who=login(ALICE))
    assert result.verdict.id in ("starttls_broken", "no_encryption")
    says(result, result.verdict.id, "tls.failed", f"{HOST}:587", "465")


async def test_s15_on_a_block_list(
    scene: Scene, running: dovecot.Dovecot, authority_of_servers: Authority
) -> None:
    listed = {"smtpd_client_restrictions": "reject_rbl_client bl.test", "smtpd_delay_reject": "no"}
    one = authority_of_servers.issue(hosts=[HOST])
    with server(BROKEN, certificate=one, settings=listed):
        result = await ask(scene, authority_of_servers, at=BROKEN)
    says(result, "ip_blocked", "sender.reputation", HOST, "127.0.0.1", "587")


def greeted() -> socket.socket:
    """The one connection that Postfix allows: once it has counted out that of who saw it start."""
    for _ in range(100):
        held = socket.create_connection((BROKEN, 587), timeout=5)
        with suppress(OSError):
            if held.recv(100).startswith(b"220"):
                return held
        held.close()
        time.sleep(0.1)
    raise AssertionError("never greeted")


async def test_s16_too_many_connections(
    scene: Scene, running: dovecot.Dovecot, authority_of_servers: Authority
) -> None:
    few = {"smtpd_client_connection_count_limit": "1", "smtpd_client_event_limit_exceptions": ""}
    one = authority_of_servers.issue(hosts=[HOST])
    with server(BROKEN, certificate=one, settings=few), greeted():
        result = await ask(scene, authority_of_servers, at=BROKEN)
    says(result, "too_many", "rate.limited", HOST, en=("fewer connections",), zh=("减少同时",))
