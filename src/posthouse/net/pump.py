"""The TLS pump: an ``ssl.SSLObject`` between two memory BIOs, moved by a ``Pipe``.

Enters: a pipe and options (client) or a context (server). Leaves: decrypted bytes, and what was
agreed as a ``TlsSession``. Only ``net.stream`` uses it. What can fail: ``NetworkFailure`` with
TLS_HANDSHAKE (details "reason" in OpenSSL's words, "kind" in ours), PLAIN_EXPECTED (details
"text", "protocol"), CLOSED, RESET, SILENT.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
from collections.abc import Sequence
from typing import Any, Final, Self

from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.net.pipe import READ_LIMIT, Pipe
from posthouse.net.tls import TlsOptions, TlsSession, a_label, client_context
from posthouse.protocol.first_bytes import is_tls, protocol_of

PLAIN_TEXT_LIMIT: Final = 512  # bytes of a plain answer kept: one SMTP reply line
PLAIN_TEXT_SECONDS: Final = 0.5  # how long the rest of a plain line is waited for
CHAIN_LIMIT: Final = 16  # certificates looked at; real chains have 2 to 5


class TlsPump:
    """One TLS connection. After ``handshake`` it is read and written like the pipe below it."""

    def __init__(
        self, pipe: Pipe, context: ssl.SSLContext, *, server: bool, name: str | None
    ) -> None:
        self._pipe = pipe
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._ended = False
        self._object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server, server_hostname=name
        )

    @classmethod
    def client(cls, pipe: Pipe, options: TlsOptions) -> Self:
        """A pump that will send the first hello."""
        context = client_context(options)
        try:
            return cls(pipe, context, server=False, name=a_label(options.server_name) or None)
        except (
            ValueError
        ):  # a name that no DNS can hold: do without SNI, the name check will say so
            return cls(pipe, context, server=False, name=None)

    @classmethod
    def server(cls, pipe: Pipe, context: ssl.SSLContext) -> Self:
        """A pump that waits for the first hello."""
        return cls(pipe, context, server=True, name=None)

    async def handshake(self, seconds: float) -> None:
        """Shake hands within ``seconds``. Raises NetworkFailure, stage TLS."""
        try:
            async with asyncio.timeout(seconds):
                await self._handshake()
        except TimeoutError:
            raise NetworkFailure(Failure.SILENT, Stage.TLS, seconds=seconds) from None
        except NetworkFailure as failure:
            failure.stage = Stage.TLS
            raise

    async def _handshake(self) -> None:
        first = True
        while True:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
            except ssl.SSLError as error:
                await self._flush_alert()
                raise handshake_failure(error) from None
            else:
                await self._flush()
                return
            data = await self._pipe.receive()
            if not data:
                raise NetworkFailure(Failure.CLOSED, Stage.TLS)
            if first and not is_tls(data):
                raise await self._plain_answer(data)
            first = False
            self._incoming.write(data)

    async def _plain_answer(self, data: bytes) -> NetworkFailure:
        """The peer speaks plain text: read its line to the end, so that it can be shown."""
        try:
            async with asyncio.timeout(PLAIN_TEXT_SECONDS):
                while b"\n" not in data and len(data) < PLAIN_TEXT_LIMIT:
                    more = await self._pipe.receive()
                    if not more:
                        break
                    data += more
        except (TimeoutError, NetworkFailure):
            pass  # what there is will do
        data = data[:PLAIN_TEXT_LIMIT]
        text = data.decode("utf-8", "replace").strip()
        return NetworkFailure(
            Failure.PLAIN_EXPECTED, Stage.TLS, text=text, protocol=protocol_of(data)
        )

    async def read(self, limit: int = READ_LIMIT) -> bytes:
        """Decrypted bytes; b"" after close_notify, and after an EOF without one.

        Many mail servers never send close_notify. Truncation is harmless here: SMTP, IMAP and HTTP
        say themselves where an answer ends.
        """
        while not self._ended:
            try:
                data = self._object.read(limit)
            except ssl.SSLWantReadError:
                await self._flush()
                raw = await self._pipe.receive()
                if raw:
                    self._incoming.write(raw)
                else:
                    self._incoming.write_eof()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                self._ended = True
            except ssl.SSLError as error:
                await self._flush_alert()
                raise handshake_failure(error, Stage.ANY) from None
            else:
                if data:
                    return data
                self._ended = True
        return b""

    async def write(self, data: bytes) -> None:
        """Encrypt and send all of ``data``."""
        view = memoryview(data)
        while view:
            try:
                sent = self._object.write(view)
            except ssl.SSLError as error:
                raise handshake_failure(error, Stage.ANY) from None
            view = view[sent:]
            await self._flush()

    async def close(self) -> None:
        """Send close_notify; the peer's own is not waited for (RFC 8446 section 6.1)."""
        with contextlib.suppress(ssl.SSLError):  # want-read: theirs is still to come
            self._object.unwrap()
        await self._flush()

    def session(self, options: TlsOptions) -> TlsSession:
        """What was agreed, with the chain judged."""
        from posthouse.net import verify

        name, _, bits = self._object.cipher() or ("", "", 0)
        version = self._object.version() or ""
        return verify.judged(
            TlsSession(
                version=version,
                cipher=name,
                bits=bits or 0,
                alpn=self._object.selected_alpn_protocol(),
                server_name=options.server_name,
                bindings=self._unique_binding(version),
            ),
            peer_chain(self._object)[:CHAIN_LIMIT],
            ca_file=options.ca_file,
            at=options.at,
        )

    def _unique_binding(self, version: str) -> dict[str, bytes]:
        """RFC 5929 section 3; TLS 1.3 has no tls-unique (RFC 9266 section 1)."""
        if version != "TLSv1.2":
            return {}
        binding = self._object.get_channel_binding("tls-unique")
        return {"tls-unique": binding} if binding else {}

    async def _flush(self) -> None:
        # No await between taking and handing over: reader and writer may both flush.
        data = self._outgoing.read()
        if data:
            await self._pipe.send(data)

    async def _flush_alert(self) -> None:
        with contextlib.suppress(NetworkFailure):  # the error at hand says more
            await self._flush()


