"""SMTP smuggling and STARTTLS injection by name, through whole sessions in both roles.

``test_smtp_data`` looks at the reader of data alone; here is what a peer gets to see. Smuggling:
two servers that do not agree where a message ends take one message for two. So nothing but
CRLF.CRLF ends data for us, a message with a bare CR or LF is refused with the connection, and we
never write a sequence that a lenient server could take for an end.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.behaviour import Behaviour
from fakes.certs import Authority
from fakes.smtp import FakeSmtpServer
from fakes.smuggling import FALSE_ENDS
from posthouse.flow import Secret
from posthouse.net.smtp import SmtpClient
from posthouse.net.stream import MemoryStream
from posthouse.net.tls import TlsOptions
from posthouse.protocol.smtp import LocalProtocolError
from posthouse.protocol.smtp.data import Stuffer

SMUGGLED = b"MAIL FROM:<evil@x.test>\r\nRCPT TO:<victim@y.test>\r\nDATA\r\nSubject: forged\r\n\r\nx"
# What some server somewhere takes for the end of data: a lone dot between any breaks of lines.
ANY_END = re.compile(rb"(?<=[\r\n])\.(?=[\r\n])")


@asynccontextmanager
async def server(
    behaviour: Behaviour | None = None,
) -> AsyncIterator[tuple[MemoryStream, FakeSmtpServer]]:
    """The client's end of a session with our server."""
    fake = FakeSmtpServer(behaviour)
    near, far = MemoryStream.pair(server="mail.test:25")
    task = asyncio.create_task(fake.serve(far))
    try:
        yield near, fake
    finally:
        await near.close()
        await task


async def answers(stream: MemoryStream, data: bytes, count: int = 1, cut: int = 0) -> list[bytes]:
    """Write ``data`` (in pieces of ``cut`` octets), read ``count`` replies or to the end."""
    size = cut or len(data) or 1
    for begin in range(0, len(data), size):
        await stream.write(data[begin : begin + size])
    lines: list[bytes] = []
    text = b""
    while len(lines) < count and (more := await stream.read()):
        text += more
        lines = [line for line in text.split(b"\r\n") if line[3:4] == b" "]
    return lines


async def until_data(stream: MemoryStream) -> None:
    """EHLO to 354."""
    assert (await answers(stream, b"EHLO me.test\r\n", 2))[0].startswith(b"220 ")
    group = b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n"
    assert (await answers(stream, group, 3))[2].startswith(b"354 ")


# Our server


@pytest.mark.parametrize("false_end", FALSE_ENDS)
@pytest.mark.parametrize("cut", [0, 1], ids=["whole", "octets"])
async def test_smuggling_into_our_server(false_end: bytes, cut: int) -> None:
    async with server() as (stream, fake):
        await until_data(stream)
        body = b"Subject: x\r\n\r\nhello" + false_end + SMUGGLED
        replies = await answers(stream, body + b"\r\n.\r\nNOOP\r\n", 2, cut)
    assert [reply[:9] for reply in replies] == [b"521 5.5.2"]  # and then nothing: it hung up
    assert fake.messages == []
    commands = [line.split(" ")[0] for line in fake.last.lines]
    assert commands == ["EHLO", "MAIL", "RCPT", "DATA"]


@pytest.mark.parametrize("false_end", FALSE_ENDS)
async def test_a_false_end_alone_does_not_end_data(false_end: bytes) -> None:
    async with server() as (stream, fake):
        await until_data(stream)
        await stream.write(b"Subject: x\r\n\r\nhello" + false_end)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await stream.read()
    assert fake.messages == []


@pytest.mark.parametrize("end", [b"\r\n.\r\n", b"\n.\n", b"\n.\r\n", b"\r.\r\n"])
async def test_no_end_of_data_ends_a_chunk(end: bytes) -> None:
    """RFC 3030 section 2: BDAT counts octets and looks at none."""
    body = b"Subject: x\r\n\r\nhello" + end + SMUGGLED
    async with server() as (stream, fake):
        await answers(stream, b"EHLO me.test\r\n", 2)
        group = b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nBDAT %d LAST\r\n" % len(body)
        replies = await answers(stream, group + body, 3)
        assert [reply[:3] for reply in replies] == [b"250"] * 3
    assert [message.content for message in fake.messages] == [body]
    assert len([line for line in fake.last.lines if line.startswith("MAIL")]) == 1


# Our client


