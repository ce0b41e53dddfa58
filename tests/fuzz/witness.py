"""What a next hop really got and said: read beside the engine, to judge what is told of it.

Enters: the octets that a client wrote on a connection (``heard``), and the pieces it was given
(``said``), in the order in which both happened. Leaves: the commands, and in the ``Book`` whose
message arrived whole, who was said yes to, and which replies there were at all. Called by
``nexthop``. A ``Fault`` is raised where the client writes what it must not.

Replies answer commands in order (RFC 2920). Its readers are its own, simple ones: nothing here
comes from ``protocol.smtp``.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

_COMMAND = re.compile(
    rb"(?P<verb>EHLO|HELO|LHLO) relay\.test|(?P<data>DATA|RSET|QUIT)"
    rb"|MAIL FROM:<t(?P<number>\d+)@d\.example>(?P<binary> BODY=BINARYMIME)?"
    rb"|RCPT TO:<(?P<recipient>\w+@e\.example)>|BDAT (?P<size>\d+) LAST"
)
_LINE = re.compile(rb"([2-5]\d\d)([ \t-]|(?!\d))(.*)", re.DOTALL)
_HELLOS = ("EHLO", "LHLO")
# Nothing may follow these before their reply (RFC 2920 section 3.1).
_ALONE = ("GREETING", "EHLO", "HELO", "LHLO", "DATA", "QUIT")


class Fault(AssertionError):
    """The client did what it must not."""


def expect(fact: object, words: str) -> None:
    """A Fault unless it is so."""
    if not fact:
        raise Fault(words)


@dataclass(frozen=True, slots=True)
class Content:
    """One message: in wire form for DATA, as it is for BDAT."""

    wire: bytes
    binary: bytes


@dataclass(slots=True)
class Book:
    """What happened on all connections. Messages go by their number."""

    contents: Mapping[int, Content]
    whole: set[int] = field(default_factory=set)  # got to the end
    taken: set[tuple[int, str]] = field(default_factory=set)  # and for whom the hop said yes
    said: set[tuple[int, str, str, int]] = field(default_factory=set)  # recipient ("": all), stage
    opening: set[tuple[str, int]] = field(default_factory=set)  # before any message


@dataclass(slots=True)
class Envelope:
    """One transaction, as far as the hop has agreed to it."""

    number: int
    binary: bool
    agreed: bool = False
    accepted: list[str] = field(default_factory=list)


class Heard(NamedTuple):
    """One command. END is the end of a message; in LMTP one for each recipient."""

    verb: str
    envelope: Envelope | None = None
    recipient: str = ""


class Witness:
    """Sees one connection."""

    def __init__(self, book: Book, *, lmtp: bool) -> None:
        self._book = book
        self._lmtp = lmtp
        self.owed: deque[Heard] = deque([Heard("GREETING")])  # what the hop has not answered yet
        self.over = False  # something was said that is no answer: nothing after it counts
        self.begun = 0  # messages
        self._ended = False  # the client knows that no message may begin here any more
        self._farewell = False  # 421
        self._offers = b""
        self._open: Envelope | None = None  # the transaction that the server is in
        self._envelope: Envelope | None = None  # the one begun last
        self._body: Envelope | None = None  # 354 was said: a message comes next
        self._unread = b""
        self._line = b""
        self._texts: list[bytes] = []  # of the reply that has begun
        self._last = 0  # code of the last answer, and to what
        self._last_verb = ""

    # -- the client's octets

    def heard(self, octets: bytes) -> list[Heard]:
        """The commands they are."""
        self._unread += octets
        found: list[Heard] = []
        while self._unread:
            if self._body is not None:
                envelope, self._body = self._body, None
                found += self._message(envelope, self._until_end())
            else:
                found += self._command()
        return found

    def _command(self) -> list[Heard]:
        line, end, self._unread = self._unread.partition(b"\r\n")
        match = _COMMAND.fullmatch(line)
        if match is None or not end:
            raise Fault(f"written where a command should be: {line[:60]!r}")
        if match["size"]:
            return self._chunk(int(match["size"]))
        heard = self._begun(match)
        self._check_group(heard.verb)
        self.owed.append(heard)
        return [heard]

    def _begun(self, match: re.Match[bytes]) -> Heard:
        if match["number"]:
            expect(not (self._ended or self._farewell), "MAIL on a connection that is over")
            expect(self._open is None, "MAIL inside a transaction")
            self.begun += 1
            self._open = Envelope(int(match["number"]), match["binary"] is not None)
            self._envelope = self._open
            return Heard("MAIL", self._open)
        if match["recipient"]:
            expect(self._open, "RCPT outside a transaction")
            return Heard("RCPT", self._open, match["recipient"].decode())
        verb = (match["verb"] or match["data"]).decode()
        if verb == "DATA":
            expect(self._envelope and not self._envelope.binary, "BINARYMIME goes by BDAT")
        return Heard(verb, self._envelope)

    def _check_group(self, verb: str) -> None:
        if self.owed and not self._ended:  # else nobody knows what the last answer was for
            expect(b"PIPELINING" in self._offers, f"{verb} before the reply to what was said")
            expect(self.owed[-1].verb not in _ALONE, f"{verb} behind {self.owed[-1].verb}")

    def _chunk(self, size: int) -> list[Heard]:
        self._check_group("BDAT")
        expect(b"BINARYMIME" in self._offers and b"CHUNKING" in self._offers, "not offered")
        content, self._unread = self._unread[:size], self._unread[size:]
        envelope = self._envelope
        if envelope is None or not envelope.binary or not envelope.accepted:
            raise Fault("a chunk that nobody takes")
        return self._message(envelope, content)

    def _until_end(self) -> bytes:
        body, end, self._unread = (b"\r\n" + self._unread).partition(b"\r\n.\r\n")
        expect(end, "a message without its end")
        return (body + b"\r\n")[2:]

    def _message(self, envelope: Envelope, content: bytes) -> list[Heard]:
        self._open = None
        expect(not (self._ended or self._farewell), "a message on a connection that is over")
        if envelope.accepted:
            one = self._book.contents[envelope.number]
            expect(envelope.number not in self._book.whole, "sent again, it may have arrived")
            expect(content == (one.binary if envelope.binary else one.wire), "another message")
            self._book.whole.add(envelope.number)
        else:
            expect(content == b"", "a message that nobody takes")
        each = envelope.accepted if self._lmtp and envelope.accepted else [""]
        ends = [Heard("END", envelope, recipient) for recipient in each]
        self.owed += ends
        return ends

    # -- the hop's octets

    def said(self, piece: bytes) -> None:
        """The client is about to be given this."""
        *lines, self._line = (self._line + piece).split(b"\n")
        for line in lines:
            if not self.over:
                self._read(line.rstrip(b"\r"))

    def known(self) -> None:
        """The client has taken what was said."""
        self._ended = self._ended or self.over

    def _read(self, line: bytes) -> None:
        match = _LINE.match(line)
        if match is None:
            self.over = bool(line.strip()) and not self._texts
            return
        self._texts.append(match[3])
        if match[2] != b"-":
            texts, self._texts = self._texts, []
            self._answer(int(match[1]), b" ".join(texts))

    def _answer(self, code: int, text: bytes) -> None:
        if not self.owed:
            # Who forgets the hyphens says more of the same reply: any other is nobody's.
            self.over = code != self._last or code == 421
            self._offers += text if self._last_verb in _HELLOS else b""
            return
        heard = self.owed.popleft()
        if code < 400 and (code >= 300) != (heard.verb == "DATA"):
            self.over = True
            return
        self._last, self._last_verb = code, heard.verb
        self._farewell = self._farewell or code == 421
        self._note(heard, code)
        if heard.envelope is None or heard.verb in _HELLOS:
            if code < 300:
                self._offers = text if heard.verb in _HELLOS else b""
        else:
            self._judge(heard, heard.envelope, code)

    def _note(self, heard: Heard, code: int) -> None:
        stage = {"END": "data", "HELO": "ehlo", "LHLO": "ehlo"}.get(heard.verb, heard.verb.lower())
        if heard.envelope is None:
            self._book.opening.add((stage, code))
        else:
            self._book.said.add((heard.envelope.number, heard.recipient, stage, code))

    def _judge(self, heard: Heard, envelope: Envelope, code: int) -> None:
        yes = code < 300
        if heard.verb == "MAIL":
            envelope.agreed = yes
        elif heard.verb == "RCPT" and yes and envelope.agreed:
            envelope.accepted.append(heard.recipient)
        elif heard.verb == "DATA" and code == 354:
            self._body = envelope
        elif heard.verb == "END" and yes:
            for recipient in [heard.recipient] if heard.recipient else envelope.accepted:
                self._book.taken.add((envelope.number, recipient))
        if (heard.verb == "RSET" and yes) or (heard.verb == "MAIL" and not yes):
            self._open = None
