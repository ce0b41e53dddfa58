"""S19-S29: encryption, certificates, and signing in that waits for them."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dh, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    ParameterFormat,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from fakes.certs import Kind
from posthouse.flow import Endpoint, Failure, Security, Status
from posthouse.net.clock import SystemClock
from posthouse.net.stream import TcpStream
from posthouse.setup.probe import Envelope, Options
from scenarios.conftest import Scene, finding_ids, login, says, steps
from scenarios.peer import Peer


def no_credential(server: Peer) -> None:
    """Nothing that could hold a password ever reached the server."""
    assert "AUTH" not in server.verbs()
    assert server.credentials == []


@dataclass
class ShiftedClock(SystemClock):
    """A computer whose date is wrong by so much."""

    shift: timedelta

    def now(self) -> datetime:
        return datetime.now(UTC) + self.shift


async def test_s19_no_encryption_offered(scene: Scene) -> None:
    server = await scene.server(587, starttls="")
    await scene.server(465)
    result = await scene.probe(587, login=login())
    says(
        result,
        "no_encryption",
        "tls.failed",
        "mail.test:587",
        "mail.test:465",
        en=("no password is sent",),
        zh=("不会在这里发送密码",),
    )
    assert result.suggestion == Endpoint("mail.test", 465, Security.TLS)
    assert "no_tls" in finding_ids(result)
    no_credential(server)


@pytest.mark.parametrize("erased", ["XXXXXXXA", "********"])
async def test_s20_starttls_erased_by_a_firewall(scene: Scene, erased: str) -> None:
    server = await scene.server(587, starttls=erased)
    await scene.server(465)
    result = await scene.probe(587, login=login())
    says(
        result,
        "starttls_erased",
        "tls.failed",
        "mail.test:587",
        erased,
        "Cisco",
        "mail.test:465",
        en=("firewall",),
        zh=("防火墙",),
    )
    no_credential(server)


@pytest.mark.parametrize(
    "reply", ["454 4.7.0 TLS not available due to local problem", "502 5.5.1 Not implemented"]
)
async def test_s21_starttls_offered_and_refused(scene: Scene, reply: str) -> None:
    server = await scene.server(587, replies={"STARTTLS": reply})
    result = await scene.probe(587, login=login())
    says(result, "starttls_broken", "tls.failed", "mail.test:587", reply[10:20], "465")
    no_credential(server)


async def test_s21_garbage_after_220(scene: Scene) -> None:
    server = await scene.server(
        587,
        after_starttls=b"250 what now?\r\n",
    )
    result = await scene.probe(587, login=login())
    says(result, "starttls_broken", "tls.failed", "mail.test:587", "STARTTLS")
    no_credential(server)


async def test_s22_expired(scene: Scene) -> None:
    server = await scene.server(587, kind=Kind.EXPIRED)
    result = await scene.probe(587, login=login())
    today = datetime.now(UTC)
    gone = (today - timedelta(days=5)).date().isoformat()
    says(result, "expired", "tls.certificate", "mail.test", gone, "5", today.date().isoformat())
    no_credential(server)
    assert result.tls is not None  # shown also when it fails
    assert result.tls.leaf is not None
    assert "BEGIN CERTIFICATE" in result.tls.leaf.pem
    assert "ehlo_tls" in steps(result)  # what the server can do is told all the same


async def test_s23_the_clock_is_three_years_behind(scene: Scene) -> None:
    now = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
    server = await scene.server(587, greeting=f"220 mail.test ESMTP Exim 4.96 {now}")
    scene.clock = ShiftedClock(timedelta(days=-3 * 365.25))
    result = await scene.probe(587, login=login())
    says(
        result,
        "clock_wrong",
        "tls.certificate",
        "mail.test",
        en=("3 years behind",),
        zh=("慢了 3 年",),
    )
    no_credential(server)


async def test_s23_the_clock_is_ahead(scene: Scene) -> None:
    now = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
    await scene.server(465, greeting=f"220 mail.test ESMTP {now}")
    scene.clock = ShiftedClock(timedelta(days=400))
    result = await scene.probe(465)
    says(result, "clock_wrong", "tls.certificate", en=("400 days ahead",), zh=("快了 400 天",))


async def test_s23_not_yet_valid_and_nobody_tells_the_time(scene: Scene) -> None:
    await scene.server(587, kind=Kind.NOT_YET_VALID)
    result = await scene.probe(587)
    begins = (datetime.now(UTC) + timedelta(days=10)).date().isoformat()
    says(result, "not_yet_valid", "tls.certificate", "mail.test", begins)


async def test_s24_self_signed(scene: Scene) -> None:
    server = await scene.server(587, kind=Kind.SELF_SIGNED)
    result = await scene.probe(587, login=login())
    assert result.tls is not None
    assert result.tls.leaf is not None
    says(
        result,
        "self_signed",
        "tls.certificate",
        "mail.test",
        result.tls.leaf.sha256,
        en=("self-signed", "fingerprint"),
        zh=("自签名", "指纹"),
    )
    no_credential(server)


async def test_s24_private_ca(scene: Scene) -> None:
    server = await scene.server(587, kind=Kind.UNKNOWN_CA)
    result = await scene.probe(587, login=login())
    says(result, "unknown_ca", "tls.certificate", "mail.test", "Some Private Root")
    no_credential(server)


async def test_s24_a_virus_scanner_reads_along(scene: Scene) -> None:
    server = await scene.server(587, kind=Kind.INTERCEPTION)
    result = await scene.probe(587, login=login())
    says(
        result,
        "intercepted",
        "tls.certificate",
        "mail.test",
        "Avast",
        en=("replaced",),
        zh=("换掉",),
    )
    no_credential(server)


async def test_s25_wrong_name_and_the_right_one(scene: Scene) -> None:
    scene.dns.set("host.provider.test", "A", ["127.0.0.1"])
    server = await scene.server(587, hosts=("host.provider.test",))
    result = await scene.probe(587, login=login())
    says(result, "wrong_name", "tls.certificate", "mail.test", "host.provider.test")
    assert result.suggestion == Endpoint("host.provider.test", 587, Security.STARTTLS)
    no_credential(server)


async def test_s25_wrong_name_of_another_machine(scene: Scene) -> None:
    scene.dns.set("host.provider.test", "A", ["127.0.0.2"])
    await scene.server(587, hosts=("host.provider.test",))
    result = await scene.probe(587)
    says(result, "wrong_name", "tls.certificate", "mail.test", "host.provider.test")
    assert result.verdict.params["variant"] == "unproven"


async def test_s26_missing_intermediate(scene: Scene) -> None:
    server = await scene.server(587, kind=Kind.MISSING_INTERMEDIATE)
    result = await scene.probe(587, login=login())
    says(
        result,
        "missing_intermediate",
        "tls.certificate",
        "mail.test",
        "Posthouse Test Intermediate",
        en=("intermediate certificate",),
        zh=("中间证书",),
    )
    no_credential(server)


async def test_s27_only_tls_10(scene: Scene) -> None:
    server = await scene.server(587, tls=scene.authority.tls10_context())
    result = await scene.probe(587, login=login())
    says(
        result,
        "old_tls",
        "tls.failed",
        "mail.test:587",
        "TLS 1.0",
        "1.2",
        en=("only", "refuse"),
        zh=("只支持", "拒绝"),
    )
    no_credential(server)


@pytest.mark.parametrize("kind", [Kind.WEAK_KEY, Kind.WEAK_SIGNATURE])
async def test_s27_weak_certificate(scene: Scene, kind: Kind) -> None:
    server = await scene.server(587, kind=kind)
    result = await scene.probe(587, login=login())
    essential = "RSA 1024" if kind is Kind.WEAK_KEY else "SHA1"
    assert result.verdict.id in ("weak_certificate", "weak_tls")
    says(result, result.verdict.id, "tls.failed", "mail.test")
    if result.verdict.id == "weak_certificate":
        says(result, "weak_certificate", "tls.failed", essential)
    no_credential(server)


async def test_s27_no_cipher_in_common(scene: Scene) -> None:
    context = scene.authority.context(versions=(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2))
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")
    server = await scene.server(587, tls=context)
    result = await scene.probe(587, login=login())
    says(result, "weak_tls", "tls.failed", "mail.test:587")
    no_credential(server)


OAKLEY_GROUP_2 = int(  # RFC 2409 section 6.2: the 1024-bit group that old servers come with
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404"
    "DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406"
    "B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF",
    16,
)


def rsa_certificate(folder: Path) -> Path:
    """Key and self-signed certificate in one file: the suites of old signed with RSA."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.test")])
    now = datetime.now(UTC)
    built = x509.CertificateBuilder(
        name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=9)
    )
    words = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = folder / "rsa.pem"
    file.write_bytes(
        key.private_bytes(*words) + built.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    )
    return file