@pytest.mark.parametrize("false_end", FALSE_ENDS)
async def test_smuggling_through_our_client(false_end: bytes) -> None:
    async with server() as (stream, fake):
        client = SmtpClient(stream)
        await client.greeting()
        await client.ehlo("me.test")
        await client.envelope("a@b.test", ["c@d.test"])
        with pytest.raises(LocalProtocolError):
            await client.data(b"Subject: x\r\n\r\nhello" + false_end + SMUGGLED + b"\r\n")
        assert (await client.rset()).code == 250  # not even DATA was said
    assert [line.split(" ")[0] for line in fake.last.lines] == ["EHLO", "MAIL", "RCPT", "RSET"]


async def test_a_true_end_inside_a_message_is_stuffed() -> None:
    message = b"Subject: x\r\n\r\nhello\r\n.\r\n" + SMUGGLED + b"\r\n"
    async with server() as (stream, fake):
        client = SmtpClient(stream)
        await client.greeting()
        await client.ehlo("me.test")
        await client.envelope("a@b.test", ["c@d.test"])
        assert (await client.data(message)).code == 250
    assert [m.content for m in fake.messages] == [message]


PIECES = st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"..", b"\r\n.\r\n", b"a", b"\0"])


@given(st.lists(st.lists(PIECES, max_size=6).map(b"".join), max_size=4), st.booleans())
def test_no_octets_of_ours_end_data_for_any_server_but_the_last(
    pieces: list[bytes], wire: bool
) -> None:
    stuffer = Stuffer()
    out = b"DATA\r\n"
    try:
        for piece in pieces:
            out += stuffer.add_wire(piece) if wire else stuffer.add(piece)
        out += stuffer.end()
    except LocalProtocolError:
        return
    assert out.endswith(b"\r\n.\r\n")
    assert [match.start() for match in ANY_END.finditer(out)] == [len(out) - 3]
    assert out.count(b"\r") == out.count(b"\n") == out.count(b"\r\n")


# STARTTLS injection


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


INJECTED = b"EHLO evil.test\r\nMAIL FROM:<evil@x.test>\r\nRCPT TO:<victim@y.test>\r\nDATA\r\n"


@pytest.mark.parametrize("pieces", [1, 2], ids=["one-segment", "a-segment-later"])
async def test_cve_2011_0411_commands_behind_starttls(authority: Authority, pieces: int) -> None:
    """What came in clear is never taken for encrypted: RFC 3207 section 6."""
    async with server(Behaviour(tls=authority.context())) as (stream, fake):
        await answers(stream, b"EHLO me.test\r\n", 2)
        group = [b"STARTTLS\r\n", INJECTED]
        for octets in [b"".join(group)] if pieces == 1 else group:
            await stream.write(octets)
        assert (await answers(stream, b"")) == [b"220 2.0.0 Ready to start TLS"]
        await stream.start_tls(TlsOptions("mail.test", ca_file=str(authority.ca_file)))
        # Without the injected EHLO, MAIL comes too early (RFC 3207 section 4.2).
        (early,) = await answers(stream, b"MAIL FROM:<a@b.test>\r\n")
        assert early.startswith(b"503 ")
        assert (await answers(stream, b"EHLO me.test\r\n"))[0].startswith(b"250 ")
        assert (await answers(stream, b"QUIT\r\n"))[0].startswith(b"221 ")
    assert fake.last.injected == len(INJECTED)
    assert not [line for line in fake.last.lines if "evil" in line or "victim" in line]


async def test_cve_2011_0411_replies_behind_the_220(authority: Authority) -> None:
    """The same at the client: nothing said in clear answers what is asked inside TLS."""
    lies = b"250-mail.test\r\n250 AUTH PLAIN\r\n235 2.7.0 welcome\r\n"

    async def honest(far: MemoryStream) -> None:
        await far.write(b"220 hi\r\n")
        await far.read()
        await far.write(b"250-mail.test\r\n250 STARTTLS\r\n")
        await far.read()
        await far.write(b"220 go\r\n" + lies)
        await far.accept_tls(authority.context())
        await far.read()
        await far.write(b"250-mail.test\r\n250 AUTH LOGIN\r\n")
        await far.read()
        await far.write(b"535 5.7.8 no\r\n")

    near, far = MemoryStream.pair(server="mail.test:587")
    task = asyncio.create_task(honest(far))
    client = SmtpClient(near)
    await client.greeting()
    await client.ehlo("me.test")
    await client.starttls()
    await client.upgrade(TlsOptions("mail.test", ca_file=str(authority.ca_file)))
    assert client.injected == len(lies)
    await client.ehlo("me.test")
    assert client.extensions["AUTH"] == "LOGIN"
    assert (await client.auth("LOGIN", "me", Secret("x"))).reply.code == 535
    await task
    await client.close()
