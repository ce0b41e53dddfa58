"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), both sides.

Enters: user name, password, a nonce from the caller, channel binding data from the TLS layer.
Leaves: messages. Each side proves to the other that it knows the password, and with -PLUS that
both see the same TLS connection. Called through ``client`` and ``server`` of this package.
Fails with SaslError; a client whose server did not prove itself fails in ``done``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final, Protocol

from posthouse.flow import Secret
from posthouse.protocol.smtp.sasl.common import (
    ChannelBinding,
    SaslError,
    as_text,
    check_size,
)
from posthouse.protocol.smtp.sasl.prep import saslprep

# RFC 7677 section 4 wants at least 4,096 rounds: a server that asks for fewer makes the proof
# cheap to crack for whoever records it.
MIN_ITERATIONS: Final = 4_096
# OWASP recommends 600,000 for PBKDF2 with SHA-256; a server that asks for far more wants our CPU.
MAX_ITERATIONS: Final = 1_000_000
_MAX_SALT: Final = 1_024
_MIN_NONCE: Final = 16  # octets: fewer can be guessed or repeat

# RFC 9266 section 4.1: what the TLS layer exports for "tls-exporter" (empty context).
EXPORTER_LABEL: Final = b"EXPORTER-Channel-Binding"
EXPORTER_LENGTH: Final = 32

_PRINTABLE = re.compile(rb"[\x21-\x2b\x2d-\x7e]+")  # RFC 5802 section 7: no comma
_SERVER_FIRST = re.compile(
    r"r=(?P<nonce>[\x21-\x2b\x2d-\x7e]+),s=(?P<salt>[A-Za-z0-9+/=]+),i=(?P<i>[1-9][0-9]{0,8})"
    r"(?:,[A-Za-z]=[^,\x00]*)*"
)
_CLIENT_FIRST = re.compile(
    r"(?P<gs2>(?P<flag>[ny]|p=(?P<kind>[A-Za-z0-9.-]+)),(?:a=(?P<authzid>[^,\x00]+))?,)"
    r"(?P<bare>n=(?P<user>[^,\x00]+),r=(?P<nonce>[\x21-\x2b\x2d-\x7e]+)(?:,[A-Za-z]=[^,\x00]*)*)"
)
_CLIENT_FINAL = re.compile(
    r"(?P<bare>c=(?P<cbind>[A-Za-z0-9+/=]+),r=(?P<nonce>[\x21-\x2b\x2d-\x7e]+)"
    r"(?:,[A-Za-z]=[^,\x00]*)*),p=(?P<proof>[A-Za-z0-9+/=]+)"
)


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What a server keeps instead of a password (RFC 5802 section 3)."""

    salt: bytes
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)


class ScramLookup(Protocol):
    """Gives a user's stored keys."""

    def scram_keys(self, username: str) -> ScramKeys | None:
        """None: no such user."""


def tls_server_end_point(certificate: bytes, hash_name: str) -> ChannelBinding:
    """Channel binding by the server's certificate (RFC 5929 section 4.1).

    ``certificate``: DER. ``hash_name``: the hash of its signature algorithm ("sha256",
    "sha384"...); MD5 and SHA-1 count as SHA-256, as the RFC says.
    """
    name = hash_name.lower().replace("-", "")
    if name in {"md5", "sha1"}:
        name = "sha256"
    if name not in {"sha224", "sha256", "sha384", "sha512"}:
        raise SaslError("no_channel_binding", hash_name)
    return ChannelBinding("tls-server-end-point", hashlib.new(name, certificate).digest())


