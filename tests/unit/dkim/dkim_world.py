"""Keys, a zone and a signer of any field, for messages whose signatures are odd on purpose."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from posthouse.protocol import dkim
from posthouse.protocol.dns import Answer, AnswerStatus, Ask, run

NOW = 1_700_000_000
MESSAGE = (
    b"From: Alice <alice@example.com>\r\n"
    b"To: bob@example.net\r\n"
    b"Subject: hello\r\n"
    b"\r\n"
    b"One  line.\r\n"
)


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return _made(bits)


@cache
def _made(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, bits)


@cache
def ed_key() -> dkim.PrivateKey:
    return dkim.generate("ed25519")


def record(bits: int = 2048, **tags: str) -> str:
    """The record of ``rsa_key``, with other tags or without (value None is not written)."""
    p = dkim.record_text(rsa_key(bits)).rpartition("p=")[2]
    values = {"v": "DKIM1", "k": "rsa", "p": p} | tags
    return "; ".join(f"{name}={value}" for name, value in values.items() if value != "-")


def lookup(zone: Mapping[str, str | tuple[str, ...] | AnswerStatus]):
    def answer(ask: Ask) -> Answer:
        found = zone.get(ask.name, AnswerStatus.NXDOMAIN)
        if isinstance(found, AnswerStatus):
            return Answer(ask.name, ask.type, found)
        records = (found,) if isinstance(found, str) else found
        return Answer(ask.name, ask.type, AnswerStatus.OK, records)

    return answer


def verify(message: bytes, zone: Mapping[str, object] | str | None = None, now: int = NOW):
    """The results of a message; a string is the record of s._domainkey.example.com."""
    if zone is None or isinstance(zone, str):
        zone = {"s._domainkey.example.com": zone or record()}
    return run(dkim.verify(message, now=now), lookup(zone)).results


def handmade(
    message: bytes = MESSAGE, *, bits: int = 2048, folded: str = "", key: object = None, **tags: str
) -> bytes:
    """``message`` with a signature of simple/simple form whose tags are as given.

    Written apart from the code under test: simple form is what stands there. A value of "-" leaves
    a tag out; ``folded`` is put into b= after every tenth character.
    """
    header, _, body = message.partition(b"\r\n\r\n")
    fields = [line + b"\r\n" for line in header.split(b"\r\n")]
    stripped = body
    while stripped.endswith(b"\r\n"):
        stripped = stripped[:-2]
    bh = base64.b64encode(hashlib.sha256(stripped + b"\r\n").digest()).decode()
    values = {"v": "1", "a": "rsa-sha256", "d": "example.com", "s": "s", "h": "from:to:subject"}
    values = {**values, "bh": bh, **tags}
    text = "; ".join(f"{name}={value}" for name, value in values.items() if value != "-")
    field = f"DKIM-Signature: {text}; b=".encode()
    data = b""
    left = list(fields)
    for name in values["h"].split(":"):
        wanted = name.strip().lower().encode()
        for one in reversed(left):
            if one.partition(b":")[0].strip().lower() == wanted:
                data += one
                left.remove(one)
                break
    signer = key or rsa_key(bits)
    if isinstance(signer, rsa.RSAPrivateKey):
        signature = signer.sign(data + field, padding.PKCS1v15(), hashes.SHA256())
    else:
        signature = signer.sign(hashlib.sha256(data + field).digest())
    b = base64.b64encode(signature).decode()
    if folded:
        b = folded.join(b[at : at + 10] for at in range(0, len(b), 10))
    return field + b.encode() + b"\r\n" + message
