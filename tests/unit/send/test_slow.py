"""A carrier's time: as long as a slow server goes on, and no longer (RFC 5321 section 4.5.3.2)."""

from __future__ import annotations

import asyncio
import gc
import ssl
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from fakes.certs import Authority
from posthouse.flow import Failure, NetworkFailure, Security, Stage
from posthouse.net import smtp_carry
from posthouse.net.smtp_carry import Carrier
from posthouse.net.smtp_work import Carried
from posthouse.protocol.smtp import command as c

MAIL, BOB = c.Mail("alice@d.example"), c.Rcpt("bob@e.example")
LONG = b"Subject: x\r\n\r\n" + (b"y" * 70 + b"\r\n") * 400_000  # 29 MB: no buffer takes it all
Reply = Callable[[bytes], Awaitable[bytes]]


@asynccontextmanager
async def serving(
    reply: Reply,
    take: Callable[[asyncio.StreamReader], Awaitable[None]],
    tls: ssl.SSLContext | None,
) -> AsyncIterator[int]:
    """A server that answers each line by ``reply`` and reads a message by ``take``."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        writer.write(b"220 mx.e.example\r\n")
        while line := await reader.readline():
            if not line.startswith(b"BDAT"):
                writer.write(await reply(line))
            if line.startswith((b"DATA", b"BDAT")):
                await take(reader)
                writer.write(b"250 2.0.0 Queued\r\n")

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, limit=100_000)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()


async def usual(line: bytes) -> bytes:
    if line.startswith(b"EHLO"):
        return b"250-mx.e.example\r\n250-CHUNKING\r\n250-8BITMIME\r\n250 BINARYMIME\r\n"
    return b"354 Go on\r\n" if line == b"DATA\r\n" else b"250 2.0.0 Ok\r\n"


async def all_of_it(reader: asyncio.StreamReader) -> None:
    await reader.readuntil(b"\r\n.\r\n")


async def carried(
    port: int, *recipients: c.Rcpt, mail: c.Mail = MAIL, trust: ssl.SSLContext | None = None
) -> Carried:
    """What comes of it under the eyes of a sweep, as the pool's."""
    loop = asyncio.get_running_loop()
    carrier = Carrier(tls=trust is not None)
    security = Security.TLS if trust else Security.NONE
    await carrier.open("127.0.0.1", port, security=security, context=trust, host="mx.e.example")
    await carrier.hello("relay.d.example")
    done = carrier.carry(mail, recipients or (BOB,), LONG)
    async with asyncio.timeout(60):
        while not done.done():
            await asyncio.sleep(0.05)
            if carrier.deadline < loop.time():
                carrier.abort(NetworkFailure(Failure.SILENT, Stage.ANY))
    carrier.quit()
    return done.result()


async def test_each_reply_has_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp_carry, "COMMAND", 0.6)

    async def slow(line: bytes) -> bytes:
        await asyncio.sleep(0.2 if line.startswith(b"RCPT") else 0)
        return b"452 4.5.3 Enough\r\n" if line.startswith(b"RCPT") else await usual(line)

    many = [c.Rcpt(f"{n}@e.example") for n in range(8)]
    async with serving(slow, all_of_it, None) as port:
        told = await carried(port, *many)
    assert told.failure is None
    assert len(told.replies) == 8


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("dead", [False, True])
def test_a_long_message_has_time_as_long_as_it_goes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    factory: Callable[[], asyncio.AbstractEventLoop],
    secure: bool,
    dead: bool,
) -> None:
    monkeypatch.setattr(smtp_carry, "BLOCK", 1.5)
    monkeypatch.setattr(smtp_carry, "END", 1.5)
    authority = Authority(tmp_path)
    tls = authority.context(hosts=("mx.e.example",)) if secure else None
    trust = ssl.create_default_context(cafile=str(authority.ca_file)) if secure else None

    async def take(reader: asyncio.StreamReader) -> None:
        count, last = 0, b""
        while not last.endswith(b"\r\n.\r\n"):
            if dead and count > 5_000_000:
                await asyncio.sleep(3600)
            part = await reader.read(100_000)
            count += len(part)
            last = (last + part)[-5:]
            await asyncio.sleep(len(part) / 10_000_000)

    async def run() -> Carried:
        async with serving(usual, take, tls) as port:
            return await carried(port, trust=trust)

    with asyncio.Runner(loop_factory=factory) as runner:
        told = runner.run(run())
    if dead:
        assert told.failure is not None
        assert told.failure.failure is Failure.SILENT
        assert not told.unsure  # the end is still here
    else:
        assert told.failure is None
        assert [reply.code for _, reply in told.replies.values()] == [250]


@pytest.mark.parametrize("dead", [False, True])
async def test_so_has_one_that_goes_as_a_chunk(monkeypatch: pytest.MonkeyPatch, dead: bool) -> None:
    monkeypatch.setattr(smtp_carry, "BLOCK", 1.5)
    monkeypatch.setattr(smtp_carry, "END", 1.5)

    async def take(reader: asyncio.StreamReader) -> None:
        for _ in range(10):
            await reader.readexactly(len(LONG) // 10)
            await asyncio.sleep(3600 if dead else 0.25)

    async with serving(usual, take, None) as port:
        told = await carried(port, mail=c.Mail("alice@d.example", {"BODY": "BINARYMIME"}))
    assert (told.failure is not None, told.unsure) == (dead, False)


async def test_a_break_amid_a_long_message_is_certain() -> None:
    async def breaks(reader: asyncio.StreamReader) -> None:
        await reader.readexactly(90_000)
        raise ConnectionError

    async with serving(usual, breaks, None) as port:
        told = await carried(port)
    assert told.failure is not None
    assert not told.unsure


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("mail", [MAIL, c.Mail(MAIL.sender, {"BODY": "BINARYMIME"})])
@pytest.mark.parametrize("early", ["552 5.3.4 Too big", "250 2.0.0 Queued"])
def test_who_answers_amid_a_message_and_stops_reading_is_left(
    factory: Callable[[], asyncio.AbstractEventLoop], mail: c.Mail, early: str
) -> None:
    """A no is an answer, a yes is none; and nothing of ours waits for what will never be taken."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mx.e.example\r\n")
        while not (line := await reader.readline()).startswith((b"DATA", b"BDAT")):
            writer.write(await usual(line))
        if line == b"DATA\r\n":
            writer.write(await usual(line))
        await reader.readexactly(100_000)
        writer.write(early.encode() + b"\r\n")
        await asyncio.sleep(60)

    async def run() -> tuple[Carried, object]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        carrier = Carrier()
        await carrier.open("127.0.0.1", server.sockets[0].getsockname()[1])
        await carrier.hello("relay.d.example")
        async with asyncio.timeout(10):
            told = await carrier.carry(mail, (BOB,), LONG)
        assert carrier.failure is not None  # nobody gives it another message
        carrier.quit()
        here = weakref.ref(carrier)
        del carrier
        await asyncio.sleep(0.1)
        server.close()
        gc.collect()
        return told, here()

    with asyncio.Runner(loop_factory=factory) as runner:
        told, here = runner.run(run())
    assert here is None
    assert not told.unsure
    if early.startswith("250"):
        assert not told.replies
        assert told.failure is not None
        assert told.failure.failure is Failure.BAD_REPLY
    else:
        assert [reply.code for _, reply in told.replies.values()] == [552]