def derive_keys(password: Secret, salt: bytes, iterations: int) -> ScramKeys:
    """What to store for a password. Raises SaslError where SASLprep refuses the password."""
    salted = _salted(password, salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return ScramKeys(
        salt,
        iterations,
        hashlib.sha256(client_key).digest(),
        hmac.digest(salted, b"Server Key", "sha256"),
    )


def _salted(password: Secret, salt: bytes, iterations: int) -> bytes:
    prepared = saslprep(password.reveal()).encode("utf-8")
    return hashlib.pbkdf2_hmac("sha256", prepared, salt, iterations)


def _nonce(random: bytes) -> bytes:
    """The caller's random octets as a nonce: as they are where printable, else in base64."""
    if len(random) < _MIN_NONCE:
        raise SaslError("nonce_too_short", f"{len(random)} octets")
    return random if _PRINTABLE.fullmatch(random) else base64.b64encode(random)


def _escape(name: str) -> str:
    """saslname of RFC 5802 section 7."""
    return name.replace("=", "=3D").replace(",", "=2C")


def _unescape(name: str) -> str:
    if re.search(r"=(?!2C|3D)", name):
        raise SaslError("message_form", malformed=True)
    return name.replace("=2C", ",").replace("=3D", "=")


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise SaslError("message_form", malformed=True) from None


class ScramClient:
    """The client's side. Give ``channel_binding`` also without -PLUS when TLS has one: it then
    tells the server that we could have bound (``y``), so that a stripped -PLUS is noticed."""

    def __init__(
        self,
        username: str,
        password: Secret,
        *,
        nonce: bytes,
        authzid: str = "",
        channel_binding: ChannelBinding | None = None,
        plus: bool = False,
    ) -> None:
        if plus and channel_binding is None:
            raise SaslError("no_channel_binding")
        if not username:
            raise SaslError("empty", "username")
        self.name = "SCRAM-SHA-256-PLUS" if plus else "SCRAM-SHA-256"
        self.verified = False
        self._password = password
        self._nonce = _nonce(nonce).decode("ascii")
        # RFC 5802 section 6: p = bound, y = could but the server does not offer it, n = cannot
        flag = f"p={channel_binding.kind}" if plus and channel_binding else "n"
        if not plus and channel_binding is not None:
            flag = "y"
        authz = f"a={_escape(saslprep(authzid))}" if authzid else ""
        self._gs2 = f"{flag},{authz},"
        self._binding = channel_binding.data if plus and channel_binding else b""
        self._bare = f"n={_escape(saslprep(username))},r={self._nonce}"
        self.initial: Final = (self._gs2 + self._bare).encode("utf-8")
        self._step = 0
        self._signature = b""

    def respond(self, challenge: bytes) -> bytes:
        """The proof for server-first, b"" for a good server-final. Raises SaslError."""
        text = as_text(challenge)
        if self._step == 0 and not text:
            return self.initial  # for servers that do not take an initial response
        self._step += 1
        if self._step == 1:
            return self._prove(text)
        if self._step == 2:
            return self._verify(text)
        raise SaslError("unexpected_challenge")

    def done(self) -> None:
        """RFC 5802 section 3: a server that cannot prove itself is not to be trusted with mail."""
        if not self.verified:
            raise SaslError("server_not_verified")

    def _prove(self, server_first: str) -> bytes:
        match = _SERVER_FIRST.fullmatch(server_first)
        if not match:  # also a mandatory extension (m=) that we cannot know
            raise SaslError("message_form", malformed=True)
        nonce, iterations = match["nonce"], int(match["i"])
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise SaslError("nonce_mismatch")
        salt = _unbase64(match["salt"])
        if not salt or len(salt) > _MAX_SALT:
            raise SaslError("message_form", "salt", malformed=True)
        if not MIN_ITERATIONS <= iterations <= MAX_ITERATIONS:
            raise SaslError("iterations", str(iterations))
        cbind = base64.b64encode(self._gs2.encode("utf-8") + self._binding).decode("ascii")
        without_proof = f"c={cbind},r={nonce}"
        auth_message = ",".join((self._bare, server_first, without_proof)).encode("utf-8")
        salted = _salted(self._password, salt, iterations)
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        stored_key = hashlib.sha256(client_key).digest()
        proof = _xor(client_key, hmac.digest(stored_key, auth_message, "sha256"))
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        self._signature = hmac.digest(server_key, auth_message, "sha256")
        return f"{without_proof},p={base64.b64encode(proof).decode('ascii')}".encode("ascii")

    def _verify(self, server_final: str) -> bytes:
        if server_final.startswith("e="):
            raise SaslError("server_refused", server_final[2:].partition(",")[0][:40])
        if not server_final.startswith("v="):
            raise SaslError("message_form", malformed=True)
        signature = _unbase64(server_final[2:].partition(",")[0])
        if not hmac.compare_digest(signature, self._signature):
            raise SaslError("server_signature")
        self.verified = True
        return b""


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


class ScramServer:
    """The server's side.

    ``plus_offered``: whether -PLUS was in our list, to notice that somebody took it out.
    ``decoy``: a secret of this server from which an unknown user's salt is made, so that asking
    twice does not tell who exists (RFC 5802 section 9 leaves that to implementations).
    """

    authzid = ""

    def __init__(
        self,
        accounts: ScramLookup,
        *,
        nonce: bytes,
        channel_binding: ChannelBinding | None = None,
        plus: bool = False,
        plus_offered: bool = False,
        decoy: bytes = b"",
    ) -> None:
        if plus and channel_binding is None:
            raise SaslError("no_channel_binding")
        self.name = "SCRAM-SHA-256-PLUS" if plus else "SCRAM-SHA-256"
        self.username = ""
        self._accounts = accounts
        self._own_nonce = _nonce(nonce).decode("ascii")
        self._binding = channel_binding if plus else None
        self._plus_offered = plus_offered or plus
        self._decoy = decoy
        self._known = False
        self._user = self._authzid = self._gs2 = self._first = self._nonce = ""
        self._keys = ScramKeys(b"", 0, b"", b"")
        self._step = 0

    def start(self, initial: bytes | None) -> bytes | None:
        """Client-first: without an initial response the challenge is empty."""
        return b"" if initial is None else self.receive(initial)

    def receive(self, response: bytes) -> bytes | None:
        """Raises SaslError ``message_form`` (501), ``channel_binding`` or ``credentials`` (535)."""
        text = as_text(check_size(response))
        self._step += 1
        if self._step == 1:
            return self._challenge(text)
        if self._step == 2:
            return self._check(text)
        if self._step == 3 and not text:  # the client acknowledges our signature
            self.username, self.authzid = self._user, self._authzid
            return None
        raise SaslError("message_form", malformed=True)

    def _challenge(self, client_first: str) -> bytes:
        match = _CLIENT_FIRST.fullmatch(client_first)
        if not match:
            raise SaslError("message_form", malformed=True)
        self._check_flag(match["flag"], match["kind"])
        self._user = saslprep(_unescape(match["user"]))
        self._authzid = saslprep(_unescape(match["authzid"] or ""))
        self._gs2, self._nonce = match["gs2"], match["nonce"] + self._own_nonce
        keys = self._accounts.scram_keys(self._user)
        self._known = keys is not None
        self._keys = keys or self._decoy_keys()
        salt = base64.b64encode(self._keys.salt).decode("ascii")
        server_first = f"r={self._nonce},s={salt},i={self._keys.iterations}"
        self._first = f"{match['bare']},{server_first}"
        return server_first.encode("ascii")

    def _check_flag(self, flag: str, kind: str | None) -> None:
        """RFC 5802 section 6: ``p`` with -PLUS only; ``y`` is a lie where we offered -PLUS."""
        wanted = self._binding.kind if self._binding else None
        if kind != wanted or (flag == "y" and self._plus_offered):
            raise SaslError("channel_binding")

    def _decoy_keys(self) -> ScramKeys:
        salt = hmac.digest(self._decoy, self._user.encode("utf-8"), "sha256")[:16]
        return ScramKeys(salt, MIN_ITERATIONS, bytes(32), bytes(32))

    def _check(self, client_final: str) -> bytes:
        match = _CLIENT_FINAL.fullmatch(client_final)
        if not match:
            raise SaslError("message_form", malformed=True)
        expected = self._gs2.encode("utf-8") + (self._binding.data if self._binding else b"")
        if not hmac.compare_digest(_unbase64(match["cbind"]), expected):
            raise SaslError("channel_binding")
        if match["nonce"] != self._nonce:
            raise SaslError("nonce_mismatch")
        auth_message = f"{self._first},{match['bare']}".encode()
        proof = _unbase64(match["proof"])
        if len(proof) != hashlib.sha256().digest_size:
            raise SaslError("message_form", malformed=True)
        signature = hmac.digest(self._keys.stored_key, auth_message, "sha256")
        stored = hashlib.sha256(_xor(proof, signature)).digest()
        if not hmac.compare_digest(stored, self._keys.stored_key) or not self._known:
            raise SaslError("credentials")
        verifier = hmac.digest(self._keys.server_key, auth_message, "sha256")
        return b"v=" + base64.b64encode(verifier)
