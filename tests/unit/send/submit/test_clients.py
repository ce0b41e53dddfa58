"""Real programs hand in mail: swaks, msmtp, Nodemailer, Python's smtplib; each mode, each login."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest

from peers import msmtp, nodemailer, process, swaks
from posthouse.net.smtp_listen import Listener
from posthouse.protocol.message.headers import split_headers
from posthouse.send.submit.settings import Listening, Mode
from unit.send.submit.world import ALICE, World

pytestmark = pytest.mark.netns

HOST, BOB = "127.0.0.60", "bob@e.example"
MESSAGE = (
    b"From: alice@d.example\nTo: bob@e.example\nSubject: x\n\n.\n..\nFrom here\n" + b"y\n" * 900
)
PORTS = {465: Mode.TLS, 587: Mode.STARTTLS}


@asynccontextmanager
async def front_door(world: World) -> AsyncIterator[None]:
    context = world.authority.context(hosts=(HOST, "relay.d.example"))
    listeners = []
    for port, mode in (*PORTS.items(), (25, Mode.RELAY)):
        networks = (ip_network("127.0.0.0/8"),) if mode is Mode.RELAY else ()
        make = world.desk.sessions(Listening(HOST, port, mode, networks))
        listener = Listener(make, tls=lambda: context)
        if mode is Mode.TLS:
            listener.listen_tls(socket.create_server((HOST, port)), context)
        else:
            await listener.listen(host=HOST, port=port)
        listeners.append(listener)
    try:
        yield
    finally:
        for listener in listeners:
            await listener.close(patience=0.2)


async def run(world: World, send: Callable[[], process.Ran]) -> process.Ran:
    async with front_door(world):
        return await asyncio.to_thread(send)


@pytest.mark.peer("swaks")
@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_swaks(world: World, port: int, mechanism: str) -> None:
    ran = await run(
        world,
        lambda: swaks.send(
            HOST, port, sender=ALICE, recipient=BOB, ca_file=world.authority.ca_file,
            user=ALICE, password=world.secret, mechanism=mechanism,
        ),
    )  # fmt: skip
    assert ran.ok, ran.output
    assert "Queued as id1" in ran.output
    assert (world.kept[0].sender, world.kept[0].user) == (ALICE, ALICE)


@pytest.mark.peer("swaks")
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"password": "wrong"}, "535 5.7.8"),
        ({"sender": "eve@d.example"}, "553 5.7.1"),
        ({"options": ["--header", "From: eve@d.example"]}, "550 5.7.1"),
        ({"user": ""}, "530 5.7.0"),
    ],
)
async def test_swaks_is_told_what_is_wrong(world: World, changed: dict, said: str) -> None:
    given = {"sender": ALICE, "user": ALICE, "password": world.secret} | changed
    ran = await run(
        world,
        lambda: swaks.send(HOST, 465, recipient=BOB, ca_file=world.authority.ca_file, **given),
    )
    assert not ran.ok
    assert said in ran.output, ran.output
    assert not world.kept


@pytest.mark.peer("msmtp")
@pytest.mark.parametrize("port", PORTS)
async def test_msmtp(world: World, port: int) -> None:
    ran = await run(
        world,
        lambda: msmtp.send(
            HOST, port, MESSAGE, sender=ALICE, recipient=BOB, ca_file=world.authority.ca_file,
            user=ALICE, password=world.secret,
        ),
    )  # fmt: skip
    assert ran.ok, ran.output
    assert world.kept[0].content.endswith(b"\r\n\r\n..\r\n...\r\nFrom here\r\n" + b"y\r\n" * 900)


@pytest.mark.peer("nodemailer")
@pytest.mark.parametrize("port", PORTS)
async def test_nodemailer(world: World, port: int) -> None:
    ran = await run(
        world,
        lambda: nodemailer.send(
            HOST, port, sender=ALICE, recipient=BOB, ca_file=world.authority.ca_file,
            user=ALICE, password=world.secret,
        ),
    )  # fmt: skip
    assert ran.ok, ran.output
    assert world.kept[0].message_id.startswith("<")


@pytest.mark.parametrize("port", [*PORTS, 25])
async def test_smtplib(world: World, port: int) -> None:
    def send() -> process.Ran:
        context = world.authority.client_context()
        kind = smtplib.SMTP_SSL if port == 465 else smtplib.SMTP
        more = {"context": context} if port == 465 else {}
        with kind(HOST, port, "client.test", timeout=20, **more) as server:
            if port == 587:
                server.starttls(context=context)
            if port != 25:
                server.login(ALICE, world.secret)
            else:
                with pytest.raises(smtplib.SMTPNotSupportedError):
                    server.login(ALICE, world.secret)
            message = MESSAGE.replace(b"\n", b"\r\n")  # smtplib sends octets as they are
            server.sendmail(ALICE, [BOB, "carol@e.example"], message, ["BODY=8BITMIME", "RET=HDRS"])
        return process.Ran(0, "")

    assert (await run(world, send)).ok
    headers, _ = split_headers(world.kept[0].content.replace(b"\r\n", b"\n"))
    protocol = {465: "ESMTPSA", 587: "ESMTPSA", 25: "ESMTP"}[port]
    assert f" with {protocol} id id1;" in headers.get("Received")
    assert {name for name in ("From", "Date", "Message-ID") if name in headers} == {
        "From", "Date", "Message-ID",
    }  # fmt: skip
    assert world.kept[0].params == {"BODY": "8BITMIME", "RET": "HDRS"}


async def test_a_client_that_does_not_trust_the_certificate_sends_nothing(world: World) -> None:
    def send() -> process.Ran:
        with pytest.raises(ssl.SSLCertVerificationError):
            smtplib.SMTP_SSL(HOST, 465, timeout=20, context=ssl.create_default_context())
        return process.Ran(0, "")

    assert (await run(world, send)).ok
    assert not world.told
