"""SMTP replies: read leniently, written strictly.

Enters: lines of bytes a server sent, or text a user pasted. Leaves: ``Reply``, with the bytes as
they came and a note of every defect that was read over. ``Connection`` and ``explain`` call it.
``ReplyReader.add`` raises RemoteProtocolError for what is no reply at all; ``parse_reply`` never
raises. RFC 5321 section 4.2, RFC 2034, RFC 3463.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from posthouse.protocol.smtp.errors import RemoteProtocolError
from posthouse.protocol.smtp.limits import REPLY_LINE, Limits
from posthouse.protocol.text import head, unescaped

_CODE: Final = re.compile(rb"([2-5][0-9]{2})(?:([ \t-])|(?![0-9]))")
_PASTED_CODE: Final = re.compile(r"([2-5][0-9]{2})(?:([ \t-])|(?![0-9]))(.*)", re.DOTALL)
_ENHANCED: Final = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?=[\s:;,)\]-]|$)[:;,]?\s*")
_GROUP: Final = 4_096  # octets of replies looked at together
_SHORT: Final = 400  # characters of a line that surely needs no cutting
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
# What stands before a reply in a pasted log or a bounce: transcript marks, "smtp;" of RFC 3464.
_PREFIX: Final = re.compile(
    r"\s*(?:(?:<-|<~|<\*\*|<<<|<|>|S:|smtp;|x-unix;|remote said:|['\"(])\s*)*", re.IGNORECASE
)
_PASTED_LIMIT: Final = 65_536  # characters of pasted text looked at
_PASTED_LINES: Final = 2_000  # lines of it; the longest reply of a real server has some 60


@dataclass(frozen=True, slots=True, order=True)
class EnhancedCode:
    """class.subject.detail of RFC 3463."""

    kind: int
    subject: int
    detail: int

    def __str__(self) -> str:
        return f"{self.kind}.{self.subject}.{self.detail}"

    @classmethod
    def parse(cls, text: str) -> EnhancedCode:
        """From "5.7.8"; ValueError where it is none."""
        match = _ENHANCED.fullmatch(text)
        if match is None:
            raise ValueError(f"not an enhanced status code: {text!r}")
        return cls(int(match[1]), int(match[2]), int(match[3]))


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. ``lines`` are texts without code and without the enhanced code.

    ``raw``, ``encoding`` ("ascii", "utf-8", "gb18030", "latin-1") and ``defects`` tell how it was
    read; they are empty in a reply of our own making.
    """

    code: int
    lines: tuple[str, ...]
    enhanced: EnhancedCode | None = None
    raw: bytes = b""
    encoding: str = "ascii"
    defects: tuple[str, ...] = ()
    # The octets, once made: a server says the same few replies over and over.
    _kept: bytes = field(default=b"", init=False, repr=False, compare=False)

    @classmethod
    def make(cls, code: int, text: str, enhanced: str | None = None) -> Reply:
        """A reply to send; line breaks in ``text`` make a multi-line reply."""
        lines = tuple(text.splitlines()) or ("",)
        return cls(code, lines, EnhancedCode.parse(enhanced) if enhanced else None)

    @classmethod
    def challenge(cls, data: bytes) -> Reply:
        """334 with a SASL challenge (RFC 4954 section 4)."""
        return cls(334, (base64.b64encode(data).decode("ascii"),))

    @property
    def text(self) -> str:
        """All lines as one, the way a sentence broken over several lines is meant."""
        return " ".join(line for line in self.lines if line)

    @property
    def is_success(self) -> bool:
        """2xx: done."""
        return 200 <= self.code < 300

    @property
    def is_intermediate(self) -> bool:
        """3xx: go on."""
        return 300 <= self.code < 400

    @property
    def is_transient(self) -> bool:
        """4xx: the same may work later."""
        return 400 <= self.code < 500

    @property
    def is_permanent(self) -> bool:
        """5xx: the same will not work."""
        return 500 <= self.code < 600

    def challenge_data(self) -> bytes | None:
        """What a 334 asks, decoded; None where it is no base64."""
        try:
            return base64.b64decode(self.text.encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            return None

    def wire(self, *, utf8: bool = False) -> bytes:
        """The reply as it goes out: CRLF, at most 512 octets a line, no line break from the text.

        Text beyond ASCII is only sent with ``utf8`` (RFC 6531 section 3.7.4.2); else it is "?".
        """
        if self._kept:
            return self._kept
        if not 200 <= self.code <= 599:
            raise ValueError("a reply code is 200 to 599")
        prefix = f"{self.enhanced} " if self.enhanced else ""
        text = self.lines[0] if len(self.lines) == 1 else ""
        if text and len(text) <= _SHORT and text.isascii() and text.isprintable():
            octets = f"{self.code} {prefix}{text}".rstrip().encode() + b"\r\n"
            object.__setattr__(self, "_kept", octets)
            return octets
        return _wire(self.code, prefix.encode(), self.lines, "utf-8" if utf8 else "ascii")

    def __str__(self) -> str:
        parts = (str(self.code), str(self.enhanced or ""), self.text)
        return " ".join(part for part in parts if part)


@lru_cache(maxsize=64)  # a server says the same EHLO list to everybody
def _wire(code: int, lead: bytes, lines: tuple[str, ...], charset: str) -> bytes:
    """Any reply, its lines cut and cleaned. See ``Reply.wire``."""
    # A SASL challenge must stay on one line (RFC 4954 section 4).
    room = None if code == 334 else REPLY_LINE - len("250-\r\n") - len(lead)
    texts = [
        piece
        for line in lines or ("",)
        for part in re.split(r"[\r\n]+", line)
        for piece in _pieces(_CONTROL.sub(" ", part).encode(charset, "replace"), room)
    ]
    head = str(code).encode()
    marks = [b"-"] * (len(texts) - 1) + [b" "]
    return b"".join(
        head + m + (lead + t).rstrip() + b"\r\n" for m, t in zip(marks, texts, strict=True)
    )


def _pieces(text: bytes, room: int | None) -> list[bytes]:
    """``text`` cut into pieces of at most ``room`` octets, at blanks where there are any."""
    pieces = []
    while room is not None and len(text) > room:
        cut = text.rfind(b" ", 1, room + 1)
        if cut <= 0:
            cut = room
            while cut > 1 and text[cut] & 0xC0 == 0x80:  # never inside a UTF-8 character
                cut -= 1
        pieces.append(text[:cut])
        text = text[cut:].lstrip(b" ")
    pieces.append(text)
    return pieces


_COMMON: Final = re.compile(
    rb"([2-5][0-9][0-9]) (?:([245])\.([0-9]{1,3})\.([0-9]{1,3}) )?"
    rb"(?![245]\.[0-9])([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)\r\n"
)


@lru_cache(maxsize=512)  # "250 2.1.0 Ok" comes once for each message
def common(line: bytes) -> Reply | None:
    """A reply of one plain line, read at once; None where ``ReplyReader`` has to look."""
    match = _COMMON.fullmatch(line)
    if match is None or len(line) > REPLY_LINE:
        return None
    code, kind, subject, detail, text = match.groups()
    enhanced = EnhancedCode(int(kind), int(subject), int(detail)) if kind else None
    return Reply(int(code), (text.decode(),), enhanced, line)


@lru_cache(maxsize=64)  # a server says yes in the same words
def common_group(lines: bytes) -> tuple[Reply, ...] | None:
    """Several replies, each of one plain line; None where ``ReplyReader`` has to look."""
    found = [common(line + b"\n") for line in lines.split(b"\n")[:-1]]
    if not lines.endswith(b"\n") or len(lines) > _GROUP:
        return None
    replies = tuple([reply for reply in found if reply is not None])
    return replies if len(replies) == len(found) else None


class ReplyReader:
    """Puts reply lines together. One reader reads one reply after another."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._reset()

    @property
    def in_progress(self) -> bool:
        """Whether a reply has begun and not ended."""
        return bool(self._raw)

    @property
    def octets(self) -> int:
        """How much of the reply in progress has been taken."""
        return len(self._raw)

    @property
    def raw(self) -> bytes:
        """The octets of the reply in progress."""
        return bytes(self._raw)

    def _reset(self) -> None:
        self._raw = bytearray()
        self._texts: list[bytes] = []
        self._code: int | None = None
        self._defects: dict[str, None] = {}  # a set that keeps its order

    def add(self, line: bytes) -> Reply | None:
        """Take one line with its end; a Reply when it was the last one of a reply.

        RemoteProtocolError where a reply should begin and does not, or never ends.
        """
        self._raw += line
        if len(self._raw) > self._limits.reply_octets:
            raise RemoteProtocolError("reply_too_long", bytes(self._raw))
        if not line.endswith(b"\r\n"):
            self._note("bare_lf")
        content = line.rstrip(b"\r\n")
        match = _CODE.match(content)
        if match is None:
            self._without_code(content)
            return None
        code = int(match[1])
        if self._code not in (None, code):
            self._note("code_changed")
        self._code = code  # the last line's code counts, as in other clients
        if match[2] is None and len(content) > 3:
            self._note("bad_separator")
        self._keep(content[match.end() :])
        if match[2] == b"-":
            return None
        return self._finish(code)

    def _without_code(self, content: bytes) -> None:
        if self._code is not None:
            self._note("line_without_code")  # text that the server wrapped by itself
            self._keep(content)
        elif content.strip():
            raise RemoteProtocolError("no_reply_code", bytes(self._raw))
        else:
            self._note("blank_line")

    def _keep(self, text: bytes) -> None:
        if len(self._texts) >= self._limits.reply_lines:
            self._note("too_many_lines")
            return
        if len(text) > REPLY_LINE - len("250 \r\n") and self._code != 334:
            self._note("long_line")
        if len(text) > self._limits.reply_line:
            self._note("line_cut")
            text = text[: self._limits.reply_line]
        self._texts.append(text)

    def _note(self, defect: str) -> None:
        self._defects[defect] = None

    def _finish(self, code: int) -> Reply:
        raw = bytes(self._raw)
        texts, defects = self._texts, tuple(self._defects)
        self._reset()
        return _build(code, texts, raw, defects)


def _build(code: int, texts: list[bytes], raw: bytes, defects: tuple[str, ...]) -> Reply:
    joined, encoding = decode(b"\n".join(texts))
    lines = [line.strip() for line in joined.split("\n")]
    if any(_CONTROL.search(line) for line in lines):
        defects = (*defects, "control_characters")
        lines = [_CONTROL.sub("\ufffd", line) for line in lines]
    enhanced, lines = _take_enhanced(lines)
    return Reply(code, tuple(lines), enhanced, raw, encoding, defects)


def _take_enhanced(lines: list[str]) -> tuple[EnhancedCode | None, list[str]]:
    """The first enhanced code at the start of a line, and the lines without it (RFC 2034)."""
    found = next((m for line in lines if (m := _ENHANCED.match(line))), None)
    if found is None:
        return None, lines
    code = EnhancedCode(int(found[1]), int(found[2]), int(found[3]))
    kept = []
    for line in lines:
        match = _ENHANCED.match(line)
        same = match is not None and match.groups() == found.groups()
        kept.append(line[match.end() :] if match is not None and same else line)
    return code, kept


def decode(text: bytes) -> tuple[str, str]:
    """Text of unknown charset and the name of the one used: UTF-8, else gb18030, else Latin-1.

    gb18030 can read nearly anything; it is believed when most of its characters are two octets
    above 0x7f, as Chinese text is, and not one such octet before a letter, as French text is.
    """
    if text.isascii():
        return text.decode("ascii"), "ascii"
    try:
        return text.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        pass
    high = sum(1 for octet in text if octet > 0x7F)
    try:
        guess = text.decode("gb18030")
    except UnicodeDecodeError:
        guess = ""
    wide = sum(1 for character in guess if character > "\x7f")
    if guess and high >= 1.5 * wide:
        return guess, "gb18030"
    return text.decode("latin-1"), "latin-1"


def parse_reply(raw: bytes | str) -> Reply | None:
    """A reply as a log, a bounce or a user shows it: one string, one or several lines.

    Transcript marks, quotes and "smtp;" before it are read over; folded lines, and replies whose
    line breaks were lost ("550-5.7.1 a 550 5.7.1 b"), are put right. None where no code begins it.
    """
    given = unescaped(raw[:_PASTED_LIMIT]) if isinstance(raw, str) else raw
    if isinstance(given, bytes):
        octets, (text, encoding) = given, decode(head(given, _PASTED_LIMIT))
    else:
        octets, text, encoding = given.encode("utf-8"), given, "utf-8"
    code, texts = _pasted(text)
    if code is None:
        return None
    lines = [_CONTROL.sub("\ufffd", line.strip()) for line in texts]
    enhanced, lines = _take_enhanced(lines)
    encoding = "ascii" if text.isascii() else encoding
    return Reply(code, tuple(lines), enhanced, octets, encoding)


def _pasted(text: str) -> tuple[int | None, list[str]]:
    code: int | None = None
    texts: list[str] = []
    ended = False
    lines = text.splitlines()[:_PASTED_LINES]
    pieces = ((whole, piece) for whole in lines for piece in _unfold(whole))
    for whole, line in pieces:
        match = _PASTED_CODE.match(line)
        if match is None:
            if code is None and line:
                return None, []
            if ended and not whole.startswith((" ", "\t")):  # not a folded line
                break
            texts.extend([whole.strip()] if line else [])
            continue
        if ended and int(match[1]) != code:
            break
        code, ended = int(match[1]), match[2] != "-"
        texts.append(match[3])
    return code, texts


def _unfold(line: str) -> list[str]:
    """A line without its prefix; several where line breaks of a reply had become blanks."""
    if prefix := _PREFIX.match(line):
        line = line[prefix.end() :]
    head = re.match(r"([2-5][0-9]{2})-", line)
    if head is None:
        return [line]
    # From the first blank of a run: starting at each of them would take a quadratic time.
    return re.split(rf"(?<!\s)\s+(?={head[1]}[- ])", line)
