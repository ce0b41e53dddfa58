"""The fake server: every way of misbehaving that other tests count on, seen in raw octets."""

from __future__ import annotations

import asyncio
import base64
import ssl

import pytest

from fakes.background import running
from fakes.certs import Authority
from fakes.smtp import Action, Behaviour, FakeSmtpServer


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


class Raw:
    """Lines out, octets in; no SMTP."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, server: FakeSmtpServer, **more: object) -> Raw:
        return cls(*await asyncio.open_connection(server.host, server.port, **more))  # type: ignore[arg-type]

    async def say(self, *lines: str | bytes, codes: int = 1) -> list[str]:
        for line in lines:
            self.writer.write(line if isinstance(line, bytes) else line.encode() + b"\r\n")
        return [await self.reply() for _ in range(codes)]

    async def reply(self) -> str:
        text = ""
        while True:
            line = (await asyncio.wait_for(self.reader.readline(), 2)).decode("latin-1")
            text += line
            if line[3:4] != "-":
                return text.rstrip("\r\n")

    async def say_and_read_on(self, *lines: str) -> bytes:
        await self.say(*lines)
        return await self.rest()

    async def rest(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), 2)

    def close(self) -> None:
        self.writer.close()


LOGIN = base64.b64encode(b"\0alice\0secret").decode()


@pytest.mark.parametrize(
    ("behaviour", "dialogue"),
    [
        (Behaviour(), [("NOOP", "250"), ("VRFY x", "252"), ("ETRN x", "500"), ("QUIT", "221")]),
        (Behaviour(ehlo="501 5.5.2 no FQDN"), [("EHLO localhost", "501 5.5.2 no FQDN")]),
        (Behaviour(ehlo="502 5.5.1 no"), [("EHLO x", "502 5.5.1 no"), ("HELO x", "250 mail.test")]),
        (Behaviour(extensions=(), mechanisms=()), [("EHLO x", "250 mail.test")]),
        (
            Behaviour(extensions=(), mechanisms=(), starttls_keyword="XXXXXXXA"),
            [("EHLO x", "250-mail.test\r\n250 XXXXXXXA")],
        ),
        (
            Behaviour(starttls="454 4.7.0 TLS not available"),
            [("EHLO x", "250-"), ("STARTTLS", "454 4.7.0")],
        ),
        (
            Behaviour(require_tls=True, starttls="454 x"),
            [
                ("EHLO x", "250-"),
                (f"AUTH PLAIN {LOGIN}", "530 5.7.0"),
                ("MAIL FROM:<a@b.c>", "530"),
            ],
        ),
        (Behaviour(require_auth=True), [("EHLO x", "250-"), ("MAIL FROM:<a@b.c>", "530 5.7.0")]),
        (
            Behaviour(auth_reply="535 1\n535 2".replace("535 1", "535-1")),
            [("EHLO x", "250-"), (f"AUTH PLAIN {LOGIN}", "535-1\r\n535 2")],
        ),
        (
            Behaviour(auth_reply="535 Error: 授权码".encode("gb18030") + b"\r\n"),
            [("EHLO x", "250-"), (f"AUTH PLAIN {LOGIN}", "535 Error: \xca\xda")],
        ),
        (
            Behaviour(accounts={"alice": "secret"}),
            [("EHLO x", "250-"), (f"AUTH PLAIN {LOGIN}", "235 2.7.0")],
        ),
        (
            Behaviour(accounts={"alice": "other"}),
            [("EHLO x", "250-"), (f"AUTH PLAIN {LOGIN}", "535 5.7.8")],
        ),
        (
            Behaviour(auth_reply="454 4.7.0 Too many login attempts"),
            [
                ("EHLO x", "250-"),
                ("AUTH LOGIN", "334 VXNlcm5hbWU6"),
                ("YQ==", "334 UGFzc3dvcmQ6"),
                ("Yg==", "454 4.7.0"),
            ],
        ),
        (
            Behaviour(mechanisms=("XOAUTH2",), oauth_error={"status": "400"}),
            [
                ("EHLO x", "250-"),
                ("AUTH PLAIN", "504 5.5.4"),
                ("AUTH XOAUTH2 eA==", "334 eyJzdGF0dXMiOiAiNDAwIn0="),
                ("", "535 5.7.8"),
            ],
        ),
        (
            Behaviour(replies=(("^MAIL FROM:<bob", "553 5.7.1 not yours"),)),
            [
                ("EHLO x", "250-"),
                ("MAIL FROM:<bob@b.c>", "553 5.7.1 not yours"),
                ("MAIL FROM:<alice@b.c>", "250 2.1.0"),
            ],
        ),
        (
            Behaviour(size=1000),
            [
                ("EHLO x", "250-"),
                ("MAIL FROM:<a@b.c> SIZE=2000", "552 5.3.4"),
                ("MAIL FROM:<a@b.c>", "250"),
                ("RCPT TO:<c@d.e>", "250"),
                ("DATA", "354"),
                ("x" * 900 + "\r\n" + "y" * 900 + "\r\n.", "552 5.3.4"),
            ],
        ),
        (
            Behaviour(max_recipients=1),
            [
                ("EHLO x", "250-"),
                ("MAIL FROM:<a@b.c>", "250"),
                ("RCPT TO:<c@d.e>", "250"),
                ("RCPT TO:<d@d.e>", "452 4.5.3"),
                ("DATA", "354"),
                (".", "250 2.0.0 Ok: queued"),
            ],
        ),
        (
            Behaviour(
                final=("451 4.3.0 later", "250 ok"), replies=(("^RCPT", ("450 x", "250 y")),)
            ),
            [
                ("EHLO x", "250-"),
                ("MAIL FROM:<a@b.c>", "250"),
                ("RCPT TO:<c@d.e>", "450 x"),
                ("RCPT TO:<c@d.e>", "250 y"),
                ("DATA", "354"),
                (".", "451 4.3.0 later"),
                ("MAIL FROM:<a@b.c>", "250"),
                ("RCPT TO:<c@d.e>", "250 y"),
                ("DATA", "354"),
                (".", "250 ok"),
            ],
        ),
        (
            Behaviour(replies=(("^MAIL", b"250-garbled\r\n250 more\n"),)),
            [("EHLO x", "250-"), ("MAIL FROM:<a@b.c>", "250-garbled\r\n250 more")],
        ),
    ],
)
async def test_dialogues(behaviour: Behaviour, dialogue: list[tuple[str, str]]) -> None:
    async with FakeSmtpServer(behaviour) as server:
        raw = await Raw.to(server)
        assert (await raw.reply()) == "220 mail.test ESMTP ready"
        for line, expected in dialogue:
            (answer,) = await raw.say(line)
            assert answer.startswith(expected), line
        raw.close()


async def test_bare_line_feeds_end_the_session() -> None:
    async with FakeSmtpServer() as server:
        raw = await Raw.to(server)
        await raw.reply()
        await raw.say("EHLO x", "MAIL FROM:<a@b.c>", "RCPT TO:<c@d.e>", "DATA", codes=4)
        (answer,) = await raw.say(b"hello\n.\nMAIL FROM:<evil@b.c>\r\n.\r\n")
        assert answer.startswith("521 5.5.2")
        assert await raw.rest() == b""
        assert server.messages == []


async def test_greylisting_has_a_memory() -> None:
    async with FakeSmtpServer(Behaviour(greylist=0.1)) as server:
        for wait, expected in ((0, "450 4.7.1"), (0, "450 4.7.1"), (0.15, "250 2.1.5")):
            await asyncio.sleep(wait)
            raw = await Raw.to(server)
            await raw.reply()
            answers = await raw.say("EHLO x", "MAIL FROM:<a@b.c>", "RCPT TO:<c@d.e>", codes=3)
            assert answers[-1].startswith(expected)
            raw.close()


async def test_only_latin1_octets_are_right() -> None:
    behaviour = Behaviour(accounts={"alice": "pässword"}, charset="latin-1")
    async with FakeSmtpServer(behaviour) as server:
        for charset, code in (("utf-8", "535"), ("latin-1", "235")):
            raw = await Raw.to(server)
            await raw.reply()
            login = base64.b64encode("\0alice\0pässword".encode(charset)).decode()
            answers = await raw.say("EHLO x", f"AUTH PLAIN {login}", codes=2)
            assert answers[-1].startswith(code)
            raw.close()
        assert server.last.auth_in_clear


@pytest.mark.parametrize(
    ("behaviour", "octets"),
    [
        (Behaviour(first=b"* OK IMAP\r\n", after_first=Action.CLOSE), b"* OK IMAP\r\n"),
        (Behaviour(stray=b"HTTP/1.1 400 Bad Request\r\n\r\n"), b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        (Behaviour(first="554 5.7.1 blocked"), b"554 5.7.1 blocked\r\n"),
        (Behaviour(first="421 4.7.0 busy"), b"421 4.7.0 busy\r\n"),
        (Behaviour(first=Action.CLOSE), b""),
    ],
)
async def test_first_words(behaviour: Behaviour, octets: bytes) -> None:
    async with FakeSmtpServer(behaviour) as server:
        raw = await Raw.to(server)
        if behaviour.stray:  # these words are an answer
            raw.writer.write(b"EHLO x\r\n")
        first = await asyncio.wait_for(raw.reader.read(len(octets) or 1), 2)
        assert first == octets
        if behaviour.first == "554 5.7.1 blocked":  # only this one stays to hear us out
            raw.writer.write(b"QUIT\r\n")
        rest = await raw.rest()
        assert octets or not rest
        raw.close()


async def test_resets() -> None:
    async with FakeSmtpServer(Behaviour(reset=True)) as server:
        raw = await Raw.to(server)
        with pytest.raises(ConnectionResetError):
            await raw.rest()
    async with FakeSmtpServer(Behaviour(drop_data_after=5)) as server:
        raw = await Raw.to(server)
        await raw.reply()
        await raw.say("EHLO x", "MAIL FROM:<a@b.c>", "RCPT TO:<c@d.e>", "DATA", codes=4)
        with pytest.raises(ConnectionResetError):
            await raw.say_and_read_on("hello world", "again")


async def test_tls_in_both_ways(authority: Authority) -> None:
    behaviour = Behaviour(tls=authority.context(), implicit_tls=True)
    async with FakeSmtpServer(behaviour) as server:
        raw = await Raw.to(server, ssl=authority.client_context(), server_hostname="mail.test")
        assert (await raw.reply()).startswith("220")
        (hello,) = await raw.say("EHLO x")
        assert "STARTTLS" not in hello
        raw.close()
    async with FakeSmtpServer(Behaviour(tls=authority.context(), mechanisms_plain=())) as server:
        raw = await Raw.to(server)
        await raw.reply()
        (hello,) = await raw.say("EHLO x")
        assert "STARTTLS" in hello
        assert "AUTH" not in hello
        await raw.say("STARTTLS")
        await raw.writer.start_tls(authority.client_context(), server_hostname="mail.test")
        (hello,) = await raw.say("EHLO x")
        assert "AUTH PLAIN LOGIN" in hello
        assert server.last.tls
        raw.close()


async def test_tls10_alone(authority: Authority) -> None:
    behaviour = Behaviour(tls=authority.tls10_context(), implicit_tls=True)
    async with FakeSmtpServer(behaviour) as server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await Raw.to(server, ssl=authority.client_context(), server_hostname="mail.test")


async def test_what_was_injected_is_counted(authority: Authority) -> None:
    async with FakeSmtpServer(Behaviour(tls=authority.context())) as server:
        raw = await Raw.to(server)
        await raw.reply()
        await raw.say("EHLO x")
        await raw.say("STARTTLS", "MAIL FROM:<evil@b.c>")
        await raw.writer.start_tls(authority.client_context(), server_hostname="mail.test")
        await raw.say("EHLO y")
        raw.close()
        await asyncio.sleep(0.05)
    assert server.last.injected == len("MAIL FROM:<evil@b.c>\r\n")
    assert server.last.lines == ["EHLO x", "STARTTLS", "EHLO y"]


async def test_too_many_errors_end_the_session() -> None:
    async with FakeSmtpServer(Behaviour(errors=3)) as server:
        raw = await Raw.to(server)
        await raw.reply()
        answers = await raw.say("X", "DATA", "RCPT TO:<>", codes=4)
        assert [a[:3] for a in answers] == ["500", "503", "503", "421"]
        assert await raw.rest() == b""


async def test_many_addresses() -> None:
    for host in ("127.0.0.5", "::1"):
        async with FakeSmtpServer(host=host) as server:
            raw = await Raw.to(server)
            assert (await raw.reply()).startswith("220")
            raw.close()


def test_in_a_thread() -> None:
    import smtplib

    with running(FakeSmtpServer()) as server, smtplib.SMTP(server.host, server.port) as client:
        client.sendmail("a@b.c", ["c@d.e"], "Subject: x\r\n\r\n.dot\r\n")
    assert server.messages[0].content == b"Subject: x\r\n\r\n.dot\r\n"
    assert [r.recipient for r in server.messages[0].recipients] == ["c@d.e"]
