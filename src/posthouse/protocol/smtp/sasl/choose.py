"""Which mechanism to use, and the two doors to them: ``client`` and ``server``.

Enters: what the server offers and what we have. Leaves: a mechanism. Called by the SMTP engine,
probe and the listening side. Fails with SaslError.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from posthouse.flow import Secret
from posthouse.protocol.smtp.sasl.common import (
    ChannelBinding,
    ClientMechanism,
    SaslError,
    ServerMechanism,
)
from posthouse.protocol.smtp.sasl.cram import CramMd5Client, CramMd5Server, PasswordLookup
from posthouse.protocol.smtp.sasl.oauth import (
    OAuthBearerClient,
    OAuthBearerServer,
    TokenCheck,
    XOAuth2Client,
    XOAuth2Server,
)
from posthouse.protocol.smtp.sasl.plain import (
    LoginClient,
    LoginServer,
    PasswordCheck,
    PlainClient,
    PlainServer,
)
from posthouse.protocol.smtp.sasl.scram import ScramClient, ScramLookup, ScramServer

# A token is no password: where one is given, only these make sense. The standard one first.
_WITH_TOKEN: Final = ("OAUTHBEARER", "XOAUTH2")

# SCRAM proves both sides and never sends the password; -PLUS also notices somebody in the middle.
# Then PLAIN before CRAM-MD5, against what its name suggests: a password is only ever sent inside
# a TLS connection whose certificate was checked, where nobody can read PLAIN; CRAM-MD5 adds
# nothing to that (it proves no server and binds no channel), makes the server keep the password
# in clear, can be cracked offline by whoever records it, and is offered by servers whose hashed
# store can never satisfy it. LOGIN is PLAIN with more round trips and no standard.
_WITH_PASSWORD: Final = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN", "CRAM-MD5")

MECHANISMS: Final = (*_WITH_PASSWORD[:2], *_WITH_TOKEN, *_WITH_PASSWORD[2:])


class Accounts(PasswordCheck, PasswordLookup, ScramLookup, TokenCheck, Protocol):
    """All that the server's mechanisms ask; each alone needs only its own part."""


def choose(offered: Sequence[str], *, have_oauth: bool, channel_binding: bool) -> str | None:
    """The best mechanism that is offered, or None. ``offered``: as in EHLO, in any case.

    ``have_oauth``: the credential is a token. ``channel_binding``: TLS gave us one.
    """
    names = {name.upper() for name in offered}
    wanted = _WITH_TOKEN if have_oauth else _WITH_PASSWORD
    for name in wanted:
        if name in names and (channel_binding or not name.endswith("-PLUS")):
            return name
    return None


def client(
    mechanism: str,
    *,
    username: str,
    secret: Secret,
    authzid: str = "",
    host: str = "",
    port: int = 0,
    nonce: bytes = b"",
    channel_binding: ChannelBinding | None = None,
    encoding: str = "utf-8",
) -> ClientMechanism:
    """The client's side of ``mechanism``.

    ``nonce``: at least 16 random octets, for SCRAM alone. ``host`` and ``port``: where we are
    connected, for OAUTHBEARER. ``channel_binding``: give it whenever TLS has one *and* the server
    does not offer -PLUS, or -PLUS is what is used. ``encoding``: "latin-1" or "gb18030" for a
    second try at an old server with a non-ASCII password; SCRAM and OAuth know UTF-8 alone.
    Raises SaslError (``unknown_mechanism``, ``encoding``, and what the mechanism refuses).
    """
    name = mechanism.upper()
    if encoding != "utf-8" and name not in {"PLAIN", "LOGIN", "CRAM-MD5"}:
        raise SaslError("encoding", encoding)
    match name:
        case "PLAIN":
            return PlainClient(username, secret, authzid=authzid, encoding=encoding)
        case "LOGIN":
            return LoginClient(username, secret, encoding=encoding)
        case "CRAM-MD5":
            return CramMd5Client(username, secret, encoding=encoding)
        case "SCRAM-SHA-256" | "SCRAM-SHA-256-PLUS":
            return ScramClient(
                username,
                secret,
                nonce=nonce,
                authzid=authzid,
                channel_binding=channel_binding,
                plus=name.endswith("-PLUS"),
            )
        case "OAUTHBEARER":
            return OAuthBearerClient(username, secret, host=host, port=port)
        case "XOAUTH2":
            return XOAuth2Client(username, secret)
    raise SaslError("unknown_mechanism", name[:40])


def server(
    mechanism: str,
    accounts: Accounts,
    *,
    nonce: bytes = b"",
    challenge: bytes = b"",
    channel_binding: ChannelBinding | None = None,
    plus_offered: bool = False,
    decoy: bytes = b"",
) -> ServerMechanism:
    """The server's side of ``mechanism``.

    ``nonce``: at least 16 random octets, for SCRAM. ``challenge``: ``<random@host>``, for
    CRAM-MD5. Raises SaslError ``unknown_mechanism`` (504 5.5.4).
    """
    name = mechanism.upper()
    match name:
        case "PLAIN":
            return PlainServer(accounts)
        case "LOGIN":
            return LoginServer(accounts)
        case "CRAM-MD5":
            return CramMd5Server(accounts, challenge)
        case "SCRAM-SHA-256" | "SCRAM-SHA-256-PLUS":
            return ScramServer(
                accounts,
                nonce=nonce,
                channel_binding=channel_binding,
                plus=name.endswith("-PLUS"),
                plus_offered=plus_offered,
                decoy=decoy,
            )
        case "OAUTHBEARER":
            return OAuthBearerServer(accounts)
        case "XOAUTH2":
            return XOAuth2Server(accounts)
    raise SaslError("unknown_mechanism", name[:40], malformed=True)
