"""What ``posthouse serve`` keeps out: injected commands, strangers, other people's names, old TLS.

Real sockets and ``openssl s_client`` talk to the real command on its real ports.
"""

from __future__ import annotations

import base64
import re
import smtplib
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pytest

from canaries import PASSWORD, WRONG_PASSWORD
from fakes.background import running as in_background
from fakes.behaviour import Behaviour
from fakes.certs import Authority
from fakes.letter import hard, letter, unchanged
from fakes.middle import Middle
from fakes.smtp import FakeSmtpServer
from fakes.wire import said
from peers import process, relay

pytestmark = pytest.mark.netns

FAR, MIDDLE, OUTSIDE = "127.0.0.30", "127.0.0.50", "192.0.2.99"
ELSEWHERE = "127.0.0.8"  # for a relay beside the one of all tests
ALICE, BOB, EVIL = "alice@example.test", "bob@far.test", "evil@x.test"


@contextmanager
def talking(port: int, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    with socket.create_connection((relay.HOST, port), 20, (source, 0)) as sock:
        yield sock


# STARTTLS injection (CVE-2011-0411 and its kin)


@dataclass
class World:
    authority: Authority
    relay: relay.Relay
    far: FakeSmtpServer


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    authority = Authority(process.new_folder("ca"))
    certificate = authority.issue(hosts=(relay.NAME, relay.HOST), rsa=True)
    config = relay.text(relay.plain("far", f"{FAR}:25"), certificate=certificate, workers=2)
    address = ["ip", "address", "add", f"{OUTSIDE}/32", "dev", "lo"]
    subprocess.run(address, check=True)
    users = {ALICE: [ALICE, "*@team.example.test"], "eve@example.test": ["eve@example.test"]}
    with (
        in_background(FakeSmtpServer(Behaviour(), host=FAR, port=25)) as far,
        relay.running(config, users=users) as ours,
    ):
        yield World(authority, ours, far)
    subprocess.run([*address[:2], "del", *address[3:]], check=True)


@pytest.mark.parametrize("port", [587, 25])
def test_commands_before_the_handshake_are_thrown_away(world: World, port: int) -> None:
    with talking(port) as sock:
        said(sock, b"")
        said(sock, b"EHLO client.test\r\n")
        injected = f"EHLO evil.test\r\nMAIL FROM:<{EVIL}>\r\nRCPT TO:<{BOB}>\r\n"
        (ready,) = said(sock, b"STARTTLS\r\n" + injected.encode())
        assert ready.startswith(b"220 ")
        context = world.authority.client_context()
        with context.wrap_socket(sock, server_hostname=relay.NAME) as secure:
            # Had one of them been kept, its answer would come before this one's.
            (reply,) = said(secure, b"NOOP\r\n")
            assert reply.startswith((b"250 2.0.0", b"503 "))
            (hello,) = said(secure, b"EHLO client.test\r\n")
            assert hello.startswith(b"250 ")
            assert said(secure, f"RCPT TO:<{BOB}>\r\n".encode())[0].startswith(b"503 ")
    assert EVIL not in world.relay.daemon.log()


def test_lies_before_the_handshake_are_not_believed_by_our_delivery() -> None:
    lies = b"250-mail.test\r\n250 AUTH EXTERNAL\r\n235 2.7.0 welcome\r\n250 2.1.0 Ok\r\n"
    authority = Authority(process.new_folder("ca"))
    behaviour = Behaviour(
        tls=authority.context(hosts=(MIDDLE, FAR)),
        mechanisms=("PLAIN",), accounts={ALICE: PASSWORD}, require_tls=True, require_auth=True,
    )  # fmt: skip
    hop = relay.smart("far", f"{MIDDLE}:587", authority.ca_file, security="starttls", user=ALICE)
    sent = hard("through the middle")
    with (
        in_background(FakeSmtpServer(behaviour, host=FAR, port=587)) as far,
        in_background(Middle(MIDDLE, FAR, behind_220=lies)),
        relay.running(relay.text(hop, host=ELSEWHERE), host=ELSEWHERE) as ours,
    ):
        ours.send(sent, ALICE, BOB)
        process.wait_until("a message", lambda: far.messages or len(ours.log("deferred")) > 1)
        # Ours may go on or give up; either way nothing was believed and nothing sent in the clear.
        assert not [one for one in far.seen if one.auth_in_clear]
        for message in far.messages:
            assert unchanged(message.content, sent)
        assert len(far.messages) + len(ours.log("deferred")) >= 1


def test_a_hop_that_drops_starttls_gets_neither_password_nor_mail() -> None:
    authority = Authority(process.new_folder("ca"))
    behaviour = Behaviour(mechanisms=("PLAIN",), accounts={ALICE: PASSWORD})
    hop = relay.smart("far", f"{FAR}:587", authority.ca_file, security="starttls", user=ALICE)
    with (
        in_background(FakeSmtpServer(behaviour, host=FAR, port=587)) as far,
        relay.running(relay.text(hop, host=ELSEWHERE), host=ELSEWHERE) as ours,
    ):
        ours.send(hard("not in the clear"), ALICE, BOB)
        ours.wait_for_log("deferred", 2)
        assert far.messages == []
        assert {line.split()[0] for seen in far.seen for line in seen.lines} <= {"EHLO", "QUIT"}
        assert not [seen for seen in far.seen if seen.credentials]


# Not an open relay


@pytest.mark.parametrize(
    "recipient",
    [BOB, "bob%far.test@relay.test", "@relay.test:bob@far.test", '"bob@far.test"@relay.test',
     "far.test!bob@relay.test", "postmaster"],
)  # fmt: skip
def test_nobody_from_outside_is_heard_on_25(world: World, recipient: str) -> None:
    with talking(25, OUTSIDE) as sock:
        greeting = said(sock, b"")
        assert greeting[0].startswith(b"554 5.7.1 ")
        group = f"EHLO x.test\r\nMAIL FROM:<{ALICE}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n"
        replies = said(sock, group.encode(), 4)
    assert not [r for r in replies if r[:1] in b"23" and not r.startswith(b"221")]
    assert world.relay.log("rejected")[-1]["client"] == OUTSIDE


@pytest.mark.parametrize("port", [465, 587])
def test_nobody_sends_without_a_login(world: World, port: int) -> None:
    trust = world.authority.client_context()
    with world.relay.client(port, trust) as client:
        client.ehlo("client.test")
        assert client.mail(ALICE)[0] == 530
        assert client.mail("")[0] == 530
        assert client.rcpt(BOB)[0] == 503
        assert client.docmd("DATA")[0] == 503
        assert client.docmd("BDAT", "0 LAST")[0] == 503


@pytest.mark.parametrize("port", [587, 25])
def test_no_login_in_the_clear(world: World, port: int) -> None:
    password = world.relay.passwords[ALICE]
    before = len(world.relay.log("login"))
    plain = base64.b64encode(f"\0{ALICE}\0{password}".encode()).decode()
    with world.relay.client(port) as client:
        client.ehlo("client.test")
        assert not client.has_extn("auth")
        assert client.docmd("AUTH", f"PLAIN {plain}")[0] in (502, 503, 530, 538)
        assert client.docmd("AUTH", "LOGIN")[0] in (502, 503, 530, 538)
        if port == 587:
            assert client.mail(ALICE)[0] == 530
    assert len(world.relay.log("login")) == before


def test_no_login_at_all_on_25_even_inside_tls(world: World) -> None:
    with world.relay.client(25, world.authority.client_context()) as client:
        client.ehlo("client.test")
        assert not client.has_extn("auth")
        with pytest.raises(smtplib.SMTPNotSupportedError):
            client.login(ALICE, WRONG_PASSWORD)


def test_a_guesser_is_kept_out_by_all_workers(world: World) -> None:
    """It has another worker with each connection, and no more guesses for it."""
    trust = world.authority.client_context()
    wrong = base64.b64encode(f"\0{ALICE}\0{WRONG_PASSWORD}".encode()).decode()

    def guess() -> int:
        with smtplib.SMTP_SSL(
            relay.HOST, 465, timeout=20, context=trust, source_address=("127.0.0.77", 0)
        ) as client:
            client.ehlo("client.test")
            return client.docmd("AUTH", f"PLAIN {wrong}")[0]

    assert [guess() for _ in range(5)] == [535] * 5
    blocked: set[int] = set()
    for _ in range(100):  # the kernel deals the connections out, and may deal one worker twelve
        assert guess() == 421
        blocked = {one["worker"] for one in world.relay.log("login") if one["result"] == "blocked"}
        if blocked == {0, 1}:
            break
    assert blocked == {0, 1}
    with world.relay.client(465, trust, user=ALICE) as client:  # from elsewhere she gets in
        assert client.noop()[0] == 250


@pytest.mark.parametrize(
    ("sender", "header", "code"),
    [
        pytest.param("eve@example.test", ALICE, 553, id="envelope"),
        pytest.param("", ALICE, 250, id="null-sender"),
        pytest.param("", "eve@example.test", 550, id="null-sender-header"),
        pytest.param("alice@example.test.evil.test", ALICE, 553, id="envelope-suffix"),
        pytest.param(ALICE, "eve@example.test", 550, id="header"),
        pytest.param(ALICE, f"{ALICE}, eve@example.test", 550, id="one-of-two"),
        pytest.param(ALICE, f'"{ALICE}" <eve@example.test>', 550, id="shown-name"),
        pytest.param(ALICE, f"{ALICE}\r\nFrom: eve@example.test", 550, id="two-headers"),
        pytest.param("bob@team.example.test", ALICE, 250, id="allowed"),
    ],
)
def test_from_belongs_to_the_login(world: World, sender: str, header: str, code: int) -> None:
    before = len(world.far.messages)
    with world.relay.client(465, world.authority.client_context(), ALICE) as client:
        client.ehlo("client.test")
        reply = client.mail(sender)
        if reply[0] == 250:
            client.rcpt(BOB)
            reply = client.data(letter("whose", b"x", sender=header))
        assert reply[0] == code
        if code != 250:
            assert b"5.7.1" in reply[1] or b"5.6.0" in reply[1]
            assert client.noop()[0] == 250  # the session goes on
    if code == 250:
        process.wait_until("a message", lambda: len(world.far.messages) > before)
    else:
        assert len(world.far.messages) == before


# TLS


def openssl(port: int, *options: str, host: str = relay.HOST) -> str:
    """The protocol and cipher that ``openssl s_client`` gets there; "" where it gets none."""
    command = ["openssl", "s_client", "-connect", f"{host}:{port}", *options]
    if port != 465:
        command += ["-starttls", "smtp"]
    ran = process.run_client(command, stdin=b"QUIT\r\n")
    found = re.search(r"New, (\S+), Cipher is (\S+)", ran.output)
    return "" if found is None or found[2] == "(NONE)" else f"{found[1]} {found[2]}"


OLD = [
    pytest.param(("-tls1", "-cipher", "ALL:@SECLEVEL=0"), id="TLS1.0"),
    pytest.param(("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), id="TLS1.1"),
    pytest.param(("-tls1_2", "-cipher", "kRSA:@SECLEVEL=0"), id="static-RSA"),
    pytest.param(("-tls1_2", "-cipher", "DHE:@SECLEVEL=0"), id="DHE"),
    pytest.param(("-tls1_2", "-cipher", "ECDHE+SHA1:ECDHE+SHA256:@SECLEVEL=0"), id="CBC"),
    pytest.param(("-tls1_2", "-cipher", "aNULL:eNULL:@SECLEVEL=0"), id="NULL"),
]
GOOD = [
    pytest.param(("-tls1_2", "-cipher", "ECDHE+AESGCM"), "TLSv1.2 ECDHE-RSA-AES", id="TLS1.2"),
    pytest.param(("-tls1_3",), "TLSv1.3 TLS_", id="TLS1.3"),
]


@pytest.mark.parametrize("port", [465, 587, 25])
@pytest.mark.parametrize("options", OLD)
def test_old_tls_is_refused(world: World, port: int, options: tuple[str, ...]) -> None:
    assert openssl(port, *options) == ""


@pytest.mark.parametrize("port", [465, 587, 25])
@pytest.mark.parametrize(("options", "expected"), GOOD)
def test_good_tls_is_spoken(
    world: World, port: int, options: tuple[str, ...], expected: str
) -> None:
    assert openssl(port, *options).startswith(expected)


@pytest.mark.parametrize("port", [465, 587])
def test_a_server_name_that_is_none_writes_nothing_between_the_log_s_lines(
    world: World, port: int
) -> None:
    before = len(world.relay.daemon.log())
    with talking(port) as sock:
        if port == 587:
            said(sock, b"")
            said(sock, b"EHLO client.test\r\n")
            said(sock, b"STARTTLS\r\n")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(inside, outside, server_hostname="relay.test")
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        sock.sendall(outside.read().replace(b"relay.test", b"\xff\x1b[1m\r\nxxx"))
        with suppress(ConnectionError):
            assert sock.recv(1) in (b"", b"\x15")  # the end, or an alert before it
    time.sleep(0.2)
    log = world.relay.daemon.log()[before:]
    assert [line for line in log.splitlines() if not line.startswith("{")] == []
    with world.relay.client(465, world.authority.client_context(), ALICE) as mail:
        assert mail.noop()[0] == 250


def test_this_openssl_can_speak_what_is_refused() -> None:
    """Else the refusals would prove nothing."""
    authority = Authority(process.new_folder("ca"))
    context = authority.tls10_context()
    behaviour = Behaviour(tls=context, implicit_tls=True)
    with in_background(FakeSmtpServer(behaviour, host=FAR, port=465)):
        found = openssl(465, "-tls1", "-cipher", "ALL:@SECLEVEL=0", host=FAR)
        assert found.startswith("TLSv1")
