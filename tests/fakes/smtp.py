"""An SMTP server that behaves, or misbehaves, as a ``Behaviour`` says, on a real socket.

``async with FakeSmtpServer(Behaviour(auth_reply="535 5.7.8 no")) as server``: then ``server.host``
and ``server.port``. It runs on the engine itself (``net.smtp_server``), so a test of it is a test
of both roles. What it saw is in ``server.seen``, one ``Seen`` a connection, commands masked.
``server.serve(stream)`` runs one session on any stream, in memory too.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from fakes.behaviour import Action, Answer, Answers, Behaviour, Seen
from posthouse.flow import NetworkFailure
from posthouse.net.smtp_server import Message, ServerOptions, ServerSession, plain_answer
from posthouse.net.stream import PipeStream, TcpStream, listen
from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp import sasl
from posthouse.protocol.smtp.errors import LocalProtocolError
from posthouse.protocol.smtp.events import Refused
from posthouse.protocol.smtp.masking import Masker
from posthouse.protocol.smtp.reply import Reply, parse_reply

__all__ = ["Action", "Answer", "Answers", "Behaviour", "FakeSmtpServer", "Seen"]


class _Gone(Exception):
    """The connection was ended on purpose."""


class FakeSmtpServer:
    """``async with`` it; the behaviour may be changed between connections."""

    def __init__(
        self, behaviour: Behaviour | None = None, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.behaviour = behaviour or Behaviour()
        self.host = host
        self.port = port
        self.seen: list[Seen] = []
        self.greylisted: dict[tuple[str, str], float] = {}
        self.used: dict[int, int] = {}  # how often a tuple of answers was used, by its id
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def messages(self) -> list[Message]:
        """All messages accepted, on all connections."""
        return [message for seen in self.seen for message in seen.messages]

    @property
    def last(self) -> Seen:
        """The latest connection."""
        return self.seen[-1]

    async def __aenter__(self) -> FakeSmtpServer:
        self._server = await listen(self._accept, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hang_up(self) -> None:
        """End all connections there are."""
        for task in self._tasks:
            task.cancel()

    async def _accept(self, stream: TcpStream) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await self.serve(stream)

    async def serve(self, stream: PipeStream) -> None:
        """One session; ends when the client or the behaviour ends it."""
        behaviour = self.behaviour
        seen = Seen()
        self.seen.append(seen)
        if behaviour.reset:
            stream.abort()
            return
        options = ServerOptions(
            lmtp=behaviour.lmtp,
            implicit_tls=behaviour.implicit_tls,
            tls=behaviour.tls,
            size=behaviour.size or 50_000_000,
            errors=behaviour.errors,
        )
        session = _Session(stream, _Handler(self, behaviour, seen), options)
        session.seen = seen
        session.behaviour = behaviour
        try:
            await session.run()
        except (NetworkFailure, _Gone):
            pass
        finally:
            seen.injected = session.injected
            await stream.close()

    def next_answer(self, answers: Answers) -> Answer:
        """The answer whose turn it is."""
        if not isinstance(answers, tuple):
            return answers
        used = self.used.get(id(answers), 0)
        self.used[id(answers)] = used + 1
        return answers[min(used, len(answers) - 1)]


class _Session(ServerSession):
    """A session that can also write what no server should."""

    seen: Seen
    behaviour: Behaviour
    raw: bytes | None = None  # written instead of the next reply

    async def say(self, reply: Reply) -> None:
        raw, self.raw = self.raw, None
        try:
            wire = self.connection.send(reply)
        except LocalProtocolError:  # no answer to this command: the engine is told "no" instead
            wire = reply.wire()
            self.connection.send(Reply(500, ("",)))
        self._out += wire if raw is None else raw

    async def act(self, action: Action) -> None:
        """End, or hang. Does not return."""
        await self.flush()
        if action is Action.SILENT:
            await asyncio.Event().wait()
        stream = self.stream
        if action is Action.RESET and isinstance(stream, PipeStream):
            stream.abort()
        raise _Gone

    async def answer(self, answer: Answer) -> Reply:
        """A scripted answer as the Reply that moves the engine; its octets are kept for ``say``."""
        if isinstance(answer, Action):
            await self.act(answer)
        if isinstance(answer, bytes):
            self.raw = answer
            return _reply_of(answer)
        code, text = int(answer[:3]), answer.split("\n")
        self.raw = b"".join(line.encode() + b"\r\n" for line in text)
        return Reply(code, tuple(line[4:] for line in text))

    async def _event(self, event: Any) -> None:
        data = getattr(event, "data", None)
        if isinstance(data, bytes):
            self.seen.body_octets += len(data)
            limit = self.behaviour.drop_data_after
            if limit is not None and self.seen.body_octets >= limit:
                await self.act(self.behaviour.drop)
        await super()._event(event)


def _reply_of(raw: bytes) -> Reply:
    """What the engine should make of octets that may be no reply at all."""
    lines = raw.decode("latin-1").splitlines() or [""]
    reply = parse_reply(lines[-1])
    code = reply.code if reply is not None else 500
    return Reply(code, tuple(line[4:] for line in lines))


class _Handler:
    """Answers by the behaviour; one a connection."""

    def __init__(self, server: FakeSmtpServer, behaviour: Behaviour, seen: Seen) -> None:
        self._server = server
        self._behaviour = behaviour
        self._seen = seen
        self._masker = Masker()

    async def _scripted(self, session: _Session, line: str) -> Reply | None:
        for pattern, answers in self._behaviour.replies:
            if re.search(pattern, line, re.IGNORECASE):
                return await session.answer(self._server.next_answer(answers))
        return None

    async def _override(self, session: _Session, answers: Answers) -> Reply:
        return await session.answer(self._server.next_answer(answers))

    async def greet(self, session: _Session) -> Reply:
        behaviour = self._behaviour
        self._seen.tls = session.connection.tls
        if behaviour.delay:
            await asyncio.sleep(behaviour.delay)
        if behaviour.stray is not None:
            await session.stream.read()
            await session.stream.write(
                behaviour.stray
                if isinstance(behaviour.stray, bytes)
                else str(behaviour.stray).encode()
            )
            await session.act(Action.CLOSE)
        reply = await self._override(session, behaviour.first)
        if behaviour.after_first is not None:
            await session.stream.write(session.raw or b"")
            await session.act(behaviour.after_first)
        return reply

    async def hello(self, session: _Session, command: c.Ehlo | c.Helo | c.Lhlo) -> Reply:
        behaviour = self._behaviour
        self._record(command)
        self._seen.hello.append(command.name)
        scripted = await self._scripted(session, self._seen.lines[-1])
        if scripted is not None:
            return scripted
        override = behaviour.ehlo_tls if session.connection.tls else behaviour.ehlo
        if isinstance(command, c.Helo):
            override = behaviour.helo or f"250 {behaviour.name}"
        if override is not None:
            return await self._override(session, override)
        return Reply(250, (behaviour.name, *self._keywords(session)))

    def _keywords(self, session: _Session) -> list[str]:
        behaviour, tls = self._behaviour, session.connection.tls
        keywords = list(behaviour.extensions)
        if behaviour.size is not None:
            keywords.append(f"SIZE {behaviour.size}")
        upgradable = behaviour.tls is not None or behaviour.starttls or behaviour.starttls_then
        if not tls and (upgradable or behaviour.starttls_keyword != "STARTTLS"):
            keywords += [behaviour.starttls_keyword] if behaviour.starttls_keyword else []
        plain = behaviour.mechanisms_plain
        mechanisms = behaviour.mechanisms if tls or plain is None else plain
        if mechanisms:
            keywords.append("AUTH " + " ".join(mechanisms))
        if behaviour.xclient:
            keywords.append("XCLIENT NAME ADDR LOGIN")
        return keywords

    async def auth(self, session: _Session, command: c.Auth) -> Reply:
        behaviour, seen = self._behaviour, self._seen
        self._record(command)
        seen.mechanisms.append(command.mechanism)
        seen.auth_in_clear |= not session.connection.tls
        if command.initial is not None:
            seen.credentials.append(command.initial)
        scripted = await self._scripted(session, seen.lines[-1])
        if scripted is not None:
            return scripted
        if behaviour.require_tls and not session.connection.tls:
            return Reply.make(530, "Must issue a STARTTLS command first", "5.7.0")
        if command.mechanism not in behaviour.mechanisms:
            return Reply.make(504, "Unrecognized authentication type", "5.5.4")
        if behaviour.oauth_error is not None:
            await self._ask(session, json.dumps(dict(behaviour.oauth_error)).encode())
            return Reply.make(535, "Username and Password not accepted", "5.7.8")
        if behaviour.auth_reply is not None or behaviour.accounts is None or behaviour.charset:
            return await self._by_hand(session, command)
        accounts = sasl.TableAccounts(behaviour.accounts, behaviour.tokens)
        mechanism = sasl.server(
            command.mechanism,
            accounts,
            nonce=secrets.token_bytes(18),
            challenge=b"<1.2@mail.test>",
        )
        reply = await session.login(mechanism, command)
        seen.username = session.username
        return reply

    async def _by_hand(self, session: _Session, command: c.Auth) -> Reply:
        """The exchange of PLAIN or LOGIN (or one answer to anything), judged by octets."""
        behaviour = self._behaviour
        if command.mechanism == "LOGIN":
            user = command.initial
            if user is None:
                user = await self._ask(session, b"Username:")
            password = await self._ask(session, b"Password:")
        else:
            whole = command.initial
            if whole is None:
                whole = await self._ask(session, b"")
            user, _, password = whole.partition(b"\0")[2].partition(b"\0")
        if behaviour.auth_reply is not None:
            return await self._override(session, behaviour.auth_reply)
        charset = behaviour.charset or "utf-8"
        known = behaviour.accounts
        name = user.decode(charset, "replace")
        if known is None or known.get(name, "").encode(charset) == password:
            self._seen.username = session.username = name
            return Reply.make(235, "Authentication successful", "2.7.0")
        return Reply.make(535, "Authentication credentials invalid", "5.7.8")

    async def _ask(self, session: _Session, challenge: bytes) -> bytes:
        answer = await session.ask(challenge)
        self._record(c.AuthResponse(answer))
        self._seen.credentials.append(answer)
        return answer

    async def mail(self, session: _Session, command: c.Mail) -> Reply:
        behaviour = self._behaviour
        self._record(command)
        scripted = await self._scripted(session, self._seen.lines[-1])
        if scripted is not None:
            return scripted
        if behaviour.require_tls and not session.connection.tls:
            return Reply.make(530, "Must issue a STARTTLS command first", "5.7.0")
        if behaviour.require_auth and not session.connection.authenticated:
            return Reply.make(530, "Authentication required", "5.7.0")
        declared = int(command.params.get("SIZE") or 0)
        if behaviour.size is not None and declared > behaviour.size:
            return Reply.make(552, "Message size exceeds fixed limit", "5.3.4")
        return Reply.make(250, "Ok", "2.1.0")

    async def rcpt(self, session: _Session, command: c.Rcpt) -> Reply:
        behaviour = self._behaviour
        self._record(command)
        scripted = await self._scripted(session, self._seen.lines[-1])
        if scripted is not None:
            return scripted
        limit = behaviour.max_recipients
        if limit is not None and len(session.recipients) >= limit:
            return Reply.make(452, "Too many recipients", "4.5.3")
        if behaviour.greylist is not None and self._greylisted(
            session, command, behaviour.greylist
        ):
            return Reply.make(450, "Greylisted, see you later", "4.7.1")
        return Reply.make(250, "Ok", "2.1.5")

    def _greylisted(self, session: _Session, command: c.Rcpt, seconds: float) -> bool:
        sender = session.mail.sender if session.mail is not None else ""
        now = asyncio.get_running_loop().time()
        first = self._server.greylisted.setdefault((sender, command.recipient), now)
        return now - first < seconds or first == now

    async def data(self, session: _Session) -> Reply:
        self._record(c.Data())
        scripted = await self._scripted(session, "DATA")
        return scripted or Reply.make(354, "End data with <CR><LF>.<CR><LF>")

    async def message(self, session: _Session, message: Message) -> Sequence[Reply]:
        behaviour = self._behaviour
        most = behaviour.max_at_end
        if most is not None and len(message.recipients) > most:
            reply = Reply.make(554, f"Transaction failed: Recipient count exceeds {most}", "5.0.0")
            return [reply] * (len(message.recipients) if behaviour.lmtp else 1)
        self._seen.messages.append(message)
        if behaviour.lost_reply:
            await session.act(Action.CLOSE)
        if behaviour.lmtp:
            replies = []
            for rcpt in message.recipients:
                scripted = await self._scripted(session, f". {rcpt.recipient}")
                session.raw = None
                replies.append(scripted or Reply.make(250, "Delivered", "2.1.5"))
            return replies
        scripted = await self._scripted(session, ".")
        return [scripted or await self._override(session, behaviour.final)]

    async def other(self, session: _Session, command: c.Command) -> Reply:
        self._record(command)
        scripted = await self._scripted(session, self._seen.lines[-1])
        if isinstance(command, c.StartTls) and scripted is None:
            return await self._starttls(session)
        return scripted or plain_answer(command)

    async def _starttls(self, session: _Session) -> Reply:
        behaviour = self._behaviour
        if behaviour.starttls is not None:
            return await self._override(session, behaviour.starttls)
        if behaviour.starttls_then is not None:
            await session.stream.write(b"220 2.0.0 Ready to start TLS\r\n")
            await session.stream.write(behaviour.starttls_then)
            await session.stream.read()
            await session.act(Action.CLOSE)
        self._seen.tls = True
        return plain_answer(c.StartTls())

    async def refused(self, session: _Session, refused: Refused) -> Reply:
        self._seen.lines.append(f"!{refused.reason}")
        return refused.reply

    def _record(self, command: c.Command) -> None:
        self._seen.lines.append(self._masker.command(command))
