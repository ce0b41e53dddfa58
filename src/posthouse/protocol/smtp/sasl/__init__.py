"""SASL for SMTP AUTH (RFC 4954): both sides of every mechanism that mail servers use.

Enters: credentials, nonces and channel bindings from the caller, bytes of the exchange. Leaves:
bytes without base64 (``encode_initial``, ``encode_line`` and ``decode_line`` do that step). No
randomness and no clock inside. Called by the SMTP engine (``client``, ``server``), by probe
(``choose``) and by the command line (``auth_plain_line``, ``inspect_plain``). Whether TLS is
there and its certificate good is the caller's business, before any of this.
Fails with SaslError alone, whatever the other side sends.
"""

from posthouse.protocol.smtp.sasl.accounts import TableAccounts
from posthouse.protocol.smtp.sasl.choose import MECHANISMS, Accounts, choose, client, server
from posthouse.protocol.smtp.sasl.common import (
    CANCEL,
    ChannelBinding,
    ClientMechanism,
    SaslError,
    ServerMechanism,
    decode_line,
    encode_initial,
    encode_line,
)
from posthouse.protocol.smtp.sasl.human import PlainReport, auth_plain_line, inspect_plain
from posthouse.protocol.smtp.sasl.oauth import decode_oauth_error
from posthouse.protocol.smtp.sasl.prep import saslprep
from posthouse.protocol.smtp.sasl.scram import (
    EXPORTER_LABEL,
    EXPORTER_LENGTH,
    ScramKeys,
    derive_keys,
    tls_server_end_point,
)

__all__ = [
    "CANCEL",
    "EXPORTER_LABEL",
    "EXPORTER_LENGTH",
    "MECHANISMS",
    "Accounts",
    "ChannelBinding",
    "ClientMechanism",
    "PlainReport",
    "SaslError",
    "ScramKeys",
    "ServerMechanism",
    "TableAccounts",
    "auth_plain_line",
    "choose",
    "client",
    "decode_line",
    "decode_oauth_error",
    "derive_keys",
    "encode_initial",
    "encode_line",
    "inspect_plain",
    "saslprep",
    "server",
    "tls_server_end_point",
]
