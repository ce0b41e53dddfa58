"""The message on the wire: dot-stuffing, its end, and what can be seen of it while it passes.

Enters: octets of a message (to send) or of a DATA stream (received). Leaves: wire form, or wire
form cut at the one true end. ``Connection`` calls it for both roles.

Only CRLF.CRLF ends data (RFC 5321 section 4.1.1.4). Neither a bare LF nor a bare CR takes part in
an end: CVE-2023-51764 (Postfix), -51765 (Sendmail), -51766 (Exim), CVE-2024-27305 (aiosmtpd) and
their kin all let one do. Nor do we ever write a bare CR or LF: ``Stuffer`` raises
LocalProtocolError rather than change what may be signed; ``normalize`` is for callers who know
that they may change it. No loop runs once a line: find, count and replace do the work.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from posthouse.protocol.smtp.errors import LocalProtocolError
from posthouse.protocol.smtp.limits import TEXT_LINE

END: Final = b"\r\n.\r\n"
_ANY_BREAK: Final = re.compile(rb"\r\n|\r|\n")


class BodyFacts(NamedTuple):
    """What is true of the octets of a message (after DATA: in wire form, without the end)."""

    size: int  # octets
    bare_cr: int = 0  # how many CR without LF
    bare_lf: int = 0  # how many LF without CR
    long_line: bool = False  # a line longer than 998 octets (RFC 5321 section 4.5.3.1.6)
    eight_bit: bool = False
    nul: bool = False

    @property
    def defects(self) -> tuple[str, ...]:
        """What no message of lines may have, as stable words; 8 bits are no defect."""
        found = (
            ("bare_cr", self.bare_cr),
            ("bare_lf", self.bare_lf),
            ("long_line", self.long_line),
            ("nul", self.nul),
        )
        return tuple(name for name, there in found if there)


class Meter:
    """Counts while a message passes, however it is cut into pieces; ``stuffed``: in wire form."""

    def __init__(self, *, stuffed: bool = False) -> None:
        self._stuffed = stuffed
        self._dotted = False  # in a line that has a doubled dot
        self._size = self._cr = self._lf = self._crlf = 0
        self._column = 0  # octets since the last LF
        self._after_cr = False
        self._long = self._eight_bit = self._nul = False

    def add(self, data: bytes) -> None:
        """The next octets."""
        if not data:
            return
        self._size += len(data)
        if self._after_cr or not whole_lines(data):
            self._cr += data.count(b"\r")
            self._lf += data.count(b"\n")
            self._crlf += data.count(b"\r\n") + (self._after_cr and data[0] == 0x0A)
            self._after_cr = data[-1] == 0x0D
        self._eight_bit = self._eight_bit or not data.isascii()
        self._nul = self._nul or b"\0" in data
        if not self._long:
            self.measure(data)

    def measure(self, data: bytes) -> None:
        """Of all that ``add`` does, whether a line has more than 998 octets and CRLF: leaps of a
        whole line's length."""
        start, column, dotted, stuffed = 0, self._column, self._dotted, self._stuffed
        if column == 0:
            dotted = stuffed and data.startswith(b".")
        # RFC 5321 section 4.5.3.1.6: "not counting the leading dot duplicated for transparency".
        while column + len(data) - start > TEXT_LINE + 2 + dotted:
            found = data.rfind(b"\n", start, start + TEXT_LINE + 2 + dotted - column)
            if found < 0:
                self._long = True
                return
            start, column = found + 1, 0
            dotted = stuffed and data.startswith(b".", start)
        last = data.rfind(b"\n", start) + 1
        if last > 0:
            column, start = 0, last
            dotted = stuffed and data.startswith(b".", start)
        self._column, self._dotted = column + len(data) - start, dotted

    def facts(self) -> BodyFacts:
        """What is known by now."""
        return BodyFacts(
            self._size,
            self._cr - self._crlf,
            self._lf - self._crlf,
            self._long,
            self._eight_bit,
            self._nul,
        )


class DataReader:
    """Takes the octets after 354 and finds where the message ends.

    ``feed`` gives the octets of the message (wire form) that are certain, and, once the end was
    there, what came after it. Octets that may belong to an end are held back.
    """

    def __init__(self) -> None:
        self._held = b"\r\n"  # the CRLF of the DATA line is the first half of an end
        self._virtual = 2  # octets of _held that are no message
        self.meter = Meter(stuffed=True)

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """(octets of the message, None) or (last octets, what follows the end)."""
        held = self._held
        # What is held and what came are not joined as long as they need not be: it may be large.
        end = (held + data[: len(END) - 1]).find(END) - len(held)
        if end < -len(held):
            end = find_end(data)
            if end < 0:
                return self._go_on(held, data), None
        end += 2  # the CRLF is the message's
        body = self._out(held, data[:end]) if end >= 0 else self._out(held[:end], b"")
        return body, data[end + len(END) - 2 :]

    def _go_on(self, held: bytes, data: bytes) -> bytes:
        if len(data) < len(END):
            held, data = b"", held + data
        keep = _partial_end(data)
        self._held = data[len(data) - keep :]
        return self._out(held, data[: len(data) - keep])

    def _out(self, held: bytes, data: bytes) -> bytes:
        skip = min(self._virtual, len(held) + len(data))
        self._virtual -= skip
        body = held[skip:] + data[max(skip - len(held), 0) :]
        self.meter.add(body)
        return body


