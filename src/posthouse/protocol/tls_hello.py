"""TLS hellos as bytes: one client hello for each version back to SSLv3, and what comes back.

Enters: a version, a server name and random bytes; later the server's first bytes. Leaves: the
hello to send, and a ``HelloAnswer``. This exists because the OpenSSL of today cannot speak SSLv3
and may be built without TLS 1.0: only a hand-made hello can tell whether a server still does.
Called by ``net.tlsprobe``. What can fail: nothing; bytes that are no TLS answer give ``NOT_TLS``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from posthouse.protocol.tls_suites import PRE_TLS12_SUITES, TLS12_SUITES, TLS13_SUITES, Suite

RECORDS_LIMIT: Final = 64  # of a ServerHello: one or two in truth, a hostile server sends octets
ANSWER_LIMIT: Final = 32_768  # a ServerHello fits one record; more than two means no end in sight
SEED_BYTES: Final = 96  # client random, session id, key share: 32 each


class Version(StrEnum):
    """Protocol versions, named as OpenSSL and people name them."""

    SSL3 = "SSLv3"
    TLS10 = "TLSv1.0"
    TLS11 = "TLSv1.1"
    TLS12 = "TLSv1.2"
    TLS13 = "TLSv1.3"


_WIRE: Final = {
    Version.SSL3: 0x0300,
    Version.TLS10: 0x0301,
    Version.TLS11: 0x0302,
    Version.TLS12: 0x0303,
    Version.TLS13: 0x0304,
}
_BY_WIRE: Final = {number: version for version, number in _WIRE.items()}

_RENEGOTIATION_SCSV: Final = 0x00FF  # RFC 5746 section 3.3, for hellos without extensions


def suites_for(version: Version) -> tuple[int, ...]:
    """Every suite we know for that version, strongest first."""
    if version is Version.TLS13:
        return TLS13_SUITES
    return TLS12_SUITES if version is Version.TLS12 else PRE_TLS12_SUITES


def client_hello(
    version: Version, server_name: str, seed: bytes, suites: tuple[int, ...] | None = None
) -> bytes:
    """One hello that offers exactly ``version``. ``seed``: SEED_BYTES random bytes.

    ``server_name`` in A-label form goes into SNI; an address or "" is left out
    (RFC 6066 section 3).
    """
    if len(seed) != SEED_BYTES:
        raise ValueError(f"the seed must have {SEED_BYTES} bytes")
    offered = suites_for(version) if suites is None else suites
    wire = _WIRE[version]
    body = struct.pack("!H", min(wire, 0x0303)) + seed[:32]  # RFC 8446 section 4.1.2
    body += _vector8(seed[32:64] if version is Version.TLS13 else b"")
    numbers = (*offered, _RENEGOTIATION_SCSV)
    body += _vector16(b"".join(struct.pack("!H", n) for n in numbers))
    body += b"\x01\x00"  # no compression
    if version is not Version.SSL3:
        body += _vector16(_extensions(version, server_name, seed[64:96]))
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    # RFC 8446 appendix D.2 and RFC 5246 appendix E.1: the record says 3.1 for old servers' sake.
    return b"\x16" + struct.pack("!H", min(wire, 0x0301)) + _vector16(message)


def _extensions(version: Version, server_name: str, key: bytes) -> bytes:
    found = b""
    if server_name and not _is_address(server_name):
        host = server_name.encode("ascii", "ignore")[:255]
        found += _extension(0, _vector16(b"\x00" + _vector16(host)))
    groups = (0x001D, 0x0017, 0x0018, 0x0019, 0x0100, 0x0101)  # x25519, P-256/384/521, ffdhe
    found += _extension(10, _vector16(struct.pack("!6H", *groups)))
    found += _extension(11, b"\x01\x00")  # uncompressed points
    if version in (Version.TLS12, Version.TLS13):
        schemes = (0x0403, 0x0503, 0x0603, 0x0807, 0x0804, 0x0805, 0x0806)
        old = (0x0401, 0x0501, 0x0601, 0x0203, 0x0201)  # PKCS#1 and SHA-1, to see everything
        found += _extension(13, _vector16(struct.pack("!12H", *schemes, *old)))
    if version is Version.TLS13:
        found += _extension(43, b"\x02\x03\x04")  # RFC 8446 section 4.2.1: this version only
        found += _extension(45, b"\x01\x01")  # psk_dhe_ke
        share = struct.pack("!H", 0x001D) + _vector16(key)  # any 32 bytes are an x25519 key
        found += _extension(51, _vector16(share))
    return found


def _is_address(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdigit()


def _extension(kind: int, data: bytes) -> bytes:
    return struct.pack("!H", kind) + _vector16(data)


def _vector8(data: bytes) -> bytes:
    return len(data).to_bytes(1, "big") + data


def _vector16(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


class AnswerKind(StrEnum):
    """What a server said to a hello."""

    HELLO = "hello"
    ALERT = "alert"
    NOT_TLS = "not_tls"


@dataclass(frozen=True, slots=True)
class HelloAnswer:
    """The server's first words. ``version`` is the one it chose, None if it has no name here."""

    kind: AnswerKind
    version: Version | None = None
    suite: Suite | None = None
    alert: str = ""  # "protocol_version"