def peer_chain(tls: ssl.SSLObject) -> list[bytes]:
    """The certificates the peer sent, DER, leaf first, whatever they are worth.

    Public only since Python 3.13 (as DER there); before, it is on the object underneath.
    """
    if sys.version_info >= (3, 13):
        found: Sequence[Any] = tls.get_unverified_chain() or ()
    else:
        found = tls._sslobj.get_unverified_chain() or ()  # type: ignore[attr-defined]
    return [c if isinstance(c, bytes) else _der(c) for c in found]


def _der(certificate: Any) -> bytes:
    encoding_der = 2  # _ssl.ENCODING_DER
    return bytes(certificate.public_bytes(encoding_der))


_REASON_KINDS: Final = (  # in OpenSSL's reason, which is stable across 1.1 and 3.x -> our word
    ("PROTOCOL_VERSION", "version"),
    ("UNSUPPORTED_PROTOCOL", "version"),
    ("WRONG_SSL_VERSION", "version"),
    ("INAPPROPRIATE_FALLBACK", "version"),
    ("DH_KEY_TOO_SMALL", "weak_dh"),
    ("EE_KEY_TOO_SMALL", "weak_key"),
    ("CA_MD_TOO_WEAK", "weak_signature"),
    ("WRONG_SIGNATURE_TYPE", "weak_signature"),
    ("HANDSHAKE_FAILURE", "no_common_cipher"),
    ("NO_SHARED_CIPHER", "no_common_cipher"),
    ("NO_CIPHERS_AVAILABLE", "no_common_cipher"),
    ("INSUFFICIENT_SECURITY", "no_common_cipher"),
    ("UNSAFE_LEGACY_RENEGOTIATION", "old_renegotiation"),
    ("UNRECOGNIZED_NAME", "unknown_name"),
    ("CERTIFICATE_REQUIRED", "client_certificate"),
    ("ALERT_UNKNOWN_CA", "peer_refused_certificate"),
    ("ALERT_BAD_CERTIFICATE", "peer_refused_certificate"),
    ("ALERT_CERTIFICATE", "peer_refused_certificate"),
    ("ALERT_INTERNAL_ERROR", "peer_error"),
    ("HTTP_REQUEST", "plain"),
    ("WRONG_VERSION_NUMBER", "garbage"),
)


def handshake_failure(error: ssl.SSLError, stage: Stage = Stage.TLS) -> NetworkFailure:
    """OpenSSL's complaint in our words: "kind", and its own "reason" for the transcript."""
    if isinstance(error, ssl.SSLEOFError):
        return NetworkFailure(Failure.CLOSED, stage)
    reason = error.reason or ""
    kind = next((kind for part, kind in _REASON_KINDS if part in reason), "other")
    return NetworkFailure(Failure.TLS_HANDSHAKE, stage, reason=reason.lower(), kind=kind)
