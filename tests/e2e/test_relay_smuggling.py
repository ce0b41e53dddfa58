"""SMTP smuggling through the whole of ``posthouse serve``: nothing arrives as a second message.

Raw sockets talk to the real command. Behind it stands Postfix, and a server more lenient than any
that was ever published: it takes a lone dot between any breaks of lines for the end of a message.
"""

from __future__ import annotations

import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from fakes.letter import letter
from fakes.smuggling import FALSE_ENDS
from fakes.wire import said
from peers import postfix, process, relay

pytestmark = pytest.mark.netns

POSTFIX, LENIENT = "127.0.0.30", "127.0.0.31"
ALICE, BOB, EVIL, VICTIM = "alice@example.test", "bob@far.test", "evil@x.test", "victim@y.test"

WITH_NUL = [
    pytest.param(b"\r\n\x00.\r\n", id="CRLF.NUL"),
    pytest.param(b"\r\n.\x00\r\n", id="CRLF.NULCRLF"),
]
SMUGGLED = f"MAIL FROM:<{EVIL}>\r\nRCPT TO:<{VICTIM}>\r\nDATA\r\nSubject: forged\r\n\r\nx".encode()
HEAD = b"From: alice@example.test\r\nSubject: x\r\n\r\nhello"
ENVELOPE = f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\n".encode()


# Who stands behind the relay


@dataclass
class Lenient:
    """Takes what any server ever took for an end of data; keeps senders and messages."""

    senders: list[str] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)


ANY_END = re.compile(rb"(?:\r\n|\r|\n)\.(?:\r\n|\r|\n)|(?:\r\n|\r|\n)\.\x00?[\r\n]+")


class _Session(socketserver.StreamRequestHandler):
    server: _Server
    timeout = 30

    def handle(self) -> None:
        self.wfile.write(b"220 lenient.test ESMTP\r\n")
        buffer = b""
        while True:
            line, _, buffer = buffer.partition(b"\n")
            if not _:
                more = self.request.recv(65_536)
                if not more:
                    return
                buffer = line + more
                continue
            verb = line.strip().upper()
            if verb.startswith(b"MAIL"):
                self.server.kept.senders.append(line.decode("latin-1").strip())
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                buffer = self._message(buffer)
            elif verb == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            elif verb.startswith(b"EHLO"):
                self.wfile.write(b"250-lenient.test\r\n250-8BITMIME\r\n250 PIPELINING\r\n")
            else:
                self.wfile.write(b"250 ok\r\n")

    def _message(self, buffer: bytes) -> bytes:
        while (end := ANY_END.search(buffer)) is None:
            more = self.request.recv(65_536)
            if not more:
                return b""
            buffer += more
        self.server.kept.messages.append(buffer[: end.start()])
        self.wfile.write(b"250 taken\r\n")
        return buffer[end.end() :]


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    kept: Lenient


@contextmanager
def lenient() -> Iterator[Lenient]:
    with _Server((LENIENT, 25), _Session) as server:
        server.kept = Lenient()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.kept
        server.shutdown()


@dataclass
class Behind:
    """A relay, and how to see who has sent through it to the far end."""

    relay: relay.Relay
    senders: Callable[[], list[str]]


@pytest.fixture(
    scope="module",
    params=[pytest.param("postfix", marks=pytest.mark.peer("postfix")), "lenient"],
)
def behind(request: pytest.FixtureRequest) -> Iterator[Behind]:
    host = {"postfix": POSTFIX, "lenient": LENIENT}[request.param]
    config = relay.text(relay.plain("far", f"{host}:25"))
    if request.param == "lenient":
        with lenient() as kept, relay.running(config) as ours:
            yield Behind(ours, lambda: list(kept.senders))
        return
    settings = {"mynetworks": "127.0.0.0/8", "default_transport": "discard:"}
    with (
        postfix.running(POSTFIX, None, ports=[25], settings=settings) as server,
        relay.running(config) as ours,
    ):
        yield Behind(ours, lambda: re.findall(r"from=(<[^>]*>), size", server.daemon.log()))


# A client that says what it wants


