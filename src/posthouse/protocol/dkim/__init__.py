"""dkim: a domain's signature under a message, made and verified.

Enters: messages as bytes, keys, the time, DNS answers. Leaves: signature fields; a ``Result`` for
each signature found. Called by the relay (sign, verify), by the audit of a domain (keys), by
``arc`` and ``dmarc`` (results). Errors: SigningError, KeyRecordError, PrivateKeyError; verifying
never fails, it ends as a result.

RFC 6376, RFC 8301 (SHA-1 and short keys are out), RFC 8463 (Ed25519), RFC 8616 (UTF-8).
``fields`` splits a header, ``canon`` and ``body`` say what is hashed, ``key`` reads keys,
``signature`` and ``result`` are the facts, ``sign`` and ``verify`` the work. DKIM2 will sign other
fields about the same body with the same keys: it needs a ``signature`` of its own, no more.
"""

from __future__ import annotations

from posthouse.protocol.dkim.body import BodyHasher, hash_body
from posthouse.protocol.dkim.canon import Canon
from posthouse.protocol.dkim.fields import Field, Header, parse_header, split
from posthouse.protocol.dkim.key import (
    KeyRecord,
    KeyRecordError,
    PrivateKey,
    PrivateKeyError,
    PublicKey,
    generate,
    matches,
    parse_key_record,
    read_private_key,
    record_text,
    write_private_key,
)
from posthouse.protocol.dkim.result import REASONS, Code, Result, Verification
from posthouse.protocol.dkim.sign import (
    OVERSIGNED,
    OVERSIGNED_ALL,
    SIGNED,
    Signer,
    SigningError,
    SigningKey,
)
from posthouse.protocol.dkim.signature import (
    Algorithm,
    Signature,
    SignatureError,
    parse_signature,
)
from posthouse.protocol.dkim.verify import Verifier, verify

__all__ = [
    "OVERSIGNED",
    "OVERSIGNED_ALL",
    "REASONS",
    "SIGNED",
    "Algorithm",
    "BodyHasher",
    "Canon",
    "Code",
    "Field",
    "Header",
    "KeyRecord",
    "KeyRecordError",
    "PrivateKey",
    "PrivateKeyError",
    "PublicKey",
    "Result",
    "Signature",
    "SignatureError",
    "Signer",
    "SigningError",
    "SigningKey",
    "Verification",
    "Verifier",
    "generate",
    "hash_body",
    "matches",
    "parse_header",
    "parse_key_record",
    "parse_signature",
    "read_private_key",
    "record_text",
    "split",
    "verify",
    "write_private_key",
]
