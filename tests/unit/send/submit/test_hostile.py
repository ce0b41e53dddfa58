"""What hostile clients send: each known trick of them has its row."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import struct
from collections.abc import Callable, Sequence

import pytest

from posthouse.letter import Event, Letter
from posthouse.net import smtp_listen, tls_accept
from posthouse.net.smtp_listen import Listener
from posthouse.net.tcp import site
from posthouse.protocol.smtp.data import BodyFacts
from posthouse.send.submit import replies
from posthouse.send.submit.message import ROOM, Body, Room
from posthouse.send.submit.settings import Listening, Mode
from unit.send.submit.world import ALICE, LOCAL, Client, World, b64, plain

HEADER = b"From: alice@d.example\r\nSubject: x\r\n"
EVIL = (
    b"MAIL FROM:<admin@shop.d.example>\r\nRCPT TO:<victim@e.example>\r\nDATA\r\n"
    b"From: admin@shop.d.example\r\nSubject: evil\r\n\r\nevil\r\n.\r\n"
)
BEGIN = f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<bob@e.example>\r\nDATA\r\n".encode()

# SMTP smuggling: CVE-2023-51764 (Postfix), -51765 (Sendmail), -51766 (Exim), CVE-2024-27305
# (aiosmtpd), CVE-2024-34055 and their kin, each end of data that somebody took for one.
ENDS = [
    b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r.\n",
    b"\n\n.\n", b"\r\r.\r\r", b"\r\n\x00.\r\n", b"\r\n.\x00\r\n", b"\r\x00\n.\r\n",
    b"\r\n\r.\r\n", b"\r\n.\r\r\n", b"\n\r.\n\r", b"\r\n .\r\n", b"\r\n. \r\n",
    b"\xc2\x85.\xc2\x85", b"\xe2\x80\xa8.\xe2\x80\xa8", b"\x0b.\x0b", b"\x0c.\x0c",
]  # fmt: skip


def reset(client: Client) -> None:
    """As of a machine that has gone: nobody is there who could hear anything."""
    sock = client.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()


@pytest.mark.parametrize("end", ENDS)
async def test_no_false_end_of_data_smuggles_a_message(world: World, end: bytes) -> None:
    async with world.alice() as client:
        client.write(BEGIN + HEADER + b"\r\nhello" + end + EVIL)
        await client.rest(0.3)
    # The whole may be one message; the second never is one.
    assert [letter.sender for letter in world.kept] in ([], [ALICE])
    assert all(b"victim" in letter.content for letter in world.kept)


@pytest.mark.parametrize("end", ENDS)
async def test_no_false_end_goes_out_again(world: World, end: bytes) -> None:
    """By BDAT they are octets like any other; DATA at the next hop must not see an end in them."""
    message = HEADER + b"\r\nhello" + end + EVIL.removesuffix(b".\r\n")
    async with world.alice() as client:
        await client.say(f"MAIL FROM:<{ALICE}>")
        await client.say("RCPT TO:<bob@e.example>")
        client.write(f"BDAT {len(message)} LAST\r\n".encode() + message)
        await client.reply()
    for letter in world.kept:
        assert b"\r\n.\r\n" not in letter.content
        assert letter.content.count(b"\r\n") == letter.content.count(b"\n")
        assert letter.content.count(b"\r\n") == letter.content.count(b"\r")


async def test_the_true_end_cut_anywhere_ends_once(world: World) -> None:
    whole = BEGIN + HEADER + b"\r\nhello\r\n.\r\nRSET\r\n"
    async with world.alice() as client:
        for cut in range(len(whole) - 20, len(whole)):
            client.write(whole[:cut])
            await asyncio.sleep(0.005)
            client.write(whole[cut:])
            said = [await client.reply() for _ in range(5)]
            assert said == ["250 2.1.0", "250 2.1.5", "354", "250 2.0.0", "250 2.0.0"]
    assert len(world.kept) == 20


# STARTTLS injection (CVE-2011-0411, CVE-2021-38371 and their kin)


@pytest.mark.parametrize(
    "behind", [b"EHLO evil\r\nMAIL FROM:<evil@x.example>\r\n", b"NOOP\r\n" * 50]
)
async def test_what_is_injected_behind_starttls_is_never_run(world: World, behind: bytes) -> None:
    async with world.client(Mode.RELAY) as client:
        await client.say("EHLO honest")
        client.write(b"STARTTLS\r\n" + behind)
        assert await client.reply() == "220 2.0.0"
        try:
            await client.start_tls(world.authority.client_context())
        except (ssl.SSLError, ConnectionError):
            return  # the injected octets broke the handshake: as good
        assert await client.say("MAIL FROM:<honest@x.example>") == "503 5.5.1"
        await client.say("EHLO honest")
        assert await client.say("RCPT TO:<x@y.example>") == "503 5.5.1"


async def test_a_login_in_the_clear_is_refused_before_it_is_looked_at(world: World) -> None:
    async with world.client(Mode.STARTTLS) as client:
        client.write(f"EHLO x\r\nAUTH PLAIN {plain(ALICE, world.secret)}\r\n".encode() + BEGIN)
        said = [await client.reply() for _ in range(5)]
    assert said == ["250", "538 5.7.11", "530 5.7.0", "503 5.5.1", "503 5.5.1"]
    assert world.logins() == []


# Pipelining


async def test_everything_in_one_piece_is_answered_in_order(world: World) -> None:
    async with world.alice() as client:
        client.write((BEGIN + HEADER + b"\r\nhi\r\n.\r\n") * 20 + b"QUIT\r\n")
        answer = await client.rest()
    codes = [line[:3] for line in answer.split(b"\r\n") if line]
    assert codes == [b"250", b"250", b"354", b"250"] * 20 + [b"221"]
    assert len(world.kept) == 20


async def test_commands_behind_data_are_the_message(world: World) -> None:
    async with world.alice() as client:
        client.write(BEGIN + b"MAIL FROM:<x@y.example>\r\nRCPT TO:<z@y.example>\r\n.\r\n")
        said = [await client.reply() for _ in range(4)]
    assert said == ["250 2.1.0", "250 2.1.5", "354", "250 2.0.0"]
    assert [letter.sender for letter in world.kept] == [ALICE]
    assert world.kept[0].content.endswith(b"RCPT TO:<z@y.example>\r\n")


async def test_a_message_behind_a_refused_data_is_no_commands(world: World) -> None:
    """Where no recipient was taken, a message that follows all the same ends the session."""
    async with world.alice() as client:
        client.write(
            f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<nobody>\r\nDATA\r\n".encode()
            + HEADER + b"\r\n" + b"RCPT TO:<z@y.example>\r\nDATA\r\n" + b"x\r\n" * 50 + b".\r\n"
        )  # fmt: skip
        answer = await client.rest()
    assert b"421 4.7.0" in answer
    assert not world.kept


@pytest.mark.parametrize(
    "line", ["GET / HTTP/1.1", "POST / HTTP/1.1", "CONNECT x:25 HTTP/1.1", "Host: x", "X-A: b"]
)
async def test_another_protocol_ends_the_session(world: World, line: str) -> None:
    """A browser made to talk to us carries what somebody else wrote."""
    async with world.client(Mode.RELAY) as client:
        client.write(line.encode() + b"\r\nEHLO x\r\n" + BEGIN)
        assert await client.reply() == "421 4.7.0"
        assert await client.reply() == "closed"
    assert world.reasons() == ["no_smtp"]


async def test_a_login_cannot_be_slipped_into_a_login(world: World) -> None:
    async with world.client(Mode.TLS) as client:
        client.write(b"EHLO x\r\nAUTH LOGIN\r\nMAIL FROM:<a@b.example>\r\nRSET\r\n")
        said = [await client.reply() for _ in range(4)]
    assert said == ["250", "334", "501 5.5.2", "250 2.0.0"]


# Oversized everything


OVERSIZED = [
    (b"EHLO " + b"x" * 600, "500 5.5.2"),
    (b"NOOP " + b"x" * 100_000, "500 5.5.2"),
    (b"x" * 1_000_000, "500 5.5.2"),
    (f"MAIL FROM:<{'a' * 300}@d.example>".encode(), "501 5.1.7"),
    (f"MAIL FROM:<{ALICE}> ENVID={'e' * 101}".encode(), "501 5.5.4"),
    (f"MAIL FROM:<{ALICE}> SIZE={'9' * 21}".encode(), "501 5.5.4"),
    (f"MAIL FROM:<{ALICE}> SIZE=1 SIZE=2".encode(), "501 5.5.4"),
    (f"MAIL FROM:<{ALICE}> {'X' * 2000}=1".encode(), "500 5.5.2"),
    (b"BDAT 10", "503 5.5.1"),
]


@pytest.mark.parametrize(("line", "expected"), OVERSIZED)
async def test_an_oversized_line(world: World, line: bytes, expected: str) -> None:
    async with world.alice() as client:
        client.write(line + b"\r\n" + b"0123456789" * line.startswith(b"BDAT"))
        assert await client.reply() == expected
        assert await client.say("NOOP") == "250 2.0.0"


@pytest.mark.parametrize(
    "parameter", ["NOTIFY=" + "SUCCESS," * 100, "ORCPT=rfc822;" + "a" * 600, "ORCPT=" + "a" * 2000]
)
async def test_an_oversized_parameter_of_a_recipient(world: World, parameter: str) -> None:
    async with world.alice() as client:
        await client.say(f"MAIL FROM:<{ALICE}>")
        answer = await client.say(f"RCPT TO:<bob@e.example> {parameter}")
        assert answer in ("500 5.5.2", "501 5.5.4")


@pytest.mark.parametrize("size", ["10000000000000000000", "-1", "1e9", "٣", "", "5 LAST LAST"])
async def test_a_size_nobody_can_count_ends_the_session(world: World, size: str) -> None:
    async with world.alice() as client:
        await client.say(f"MAIL FROM:<{ALICE}>")
        await client.say("RCPT TO:<bob@e.example>")
        client.write(f"BDAT {size}\r\nMAIL FROM:<evil@x.example>\r\n".encode())
        assert await client.reply() == "501 5.5.4"
        assert await client.reply() == "closed"


async def test_a_chunk_that_never_ends_costs_no_memory(tmp_path) -> None:
    world = World(tmp_path, size=10_000)
    async with world.alice() as client:
        await client.say(f"MAIL FROM:<{ALICE}>")
        await client.say("RCPT TO:<bob@e.example>")
        client.write(b"BDAT 999999999999999999 LAST\r\n" + b"x" * 1_000_000)
        await client.writer.drain()
        await asyncio.sleep(0.1)
        assert world.desk.room.left == ROOM
    assert not world.kept


async def test_a_message_larger_than_may_be(tmp_path) -> None:
    world = World(tmp_path, size=10_000)
    large = HEADER + b"\r\n" + b"x" * 70 + b"\r\n" * 10_000
    async with world.alice() as client:
        assert await client.deliver(large) == "552 5.3.4"
        assert await client.deliver(HEADER + b"\r\nhi\r\n") == "250 2.0.0"
        await client.say(f"MAIL FROM:<{ALICE}>")
        await client.say("RCPT TO:<bob@e.example>")
        client.write(f"BDAT {len(large)}\r\n".encode() + large)
        assert await client.reply() == "552 5.3.4"
        client.write(b"BDAT 2 LAST\r\nhi")  # was on its way already
        assert await client.reply() == "503 5.5.1"
        assert await client.deliver(HEADER + b"\r\nhi\r\n") == "250 2.0.0"
    assert len(world.kept) == 2
    assert world.desk.room.left == ROOM


async def test_all_unfinished_messages_share_one_room(world: World) -> None:
    world.desk.room.left = 10_000
    async with world.alice() as client:
        assert await client.deliver(HEADER + b"\r\n" + b"x\r\n" * 5_000) == "452 4.3.1"
        assert await client.deliver(HEADER + b"\r\n" + b"x\r\n" * 1_000) == "250 2.0.0"
        await client.say(f"MAIL FROM:<{ALICE}>")
        await client.say("RCPT TO:<bob@e.example>")
        await client.say("DATA")
        client.write(b"x\r\n" * 3_000)
        await client.writer.drain()
        client.close()
    assert world.desk.room.left == 10_000


async def test_who_leaves_messages_unfinished_takes_the_room_from_himself(world: World) -> None:
    """One stolen password, or one host of ours gone wild, else stops everybody's mail."""
    world.desk.room = Room(20_000, share=10_000)
    world.accounts.add("bob@d.example", ["bob@d.example"], [], 0.0)
    secret = world.accounts.make_password("bob@d.example", "laptop", 0.0).reveal()
    async with world.listening(Mode.TLS) as port:

        async def begun(user: str, secret: str) -> Client:
            client = await world.connect(port, Mode.TLS)
            await client.say("EHLO x", f"AUTH PLAIN {plain(user, secret)}")
            await client.say(f"MAIL FROM:<{user}>", "RCPT TO:<bob@e.example>", "DATA")
            return client

        hoarding = [await begun(ALICE, world.secret) for _ in range(4)]
        for client in hoarding:
            client.write(HEADER + b"\r\n" + b"x\r\n" * 1_500)
            await client.writer.drain()
        other = await begun("bob@d.example", secret)
        other.write(HEADER.replace(ALICE.encode(), b"bob@d.example") + b"\r\n" + b"x\r\n" * 3_000)
        assert await other.say(".") == "250 2.0.0"
        assert await hoarding[-1].say(".") == "452 4.3.1"
        assert await hoarding[0].say(".") == "250 2.0.0"
        for client in (*hoarding, other):
            client.close()
    assert (world.desk.room.left, world.desk.room.taken) == (20_000, {})


