"""What is said and sent to a server: parameters it knows, encodings it takes, our signature.

Enters: a task and what the server offers. Leaves: a ``Transaction``. The pool's ``Prepare``; the
daemon makes one for each worker. Raises Refused, in the form of a reply at stage MAIL, where the
letter cannot go to such a server: SMTPUTF8 is needed (RFC 6531 section 3.2), it is larger than SIZE
(RFC 1870), its 8 bits can't be recoded (RFC 6152 section 3).

Where there is nothing to do the octets that came are the ones that go. What was recoded or signed
is kept for the other hops and attempts of the same letter: a signature costs half a millisecond.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from posthouse.flow import Stage
from posthouse.letter import Letter
from posthouse.net.smtp_open import Refused
from posthouse.protocol.dkim import SigningError
from posthouse.protocol.message.recode import (
    RecodeError,
    is_signed,
    part_headers,
    to_binary,
    to_eight_bits,
    to_seven_bits,
)
from posthouse.protocol.message.text import is_utf8
from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp.data import doubled_dots, unstuff
from posthouse.protocol.smtp.extensions import size_limit
from posthouse.protocol.smtp.reply import Reply
from posthouse.send.deliver.keys import Keys, from_domain
from posthouse.send.deliver.transaction import Task, Transaction, mail_parameters, recipients_of

KEPT_LETTERS: Final = 2_000  # letters whose signature is remembered, some 600 octets each
KEPT_OCTETS: Final = 16 * 1024 * 1024  # recoded contents remembered

_DOTS: Final = b"\r\n."
_SIGNATURE: Final = re.compile(rb"(?:\A|\n)dkim-signature[ \t]*:", re.IGNORECASE)
_OF_DOMAIN: Final = re.compile(
    rb"(?:\A|\n)dkim-signature[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*?[;:\s]d[ \t]*=[ \t]*([^;\s]+)",
    re.IGNORECASE,
)


class Form(StrEnum):
    """How a letter is encoded for a server."""

    SAME = "same"  # as it came
    SEVEN = "seven"  # ASCII, for a server without 8BITMIME
    EIGHT = "eight"  # base64 of text undone
    BINARY = "binary"  # all base64 undone; not in wire form: it goes by BDAT


@dataclass(frozen=True, slots=True)
class Saving:
    """What undoing base64 saved on one letter, in octets."""

    letter: str  # Letter.id
    before: int
    after: int


@dataclass(slots=True)
class _Kept:
    """One letter in one form: its signature, its content (None: as it came)."""

    signature: bytes
    content: bytes | None = None
    binary: bool = False  # not in wire form: nothing was recoded where it is False


class Prepare:
    """See the module. ``now`` is the wall clock in seconds, for the signature's t=."""

    def __init__(
        self,
        keys: Keys,
        now: Callable[[], float],
        *,
        saved: Callable[[Saving], None] = lambda _saving: None,
    ) -> None:
        self._keys = keys
        self._now = now
        self._saved = saved
        self._kept: OrderedDict[tuple[str, Form], _Kept] = OrderedDict()
        self._octets = 0

    def __call__(
        self, task: Task, extensions: Mapping[str, str], *, binary: bool = False
    ) -> Transaction:
        """``binary``: the hop's setting, to undo base64 where the server lets us."""
        letter = task.letter
        ascii_only = letter.content.isascii()
        addresses = _has_utf8_address(task)
        utf8 = addresses or (not ascii_only and _has_utf8_header(letter))
        if utf8 and "SMTPUTF8" not in extensions:  # RFC 6531 section 3.2
            whose = "an address" if addresses else "the header"
            text = f"SMTPUTF8 is required for {whose}, but was not offered"
            raise _refused(550, "5.6.7", text)
        form = _form(letter, ascii_only, extensions, binary)
        content, is_binary = self._content(letter, form)
        limit = size_limit(extensions)
        size = len(content)
        if limit is not None and size > limit:
            # RFC 1870 section 5: doubled dots do not count. To count them takes long, and to say a
            # little more than it is does no harm below the limit.
            size -= 0 if is_binary else doubled_dots(content)
            if size > limit:  # section 6.1
                text = f"Message size {size} exceeds the limit of {limit} octets"
                raise _refused(552, "5.3.4", text)
        mail = mail_parameters(letter, extensions)
        if "SIZE" in mail:
            mail["SIZE"] = str(size)
        mail.pop("BODY", None)
        if is_binary:
            mail["BODY"] = "BINARYMIME"
        elif "8BITMIME" in extensions and not content.isascii():
            mail["BODY"] = "8BITMIME"
        if ascii_only and not utf8:  # asked for, and not needed by anything
            mail.pop("SMTPUTF8", None)
        elif utf8:
            mail["SMTPUTF8"] = None
        recipients = recipients_of(task, extensions, utf8="SMTPUTF8" in mail)
        return Transaction(c.Mail(letter.sender, mail), recipients, content)

    def _content(self, letter: Letter, form: Form) -> tuple[bytes, bool]:
        """What is sent, and whether as BINARYMIME."""
        if form is Form.SAME and not self._keys:
            return letter.content, False
        kept = self._kept.get((letter.id, form))
        if kept is None:
            kept = self._made(letter, form)
            self._keep((letter.id, form), kept)
        content = letter.content if kept.content is None else kept.content
        return (kept.signature + content if kept.signature else content), kept.binary

    def _made(self, letter: Letter, form: Form) -> _Kept:
        """Recoded first, signed after: the signature is of what the receiver gets."""
        plain = unstuff(letter.content)
        message = plain if form is Form.SAME else self._recoded(letter, plain, form)
        signature = self._signature(message)
        if message is plain:
            return _Kept(signature)
        if form is Form.BINARY:
            return _Kept(signature, message, binary=True)
        return _Kept(signature, stuffed(message))

    def _recoded(self, letter: Letter, plain: bytes, form: Form) -> bytes:
        try:
            if form is Form.SEVEN:
                return to_seven_bits(plain)
            message = to_binary(plain) if form is Form.BINARY else to_eight_bits(plain)
        except RecodeError as error:
            if form is not Form.SEVEN:
                return plain  # only a saving was hoped for
            why = "signed" if error.reason == "signed" else "malformed"
            text = f"8BITMIME is required and was not offered; the message is {why}"
            raise _refused(554, "5.6.3", text) from None  # RFC 6152 section 3
        if len(message) >= len(plain):
            return plain
        self._saved(Saving(letter.id, len(plain), len(message)))
        return message

    def _signature(self, message: bytes) -> bytes:
        if not self._keys:
            return b""
        header = header_of(message)
        chosen = self._keys.signer(from_domain(header))
        if chosen is None or _signed_for(header, chosen[0]):
            return b""
        try:
            return chosen[1].sign(message, at=int(self._now()))
        except SigningError:  # no From: nothing to speak for
            return b""

    def _keep(self, key: tuple[str, Form], kept: _Kept) -> None:
        self._kept[key] = kept
        self._octets += len(kept.content or b"")
        while len(self._kept) > KEPT_LETTERS or self._octets > KEPT_OCTETS:
            _, oldest = self._kept.popitem(last=False)
            self._octets -= len(oldest.content or b"")