def _partial_end(text: bytes) -> int:
    """How many octets at the end of ``text`` may be the beginning of an END."""
    for size in range(min(len(END) - 1, len(text)), 0, -1):
        if END.startswith(text[-size:]):
            return size
    return 0


class Stuffer:
    """Writes a message into a DATA stream, in pieces.

    ``add`` takes the message itself and doubles dots; ``add_wire`` takes wire form, as
    ``BodyChunk`` gave it, and checks that no end hides in it. LocalProtocolError for a bare CR or
    LF. A CR at the end of a piece is written with the piece that brings its LF.
    """

    def __init__(self) -> None:
        self._cr = b""  # a CR held back
        self._tail = b"\r\n"  # the last octets written; at first those of the DATA line

    def add(self, message: bytes) -> bytes:
        """Octets to write for the next octets of the message."""
        text = self._whole(message)
        out = text.replace(b"\r\n.", b"\r\n..")
        if out.startswith(b".") and self._tail.endswith(b"\r\n"):
            out = b"." + out
        return self._written(out)

    def add_wire(self, wire: bytes) -> bytes:
        """The same for octets that are in wire form already."""
        text = self._whole(wire)
        if find_end(text) >= 0 or END in self._tail + text[: len(END) - 1]:
            raise LocalProtocolError("an end of data inside the message")
        return self._written(text)

    def end(self) -> bytes:
        """The end of data; a last line without CRLF gets one (RFC 5321 section 4.1.1.4)."""
        if self._cr:
            raise LocalProtocolError("bare CR in the message")
        if self._tail.endswith(b"\r\n"):
            return b".\r\n"
        if (self._tail + END).find(END) < len(self._tail):  # wire form that stops after a dot
            raise LocalProtocolError("an end of data inside the message")
        return END

    def _whole(self, piece: bytes) -> bytes:
        text = self._cr + piece
        held = b"\r" if text.endswith(b"\r") else b""
        text = text[: len(text) - len(held)]
        check_lines(text)
        self._cr = held
        return text

    def _written(self, out: bytes) -> bytes:
        self._tail = (self._tail + out[1 - len(END) :])[1 - len(END) :]
        return out


def find_end(text: bytes) -> int:
    """Where the first END begins; -1: there is none.

    One octet is found thirty times faster than five, and an attachment has no dot: so what lies
    behind the last dot but one is not searched.
    """
    last = text.rfind(b".")
    if last < 0:
        return -1
    before = text.find(END, 0, text.rfind(b".", 0, last) + len(b".\r\n"))
    if before >= 0:
        return before
    start = last - len(b"\r\n")
    return start if start >= 0 and text.startswith(END, start) else -1


def whole_lines(data: bytes) -> bool:
    """Whether no CR or LF in it is a bare one.

    CPython finds single octets so much faster than it counts pairs that taking all CR away and
    putting them back takes a quarter of the time.
    """
    return data.replace(b"\r", b"").replace(b"\n", b"\r\n") == data


def has_long_line(message: bytes) -> bool:
    """Whether one has more than 998 octets; not in wire form, the last may have no end."""
    meter = Meter()
    meter.measure(message)
    return meter.facts().long_line or len(message) - message.rfind(b"\n") - 1 > TEXT_LINE


def check_lines(message: bytes) -> None:
    """LocalProtocolError for a bare CR or LF."""
    if not whole_lines(message):
        raise LocalProtocolError("bare CR or LF in the message")


def stuff(message: bytes) -> bytes:
    """A whole message in wire form, without the end. LocalProtocolError for a bare CR or LF."""
    return Stuffer().add(message)


def doubled_dots(wire: bytes, before: bytes = b"\r\n") -> int:
    """How many octets of it are no message's, but dots for transparency (RFC 5321 section 4.5.2).

    ``before`` are the last two octets before it.
    """
    return (before[-2:] + wire).count(b"\r\n.")


def unstuff(wire: bytes) -> bytes:
    """The message of a whole body in wire form (RFC 5321 section 4.5.2)."""
    if wire.startswith(b"."):
        wire = wire[1:]
    return wire.replace(b"\r\n.", b"\r\n")


def normalize(message: bytes) -> bytes:
    """Every CRLF, bare CR and bare LF as CRLF. Changes the message: a signature may break."""
    if whole_lines(message):
        return message
    return _ANY_BREAK.sub(b"\r\n", message)