def test_a_body_that_is_too_much_is_let_go() -> None:
    room = Room(1_000)
    body = Body(100, room, ALICE)
    for _ in range(50):
        body.add(b"x" * 30)
    assert (body.parts, room.left, body.size) == ([], 1_000, 1_500)
    assert body.refusal() == replies.too_big(100)
    assert BodyFacts(1).defects == ()


# Silence and slowness


async def test_the_silent_are_ended(world: World) -> None:
    async with world.client(Mode.RELAY, wait=0.1) as client:
        assert await client.reply() == "421 4.4.2"
        assert await client.reply() == "closed"


async def test_who_never_reads_our_last_words_is_let_go(world: World) -> None:
    make = world.desk.sessions(Listening("127.0.0.1", 0, Mode.RELAY, LOCAL))
    listener = Listener(make, wait=0.5)
    server = await listener.listen(host="127.0.0.1", port=0)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_304)
        await asyncio.to_thread(client.connect, server.sockets[0].getsockname())
        await asyncio.sleep(0.05)
        (session,) = listener.sessions
        kernel = session._transport.get_extra_info("socket")
        kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_608)
        client.sendall(b"EHLO x\r\n" * 150 + b"QUIT\r\n")
        await asyncio.sleep(0.2)
        assert session._transport.get_write_buffer_size()
        assert session._transport.is_closing()
        async with asyncio.timeout(5):
            while listener.sessions:
                await asyncio.sleep(0.05)
    assert world.desk.clients == {}
    await listener.close(patience=0)


