"""OAuth tokens as a login: XOAUTH2 (Google, Microsoft) and OAUTHBEARER (RFC 7628), both sides.

Enters: user name and access token (client), responses (server). Leaves: responses, challenges.
A refusal comes as a challenge with JSON in it, which the client must answer before the server
says 535; the client keeps that JSON in ``error``. Fails with SaslError.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, Protocol

from posthouse.flow import Secret
from posthouse.protocol.smtp.sasl.common import (
    SaslError,
    as_bytes,
    as_text,
    check_size,
    decode_line,
)

_KVSEP: Final = "\x01"
# RFC 6750 section 2.1: what a token may be made of
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
# A refusal's JSON is three short fields; what is deeper or longer is not one.
_MAX_ERROR: Final = 4_096
_MAX_ERROR_DEPTH: Final = 8


class TokenCheck(Protocol):
    """Says whether an access token is good for a user."""

    def check_token(self, username: str, token: str) -> bool:
        """True: let the user in."""


def decode_oauth_error(challenge: bytes) -> dict[str, Any]:
    """The JSON of a refused token, from a 334: with its base64 or without.

    Usual keys: ``status`` ("400", "401", "invalid_token"), ``schemes``, ``scope``. Raises
    SaslError ``not_oauth_error`` for anything else.
    """
    text = challenge.strip()
    if len(text) > _MAX_ERROR:
        raise SaslError("not_oauth_error", "too long")
    if not text.startswith(b"{"):
        try:
            text = decode_line(text)
        except SaslError:
            raise SaslError("not_oauth_error") from None
    try:
        if _depth(text) > _MAX_ERROR_DEPTH:
            raise ValueError
        found = json.loads(text.decode("utf-8"))
        # NaN, 1e999 and half a surrogate pair are read, but nobody could write them again.
        json.dumps(found, allow_nan=False, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise SaslError("not_oauth_error") from None
    if not isinstance(found, dict):
        raise SaslError("not_oauth_error")
    return found


def _depth(text: bytes) -> int:
    """An upper bound of how deep the JSON nests, before a parser walks into it."""
    return text.count(b"[") + text.count(b"{")


def _check_token(token: Secret) -> str:
    if not _TOKEN.fullmatch(token.reveal()):
        raise SaslError("token_form")
    return token.reveal()


def _check_username(username: str) -> None:
    if not username or any(char < " " for char in username):
        raise SaslError("empty" if not username else "control_character", "username")


class _OAuthClient:
    """What both mechanisms do: one message, and at most one refusal to acknowledge."""

    verified: Final = False
    _acknowledge: bytes

    def __init__(self, message: str) -> None:
        self.initial: Final = as_bytes(message)
        self.error: dict[str, Any] | None = None
        self._started = False

    def respond(self, challenge: bytes) -> bytes:
        """The message for an empty challenge; the acknowledgement for a refusal."""
        check_size(challenge)
        if not challenge and not self._started:
            self._started = True
            return self.initial
        if self.error is not None:
            raise SaslError("unexpected_challenge")
        self._started = True
        self.error = decode_oauth_error(challenge)
        return self._acknowledge

    def done(self) -> None:
        """Raises SaslError ``token_refused`` where the server says yes after it said no."""
        if self.error is not None:
            raise SaslError("token_refused")


class XOAuth2Client(_OAuthClient):
    """``user=U ^A auth=Bearer T ^A ^A``; a refusal is answered with an empty line."""

    name: Final = "XOAUTH2"
    _acknowledge = b""

    def __init__(self, username: str, token: Secret) -> None:
        _check_username(username)
        super().__init__(
            f"user={username}{_KVSEP}auth=Bearer {_check_token(token)}{_KVSEP}{_KVSEP}"
        )


class OAuthBearerClient(_OAuthClient):
    """RFC 7628 section 3.1; a refusal is answered with one ^A (section 3.2.3)."""

    name: Final = "OAUTHBEARER"
    _acknowledge = b"\x01"

    def __init__(self, username: str, token: Secret, *, host: str = "", port: int = 0) -> None:
        _check_username(username)
        fields = [f"n,a={_escape(username)},"]
        if host:
            fields.append(f"host={host}")
        if port:
            fields.append(f"port={port}")
        fields.append(f"auth=Bearer {_check_token(token)}")
        super().__init__(_KVSEP.join(fields) + _KVSEP + _KVSEP)


def _escape(name: str) -> str:
    """saslname of RFC 5801 section 4."""
    return name.replace("=", "=3D").replace(",", "=2C")


def _unescape(name: str) -> str:
    return name.replace("=2C", ",").replace("=3D", "=")


class _OAuthServer:
    """Reads the message; a bad token is told as JSON first, then refused."""

    name: str

    def __init__(self, accounts: TokenCheck) -> None:
        self._accounts = accounts
        self._refused = False
        self.username = ""
        self.authzid = ""

    def start(self, initial: bytes | None) -> bytes | None:
        """Client-first: without an initial response the challenge is empty."""
        return b"" if initial is None else self.receive(initial)

    def receive(self, response: bytes) -> bytes | None:
        """Raises SaslError ``message_form`` (501), or ``credentials`` (535) after the JSON."""
        if self._refused:
            raise SaslError("credentials")
        username, token = self._read(as_text(response))
        if self._accounts.check_token(username, token):
            self.username = username
            return None
        self._refused = True
        return json.dumps({"status": "invalid_token", "schemes": "bearer"}).encode("ascii")

    def _read(self, text: str) -> tuple[str, str]:
        raise NotImplementedError


def _fields(text: str) -> dict[str, str]:
    if not text.endswith(_KVSEP + _KVSEP):
        raise SaslError("message_form", malformed=True)
    pairs = (item.partition("=") for item in text[:-2].split(_KVSEP))
    return {key.lower(): value for key, _, value in pairs}


def _bearer(fields: dict[str, str]) -> str:
    scheme, _, token = fields.get("auth", "").partition(" ")
    if scheme.lower() != "bearer" or not _TOKEN.fullmatch(token.strip()):
        raise SaslError("message_form", malformed=True)
    return token.strip()


class XOAuth2Server(_OAuthServer):
    """The server's side of XOAUTH2."""

    name: Final = "XOAUTH2"

    def _read(self, text: str) -> tuple[str, str]:
        fields = _fields(text)
        if not fields.get("user"):
            raise SaslError("message_form", malformed=True)
        return fields["user"], _bearer(fields)


class OAuthBearerServer(_OAuthServer):
    """The server's side of OAUTHBEARER."""

    name: Final = "OAUTHBEARER"

    def _read(self, text: str) -> tuple[str, str]:
        header, _, rest = text.partition(_KVSEP)
        match = re.fullmatch(r"[ny],(?:a=([^,]+))?,", header)
        if not match or not match[1]:
            raise SaslError("message_form", malformed=True)
        return _unescape(match[1]), _bearer(_fields(rest))
