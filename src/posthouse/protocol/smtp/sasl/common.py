"""What every SASL mechanism shares: its error, the shape of both sides, the wire's base64.

Enters: text and bytes of one exchange. Leaves: bytes without base64 (``encode_initial`` and
``decode_line`` do that step). Called by the mechanisms of this package and by the SMTP engine.
Fails only with SaslError.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final, Protocol

from posthouse.flow import Secret

# RFC 4954 section 4: a server reads at least 12,288 octets of base64 in one line. Nothing that
# mail uses comes near; more is an attack on the reader's memory.
MAX_LINE: Final = 12_288
MAX_MESSAGE: Final = MAX_LINE // 4 * 3

_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


class SaslError(Exception):
    """An exchange that cannot go on. ``reason`` is a stable id, ``detail`` never holds a secret.

    ``malformed`` tells a server which reply fits: 501 5.5.2 where the message could not be read
    (RFC 4954 section 4), else 535 5.7.8.
    """

    def __init__(self, reason: str, detail: str = "", *, malformed: bool = False) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.malformed = malformed


@dataclass(frozen=True, slots=True)
class ChannelBinding:
    """What ties a login to the TLS connection it runs in (RFC 5056)."""

    kind: str  # "tls-exporter" (RFC 9266) or "tls-server-end-point" (RFC 5929)
    data: bytes

    def __repr__(self) -> str:
        # Exported keying material is as good as a session secret: it is not for logs.
        return f"ChannelBinding({self.kind!r}, {len(self.data)} bytes)"


class ClientMechanism(Protocol):
    """The client's side of one login. Bytes in and out are without base64."""

    @property
    def name(self) -> str:
        """The registered name, upper case."""

    @property
    def initial(self) -> bytes | None:
        """The initial response (b"" is one, see ``encode_initial``); None: wait for a challenge."""

    @property
    def verified(self) -> bool:
        """Whether the server has proved that it knows the password too (SCRAM only)."""

    def respond(self, challenge: bytes) -> bytes:
        """The answer to a 334. Raises SaslError; then cancel with ``CANCEL``."""

    def done(self) -> None:
        """Call at 235: raises SaslError where that success must not be believed."""


class ServerMechanism(Protocol):
    """The server's side of one login. Bytes in and out are without base64."""

    @property
    def name(self) -> str:
        """The registered name, upper case."""

    @property
    def username(self) -> str:
        """Who logged in; empty until finished."""

    @property
    def authzid(self) -> str:
        """The identity asked for besides, or empty. Whether it may be used is the caller's rule."""

    def start(self, initial: bytes | None) -> bytes | None:
        """Begin, with the initial response if there was one. As ``receive``."""

    def receive(self, response: bytes) -> bytes | None:
        """The next challenge to send with 334, or None: logged in. Raises SaslError: refuse."""


CANCEL: Final = b"*"  # RFC 4954 section 4: the client ends the exchange


def encode_initial(response: bytes) -> bytes:
    """Base64 of an initial response; an empty one is "=" (RFC 4954 section 4)."""
    return base64.b64encode(response) if response else b"="


def encode_line(message: bytes) -> bytes:
    """Base64 of a challenge or a later response, without CRLF."""
    return base64.b64encode(message)


def decode_line(line: bytes, *, initial: bool = False) -> bytes:
    """Undo the base64 of one line, strictly (RFC 4954 section 4: no other characters, no blanks).

    ``initial`` reads "=" as the empty initial response. Raises SaslError: ``cancelled`` for "*",
    ``too_long``, ``not_base64``.
    """
    if line == CANCEL:
        raise SaslError("cancelled", malformed=True)
    if len(line) > MAX_LINE:
        raise SaslError("too_long", f"{len(line)} octets", malformed=True)
    if initial and line == b"=":
        return b""
    if not _BASE64.fullmatch(line):
        raise SaslError("not_base64", malformed=True)
    try:
        return binascii.a2b_base64(line)
    except binascii.Error:  # pragma: no cover - the pattern leaves nothing to object to
        raise SaslError("not_base64", malformed=True) from None


def check_size(message: bytes) -> bytes:
    """``message``, or SaslError ``too_long``."""
    if len(message) > MAX_MESSAGE:
        raise SaslError("too_long", f"{len(message)} octets", malformed=True)
    return message


def as_text(message: bytes) -> str:
    """``message`` as UTF-8, or SaslError ``not_utf8``."""
    try:
        return check_size(message).decode("utf-8")
    except UnicodeDecodeError:
        raise SaslError("not_utf8", malformed=True) from None


def as_bytes(text: str | Secret, encoding: str = "utf-8") -> bytes:
    """A user name or password as the bytes to send.

    UTF-8 is what the RFCs want; "latin-1" and "gb18030" exist for old servers that stored the
    bytes of an old program's keyboard. Raises SaslError ``not_encodable``.
    """
    value = text.reveal() if isinstance(text, Secret) else text
    try:
        return value.encode(encoding)
    except UnicodeEncodeError:
        raise SaslError("not_encodable", encoding) from None


def refuse_nul(**fields: bytes) -> None:
    """SaslError ``nul`` naming the first field with a NUL in it (RFC 4616 section 2)."""
    for name, value in fields.items():
        if b"\0" in value:
            raise SaslError("nul", name)
