"""The listeners' certificate: how strong, renewed while running, made here for a first try."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import stat
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from fakes.certs import Authority, Issued, Kind
from posthouse.net.clock import FakeClock
from posthouse.send.submit import tls
from posthouse.send.submit.tls import CertificateError, Certificates, self_made


class Files:
    """A certificate in use, and what was told of it."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.one = self.authority.issue(hosts=("127.0.0.1", "one.d.example"))
        self.two = self.authority.issue(hosts=("127.0.0.1", "two.d.example"))
        self.certificate, self.key = folder / "live.pem", folder / "live.key"
        self.clock = FakeClock()
        self.told: list[tuple[str, Mapping[str, Any]]] = []
        self.put(self.one)
        self.live = Certificates(self.certificate, self.key, self.clock, self.watch)

    def watch(self, kind: str, facts: Mapping[str, Any]) -> None:
        self.told.append((kind, facts))

    def put(self, issued: Issued) -> None:
        shutil.copy(issued.cert_file, self.certificate)
        shutil.copy(issued.key_file, self.key)

    async def shown(self, client: ssl.SSLContext | None = None, name: str = "127.0.0.1") -> str:
        """The name on the certificate that a client sees, by way of the TLS version."""
        server = await asyncio.start_server(
            lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=self.live.context()
        )
        async with server:
            _, writer = await asyncio.open_connection(
                *server.sockets[0].getsockname(),
                ssl=client or self.authority.client_context(), server_hostname=name,
            )  # fmt: skip
            peer = writer.get_extra_info("ssl_object")
            der = peer.getpeercert(binary_form=True)
            writer.close()
        found = x509.load_der_x509_certificate(der)
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.DNSName)[0].partition(".")[0]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


async def test_a_new_certificate_is_shown_without_a_restart(files: Files) -> None:
    assert await files.shown() == "one"
    files.put(files.two)
    assert await files.shown() == "one"  # not looked at for each handshake
    files.clock.advance(tls.LOOK)
    assert await files.shown() == "two"
    assert await files.shown(name="two.d.example") == "two"  # with a server name, and without
    assert [facts["result"] for _, facts in files.told] == ["loaded"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda f: f.certificate.write_text("no certificate"),
        lambda f: f.key.write_text(""),
        lambda f: f.certificate.unlink(),
        lambda f: shutil.copy(f.two.key_file, f.key),  # half of a renewal
    ],
)
async def test_a_failing_reload_keeps_what_was_there(files: Files, spoil) -> None:
    spoil(files)
    files.clock.advance(tls.LOOK)
    assert await files.shown() == "one"
    files.clock.advance(tls.LOOK)
    assert await files.shown() == "one"
    assert [facts["result"] for _, facts in files.told] == ["kept"]  # told once
    assert "PRIVATE" not in repr(files.told)
    files.put(files.two)
    files.clock.advance(tls.LOOK)
    assert await files.shown() == "two"


@pytest.mark.parametrize("kind", [Kind.EXPIRED, Kind.NOT_YET_VALID])
async def test_one_that_no_client_would_take_does_not_replace_a_good_one(
    files: Files, kind: Kind
) -> None:
    files.clock = FakeClock(datetime.now(UTC))
    files.live = Certificates(files.certificate, files.key, files.clock, files.watch)
    files.put(files.authority.issue(kind, hosts=("127.0.0.1", "two.d.example")))
    for _ in range(2):
        files.clock.advance(tls.LOOK)
        assert await files.shown() == "one"
    ((_, told),) = files.told  # once
    assert told["result"] == "kept"
    assert str(files.certificate) in told["reason"]
    begins = files.live._early
    assert (begins is not None) is (kind is Kind.NOT_YET_VALID)
    if begins is not None:
        files.clock.advance((begins - files.clock.now()).total_seconds())
        files.live.look()
        assert [facts["result"] for _, facts in files.told] == ["kept", "loaded"]


async def test_an_ended_one_may_be_replaced_by_whatever_there_is(files: Files) -> None:
    files.put(files.authority.issue(Kind.EXPIRED, hosts=("127.0.0.1", "one.d.example")))
    files.clock = FakeClock(datetime.now(UTC))
    files.live = Certificates(files.certificate, files.key, files.clock, files.watch)
    files.put(files.authority.issue(Kind.NOT_YET_VALID, hosts=("127.0.0.1",)))
    files.clock.advance(tls.LOOK)
    files.live.look()
    assert [facts["result"] for _, facts in files.told] == ["loaded"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_old_versions_are_refused(files: Files, version: ssl.TLSVersion) -> None:
    client = files.authority.client_context()
    client.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client.minimum_version = client.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await files.shown(client)


@pytest.mark.parametrize(
    ("ciphers", "welcome"),
    [
        ("ECDHE+AESGCM", True),
        ("ECDHE+CHACHA20", True),
        ("AES128-SHA", False),
        ("ECDHE+AES+SHA", False),
    ],
)
async def test_forward_secrecy_also_in_tls_1_2(files: Files, ciphers: str, welcome: bool) -> None:
    client = files.authority.client_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(ciphers)
    if welcome:
        assert await files.shown(client) == "one"
    else:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await files.shown(client)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_that_comes_again_resumes_also_after_a_renewal(
    files: Files, version: ssl.TLSVersion
) -> None:
    client = files.authority.client_context()
    client.minimum_version = client.maximum_version = version
    first = handshake(files.live.context(), client, None)
    assert not first.session_reused
    files.put(files.two)
    files.clock.advance(tls.LOOK)
    assert handshake(files.live.context(), client, first.session).session_reused


def handshake(
    server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None
) -> ssl.SSLObject:
    """Two ends in memory; the client's, after a word from the server (its tickets are read)."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(up, down, server_side=True)
    theirs = client.wrap_bio(down, up, server_hostname="127.0.0.1", session=session)
    left = [theirs, ours]
    for _ in range(10):
        for end in list(left):
            try:
                end.do_handshake()
                left.remove(end)
            except ssl.SSLWantReadError:
                pass
    ours.write(b"x")
    assert theirs.read(1) == b"x"
    return theirs


def test_nothing_to_begin_with(tmp_path: Path) -> None:
    clock = FakeClock()
    with pytest.raises(CertificateError, match="nowhere"):
        Certificates(tmp_path / "nowhere", tmp_path / "no", clock, lambda *_: None)
    (tmp_path / "x").write_text("x")
    with pytest.raises(CertificateError):
        Certificates(tmp_path / "x", tmp_path / "x", clock, lambda *_: None)


def test_a_certificate_made_here(tmp_path: Path) -> None:
    clock = FakeClock()
    now = clock.now()
    certificate, key = self_made(tmp_path / "data", now, ["relay.d.example"])
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "relay.d.example"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    Certificates(certificate, key, clock, lambda *_: None)
    before = certificate.read_bytes()
    self_made(tmp_path / "data", now + timedelta(days=tls.DAYS - 2))
    assert certificate.read_bytes() == before
    self_made(tmp_path / "data", now + timedelta(days=tls.DAYS))
    assert certificate.read_bytes() != before