_ALERTS: Final = {  # RFC 8446 section 6 and RFC 5246 section 7.2
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    21: "decryption_failed",
    22: "record_overflow",
    40: "handshake_failure",
    41: "no_certificate",
    42: "bad_certificate",
    47: "illegal_parameter",
    50: "decode_error",
    51: "decrypt_error",
    60: "export_restriction",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    90: "user_canceled",
    109: "missing_extension",
    110: "unsupported_extension",
    112: "unrecognized_name",
    116: "certificate_required",
    120: "no_application_protocol",
}
_NOT_TLS: Final = HelloAnswer(AnswerKind.NOT_TLS)


def read_answer(data: bytes) -> HelloAnswer | None:
    """The answer that starts ``data``; None while it is not all there."""
    handshake = b""
    for _ in range(RECORDS_LIMIT):
        if not data:
            return None
        if data[0] not in (0x15, 0x16) or (len(data) > 1 and data[1] != 3):
            return _NOT_TLS
        if len(data) < 5:
            return None
        kind, length = data[0], int.from_bytes(data[3:5], "big")
        payload, data = data[5 : 5 + length], data[5 + length :]
        if kind == 0x15:
            return _alert(payload, length)
        handshake += payload
        answer = _server_hello(handshake)
        if answer is not None:
            return answer
        if len(handshake) > ANSWER_LIMIT or length == 0:
            break
    return _NOT_TLS


def _alert(payload: bytes, length: int) -> HelloAnswer | None:
    if length != 2:
        return _NOT_TLS
    if len(payload) < 2:
        return None
    return HelloAnswer(AnswerKind.ALERT, alert=_ALERTS.get(payload[1], str(payload[1])))


def _server_hello(message: bytes) -> HelloAnswer | None:
    """RFC 8446 section 4.1.3; a HelloRetryRequest has the same shape and says as much."""
    if message and message[0] != 2:
        return _NOT_TLS
    if len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4], "big"):
        return None
    body = message[4 : 4 + int.from_bytes(message[1:4], "big")]
    rest = 35 + (body[34] if len(body) > 34 else 0)  # version, random, session id
    if len(body) < rest + 3:
        return _NOT_TLS
    wire = int.from_bytes(body[:2], "big")
    suite = Suite(int.from_bytes(body[rest : rest + 2], "big"))
    chosen = _chosen_version(body[rest + 3 :]) or wire
    return HelloAnswer(AnswerKind.HELLO, _BY_WIRE.get(chosen), suite)


def _chosen_version(extensions: bytes) -> int:
    """The supported_versions extension (43), or 0. RFC 8446 section 4.2.1."""
    at = 2
    while at + 4 <= len(extensions):
        kind, length = struct.unpack_from("!HH", extensions, at)
        if kind == 43 and length == 2:
            return int.from_bytes(extensions[at + 4 : at + 6], "big")
        at += 4 + length
    return 0