async def test_a_message_that_drips_is_ended(world: World) -> None:
    async with world.client(Mode.RELAY, whole=0.1) as client:
        await client.say("EHLO x")
        client.write(BEGIN)
        for _ in range(3):
            assert (await client.reply())[:1] in "23"
        answer = asyncio.create_task(client.rest())
        for _ in range(200):
            client.write(b"x")
            await asyncio.sleep(0.02)
            if answer.done():
                break
        assert answer.done()
    assert not world.kept
    assert world.desk.room.left == ROOM


async def test_a_message_over_a_narrow_link_is_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes steadily, and would be cut off at the same place each time."""
    monkeypatch.setattr(smtp_listen, "SLOWEST", 1)
    monkeypatch.setattr(smtp_listen, "SWEEP", 0.01)
    async with world.client(Mode.RELAY, whole=0.1) as client:
        await client.say("EHLO x")
        client.write(BEGIN)
        for _ in range(3):
            assert (await client.reply())[:1] in "23"
        client.write(b"Subject: x\r\n\r\n")
        await asyncio.sleep(0.3)
        client.write(b"x\r\n.\r\n")
        assert (await client.reply())[:3] == "250"
        assert await client.reply() == "421 4.4.2"
    assert len(world.kept) == 1


async def test_a_handshake_that_never_comes_is_ended(world: World) -> None:
    async with world.listening(Mode.TLS, handshake=0.1) as port:
        client = await silent(port)
        assert await client.rest() == b""
        client.close()
    assert world.desk.clients == {}


async def silent(port: int, source: str = "127.0.0.1") -> Client:
    """Who connects and never begins its handshake."""
    return Client(*await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0)))


async def served(world: World, port: int) -> bool:
    """Whether one more from the same address is greeted."""
    try:
        client = await world.connect(port, Mode.TLS)
    except (ConnectionError, ssl.SSLError):
        return False
    client.close()
    return client.greeting == "220"


async def until_served(world: World, port: int) -> None:
    async with asyncio.timeout(5):
        while not await served(world, port):
            await asyncio.sleep(0.01)


async def test_handshakes_that_never_come_are_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_accept, "HALF_OPEN", 3)
    async with world.listening(Mode.TLS) as port:
        others = [await silent(port, "127.0.0.2") for _ in range(3)]
        assert await served(world, port)
        clients = [await silent(port) for _ in range(3)]
        assert not await served(world, port)
        assert await clients[0].rest(0.1) == b""  # the first ones have their time
        assert not await served(world, port)
        assert world.reasons() == ["handshakes"]  # one line for a flood
        monkeypatch.setattr(tls_accept, "TOLD", 0.0)
        assert not await served(world, port)
        assert [facts["times"] for kind, facts in world.told if kind == "rejected"] == [1, 2]
        clients.pop().close()
        await until_served(world, port)
        for client in (*others, *clients):
            client.close()


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
    ],
)
def test_whom_a_handshake_counts_for(first: str, second: str, same: bool) -> None:
    assert (site(first) == site(second)) is same


async def test_handshakes_of_all_are_bounded_and_the_rest_wait(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_accept, "HALF_OPEN_ALL", 2)
    monkeypatch.setattr(tls_accept, "PAUSE", 0.1)
    async with world.listening(Mode.TLS) as port:
        clients = [await silent(port, f"127.0.0.{n}") for n in (2, 3)]
        waiting = asyncio.create_task(world.connect(port, Mode.TLS))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        for client in clients:
            client.close()
        async with asyncio.timeout(5):
            (await waiting).close()


async def test_no_room_for_one_more_is_no_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file descriptor is left: who comes waits, and is served when there is one."""
    monkeypatch.setattr(tls_accept, "PAUSE", 0.1)
    accept, full = socket.socket.accept, [OSError(errno.EMFILE, "full")] * 2

    def crowded(sock: socket.socket) -> tuple[socket.socket, object]:
        if full:
            raise full.pop()
        return accept(sock)

    said: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: said.append(about["message"]))
    async with world.listening(Mode.TLS) as port:
        monkeypatch.setattr(socket.socket, "accept", crowded)
        assert await served(world, port)
        assert full == []
    assert said == ["no more clients can be taken for now"] * 2


