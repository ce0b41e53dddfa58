"""The passwords all tests use, and the search for them in whatever the test run puts out.

Each is a string that occurs nowhere by chance. ``find_leaks`` finds one in plain, URL-encoded,
JSON-escaped or base64 form (at any alignment, so also inside AUTH PLAIN's response).
Never write one of these values out in a test: use the names.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from functools import cache
from urllib.parse import quote, quote_plus

PASSWORD = "Kestrel-4711+Plum/Anvil"
WRONG_PASSWORD = "Magpie-0815+Fig/Hammer"
APP_PASSWORD = "wqzv yhtx kjdb mfrc"  # as Google shows them, with spaces
AUTH_CODE = "qjxvzkwpyhgbtmfd"  # 授权码: sixteen letters
TOKEN = "ya29.Zx9-Canary_Token~Heron.71"
KEY = "SG.canary-Otter.Key_5150"
UNICODE_PASSWORD = "密码-Ibis-Größe-2046"
LONG_PASSWORD = "Ptarmigan%20" * 24  # longer than one base64 line

SECRETS = {
    "PASSWORD": PASSWORD,
    "WRONG_PASSWORD": WRONG_PASSWORD,
    "APP_PASSWORD": APP_PASSWORD,
    "AUTH_CODE": AUTH_CODE,
    "TOKEN": TOKEN,
    "KEY": KEY,
    "UNICODE_PASSWORD": UNICODE_PASSWORD,
    "LONG_PASSWORD": LONG_PASSWORD,
}


def find_leaks(text: str | bytes) -> list[str]:
    """Names of the secrets in ``text``, each with its form: ["PASSWORD as base64"]."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    # Base64 may be folded into lines, with marks or indentation before each.
    unfolded = re.sub(r"\r?\n[\s>|~*<-]*", "", text)
    return sorted(
        {
            f"{name} as {form}"
            for name, form, needle in _needles()
            if needle in (unfolded if form == "base64" else text)
        }
    )


def forms_in(text: bytes, value: str) -> list[str]:
    """In which forms another secret, one that was made in a test, is in ``text``."""
    shown = text.decode("utf-8", "surrogateescape")
    return sorted({form for form, needle in _forms(value) if needle in shown})


@cache
def _needles() -> tuple[tuple[str, str, str], ...]:
    return tuple((name, *form) for name, value in SECRETS.items() for form in _forms(value))


def _forms(value: str) -> Iterator[tuple[str, str]]:
    yield "plain text", value
    if " " in value:
        yield "plain text without spaces", value.replace(" ", "")
    for encoded in {quote(value, safe=""), quote(value), quote_plus(value)} - {value}:
        yield "URL encoding", encoded
    for escaped in {json.dumps(value)[1:-1], repr(value.encode())[2:-1]} - {value}:
        yield "escapes", escaped
    for plain in {value, value.replace(" ", "")}:
        for inner in _base64_cores(plain.encode()):
            yield "base64", inner
            yield "base64", inner.replace("+", "-").replace("/", "_")


def _base64_cores(value: bytes) -> Iterator[str]:
    """What stays the same of value's base64, whatever stands before and after it."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + value).decode().rstrip("=")
        first = -(-before * 8 // 6)  # characters that hold bits of what stands before
        last = (before + len(value)) * 8 // 6  # characters that hold bits of value alone
        yield encoded[first:last]
