"""``Connection`` in both roles: dialogues, state by state, and what each side refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from posthouse.protocol.smtp import (
    Auth,
    AuthResponse,
    Bdat,
    BodyChunk,
    BodyEnd,
    Command,
    CommandReceived,
    Connection,
    Data,
    Ehlo,
    Helo,
    Lhlo,
    Limits,
    LocalProtocolError,
    Mail,
    MessageData,
    MessageEnd,
    Noop,
    Quit,
    Rcpt,
    Refused,
    RemoteError,
    Reply,
    ReplyReceived,
    Role,
    Rset,
    Sendable,
    StartTls,
    State,
    Unknown,
    Vrfy,
    Xclient,
)
from posthouse.protocol.smtp import state as states

EHLO = (
    b"250-mail.test\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-STARTTLS\r\n"
    b"250-AUTH PLAIN LOGIN\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-XCLIENT LOGIN\r\n"
    b"250 SMTPUTF8\r\n"
)


# --- the client


def client(*dialogue: Sendable | bytes, lmtp: bool = False) -> Connection:
    """A client that has said and heard all that."""
    connection = Connection(Role.CLIENT, lmtp=lmtp)
    for item in dialogue:
        if isinstance(item, bytes):
            connection.receive(item)
        else:
            connection.send(item)
    return connection


HELLO: tuple[Sendable | bytes, ...] = (b"220 hi\r\n", Ehlo("me.test"), EHLO)
MAIL: tuple[Sendable | bytes, ...] = (*HELLO, Mail("a@b.test"), b"250 ok\r\n")
RCPT: tuple[Sendable | bytes, ...] = (*MAIL, Rcpt("c@d.test"), b"250 ok\r\n")
DATA: tuple[Sendable | bytes, ...] = (*RCPT, Data(), b"354 go\r\n")
AUTH: tuple[Sendable | bytes, ...] = (*HELLO, Auth("LOGIN"), b"334 VXNlcm5hbWU6\r\n")


@pytest.mark.parametrize(
    ("dialogue", "state"),
    [
        ((), State.GREETING),
        ((b"220-hi\r\n",), State.GREETING),
        ((b"220 hi\r\n",), State.GREETED),
        ((b"554 no\r\n",), State.TURNED_AWAY),
        ((b"421 no\r\n",), State.CLOSED),
        (HELLO, State.READY),
        ((b"220 hi\r\n", Ehlo("x"), b"502 what\r\n"), State.GREETED),
        ((b"220 hi\r\n", Ehlo("x"), b"502 what\r\n", Helo("x"), b"250 hi\r\n"), State.READY),
        ((*HELLO, StartTls(), b"220 go\r\n"), State.TLS),
        ((*HELLO, StartTls(), b"454 no\r\n"), State.READY),
        (AUTH, State.AUTH),
        ((*AUTH, AuthResponse(b"a"), b"334 UGFzc3dvcmQ6\r\n"), State.AUTH),
        ((*AUTH, AuthResponse(b"a"), b"235 ok\r\n"), State.READY),
        ((*AUTH, AuthResponse(None), b"501 ok\r\n"), State.READY),
        ((*HELLO, Auth("PLAIN", b"x"), b"535 no\r\n"), State.READY),
        (MAIL, State.MAIL),
        ((*HELLO, Mail("a@b.test"), b"550 no\r\n"), State.READY),
        (RCPT, State.RCPT),
        ((*MAIL, Rcpt("c@d.test"), b"550 no\r\n"), State.MAIL),
        (DATA, State.DATA),
        ((*RCPT, Data(), b"451 later\r\n"), State.RCPT),
        ((*DATA, MessageEnd(), b"250 ok\r\n"), State.READY),
        ((*DATA, MessageEnd(), b"554 spam\r\n"), State.READY),
        ((*RCPT, Bdat(0), b"250 ok\r\n"), State.BDAT),
        ((*RCPT, Bdat(0), b"552 no\r\n"), State.READY),
        ((*RCPT, Bdat(0, True), b"250 ok\r\n"), State.READY),
        ((*RCPT, Rset(), b"250 ok\r\n"), State.READY),
        ((*RCPT, Ehlo("x"), EHLO), State.READY),
        ((*RCPT, Noop(), b"250 ok\r\n"), State.RCPT),
        ((*HELLO, Xclient({"LOGIN": "a"}), b"220 hi\r\n"), State.GREETED),
        ((*HELLO, Quit(), b"221 bye\r\n"), State.CLOSED),
        ((*MAIL, Rcpt("c@d.test"), b"421 bye\r\n"), State.CLOSED),
        ((*HELLO, b"421 idle\r\n"), State.CLOSED),
    ],
)
def test_client_states(dialogue: tuple[Sendable | bytes, ...], state: State) -> None:
    assert client(*dialogue).state is state


@pytest.mark.parametrize(
    ("dialogue", "item"),
    [
        ((), Ehlo("x")),
        ((), Quit()),
        ((b"220 hi\r\n",), Mail("a@b.test")),
        ((b"220 hi\r\n",), Lhlo("x")),
        ((b"220 hi\r\n",), MessageData(b"x")),
        ((b"220 hi\r\n",), Reply.make(250, "x")),
        ((b"554 no\r\n",), Ehlo("x")),
        (HELLO, Rcpt("c@d.test")),
        (HELLO, Data()),
        (HELLO, MessageEnd()),
        (HELLO, AuthResponse(b"x")),
        (HELLO, Auth("CRAM-MD5")),
        (HELLO, Mail("a@b.test", {"RET": "FULL"})),
        ((*HELLO, StartTls(), b"220 go\r\n"), Ehlo("x")),
        ((*HELLO, Auth("PLAIN", b"x"), b"235 ok\r\n"), Auth("PLAIN", b"x")),
        (MAIL, Mail("a@b.test")),
        (MAIL, Data()),
        (MAIL, Auth("PLAIN", b"x")),
        (MAIL, StartTls()),
        (RCPT, MessageData(b"x")),
        (DATA, Rset()),
        (DATA, MessageData(b"bare\n")),
        (AUTH, Quit()),
        ((*RCPT, Bdat(3)), Bdat(1)),
        ((*RCPT, Bdat(3)), MessageData(b"four")),
        ((*RCPT, Bdat(0), b"250 ok\r\n"), Data()),
        ((*HELLO, Mail("a@b.test", {"BODY": "BINARYMIME"}), Rcpt("c@d.test")), Data()),
        ((*HELLO, Quit(), b"221 bye\r\n"), Noop()),
        # Pipelining: after a command that ends its group, and where it was not offered.
        ((*HELLO, Noop()), Noop()),
        ((*RCPT, Data()), Noop()),
        ((*HELLO, StartTls()), Mail("a@b.test")),
        ((b"220 hi\r\n", Ehlo("x"), b"250 old\r\n", Mail("a@b.test")), Rcpt("c@d.test")),
    ],
)
def test_client_may_not(dialogue: tuple[Sendable | bytes, ...], item: Sendable) -> None:
    connection = client(*dialogue)
    before = (connection.state, connection.awaited)
    with pytest.raises(LocalProtocolError):
        connection.send(item)
    assert (connection.state, connection.awaited) == before


def test_starttls_begins_anew() -> None:
    connection = client(*HELLO, StartTls(), b"220 go\r\n250-evil\r\n", b"250 more\r\n")
    assert connection.receive(b"250 injected\r\n") == []
    assert connection.tls_started() == len(b"250-evil\r\n250 more\r\n250 injected\r\n")
    assert (connection.state, dict(connection.extensions)) == (State.GREETED, {})
    assert connection.tls
    with pytest.raises(LocalProtocolError):
        connection.send(StartTls())
    with pytest.raises(LocalProtocolError):
        connection.tls_started()
    connection.send(Ehlo("me.test"))
    assert connection.receive(b"250 mail.test\r\n") == [
        ReplyReceived(Reply(250, ("mail.test",), raw=b"250 mail.test\r\n"), Ehlo("me.test"))
    ]


def replies(connection: Connection, data: bytes) -> list[tuple[int, Command | None]]:
    return [
        (event.reply.code, event.command)
        for event in connection.receive(data)
        if isinstance(event, ReplyReceived)
    ]


def test_pipelined_replies_are_matched_in_order() -> None:
    connection = client(*HELLO)
    group = [Mail("a@b.test"), Rcpt("c@d.test"), Rcpt("e@f.test"), Data()]
    wire = b"".join(connection.send(item) for item in group)
    assert wire.count(b"\r\n") == 4
    assert list(connection.awaited) == group
    assert replies(connection, b"250 a\r\n250 b\r\n550 c\r\n354 d\r\n") == [
        (250, group[0]),
        (250, group[1]),
        (550, group[2]),
        (354, group[3]),
    ]
    assert list(connection.recipients) == ["c@d.test"]
    assert connection.state is State.DATA
    assert connection.send(MessageData(b".x\r\n")) == b"..x\r\n"
    connection.send(MessageEnd())
    connection.send(Mail("g@h.test"))  # the message may be the first of a group (RFC 2920)
    assert replies(connection, b"250 queued\r\n250 ok\r\n") == [
        (250, MessageEnd()),
        (250, Mail("g@h.test")),
    ]


def test_pipelined_data_without_recipients_is_ended_at_once() -> None:
    connection = client(*HELLO, Mail("a@b.test"), Rcpt("c@d.test"), Data())
    connection.receive(b"250 a\r\n550 b\r\n354 go\r\n")
    assert connection.state is State.DATA
    assert connection.send(MessageEnd()) == b".\r\n"
    assert replies(connection, b"554 no valid recipients\r\n") == [(554, MessageEnd())]
    assert connection.state is State.READY


def test_bdat_may_be_pipelined_as_a_whole() -> None:
    connection = client(*HELLO)
    wire = b"".join(
        connection.send(item)
        for item in (
            Mail("a@b.test", {"BODY": "BINARYMIME"}),
            Rcpt("c@d.test"),
            Bdat(5),
            MessageData(b"\n.\r\0x"),
            Bdat(0, True),
        )
    )
    assert b"BDAT 5\r\n\n.\r\0xBDAT 0 LAST\r\n" in wire
    assert [c for c, _ in replies(connection, b"250 a\r\n" * 4)] == [250] * 4
    assert connection.state is State.READY


def test_lmtp_answers_for_every_recipient() -> None:
    hello: tuple[Sendable | bytes, ...] = (b"220 hi\r\n", Lhlo("me.test"), EHLO)
    mail: tuple[Sendable | bytes, ...] = (*hello, Mail("a@b.test"))
    rcpt = [Rcpt(f"{n}@d.test") for n in range(3)]
    connection = client(*mail, *rcpt, b"250 a\r\n250 b\r\n550 c\r\n250 d\r\n", lmtp=True)
    assert list(connection.recipients) == ["0@d.test", "2@d.test"]
    for item in (Data(), b"354 go\r\n", MessageEnd()):
        _ = connection.receive(item) if isinstance(item, bytes) else connection.send(item)
    assert replies(connection, b"250 x\r\n452 y\r\n") == [
        (250, MessageEnd("0@d.test")),
        (452, MessageEnd("2@d.test")),
    ]
    connection = client(*mail, *rcpt, Bdat(0, True), lmtp=True)
    assert [
        command
        for _, command in replies(
            connection, b"250 a\r\n250 b\r\n550 c\r\n250 d\r\n250 x\r\n452 y\r\n"
        )
    ][4:] == [MessageEnd("0@d.test"), MessageEnd("2@d.test")]
    assert connection.state is State.READY
    with pytest.raises(LocalProtocolError):
        client(b"220 hi\r\n", lmtp=True).send(Ehlo("x"))


def test_a_missing_hyphen_in_the_ehlo_list() -> None:
    connection = client(b"220 hi\r\n", Ehlo("me.test"))
    first, second = connection.receive(
        b"250-smtp.test\r\n250-PIPELINING\r\n250 8 BITMIME\r\n250-SIZE 5\r\n250 STARTTLS\r\n"
    )
    assert isinstance(first, ReplyReceived)
    assert isinstance(second, ReplyReceived)
    assert (first.continued, second.continued) == (False, True)
    assert second.command == Ehlo("me.test")
    assert set(connection.extensions) == {"PIPELINING", "8BITMIME", "SIZE", "STARTTLS"}
    assert connection.state is State.READY


def test_what_nobody_asked_for() -> None:
    connection = client(*HELLO, Noop(), b"250 ok\r\n")
    (event,) = connection.receive(b"451 4.4.2 hm\r\n")
    assert isinstance(event, ReplyReceived)
    assert (event.command, event.unsolicited) == (None, True)
    assert connection.state is State.READY
    (event,) = connection.receive(b"421 4.4.2 Timeout\r\n")
    assert isinstance(event, ReplyReceived)
    assert event.unsolicited
    assert connection.state is State.CLOSED


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"* OK IMAP\r\nmore\r\n", "no_reply_code"),
        (b"HTTP/1.1 400 Bad\r\n", "no_reply_code"),
        (b"220-" + b"x" * 300, "reply_too_long"),
        (b"x" * 300, "reply_too_long"),
        (b"220-x\r\n" * 50, "reply_too_long"),
    ],
)
def test_no_smtp(data: bytes, reason: str) -> None:
    connection = Connection(Role.CLIENT, limits=Limits(reply_octets=256))
    (event,) = connection.receive(data)
    assert isinstance(event, RemoteError)
    assert event.reason == reason
    assert data.startswith(event.raw)
    assert connection.state is State.CLOSED
    assert connection.receive(b"220 hi\r\n") == []


@pytest.mark.parametrize(
    ("dialogue", "raw"),
    [
        pytest.param((), b"354 go\r\n", id="greeting"),
        pytest.param((*HELLO, Mail("a@b.test")), b"354 go\r\n", id="mail"),
        pytest.param((*HELLO, Noop()), b"334 \r\n", id="noop"),
        pytest.param((*RCPT, Data()), b"250 ok\r\n", id="data"),
        pytest.param((*DATA, MessageEnd()), b"354-go\r\n354 on\r\n", id="end"),
    ],
)
def test_a_yes_of_a_class_that_the_command_has_not(
    dialogue: tuple[Sendable | bytes, ...], raw: bytes
) -> None:
    connection = client(*dialogue)
    (event,) = connection.receive(raw + b"250 more\r\n")
    assert isinstance(event, RemoteError)
    assert (event.reason, event.raw) == ("wrong_class", raw)
    assert connection.state is State.CLOSED


def test_half_a_line_can_be_looked_at() -> None:
    connection = client(b"SSH-2.0-x")
    assert connection.unread == b"SSH-2.0-x"


# --- the server

OFFER = Reply(
    250,
    (
        "mail.test",
        "PIPELINING",
        "SIZE 1000",
        "8BITMIME",
        "STARTTLS",
        "AUTH PLAIN LOGIN",
        "CHUNKING",
        "BINARYMIME",
        "SMTPUTF8",
    ),
)
GOOD = Reply.make(250, "ok")


def server(*dialogue: bytes | Reply, lmtp: bool = False) -> Connection:
    connection = Connection(Role.SERVER, lmtp=lmtp)
    connection.send(Reply.make(220, "hi"))
    for item in dialogue:
        if isinstance(item, bytes):
            connection.receive(item)
        else:
            connection.send(item)
    return connection


S_HELLO: tuple[bytes | Reply, ...] = (b"EHLO me.test\r\n", OFFER)
S_MAIL: tuple[bytes | Reply, ...] = (*S_HELLO, b"MAIL FROM:<a@b.test>\r\n", GOOD)
S_RCPT: tuple[bytes | Reply, ...] = (*S_MAIL, b"RCPT TO:<c@d.test>\r\n", GOOD)
S_DATA: tuple[bytes | Reply, ...] = (*S_RCPT, b"DATA\r\n", Reply.make(354, "go"))
S_AUTH: tuple[bytes | Reply, ...] = (*S_HELLO, b"AUTH LOGIN\r\n", Reply.challenge(b"Username:"))


@pytest.mark.parametrize(
    ("dialogue", "line", "command"),
    [
        ((), b"EHLO x\r\n", Ehlo("x")),
        ((), b"NOOP\r\n", Noop()),
        (S_HELLO, b"MAIL FROM:<> SIZE=5\r\n", Mail("", {"SIZE": "5"})),
        (S_HELLO, b"STARTTLS\r\n", StartTls()),
        (S_HELLO, b"AUTH PLAIN =\r\n", Auth("PLAIN", b"")),
        (S_HELLO, b"GET / HTTP/1.1\r\n", Unknown("GET / HTTP/1.1")),
        (S_HELLO, b"VRFY alice\r\n", Vrfy("alice")),
        (S_AUTH, b"YWxpY2U=\r\n", AuthResponse(b"alice")),
        (S_AUTH, b"\r\n", AuthResponse(b"")),
        (S_AUTH, b"*\r\n", AuthResponse(None)),
        (S_MAIL, b"RCPT TO:<c@d.test>\r\n", Rcpt("c@d.test")),
        (S_RCPT, b"DATA\r\n", Data()),
        (S_RCPT, b"EHLO y\r\n", Ehlo("y")),
    ],
)
def test_server_hears(dialogue: tuple[bytes | Reply, ...], line: bytes, command: Command) -> None:
    assert server(*dialogue).receive(line) == [CommandReceived(command)]


@pytest.mark.parametrize(
    ("dialogue", "line", "code", "reason"),
    [
        ((), b"MAIL FROM:<a@b.test>\r\n", 503, "bad_sequence"),
        ((), b"LHLO x\r\n", 500, "wrong_protocol"),
        ((), b"STARTTLS\r\n", 503, "bad_sequence"),
        ((), b"NOOP\n", 500, "bare_lf"),
        ((), b"EHLO a\rb\r\n", 500, "control"),
        ((), b"NOOP " + b"x" * 600 + b"\r\n", 500, "line_too_long"),
        ((), b"NOOP " + b"x" * 20_000 + b"\r\n", 500, "line_too_long"),
        ((b"EHLO x\r\n", GOOD), b"STARTTLS\r\n", 502, "not_offered"),
        ((b"EHLO x\r\n", GOOD), b"AUTH PLAIN\r\n", 502, "not_offered"),
        ((b"EHLO x\r\n", GOOD), b"XCLIENT LOGIN=a\r\n", 502, "not_offered"),
        ((b"EHLO x\r\n", GOOD), b"MAIL FROM:<a@b.test> SIZE=1\r\n", 555, "not_offered"),
        (S_HELLO, b"RCPT TO:<c@d.test>\r\n", 503, "bad_sequence"),
        (S_HELLO, b"DATA\r\n", 503, "bad_sequence"),
        (
            (*S_HELLO, b"AUTH PLAIN AGEAYg==\r\n", Reply.make(235, "")),
            b"AUTH PLAIN\r\n",
            503,
            "bad_sequence",
        ),
        (S_AUTH, b"!!!\r\n", 501, "base64"),
        (S_AUTH, b"Y" * 13_000 + b"\r\n", 500, "line_too_long"),
        (S_AUTH, b"YQ==\n", 500, "bare_lf"),
        (S_MAIL, b"DATA\r\n", 554, "no_recipients"),
        (S_MAIL, b"AUTH PLAIN\r\n", 503, "bad_sequence"),
        (S_MAIL, b"MAIL FROM:<a@b.test>\r\n", 503, "bad_sequence"),
        (
            (*S_HELLO, b"MAIL FROM:<> BODY=BINARYMIME\r\n", GOOD, b"RCPT TO:<c@d.test>\r\n", GOOD),
            b"DATA\r\n",
            503,
            "bad_sequence",
        ),
        ((*S_RCPT, b"BDAT 0\r\n", GOOD), b"DATA\r\n", 503, "bad_sequence"),
        (S_HELLO, b"BDAT 5 LAST\r\nQUIT\n", 503, "bad_sequence"),
        (S_RCPT, b"BDAT five\r\n", 501, "bdat_size"),
    ],
)
def test_server_refuses(
    dialogue: tuple[bytes | Reply, ...], line: bytes, code: int, reason: str
) -> None:
    connection = server(*dialogue)
    before = connection.state
    (event,) = connection.receive(line)
    assert isinstance(event, Refused)
    assert (event.reply.code, event.reason) == (code, reason)
    assert event.fatal == (reason == "bdat_size")
    connection.send(event.reply)
    assert connection.state is (State.READY if before is State.AUTH else before)


def test_server_turned_a_client_away() -> None:
    connection = Connection(Role.SERVER)
    assert connection.receive(b"EHLO early\r\n") == []  # nothing counts before the greeting
    connection.send(Reply.make(554, "no"))
    (event,) = connection.receive(b"")
    assert isinstance(event, Refused)
    connection.send(event.reply)
    assert connection.receive(b"QUIT\r\n") == [CommandReceived(Quit())]
    connection.send(Reply.make(221, "bye"))
    assert connection.state is State.CLOSED
    assert connection.receive(b"NOOP\r\n") == []


@pytest.mark.parametrize(
    ("dialogue", "reply"),
    [
        ((), GOOD),
        ((b"NOOP\r\n", GOOD), GOOD),
        ((b"NOOP\r\n",), Reply.make(354, "go")),
        ((*S_RCPT, b"DATA\r\n"), GOOD),
        ((*S_HELLO, b"MAIL FROM:<>\r\n"), Reply.make(334, "")),
    ],
)
def test_server_may_not(dialogue: tuple[bytes | Reply, ...], reply: Reply) -> None:
    with pytest.raises(LocalProtocolError):
        server(*dialogue).send(reply)
    with pytest.raises(LocalProtocolError):
        server(*dialogue).send(Noop())


def test_a_server_may_always_say_421() -> None:
    connection = server(*S_HELLO)
    assert connection.send(Reply.make(421, "bye")) == b"421 bye\r\n"
    assert connection.state is State.CLOSED
    assert connection.receive(b"NOOP\r\n") == []


def test_pipelined_commands_wait_for_their_reply() -> None:
    connection = server(*S_HELLO)
    (event,) = connection.receive(
        b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nhello\r\n"
    )
    assert event == CommandReceived(Mail("a@b.test"))
    assert connection.receive(b".\r\n") == []
    connection.send(Reply.make(550, "no"))
    (event,) = connection.receive(b"")
    assert isinstance(event, Refused)  # RCPT without a sender
    connection.send(event.reply)
    (event,) = connection.receive(b"")
    assert isinstance(event, Refused)  # DATA without a recipient: the message is commands now
    connection.send(event.reply)
    assert connection.receive(b"") == [CommandReceived(Unknown("hello"))]


def test_what_came_behind_starttls_is_thrown_away() -> None:
    connection = server(*S_HELLO)
    events = connection.receive(b"STARTTLS\r\nMAIL FROM:<evil@x.test>\r\n")
    assert events == [CommandReceived(StartTls())]
    connection.send(Reply.make(220, "go"))
    assert connection.receive(b"RCPT") == []
    assert connection.tls_started() == len(b"MAIL FROM:<evil@x.test>\r\nRCPT")
    assert connection.receive(b"") == []
    (event,) = connection.receive(b"MAIL FROM:<a@b.test>\r\n")
    assert isinstance(event, Refused)  # EHLO is forgotten, too


def test_a_login_is_forgotten_with_tls() -> None:
    connection = server(*S_HELLO, b"AUTH PLAIN AGEAYg==\r\n", Reply.make(235, "ok"))
    assert connection.authenticated
    connection.receive(b"STARTTLS\r\n")
    connection.send(Reply.make(220, "go"))
    connection.tls_started()
    assert not connection.authenticated


def test_data_and_what_follows_it() -> None:
    connection = server(*S_DATA)
    chunk, end = connection.receive(b"..a\r\nb\r\n.\r\nNOOP\r\n")
    assert chunk == BodyChunk(b"..a\r\nb\r\n")
    assert isinstance(end, BodyEnd)
    assert (end.facts.size, end.facts.defects, end.last, end.chunked) == (8, (), True, False)
    assert list(connection.awaited) == [MessageEnd()]
    connection.send(GOOD)
    assert connection.receive(b"") == [CommandReceived(Noop())]


def test_bdat_and_what_follows_it() -> None:
    connection = server(*S_RCPT)
    command, chunk, end = connection.receive(b"BDAT 6\r\n\n.\r\n.xBDAT 0 LAST\r\n")
    assert (command, chunk) == (CommandReceived(Bdat(6)), BodyChunk(b"\n.\r\n.x"))
    assert isinstance(end, BodyEnd)
    assert (end.last, end.chunked, end.facts.bare_lf) == (False, True, 1)
    connection.send(GOOD)
    command, end = connection.receive(b"")
    assert command == CommandReceived(Bdat(0, True))
    assert isinstance(end, BodyEnd)
    assert (end.last, end.facts.size) == (True, 6)
    connection.send(GOOD)
    assert connection.state is State.READY


def test_an_unwanted_chunk_is_read_over() -> None:
    connection = server(*S_HELLO)
    assert connection.receive(b"BDAT 15 LAST\r\nQUIT\r\nRSET") == []
    (event,) = connection.receive(b"\r\nx\r\nNOOP\r\n")
    assert isinstance(event, Refused)
    assert (event.reply.code, event.fatal) == (503, False)
    connection.send(event.reply)
    assert connection.receive(b"") == [CommandReceived(Noop())]


def test_lmtp_server_answers_for_every_recipient() -> None:
    connection = server(b"LHLO x\r\n", OFFER, *S_MAIL[2:], lmtp=True)
    for line in (b"RCPT TO:<c@d.test>\r\n", b"RCPT TO:<e@f.test>\r\n"):
        connection.receive(line)
        connection.send(GOOD)
    connection.receive(b"DATA\r\n")
    connection.send(Reply.make(354, "go"))
    (end,) = connection.receive(b".\r\nNOOP\r\n")
    assert isinstance(end, BodyEnd)
    assert list(connection.awaited) == [MessageEnd("c@d.test"), MessageEnd("e@f.test")]
    connection.send(GOOD)
    assert connection.receive(b"") == []
    connection.send(Reply.make(452, "full"))
    assert connection.receive(b"") == [CommandReceived(Noop())]
    (event,) = server(lmtp=True).receive(b"EHLO x\r\n")
    assert isinstance(event, Refused)


def test_implicit_tls_is_known_from_the_start() -> None:
    assert Connection(Role.SERVER, tls=True).tls
    assert not Connection(Role.CLIENT).tls


# --- the table


def test_every_state_can_be_reached_and_every_row_leads_somewhere() -> None:
    starts = {state for state, _, _ in states.TABLE}
    ends = set(states.TABLE.values())
    assert starts | ends == set(State)
    assert ends | {State.GREETING} == set(State)
    assert {State.CLOSED} == set(State) - starts


def test_the_table_can_be_read() -> None:
    text = states.show()
    assert len(text.splitlines()) == len(states.TABLE) + 2
    assert "rcpt         DATA         3xx      data" in text


@pytest.mark.parametrize("make", [lambda: Connection(Role.CLIENT), lambda: Connection(Role.SERVER)])
def test_421_ends_everything(make: Callable[[], Connection]) -> None:
    for state in State:
        assert states.after(state, "NOOP", 421) is State.CLOSED
    assert make().state is State.GREETING