async def test_who_is_amid_the_handshake_is_heard_before_the_end_and_not_for_long(
    world: World,
) -> None:
    listener = Listener(world.desk.sessions(Listening("127.0.0.1", 0, Mode.TLS)))
    door = listener.listen_tls(socket.create_server(("127.0.0.1", 0)), world.tls)
    port = door.sockets[0].getsockname()[1]
    never, quick = await silent(port), await silent(port)
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(listener.close(patience=30))
    await asyncio.sleep(0.2)
    await quick.writer.start_tls(world.authority.client_context(), server_hostname="127.0.0.1")
    assert await quick.reply() == "220"
    async with asyncio.timeout(5):
        await closing
    assert not door.half_open
    never.close()
    quick.close()


async def test_a_client_that_leaves_leaves_nothing(world: World) -> None:
    async with world.listening(Mode.TLS) as port:
        for octets in (b"", b"EHLO x\r\n", b"EHLO x\r\nAUTH LOGIN\r\n", b"\x16\x03\x01"):
            client = await world.connect(port, Mode.TLS)
            client.write(octets)
            client.writer.transport.abort()
        async with asyncio.timeout(5):
            while world.desk.clients:
                await asyncio.sleep(0.01)


HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # of TLS, a part of it


@pytest.mark.parametrize("octets", [b"", HELLO, b"QUIT\r\n"], ids=["silent", "half", "no-tls"])
@pytest.mark.parametrize("leave", [reset, Client.close], ids=["reset", "closed"])
async def test_a_client_that_leaves_amid_the_handshake_leaves_nothing(
    world: World, octets: bytes, leave: Callable[[Client], None]
) -> None:
    make = world.desk.sessions(Listening("127.0.0.1", 0, Mode.STARTTLS))
    listener = Listener(make, tls=lambda: world.tls)
    server = await listener.listen(host="127.0.0.1", port=0)
    client = await world.connect(server.sockets[0].getsockname()[1], Mode.STARTTLS)
    assert await client.say("EHLO x", "STARTTLS") == "220 2.0.0"
    client.write(octets)
    await asyncio.sleep(0.02)
    leave(client)
    async with asyncio.timeout(5):
        while listener.sessions or world.desk.clients:
            await asyncio.sleep(0.01)
    await listener.close(patience=0)


