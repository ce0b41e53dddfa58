"""An IMAP mailbox behind a ``Stream``: enough for a client that logs in and looks.

``FakeImap(folders={"INBOX": [b"header..."]})``; hand ``serve`` to ``MemoryDialer`` or ``listen``.
"""

from __future__ import annotations

import base64
import re
import ssl
from dataclasses import dataclass, field

from posthouse.net.stream import PipeStream


@dataclass(slots=True)
class FakeImap:
    """``folders``: name to messages (header bytes). ``log`` lists the commands, as they came."""

    folders: dict[str, list[bytes]] = field(default_factory=lambda: {"INBOX": []})
    username: str = "alice@mail.test"
    password: str = "s3cret"
    capabilities: str = "IMAP4rev1 AUTH=PLAIN ID"
    greeting: bytes = b"* OK ready\r\n"
    flags: dict[str, str] = field(default_factory=dict)  # folder name to LIST flags
    tls: ssl.SSLContext | None = None  # from the first byte, or after STARTTLS
    implicit: bool = True
    log: list[str] = field(default_factory=list)
    looks: int = 0  # EXAMINEs of the inbox so far
    arrive_at_look: int = 0  # ``late`` appears in the inbox at this look
    late: bytes = b""

    async def serve(self, stream: PipeStream) -> None:
        """One session."""
        if self.tls is not None and self.implicit:
            await stream.accept_tls(self.tls)
        await stream.write(self.greeting)
        session = _Session(self, stream)
        while await session.step():
            pass


@dataclass(slots=True)
class _Session:
    fake: FakeImap
    stream: PipeStream
    buffer: bytes = b""
    folder: str = ""

    async def _line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            data = await self.stream.read()
            if not data:
                return b""
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    async def step(self) -> bool:
        line = await self._line()
        if not line:
            return False
        tag, _, rest = line.decode().partition(" ")
        verb, _, args = rest.partition(" ")
        self.fake.log.append(rest)
        method = getattr(self, f"do_{verb.lower()}", None)
        if method is None:
            await self._send(f"{tag} BAD unknown")
            return True
        status = await method(args)
        await self._send(f"{tag} {status}")
        if verb == "STARTTLS":
            assert self.fake.tls is not None
            await self.stream.accept_tls(self.fake.tls)
        return verb != "LOGOUT"

    async def _send(self, text: str) -> None:
        await self.stream.write(text.encode() + b"\r\n")

    async def do_capability(self, _: str) -> str:
        await self._send(f"* CAPABILITY {self.fake.capabilities}")
        return "OK done"

    async def do_starttls(self, _: str) -> str:
        return "OK begin"

    async def do_logout(self, _: str) -> str:
        await self._send("* BYE")
        return "OK bye"

    async def do_id(self, _: str) -> str:
        await self._send("* ID NIL")
        return "OK"

    async def do_authenticate(self, _: str) -> str:
        await self._send("+ ")
        plain = base64.b64decode(await self._line()).decode()
        return self._checked(*plain.split("\0")[1:])

    async def do_login(self, args: str) -> str:
        await self._send("+ ")
        first = await self._line()
        name, _, _ = first.rpartition(b" ")
        await self._send("+ ")
        return self._checked(name.decode(), (await self._line()).decode())

    def _checked(self, username: str, password: str) -> str:
        if (username, password) == (self.fake.username, self.fake.password):
            return "OK in"
        return f"NO [AUTHENTICATIONFAILED] wrong password {password}"

    async def do_list(self, _: str) -> str:
        for name in self.fake.folders:
            await self._send(f'* LIST ({self.fake.flags.get(name, "")}) "/" "{name}"')
        return "OK"

    async def do_examine(self, args: str) -> str:
        self.folder = args.strip('"')
        if self.folder == "INBOX":
            self.fake.looks += 1
            if self.fake.late and self.fake.looks == self.fake.arrive_at_look:
                self.fake.folders["INBOX"].append(self.fake.late)
        if self.folder not in self.fake.folders:
            return "NO no such folder"
        await self._send(f"* {len(self.fake.folders[self.folder])} EXISTS")
        return "OK [READ-ONLY]"

    async def do_fetch(self, args: str) -> str:
        first, last = re.match(r"(\d+)(:\*)?", args).groups()  # type: ignore[union-attr]
        messages = self.fake.folders[self.folder]
        numbers = range(int(first), (len(messages) if last else int(first)) + 1)
        for number in numbers:
            data = messages[number - 1]
            if "MESSAGE-ID" in args:
                found = re.search(rb"(?im)^message-id:[^\r\n]*", data)
                data = (found[0] if found else b"") + b"\r\n\r\n"
            head = f"* {number} FETCH (BODY[HEADER] {{{len(data)}}}\r\n".encode()
            await self.stream.write(head + data + b")\r\n")
        return "OK"