@contextmanager
def talking() -> Iterator[socket.socket]:
    with socket.create_connection((relay.HOST, relay.RELAY), 20) as sock:
        yield sock


def until_data(sock: socket.socket, last: bytes = b"DATA\r\n") -> None:
    """EHLO and the envelope, and the 354."""
    replies = said(sock, b"", 1) + said(sock, b"EHLO client.test\r\n" + ENVELOPE + last, 4)
    assert [r[:3] for r in replies] == [b"220", b"250", b"250", b"250", b"354"]


@contextmanager
def only(behind: Behind, good: int) -> Iterator[None]:
    """What is done inside brings so many good messages to the far end, and no other one."""
    before = len(behind.senders())
    yield
    behind.relay.send(letter("marker", b"x"), ALICE, BOB)
    behind.relay.wait_until_empty()
    process.wait_until("the marker", lambda: len(behind.senders()) > before + good)
    assert len(behind.senders()) == before + good + 1
    assert not [sender for sender in behind.senders() if "evil" in sender]
    assert VICTIM not in behind.relay.daemon.log()


@pytest.mark.parametrize("false_end", [*FALSE_ENDS, *WITH_NUL])
def test_no_message_is_smuggled_through(behind: Behind, false_end: bytes) -> None:
    with only(behind, good=0), talking() as sock:
        until_data(sock)
        replies = said(sock, HEAD + false_end + SMUGGLED + b"\r\n.\r\nNOOP\r\n", 2)
        # One message for us, and not a good one; a bare CR or LF ends the session too.
        assert [r[:3] for r in replies] in ([b"521"], [b"554", b"250"])


@pytest.mark.parametrize("false_end", [*FALSE_ENDS, *WITH_NUL])
def test_none_in_chunks_either(behind: Behind, false_end: bytes) -> None:
    """BDAT knows no end of data, so what looks like one has to be refused as content."""
    body = HEAD + false_end + SMUGGLED + b"\r\n"
    chunk = b"BDAT %d LAST\r\n" % len(body)
    with only(behind, good=0), talking() as sock:
        said(sock, b"")
        replies = said(sock, b"EHLO client.test\r\n" + ENVELOPE + chunk + body + b"NOOP\r\n", 5)
        assert [r[:3] for r in replies] == [b"250", b"250", b"250", b"554", b"250"]


@pytest.mark.parametrize("cut", [1, 2, 3, 4], ids=lambda cut: f"cut-{cut}")
def test_a_true_end_inside_chunks_is_content(behind: Behind, cut: int) -> None:
    """CRLF.CRLF in BDAT is a line with a dot, and must not become an end behind us."""
    first, second = HEAD + b"\r\n.\r\n"[:cut], b"\r\n.\r\n"[cut:] + SMUGGLED + b"\r\n"
    chunks = b"BDAT %d\r\n%bBDAT %d LAST\r\n%b" % (len(first), first, len(second), second)
    with only(behind, good=1), talking() as sock:
        said(sock, b"")
        replies = said(sock, b"EHLO client.test\r\n" + ENVELOPE + chunks, 5)
        assert [r[:3] for r in replies] == [b"250"] * 5


@pytest.mark.parametrize(
    "line",
    [
        b"MAIL FROM:<alice@example.test>\nRCPT TO:<victim@y.test>\r\n",
        b"MAIL FROM:<alice@example.test>\rRCPT TO:<victim@y.test>\r\n",
        b"MAIL FROM:<alice@example.test>\x00RCPT TO:<victim@y.test>\r\n",
        b"MAIL FROM:<alice@example.test> ENVID=a\x0bb\r\n",
        b"MAIL FROM:<alice@example.test> ENVID=a+0D+0AMAIL\r\n",
        b'MAIL FROM:<"a\r\nRCPT TO:<victim@y.test>"@example.test>\r\n',
    ],
)
def test_a_command_holds_one_line(behind: Behind, line: bytes) -> None:
    with talking() as sock:
        said(sock, b"")
        replies = said(sock, b"EHLO client.test\r\n" + line, 2)
        assert replies[1][:1] == b"5"
        assert said(sock, b"RCPT TO:<bob@far.test>\r\n")[0][:3] in (b"503", b"421", b"500", b"501")