async def test_a_message_is_kept_whole_though_its_client_has_gone(world: World) -> None:
    """Durable and not handed to delivery would be a message lost until a restart."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    keep, done = world.desk.keep, []

    async def slow(letter: Letter, events: Sequence[Event]) -> None:
        begun.set()
        await go_on.wait()
        await keep(letter, events)
        done.append(letter.id)

    world.desk.keep = slow
    message = BEGIN + HEADER + b"\r\nhi\r\n"
    async with world.listening(Mode.RELAY) as port:
        client = await world.connect(port, Mode.RELAY)
        await client.say("EHLO x")
        client.write(message + b".\r\n" + message)  # and half of another behind it
        await asyncio.wait_for(begun.wait(), 5)
        reset(client)  # who only says no more is still answered
        async with asyncio.timeout(5):
            while world.desk.clients:
                await asyncio.sleep(0.01)
        go_on.set()
        async with asyncio.timeout(5):
            while not done:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
    assert [letter.id for letter in world.kept] == done == ["id1"]
    assert world.desk.room.left == ROOM


# Header injection


INJECTED = [
    (f"MAIL FROM:<{ALICE}> ENVID=a+0D+0ABcc:+20x@y.example", "501 5.5.4"),
    (f"MAIL FROM:<{ALICE}> ENVID=a+0A", "501 5.5.4"),
    (f"MAIL FROM:<{ALICE}> ENVID=a+00", "501 5.5.4"),
    (f"MAIL FROM:<{ALICE}> ENVID=a+E2+80+A8b", "501 5.5.4"),  # U+2028 ends lines for some
    (f"MAIL FROM:<{ALICE}> ENVID=a+FF", "501 5.5.4"),
    (f"MAIL FROM:<{ALICE}> ENVID=a+0", "501 5.5.4"),
    (f"MAIL FROM:<{ALICE}> ENVID=a\rb", "500 5.5.2"),
    (f"MAIL FROM:<{ALICE}> ENVID=fine", "250 2.1.0"),
    ("MAIL FROM:<a\x85b@shop.d.example> SMTPUTF8", "501 5.1.7"),
    ("MAIL FROM:<a\x00b@shop.d.example> SMTPUTF8", "500 5.5.2"),
    ('MAIL FROM:<"a\\\x01b"@shop.d.example>', "500 5.5.2"),
]


@pytest.mark.parametrize(("line", "expected"), INJECTED)
async def test_nothing_hides_in_parameters_of_mail(world: World, line: str, expected: str) -> None:
    async with world.alice() as client:
        assert await client.say(line) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("rfc822;a+0D+0ABcc:x", "501 5.5.4"),
        ("rfc822;a+0a", "501 5.5.4"),
        ("utf-8;a\\x{D}\\x{A}Bcc:x", "501 5.5.4"),
        ("utf-8;a\\x{0000D}", "501 5.5.4"),
        ("utf-8;a\\x{2028}", "501 5.5.4"),
        ("utf-8;a\\x{D800}", "501 5.5.4"),
        ("utf-8;a\\x{FFFFFFFF}", "501 5.5.4"),
        ("utf-8;爱\u2028x@y.example", "501 5.5.4"),
        ("utf-8;爱@y.example", "250 2.1.5"),
        ("utf-8;\\x{7231}@y.example", "250 2.1.5"),
        ("rfc822;a+2Bb@y.example", "250 2.1.5"),
        ("rfc822;", "250 2.1.5"),
        (";x@y.example", "501 5.5.4"),
        ("rfc822", "501 5.5.4"),
    ],
)
async def test_nothing_hides_in_orcpt(world: World, value: str, expected: str) -> None:
    async with world.alice() as client:
        await client.say(f"MAIL FROM:<{ALICE}> SMTPUTF8")
        assert await client.say(f"RCPT TO:<bob@e.example> ORCPT={value}") == expected


@pytest.mark.parametrize(
    "name",
    ["x)\tby evil", "a(b", "x;y", "<x>", '"x"', "x" * 500, "[127.0.0.1]", "a b c", "%0d%0aX:"],
)
async def test_no_name_breaks_our_received_line(world: World, name: str) -> None:
    async with world.client(Mode.RELAY) as client:
        await client.say(f"EHLO {name}")
        assert await client.deliver(HEADER + b"\r\nhi\r\n") == "250 2.0.0"
    line = world.kept[0].content.partition(b"\r\n\tby ")[0].decode()
    assert line.startswith("Received: from ")
    assert line.count("(") == line.count(")") == 1
    assert not set(line.partition(" (")[0][15:]) & set('()<>;" \t\r\n')


async def test_addresses_of_any_script_stay_in_their_line(world: World) -> None:
    async with world.client(Mode.RELAY) as client:
        await client.say("EHLO x")
        await client.say("MAIL FROM:<爱\u2028x@y.example> SMTPUTF8")
        await client.say("RCPT TO:<愛\u2029y@例.example>")
        await client.say("DATA")
        client.write(HEADER + b"\r\nhi\r\n.\r\n")
        assert await client.reply() == "250 2.0.0"
    lines = world.kept[0].content.partition(HEADER)[0].split(b"\r\n")
    assert [line[:1] for line in lines] == [*[b"R", b"\t", b"\t", b"\t"], *[b"D", b"M", b""]]


# Secrets


async def test_nothing_told_or_kept_holds_a_credential(world: World) -> None:
    async with world.alice() as client:
        await client.deliver(HEADER + b"\r\nhi\r\n")
    async with world.client(Mode.TLS) as client:
        await client.say("EHLO x")
        await client.say("AUTH LOGIN")
        await client.say(b64(world.secret))  # the secret where the name should be
        await client.say(b64("x"))
        await client.say(world.secret)
    assert world.secret not in repr((world.told, world.kept, world.events))
    assert world.secret.encode() not in world.kept[0].content