async def test_s27_weak_diffie_hellman(scene: Scene, tmp_path: Path) -> None:
    parameters = dh.DHParameterNumbers(OAKLEY_GROUP_2, 2).parameters()
    pem = parameters.parameter_bytes(Encoding.PEM, ParameterFormat.PKCS3)
    (tmp_path / "dh.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(rsa_certificate(tmp_path))
    context.set_ciphers("DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0")
    context.load_dh_params(str(tmp_path / "dh.pem"))
    server = await scene.server(587, tls=context)
    result = await scene.probe(587, login=login())
    says(result, "weak_tls", "tls.failed", "mail.test:587", "2048")
    no_credential(server)


async def test_s28_no_login_on_port_25(scene: Scene) -> None:
    server = await scene.server(25, ehlo=("SIZE 1000000",))
    await scene.server(587)
    result = await scene.probe(25, login=login())
    says(result, "auth_not_here", "auth.mechanism", "mail.test:25", "mail.test:587", "25")
    assert result.suggestion == Endpoint("mail.test", 587, Security.STARTTLS)
    no_credential(server)


async def test_s28_no_login_anywhere(scene: Scene) -> None:
    server = await scene.server(587, ehlo=("SIZE 1000000",))
    result = await scene.probe(587, login=login())
    says(result, "auth_not_here", "auth.mechanism", "mail.test:587")
    no_credential(server)


async def test_s28_login_only_after_starttls(scene: Scene) -> None:
    server = await scene.server(587, ehlo=("SIZE 1000000",))
    result = await scene.probe(587, Security.NONE, login=login())
    says(result, "auth_needs_tls", "auth.mechanism", "mail.test:587", "STARTTLS")
    no_credential(server)


async def test_s29_must_issue_starttls_first(scene: Scene) -> None:
    server = await scene.server(
        587, replies={"MAIL": "530 5.7.0 Must issue a STARTTLS command first"}
    )
    result = await scene.probe(
        587, Security.NONE, envelope=Envelope("alice@mail.test", ("bob@else.test",))
    )
    says(
        result,
        "auth_needs_tls",
        "tls.required",
        "mail.test:587",
        "STARTTLS",
        en=("encryption on",),
        zh=("开启加密",),
    )
    no_credential(server)


async def test_s29_a_password_is_never_sent_in_clear(scene: Scene) -> None:
    """Also where the server would take it: our own rule (RFC 8314 section 3)."""
    server = await scene.server(587, starttls="")
    result = await scene.probe(587, Security.NONE, login=login())
    says(result, "auth_needs_tls", "tls.required", "mail.test:587")
    assert "auth_before_tls" in finding_ids(result)
    no_credential(server)


async def test_row_67_sslv3_is_found(scene: Scene) -> None:
    """A server that answers a hand-made SSLv3 hello, which no OpenSSL of today can send."""

    async def sslv3(stream: TcpStream) -> None:
        hello = await stream.read()
        if hello[1:3] == b"\x03\x00":
            body = b"\x03\x00" + bytes(32) + b"\x00" + b"\x00\x0a" + b"\x00"
            message = b"\x02" + len(body).to_bytes(3, "big") + body
            await stream.write(b"\x16\x03\x00" + len(message).to_bytes(2, "big") + message)
        else:
            await stream.write(b"\x15\x03\x00\x00\x02\x02\x46")  # protocol_version
        await stream.close()

    await scene.server(465, raw=sslv3)
    result = await scene.probe(465)
    says(result, "old_tls", "tls.failed", "mail.test:465", "SSL 3")
    tls = result.trace.find("tls")
    assert tls is not None
    assert tls.status is Status.FAIL
    assert tls.detail["failure"] == Failure.TLS_HANDSHAKE.value


async def test_row_66_and_146_weak_tls_is_a_finding(scene: Scene) -> None:
    context = scene.authority.context(versions=(ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_3))
    await scene.server(587, tls=context)
    result = await scene.probe(587, options=Options(thorough=True))
    says(result, "ok", None, "mail.test:587")
    assert {"tls_old_versions", "no_ptr"} <= finding_ids(result)


async def test_row_68_words_injected_behind_starttls(scene: Scene) -> None:
    """CVE-2011-0411 and its kin: a plain-text answer must not count inside TLS."""
    context = scene.authority.context(hosts=("mail.test",))

    async def injected(stream: TcpStream) -> None:
        await stream.write(b"220 mail.test ESMTP\r\n")
        await stream.read()
        await stream.write(b"250-mail.test\r\n250 STARTTLS\r\n")
        await stream.read()
        await stream.write(b"220 Go ahead\r\n250-evil\r\n250 AUTH PLAIN\r\n")
        await stream.accept_tls(context)
        await stream.read()
        await stream.write(b"250-mail.test\r\n250 SIZE 1000\r\n")
        await stream.read()
        await stream.write(b"221 Bye\r\n")

    await scene.server(587, raw=injected)
    result = await scene.probe(587)
    assert "starttls_injection" in finding_ids(result)
    assert result.extensions == {"SIZE": "1000"}
