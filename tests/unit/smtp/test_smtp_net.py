"""``SmtpClient`` against the fake server: the good way, and each way in which it can go wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fakes.certs import Authority
from fakes.smtp import Action, Behaviour, FakeSmtpServer
from posthouse.flow import Failure, Mark, NetworkFailure, Secret, Stage, Trace
from posthouse.net.smtp import SmtpClient
from posthouse.net.smtp_wire import Timeouts
from posthouse.net.stream import MemoryStream, TcpStream
from posthouse.net.tls import TlsOptions
from posthouse.protocol.smtp import LocalProtocolError, Noop, State, Unknown

PASSWORD = "s3sam-Öpen"
QUICK = Timeouts(greeting=0.3, command=0.3, data=0.3, block=0.3, end=0.3)
MESSAGE = b"Subject: x\r\n\r\n.hello\r\n.\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@asynccontextmanager
async def talking(
    behaviour: Behaviour, *, lmtp: bool = False
) -> AsyncIterator[tuple[SmtpClient, FakeSmtpServer, Trace]]:
    trace = Trace(time.monotonic)
    async with FakeSmtpServer(behaviour) as server:
        stream = await TcpStream.connect(server.host, server.port)
        client = SmtpClient(stream, trace, lmtp=lmtp, timeouts=QUICK)
        try:
            yield client, server, trace
        finally:
            await client.close()


async def ready(client: SmtpClient) -> None:
    assert (await client.greeting()).code == 220
    assert (await client.ehlo("me.test")).code == 250


async def secure(client: SmtpClient, authority: Authority) -> None:
    await ready(client)
    assert (await client.starttls()).code == 220
    session = await client.upgrade(TlsOptions("mail.test", ca_file=str(authority.ca_file)))
    assert session.trusted
    assert (await client.ehlo("me.test")).code == 250


@pytest.mark.parametrize(
    "mechanism", ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER"]
)
async def test_the_whole_way(authority: Authority, mechanism: str) -> None:
    behaviour = Behaviour(
        tls=authority.context(),
        mechanisms=(mechanism,),
        accounts={"alice": PASSWORD},
        tokens={"alice": "tok.en-1"},
        require_auth=True,
    )
    async with talking(behaviour) as (client, server, trace):
        await secure(client, authority)
        token = mechanism.startswith(("XO", "OA"))
        secret = Secret("tok.en-1" if token else PASSWORD)
        outcome = await client.auth(mechanism, "alice", secret)
        assert outcome.reply.code == 235
        assert outcome.verified == mechanism.startswith("SCRAM")
        mail, rcpts = await client.envelope("alice@mail.test", ["b@x.test", "c@x.test"])
        assert (mail.code, [r.code for r in rcpts]) == (250, [250, 250])
        assert (await client.data(MESSAGE)).code == 250
        await client.envelope("alice@mail.test", ["b@x.test"])
        assert (await client.bdat(b"any\n\0octets", chunk=4)).code == 250
        assert (await client.quit()).code == 221
    assert [m.content for m in server.messages] == [MESSAGE, b"any\n\0octets"]
    assert not server.last.auth_in_clear
    assert server.last.username == "alice"
    said = "\n".join(line.text for line in trace.lines)
    for secret_text in (PASSWORD, "tok.en-1", *map(_base64, server.last.credentials)):
        assert secret_text not in said
    marks = [line.mark for line in trace.lines]
    assert marks[:2] == [Mark.RECEIVED, Mark.SENT]
    assert marks[-2:] == [Mark.SENT_TLS, Mark.RECEIVED_TLS]


def _base64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()


async def test_implicit_tls(authority: Authority) -> None:
    behaviour = Behaviour(tls=authority.context(), implicit_tls=True)
    async with talking(behaviour) as (client, _, trace):
        await client.upgrade(TlsOptions("mail.test", ca_file=str(authority.ca_file)))
        await ready(client)
        assert "STARTTLS" not in client.extensions
        assert trace.lines[1].mark is Mark.RECEIVED_TLS


async def test_in_memory() -> None:
    server = FakeSmtpServer()
    near, far = MemoryStream.pair()
    task = asyncio.create_task(server.serve(far))
    client = SmtpClient(near)
    await ready(client)
    await client.envelope("a@b.test", ["c@d.test"])
    assert (await client.data(MESSAGE * 10_000)).code == 250
    await client.quit()
    await client.close()
    await task
    assert server.messages[0].content == MESSAGE * 10_000


async def test_lmtp() -> None:
    behaviour = Behaviour(lmtp=True, replies=((r"^\. c@", "452 4.2.2 full"),))
    async with talking(behaviour, lmtp=True) as (client, server, _):
        await ready(client)
        await client.envelope("a@b.test", ["b@x.test", "c@x.test"])
        assert [r.code for r in await client.data_each(MESSAGE)] == [250, 452]
        assert server.last.lines[0] == "LHLO me.test"


async def test_lmtp_by_bdat_answers_for_every_recipient_too() -> None:
    behaviour = Behaviour(lmtp=True, replies=((r"^\. c@", "452 4.2.2 full"), ("^NOOP", "250 here")))
    async with talking(behaviour, lmtp=True) as (client, server, _):
        await ready(client)
        await client.envelope("a@b.test", ["b@x.test", "c@x.test"])
        assert [r.code for r in await client.bdat_each(MESSAGE, chunk=9)] == [250, 452]
        assert (await client.command(Noop())).text == "here"
        assert [m.content for m in server.messages] == [MESSAGE]


async def test_helo_only() -> None:
    async with talking(Behaviour(ehlo="502 5.5.1 unknown")) as (client, _, _):
        await client.greeting()
        assert (await client.ehlo("me.test")).code == 502
        assert (await client.helo("me.test")).code == 250
        assert dict(client.extensions) == {}


async def test_the_missing_hyphen() -> None:
    garbled = b"250-mail.test\r\n250 8 BITMIME\r\n250-SIZE 5\n250 PIPELINING\r\n"
    async with talking(Behaviour(ehlo=garbled)) as (client, _, _):
        await client.greeting()
        reply = await client.ehlo("me.test")
        assert reply.raw == garbled
        assert set(reply.defects) == {"missing_hyphen", "bare_lf"}
        assert set(client.extensions) == {"8BITMIME", "SIZE", "PIPELINING"}


async def _greet(client: SmtpClient) -> None:
    await client.greeting()


async def _hello(client: SmtpClient) -> None:
    await client.greeting()
    await client.ehlo("me.test")


async def _starttls(client: SmtpClient) -> None:
    await _hello(client)
    if (await client.starttls()).is_success:
        await client.upgrade(TlsOptions("mail.test", seconds=1))


async def _rcpt(client: SmtpClient) -> None:
    await _hello(client)
    await client.mail("a@b.test")
    await client.rcpt("c@d.test")


async def _data(client: SmtpClient) -> None:
    await _rcpt(client)
    await client.data(MESSAGE + b"x" * 70 + b"\r\n")


Way = Callable[[SmtpClient], Awaitable[None]]


@pytest.mark.parametrize(
    ("behaviour", "way", "failure", "stage", "detail"),
    [
        (Behaviour(reset=True), _greet, Failure.RESET, Stage.GREETING, {}),
        (Behaviour(first=Action.CLOSE), _greet, Failure.CLOSED, Stage.GREETING, {}),
        (Behaviour(first=Action.SILENT), _greet, Failure.SILENT, Stage.GREETING, {"seconds": 0.3}),
        (Behaviour(delay=2), _greet, Failure.SILENT, Stage.GREETING, {}),
        *(
            (
                Behaviour(first=first, after_first=after),
                _greet,
                Failure.NOT_SMTP,
                Stage.GREETING,
                {"protocol": protocol},
            )
            for first, protocol, after in [
                (b"* OK IMAP4rev1 ready\r\n", "imap", Action.SILENT),
                (b"+OK POP3 ready\r\n", "pop3", Action.SILENT),
                (b"SSH-2.0-OpenSSH_9.2", "ssh", Action.SILENT),
                (b"SSH-2.0-OpenSSH_9.2\r\n", "ssh", Action.CLOSE),
                (b"HTTP/1.1 302 Found\r\n\r\n", "http", Action.CLOSE),
                (b"<html><head>", "http", Action.CLOSE),
                (b"220 ftp.test FTP server ready\r\n", "ftp", Action.SILENT),
            ]
        ),
        (
            Behaviour(first=b"\x15\x03\x01\x00\x02\x02\x46", after_first=Action.CLOSE),
            _greet,
            Failure.TLS_EXPECTED,
            Stage.GREETING,
            {},
        ),
        (
            Behaviour(first=b"hello there\r\n"),
            _greet,
            Failure.BAD_REPLY,
            Stage.GREETING,
            {"text": "hello there"},
        ),
        (Behaviour(ehlo=Action.CLOSE), _hello, Failure.CLOSED, Stage.EHLO, {}),
        (Behaviour(ehlo=b"what\r\n"), _hello, Failure.BAD_REPLY, Stage.EHLO, {}),
        (Behaviour(), _starttls, Failure.TLS_NOT_OFFERED, Stage.TLS, {}),
        (
            Behaviour(starttls_keyword="XXXXXXXA"),
            _starttls,
            Failure.TLS_STRIPPED,
            Stage.TLS,
            {},
        ),
        (
            Behaviour(starttls_then=b"\0garbage\r\n"),
            _starttls,
            None,  # what the TLS layer says of it is its own business
            Stage.TLS,
            {},
        ),
        (
            Behaviour(replies=(("^RCPT", Action.RESET),)),
            _rcpt,
            Failure.RESET,
            Stage.RCPT,
            {},
        ),
        (
            Behaviour(replies=(("^RCPT", Action.SILENT),)),
            _rcpt,
            Failure.SILENT,
            Stage.RCPT,
            {},
        ),
        (
            Behaviour(drop_data_after=10),
            _data,
            Failure.RESET,
            Stage.DATA,
            {"sent": 97},
        ),
        (
            Behaviour(lost_reply=True),
            _data,
            Failure.CLOSED,
            Stage.DATA,
            {"sent": 97, "sent_all": True},
        ),
    ],
)
async def test_below_smtp(
    behaviour: Behaviour,
    way: Way,
    failure: Failure | None,
    stage: Stage,
    detail: dict[str, Any],
) -> None:
    async with talking(behaviour) as (client, _, _):
        with pytest.raises(NetworkFailure) as caught:
            await way(client)
        found = caught.value
        assert failure in (None, found.failure)
        assert found.stage is stage
        assert detail.items() <= found.detail.items()


async def test_every_no_is_a_reply_and_marked_in_the_transcript() -> None:
    behaviour = Behaviour(
        starttls="454 4.7.0 not now",
        mechanisms=("LOGIN",),
        auth_reply="535 5.7.8 wrong",
        replies=(
            ("^MAIL", ("550 5.7.1 no", "250 ok")),
            ("^RCPT", "550 5.1.1 no"),
            ("DATA", "451 x"),
        ),
    )
    async with talking(behaviour) as (client, _, trace):
        await ready(client)
        assert (await client.starttls()).code == 454
        outcome = await client.auth("LOGIN", "alice", Secret(PASSWORD))
        assert (outcome.reply.code, str(outcome.reply.enhanced)) == (535, "5.7.8")
        assert (await client.mail("a@b.test")).code == 550
        assert (await client.mail("a@b.test")).code == 250
        assert (await client.rcpt("c@d.test")).code == 550
        assert (await client.rset()).code == 250
        assert (await client.command(Unknown("XYZZY"))).code == 500
    bad = [line.text for line in trace.lines if line.mark is Mark.SERVER_ERROR]
    assert bad[:2] == ["454 4.7.0 not now", "535 5.7.8 wrong"]
    assert len(bad) == 5


async def test_an_oauth_refusal_is_decoded() -> None:
    error = {"status": "400", "schemes": "Bearer", "scope": "https://mail.test/"}
    behaviour = Behaviour(mechanisms=("XOAUTH2",), oauth_error=error)
    async with talking(behaviour) as (client, _, _):
        await ready(client)
        outcome = await client.auth("XOAUTH2", "alice", Secret("tok"))
        assert (outcome.reply.code, outcome.error) == (535, error)


async def test_a_long_token_waits_for_an_empty_challenge() -> None:
    behaviour = Behaviour(mechanisms=("XOAUTH2",), accounts={}, tokens={"alice": "t" * 900})
    async with talking(behaviour) as (client, server, _):
        await ready(client)
        assert (await client.auth("XOAUTH2", "alice", Secret("t" * 900))).reply.code == 235
        assert server.last.lines[1] == "AUTH XOAUTH2"  # RFC 4954: no AUTH line over 512 octets


async def test_a_challenge_that_makes_no_sense_is_cancelled() -> None:
    behaviour = Behaviour(mechanisms=("PLAIN",), replies=(("^AUTH", b"334 $$$\r\n"),))
    async with talking(behaviour) as (client, _, _):
        await ready(client)
        outcome = await client.auth("PLAIN", "alice", Secret(PASSWORD))
        assert outcome.cancelled == "not_base64"
        assert outcome.reply.code == 500


async def test_success_without_proof_is_not_believed() -> None:
    behaviour = Behaviour(mechanisms=("SCRAM-SHA-256",), replies=(("^AUTH", "235 welcome"),))
    async with talking(behaviour) as (client, _, _):
        await ready(client)
        with pytest.raises(NetworkFailure) as caught:
            await client.auth("SCRAM-SHA-256", "alice", Secret(PASSWORD))
        assert (caught.value.failure, caught.value.stage) == (Failure.BAD_REPLY, Stage.AUTH)


async def test_a_reason_given_before_hanging_up_is_heard() -> None:
    early = b"250 ok\r\n421 4.4.2 idle\r\n"
    async with talking(Behaviour(replies=(("^NOOP", early),))) as (client, _, trace):
        await ready(client)
        assert (await client.command(Noop())).code == 250
        assert client.state is State.CLOSED
        assert (await client.mail("a@b.test")).code == 421
        assert trace.lines[-1].mark is Mark.SERVER_ERROR


async def test_a_refusal_in_the_middle_of_the_message_is_heard() -> None:
    async def server(stream: MemoryStream) -> None:
        await stream.write(b"220 hi\r\n")
        for answer in (b"250 a\r\n", b"250 b\r\n", b"250 c\r\n", b"354 go\r\n"):
            await stream.read()
            await stream.write(answer)
        await stream.read(10)
        await stream.write(b"552 5.3.4 too big\r\n")
        await stream.close()

    near, far = MemoryStream.pair()
    task = asyncio.create_task(server(far))
    client = SmtpClient(near, timeouts=QUICK)
    await ready(client)
    await client.mail("a@b.test")
    await client.rcpt("c@d.test")
    assert (await client.data(b"x" * 78 + b"\r\n" * 500_000)).code == 552
    await task


async def test_a_yes_to_data_sends_nothing() -> None:
    """250 instead of 354: the message was not taken."""
    async with talking(Behaviour(replies=(("DATA", "250 2.0.0 Ok"),))) as (client, server, _):
        await ready(client)
        await client.envelope("a@b.test", ["c@d.test"])
        with pytest.raises(NetworkFailure) as caught:
            await client.data(MESSAGE)
        assert (caught.value.failure, caught.value.stage) == (Failure.BAD_REPLY, Stage.DATA)
        assert not server.last.messages


async def test_injected_replies_are_thrown_away(authority: Authority) -> None:
    async def server(stream: MemoryStream) -> None:
        await stream.write(b"220 hi\r\n")
        await stream.read()
        await stream.write(b"250-x\r\n250 STARTTLS\r\n")
        await stream.read()
        await stream.write(b"220 go\r\n250-x\r\n250 AUTH PLAIN\r\n")  # injected behind the 220
        await stream.accept_tls(authority.context())
        await stream.read()
        await stream.write(b"250 honest.test\r\n")

    near, far = MemoryStream.pair()
    task = asyncio.create_task(server(far))
    client = SmtpClient(near, timeouts=QUICK)
    await ready(client)
    await client.starttls()
    await client.upgrade(TlsOptions("mail.test", ca_file=str(authority.ca_file)))
    assert client.injected == len(b"250-x\r\n250 AUTH PLAIN\r\n")
    reply = await client.ehlo("me.test")
    assert (reply.text, dict(client.extensions)) == ("honest.test", {})
    await task


async def test_the_callers_time_out_is_the_callers() -> None:
    async with talking(Behaviour(first=Action.SILENT)) as (client, _, _):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.greeting()


async def test_our_own_mistakes_are_not_written() -> None:
    async with talking(Behaviour(extensions=())) as (client, server, _):
        await ready(client)
        for call in (
            client.mail("no address"),
            client.mail("a@b.test", {"SIZE": "1"}),
            client.rcpt("c@d.test"),
            client.data(MESSAGE),
        ):
            with pytest.raises(LocalProtocolError):
                await call
        await client.mail("a@b.test")
        await client.rcpt("c@d.test")
        with pytest.raises(LocalProtocolError):
            await client.data(b"bare\n")
        assert (await client.data(MESSAGE)).code == 250  # nothing had been said of the bad one
        assert server.last.lines.count("DATA") == 1
