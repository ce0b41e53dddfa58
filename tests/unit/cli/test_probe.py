"""``posthouse probe``: steps, verdict, transcript, exit codes."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pytest

from canaries import PASSWORD, WRONG_PASSWORD
from fakes.certs import Authority, Kind
from fakes.smtp import Behaviour, FakeSmtpServer
from posthouse.flow import Failure
from unit.cli.world import Ran, World

HOST = "smtp.d.example"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def peer(world: World, authority: Authority) -> FakeSmtpServer:
    """A good server on 465 and (by STARTTLS) on 587; returned is the one on 465."""
    context = authority.context(hosts=(HOST,))
    tls, plain = (_fake(context, implicit=implicit) for implicit in (True, False))
    world.dns[(HOST, "A")] = ["192.0.2.1"]
    world.peers.update({(HOST, 465): tls, (HOST, 587): plain})
    return tls


def _fake(context: ssl.SSLContext, *, implicit: bool, **more: object) -> FakeSmtpServer:
    accounts = {"alice@d.example": PASSWORD}
    behaviour = Behaviour(tls=context, implicit_tls=implicit, accounts=accounts, **more)
    return FakeSmtpServer(behaviour)


def probe(world: World, authority: Authority, *arguments: str, lang: str = "en") -> Ran:
    ca = str(authority.ca_file)
    return world.run("probe", *arguments, "--ca-file", ca, "--timeout", "3", lang=lang)


def test_a_good_server(world: World, authority: Authority, peer: FakeSmtpServer) -> None:
    ran = probe(world, authority, HOST)
    assert ran.code == 0
    assert "works: reached, encrypted, certificate good" in ran.out
    for step in ("Look up the name", "Connect", "Encrypt the connection", "Check the certificate"):
        assert step in ran.err
    assert "Issued by" in ran.out
    assert "PIPELINING" in ran.out
    assert "takes several commands at once" in ran.out


@pytest.mark.parametrize("port", [465, 587])
def test_each_port(world: World, authority: Authority, peer: FakeSmtpServer, port: int) -> None:
    answer = probe(world, authority, f"{HOST}:{port}", "--json").json
    assert answer["verdict"]["id"] == "ok"
    assert answer["endpoint"]["port"] == port
    assert {"steps", "tls", "extensions", "transcript"} <= set(answer)


def test_the_transcript_has_marks_and_masks(
    world: World, authority: Authority, peer: FakeSmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTHOUSE_PASSWORD", PASSWORD)
    ran = probe(world, authority, f"{HOST}:587", "--login", "--user", "alice@d.example", "-v")
    assert ran.code == 0
    lines = [line.strip() for line in ran.err.splitlines()]
    assert any(line.startswith("-> EHLO") for line in lines)
    assert any(line.startswith("-> STARTTLS") for line in lines)
    assert any(line.startswith("~> AUTH PLAIN ***") for line in lines), ran.err
    assert any(line.startswith("<~ 235") for line in lines)
    assert "signing in succeeded" in ran.out


def test_a_refused_sign_in_is_exit_code_4_after_one_try(
    world: World, authority: Authority, peer: FakeSmtpServer, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(WRONG_PASSWORD + "\n")
    arguments = ("--login", "--user", "alice@d.example", "--password-file", str(secret))
    ran = probe(world, authority, f"{HOST}:465", *arguments)
    assert ran.code == 4
    assert "refused user name or password" in " ".join(ran.out.split())
    assert sum(len(seen.credentials) for seen in peer.seen) == 1


def test_a_test_message(
    world: World, authority: Authority, peer: FakeSmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTHOUSE_PASSWORD", PASSWORD)
    arguments = ("--login", "--user", "alice@d.example", "--send-test", "bob@d.example")
    ran = probe(world, authority, f"{HOST}:465", *arguments, lang="zh")
    assert ran.code == 0
    (message,) = peer.messages
    assert message.mail.sender == "alice@d.example"
    assert b"Message-ID:" in message.content


def test_nothing_is_sent_without_being_asked(
    world: World, authority: Authority, peer: FakeSmtpServer
) -> None:
    arguments = ("--mail-from", "alice@d.example", "--rcpt-to", "bob@d.example")
    assert probe(world, authority, f"{HOST}:465", *arguments).code == 0
    assert not peer.messages
    assert "RSET" in peer.last.lines


def test_a_blocked_port_says_which_one_works(
    world: World, authority: Authority, peer: FakeSmtpServer
) -> None:
    world.peers[HOST, 465] = Failure.TIMEOUT
    ran = probe(world, authority, f"{HOST}:465")
    assert ran.code == 1
    assert "587 works; 465 is blocked" in " ".join(ran.out.split())
    assert "Looked around" in ran.out


def test_a_bad_certificate_is_printed(world: World, authority: Authority) -> None:
    world.dns[(HOST, "A")] = ["192.0.2.1"]
    context = authority.context(Kind.EXPIRED, hosts=(HOST,))
    world.peers[HOST, 465] = _fake(context, implicit=True)
    ran = probe(world, authority, f"{HOST}:465")
    assert ran.code == 1
    assert "expired on" in ran.out
    assert "SHA-256" in ran.out


def test_no_such_name(world: World, authority: Authority) -> None:
    ran = probe(world, authority, "smtp.gmial.com:465")
    assert ran.code == 1
    assert "smtp.gmail.com" in ran.out


def test_a_comparison_with_an_earlier_run(
    world: World, authority: Authority, peer: FakeSmtpServer, tmp_path: Path
) -> None:
    before = tmp_path / "before.json"
    before.write_text(json.dumps({"extensions": {"ETRN": "", "SIZE": "1"}}))
    ran = probe(world, authority, f"{HOST}:465", "--against", str(before))
    text = " ".join(ran.out.split())
    assert "No longer offered: ETRN" in text
    assert "Newly offered" in text


def test_an_address_is_looked_up_first(
    world: World, authority: Authority, peer: FakeSmtpServer
) -> None:
    world.dns[("d.example", "MX")] = ["10 mx.d.example."]
    world.dns[("_submission._tcp.d.example", "SRV")] = [f"0 1 587 {HOST}."]
    answer = probe(world, authority, "alice@d.example", "--json").json
    assert answer["endpoint"] == {"host": HOST, "port": 587, "security": "starttls"}


def test_a_well_known_name_that_dns_hides(world: World, authority: Authority) -> None:
    ran = probe(world, authority, "smtp.qq.com:465")
    assert ran.code == 1
    assert "well-known server" in " ".join(ran.out.split())