def _has_utf8_address(task: Task) -> bool:
    """Whether SMTPUTF8 is needed for the envelope (RFC 6531 section 3.2)."""
    if not task.letter.sender.isascii():
        return True
    return not all(item.recipient.address.isascii() for item in task.items)


def _has_utf8_header(letter: Letter) -> bool:
    """Whether SMTPUTF8 is needed for a header, also for one of a part (RFC 6531 section 3.2).

    Only a client that said SMTPUTF8 can mean it. What others write so goes as it came, as ever and
    as one in some older charset does: scripts do that without a thought, and to ask for SMTPUTF8 in
    their place would have it bounce wherever a server on the way lacks it.
    """
    if "SMTPUTF8" not in letter.params:
        return False
    return _is_beyond_ascii(header_of(letter.content)) or _is_beyond_ascii(
        b"".join(part_headers(letter.content))
    )


def _is_beyond_ascii(header: bytes) -> bool:
    return not header.isascii() and is_utf8(header)


def _form(letter: Letter, ascii_only: bool, extensions: Mapping[str, str], binary: bool) -> Form:
    if "8BITMIME" not in extensions:
        return Form.SAME if ascii_only else Form.SEVEN
    if not binary or b"base64" not in letter.content:
        return Form.SAME
    if is_signed(header_of(letter.content)):
        return Form.SAME
    # RFC 3030 section 3: BINARYMIME needs CHUNKING.
    return Form.BINARY if "BINARYMIME" in extensions and "CHUNKING" in extensions else Form.EIGHT


def header_of(message: bytes) -> bytes:
    """The header section; the same in wire form, for no field begins with a dot."""
    end = message.find(b"\r\n\r\n")
    return message[: end + 2] if end >= 0 else message


def stuffed(message: bytes) -> bytes:
    """The message in wire form. ``data.stuff`` also refuses bare CR and LF, as the engine will."""
    if message.startswith(b"."):
        message = b"." + message
    return message.replace(_DOTS, b"\r\n..") if _DOTS in message else message


def _signed_for(header: bytes, domain: str) -> bool:
    """Whether a signature of that very domain is there already."""
    if not _SIGNATURE.search(header):
        return False
    named = {found[1].lower() for found in _OF_DOMAIN.finditer(header)}
    return domain.encode("ascii") in named


def _refused(code: int, enhanced: str, text: str) -> Refused:
    return Refused(Stage.MAIL, Reply.make(code, text, enhanced), heard=False)
