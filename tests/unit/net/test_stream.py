"""Streams over TCP and in memory: the same behaviour, tested on both."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fakes.certs import Authority, Kind
from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.net.pipe import BUFFER_LIMIT
from posthouse.net.stream import MemoryStream, PipeStream, TcpStream, listen
from posthouse.net.tls import TlsOptions

Handler = Callable[[PipeStream], Awaitable[None]]


@pytest.fixture(params=["tcp", "memory"])
async def connect(request: pytest.FixtureRequest):
    """``client = await connect(handler)``: a client whose other end is served by ``handler``."""
    servers: list[asyncio.Server] = []
    tasks: list[asyncio.Task[None]] = []
    clients: list[PipeStream] = []

    async def start(handler: Handler) -> PipeStream:
        if request.param == "tcp":
            server = await listen(handler)
            servers.append(server)
            client: PipeStream = await TcpStream.connect(*server.sockets[0].getsockname()[:2])
        else:
            client, far = MemoryStream.pair()

            async def serve() -> None:
                try:
                    await handler(far)
                except NetworkFailure:
                    pass
                finally:
                    await far.close()

            tasks.append(asyncio.create_task(serve()))
        clients.append(client)
        return client

    yield start
    for client in clients:
        await client.close()
    for server in servers:
        server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def read_all(stream: PipeStream) -> bytes:
    data = b""
    while more := await stream.read():
        data += more
    return data


async def test_bytes_go_both_ways_and_eof_ends_them(connect) -> None:
    async def handler(stream: PipeStream) -> None:
        await stream.write(b"220 hello\r\n")
        assert await stream.read() == b"QUIT\r\n"
        await stream.write(b"221 bye\r\n")

    client = await connect(handler)
    assert await client.read() == b"220 hello\r\n"
    await client.write(b"QUIT\r\n")
    assert await read_all(client) == b"221 bye\r\n"
    assert await client.read() == b""
    assert client.tls is None


async def test_read_gives_no_more_than_asked_for(connect) -> None:
    async def handler(stream: PipeStream) -> None:
        await stream.write(b"abcdef")

    client = await connect(handler)
    assert [await client.read(2) for _ in range(4)] == [b"ab", b"cd", b"ef", b""]


async def test_reset_is_told(connect) -> None:
    async def handler(stream: PipeStream) -> None:
        await stream.read()
        stream.abort()

    client = await connect(handler)
    await client.write(b"x")
    with pytest.raises(NetworkFailure) as caught:
        await client.read()
    assert caught.value.failure is Failure.RESET


async def test_writing_waits_for_a_reader_that_is_slow(connect) -> None:
    go_on = asyncio.Event()
    total = 64 * BUFFER_LIMIT  # more than any kernel keeps on loopback

    async def handler(stream: PipeStream) -> None:
        await go_on.wait()
        got = 0
        while got < total:
            got += len(await stream.read())
        await stream.write(b"%d" % got)

    client = await connect(handler)
    writing = asyncio.create_task(client.write(b"x" * total))
    await asyncio.sleep(0.1)
    assert not writing.done()
    go_on.set()
    await writing
    assert await read_all(client) == b"%d" % total


async def test_a_peer_that_does_not_read_cannot_fill_our_memory(connect) -> None:
    """The writer has to wait while nobody reads; what is buffered stays bounded."""
    written = 0

    async def handler(stream: PipeStream) -> None:
        nonlocal written
        for _ in range(400):
            await stream.write(b"y" * 65_536)
            written += 65_536

    client = await connect(handler)
    await asyncio.sleep(0.2)
    assert written < 400 * 65_536
    assert len(await client.read(10)) == 10


async def test_writing_to_a_closed_peer_fails(connect) -> None:
    async def handler(stream: PipeStream) -> None:
        return

    client = await connect(handler)
    assert await client.read() == b""

    async def keep_writing() -> None:
        for _ in range(50):
            await client.write(b"x" * 1000)
            await asyncio.sleep(0.01)

    with pytest.raises(NetworkFailure) as caught:
        await keep_writing()
    assert caught.value.failure in (Failure.RESET, Failure.CLOSED)


async def test_close_is_quiet_and_may_come_twice(connect) -> None:
    async def handler(stream: PipeStream) -> None:
        stream.abort()

    client = await connect(handler)
    await asyncio.sleep(0.05)
    await client.close()
    await client.close()


# -- TLS


async def test_tls_carries_large_data_both_ways(connect, authority: Authority) -> None:
    async def handler(stream: PipeStream) -> None:
        await stream.accept_tls(authority.context())
        await stream.write((await stream.read(65_536)) * 200)

    client = await connect(handler)
    session = await client.start_tls(TlsOptions("mail.test", ca_file=str(authority.ca_file)))
    assert session.trusted
    assert client.tls is session
    await client.write(b"0123456789" * 1000)
    data = await read_all(client)
    assert len(data) % 200 == 0
    assert data.startswith(b"0123456789")


async def test_tls_reads_and_writes_at_the_same_time(connect, authority: Authority) -> None:
    size = 3_000_000

    async def handler(stream: PipeStream) -> None:
        await stream.accept_tls(authority.context())

        async def drain() -> None:
            got = 0
            while got < size:
                got += len(await stream.read())

        await asyncio.gather(drain(), stream.write(b"s" * size))

    client = await connect(handler)
    await client.start_tls(TlsOptions("mail.test"))
    _, data = await asyncio.gather(client.write(b"c" * size), read_all(client))
    assert len(data) == size


async def test_close_notify_reads_as_end(connect, authority: Authority) -> None:
    async def handler(stream: PipeStream) -> None:
        await stream.accept_tls(authority.context())
        await stream.write(b"bye")
        await stream.close()

    client = await connect(handler)
    await client.start_tls(TlsOptions("mail.test"))
    assert await read_all(client) == b"bye"


async def test_starttls_discards_what_was_sent_ahead(connect, authority: Authority) -> None:
    """RFC 3207 section 6 and CVE-2011-0411: injected plain text is never taken for encrypted."""

    async def handler(stream: PipeStream) -> None:
        await stream.read()
        await stream.write(b"220 go ahead\r\n250 injected\r\n")
        await stream.accept_tls(authority.context())
        await stream.write(b"250 real\r\n")

    client = await connect(handler)
    await client.write(b"STARTTLS\r\n")
    data = b""
    while len(data) < len(b"220 go ahead\r\n"):
        data += await client.read(len(b"220 go ahead\r\n") - len(data))
    await asyncio.sleep(0.02)
    await client.start_tls(TlsOptions("mail.test"))
    assert await client.read() == b"250 real\r\n"


PLAIN = [
    (b"220 mail.test ESMTP\r\n", "smtp"),
    (b"* OK IMAP4rev1\r\n", "imap"),
    (b"+OK POP3\r\n", "pop3"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "ssh"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "http"),
    (b"\x00\xff\xfe", "unknown"),
]


@pytest.mark.parametrize(("words", "protocol"), PLAIN)
async def test_plain_words_met_by_a_hello_are_told(connect, words: bytes, protocol: str) -> None:
    async def handler(stream: PipeStream) -> None:
        for part in (words[:2], words[2:]):  # the rest of the line is waited for
            await stream.write(part)
            await asyncio.sleep(0.01)
        await stream.read()

    client = await connect(handler)
    with pytest.raises(NetworkFailure) as caught:
        await client.start_tls(TlsOptions("mail.test"))
    assert caught.value.failure is Failure.PLAIN_EXPECTED
    assert caught.value.stage is Stage.TLS
    assert caught.value.detail["protocol"] == protocol
    assert caught.value.detail["text"] == words.decode("utf-8", "replace").strip()


async def test_endless_plain_words_are_cut(connect) -> None:
    async def handler(stream: PipeStream) -> None:
        while True:
            await stream.write(b"A" * 10_000)

    client = await connect(handler)
    with pytest.raises(NetworkFailure) as caught:
        await client.start_tls(TlsOptions("mail.test"))
    assert len(caught.value.detail["text"]) == 512


SILENT_ENDS = [
    ("closes", Failure.CLOSED),
    ("resets", Failure.RESET),
    ("silent", Failure.SILENT),
    ("garbage", Failure.TLS_HANDSHAKE),
    ("alert", Failure.TLS_HANDSHAKE),
]


@pytest.mark.parametrize(("what", "failure"), SILENT_ENDS)
async def test_handshakes_that_end_badly(connect, what: str, failure: Failure) -> None:
    async def handler(stream: PipeStream) -> None:
        await stream.read()
        if what == "resets":
            stream.abort()
        elif what == "silent":
            await asyncio.sleep(5)
        elif what == "garbage":
            await stream.write(b"\x16\x03\x03\x00\x04nope")
        elif what == "alert":
            await stream.write(b"\x15\x03\x03\x00\x02\x02\x28")
        await asyncio.sleep(0.05)

    client = await connect(handler)
    with pytest.raises(NetworkFailure) as caught:
        await client.start_tls(TlsOptions("mail.test", seconds=0.3))
    assert caught.value.failure is failure
    assert caught.value.stage is Stage.TLS
    if what == "alert":
        assert caught.value.detail["kind"] == "no_common_cipher"
    if what == "silent":
        assert caught.value.detail["seconds"] == 0.3


async def test_a_plain_client_at_a_tls_port(connect, authority: Authority) -> None:
    seen: list[NetworkFailure] = []

    async def handler(stream: PipeStream) -> None:
        try:
            await stream.accept_tls(authority.context())
        except NetworkFailure as failure:
            seen.append(failure)

    client = await connect(handler)
    await client.write(b"EHLO me.test\r\n")
    assert await client.read() == b""
    assert seen[0].failure is Failure.PLAIN_EXPECTED
    assert seen[0].detail["text"] == "EHLO me.test"


async def test_a_name_no_dns_can_hold_does_without_sni(connect, authority: Authority) -> None:
    async def handler(stream: PipeStream) -> None:
        await stream.accept_tls(authority.context())

    client = await connect(handler)
    session = await client.start_tls(TlsOptions(".." + "x" * 70, ca_file=str(authority.ca_file)))
    assert not session.trusted


async def test_tls_is_not_started_twice(connect, authority: Authority) -> None:
    async def handler(stream: PipeStream) -> None:
        await stream.accept_tls(authority.context(Kind.GOOD))
        await stream.read()

    client = await connect(handler)
    await client.start_tls(TlsOptions("mail.test"))
    with pytest.raises(RuntimeError):
        await client.start_tls(TlsOptions("mail.test"))


async def test_reset_inside_tls(connect, authority: Authority) -> None:
    async def handler(stream: PipeStream) -> None:
        await stream.accept_tls(authority.context())
        await stream.read()
        stream.abort()

    client = await connect(handler)
    await client.start_tls(TlsOptions("mail.test"))
    await client.write(b"x")
    with pytest.raises(NetworkFailure) as caught:
        await client.read()
    assert caught.value.failure is Failure.RESET


async def test_peer_names() -> None:
    async def handler(stream: TcpStream) -> None:
        await stream.write(stream.peer.encode())

    server = await listen(handler)
    host, port = server.sockets[0].getsockname()[:2]
    client = await TcpStream.connect(host, port)
    assert client.peer == f"127.0.0.1:{port}"
    assert (await client.read()).startswith(b"127.0.0.1:")
    await client.close()
    server.close()
    near, far = MemoryStream.pair(client="me", server="them")
    assert (near.peer, far.peer) == ("them", "me")
