"""A wrong next hop on a clock of its own: an event loop whose connections all lead to it.

An input is a head of three octets, see ``Play``, and a script: one octet for each thing the hop
has to answer, in the order it hears them, whatever the connection; a connection is the first of
them. Most octets say what is usual; see ``_ACTIONS`` for the others. A ``Witness`` sees all.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from fuzz.witness import Book, Content, Heard, Witness, expect

MOST = 300  # octets of a script that goes round

# What the hop does: octets to say, seconds to wait (0.0: what follows is a piece of its own), or
# how the connection ends.

CLOSE, RESET = "close", "reset"
Deed = bytes | float | str
_OTHER = b"250 2.0.0 And more\r\n"
_BYE = b"421 4.3.2 Bye\r\n"


def _said(line: bytes) -> Callable[[bytes], list[Deed]]:
    return lambda _: [line]


def _cut(usual: bytes) -> list[Deed]:
    return [usual[:2], 0.0, usual[2:-1], 0.0, usual[-1:]]


_ACTIONS: Mapping[int, Callable[[bytes], list[Deed]]] = {
    ord("2"): _said(b"250 2.0.0 Fine\r\n"),
    ord("3"): _said(b"354 Go on\r\n"),
    ord("4"): _said(b"451 4.3.0 Not now\r\n"),
    ord("5"): _said(b"550 5.7.1 No\r\n"),
    ord("b"): _said(_BYE),
    ord("B"): lambda _: [_BYE, CLOSE],
    ord("f"): lambda usual: [usual + _BYE],
    ord("F"): lambda usual: [usual, 0.0, _BYE, CLOSE],
    ord("0"): _said(b""),
    ord("d"): lambda usual: [usual, usual],
    ord("D"): lambda usual: [usual, 0.0, usual],
    ord("a"): lambda usual: [usual, _OTHER],
    ord("A"): lambda usual: [usual, 0.0, _OTHER],
    ord("g"): _said(b"* OK IMAP4rev1\r\n"),
    ord("G"): lambda usual: [usual, b"Segmentation fault\r\n"],
    ord("H"): lambda usual: [usual, b"25"],
    ord("h"): _said(b"250"),
    ord("m"): lambda usual: [usual[:3] + b"-1\r\n" + usual[:3] + b"-2\r\n" + usual],
    ord("w"): lambda usual: [b"250-So\r\n550 not\r\n"],
    ord("u"): lambda usual: [usual[:3] + b" 1\r\n", usual],
    ord("n"): lambda usual: [b"\r\n" + usual.replace(b"\r\n", b"\n")],
    ord("c"): lambda _: [CLOSE],
    ord("C"): lambda usual: [usual, CLOSE],
    ord("r"): lambda _: [RESET],
    ord("R"): lambda usual: [usual, RESET],
    ord("p"): _cut,
    ord("P"): lambda usual: [0.0, usual, 0.0],
    ord("s"): lambda usual: [2.0, usual],
    ord("S"): lambda usual: [400.0, usual],
}
_KINDS = list(_ACTIONS.values())
_OFFERS = (b"PIPELINING", b"CHUNKING", b"BINARYMIME", b"8BITMIME")


class Play:
    """What an input says: the head, and the rest of the script."""

    def __init__(self, data: bytes) -> None:
        head = data[:3].ljust(3, b"\0")
        offers, size, end = head
        self.lmtp = bool(offers & 1)
        self.offers = [b"HELP", *(o for n, o in enumerate(_OFFERS) if offers & (2 << n))]
        self.joined = bool(offers & 32)  # the replies to what came together come together
        self.old = bool(offers & 64)  # no EHLO
        self.pool = 1 + size % 3
        self.reuse = (1_000, 1_000, 2, 3)[size >> 2 & 3]
        self.interval = (0.0, 0.0, 0.0, 1.5)[size >> 4 & 3]
        self.pause = (0.0, 0.0, 1.0, 3.0)[size >> 6]  # between the tasks
        script = data[3:]
        self.closes = end % 4 == 1  # else usual for ever
        if end % 4 == 2 and script:
            script = bytes(itertools.islice(itertools.cycle(script), MOST))
            self.closes = True
        self._script = iter(script)

    def next(self) -> Callable[[bytes], list[Deed]]:
        """What the hop does to answer the next thing it hears."""
        octet = next(self._script, None)
        if octet is None:
            return _ACTIONS[ord("c")] if self.closes else lambda usual: [usual]
        if octet >= 0xA0:
            return _KINDS[octet % len(_KINDS)]
        return _ACTIONS.get(octet, lambda usual: [usual])


class FakeHop(asyncio.Transport):
    """A connection to the hop, as its client has it; nothing is lost, and nothing takes time."""

    def __init__(self, play: Play, book: Book, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._play = play
        self._protocol = protocol
        self.witness = Witness(book, lmtp=play.lmtp)
        self._willing = 0  # recipients of this transaction
        self._deeds: deque[Deed] = deque()
        self._running = False
        self._closing = False
        self._do(self._answers([Heard("GREETING")]))

    # -- what the client calls

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writelines([data])

    def writelines(self, list_of_data: Any) -> None:
        expect(not self._closing, "written on a closed connection")
        self._do(self._answers(self.witness.heard(b"".join(list_of_data))))

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._end(None)

    def abort(self) -> None:
        self._end(None)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 25) if name == "peername" else default

    # -- what the hop does

    def _answers(self, all_heard: list[Heard]) -> Iterator[Deed]:
        for number, heard in enumerate(all_heard):
            if number and not self._play.joined:
                yield 0.0
            yield from self._play.next()(self._usual(heard))
            if heard.verb == "QUIT":
                yield CLOSE

    def _usual(self, heard: Heard) -> bytes:
        verb = heard.verb
        if verb == "MAIL":
            self._willing = 0
        elif verb == "RCPT":
            self._willing += 1
        match verb:
            case "GREETING":
                return b"220 hop.test ESMTP\r\n"
            case "EHLO" | "LHLO":
                if self._play.old:
                    return b"502 5.5.1 What?\r\n"
                *more, last = [b"hop.test", *self._play.offers]
                return b"".join(b"250-%b\r\n" % one for one in more) + b"250 %b\r\n" % last
            case "DATA":
                return b"354 Go on\r\n" if self._willing else b"503 5.5.1 For whom?\r\n"
            case "QUIT":
                return b"221 2.0.0 Bye\r\n"
        return b"250 2.0.0 Ok\r\n"

    def _do(self, deeds: Iterator[Deed]) -> None:
        self._deeds += deeds
        if self._deeds and not self._running:
            self._running = True
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        """One step; what the client does of it comes behind what was to be done before."""
        piece = b""
        while self._deeds and isinstance(self._deeds[0], bytes):
            piece += cast(bytes, self._deeds.popleft())
        if piece:
            self._say(piece)
        elif self._deeds:
            deed = self._deeds.popleft()
            if isinstance(deed, float):
                self._loop.call_later(deed, self._next)
                return
            self._end(ConnectionResetError() if deed == RESET else None)
        self._running = bool(self._deeds) and not self._closing
        if self._running:
            self._loop.call_soon(self._next)

    def _say(self, piece: bytes) -> None:
        if not self._closing:
            self.witness.said(piece)
            self._protocol.data_received(piece)
            self.witness.known()

    def _end(self, error: Exception | None) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._protocol.connection_lost, error)


class HopLoop(asyncio.BaseEventLoop):
    """Its time passes when nothing else is to be done; whoever it connects to is the hop."""

    def __init__(self, play: Play, contents: Mapping[int, Content]) -> None:
        super().__init__()
        self._selector = self
        self._passed = 0.0
        self.play = play
        self.book = Book(contents)
        self.hops: dict[object, FakeHop] = {}
        self.problems: list[BaseException | str] = []
        self.over = asyncio.Event()
        self.set_exception_handler(self._problem)

    def _problem(self, _: object, context: dict[str, Any]) -> None:
        self.problems.append(context.get("exception") or str(context))
        self.over.set()

    def time(self) -> float:
        return self._passed

    def select(self, timeout: float | None) -> list[object]:
        expect(timeout is not None, "everybody waits for something that will never come")
        self._passed += timeout or 0.0
        return []

    def _process_events(self, events: list[object]) -> None: ...

    def _write_to_self(self) -> None: ...

    async def create_connection(self, protocol_factory: Any, *_: Any, **__: Any) -> Any:
        """The hop's answer to a connection counts in the script, too."""
        if next(iter(self.play.next()(b"")), b"") in (CLOSE, RESET):
            raise ConnectionRefusedError
        protocol = protocol_factory()
        hop = self.hops[protocol] = FakeHop(self.play, self.book, protocol)
        protocol.connection_made(hop)
        return hop, protocol
