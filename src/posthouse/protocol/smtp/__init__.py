"""SMTP, submission and LMTP without a socket: one ``Connection`` for both roles.

Enters: octets from the peer, and commands or replies to send. Leaves: events, and octets to write.
``net.smtp`` (client) and ``net.smtp_server`` drive it; ``explain`` uses ``parse_reply``.

The state table is ``state.TABLE``, printed by ``state.show()``. Local errors are raised
(LocalProtocolError), remote ones are events. RFC 5321, and: 1870 SIZE, 2033 LMTP, 2034 enhanced
codes, 2920 pipelining, 3030 BDAT, 3207 STARTTLS, 3461 DSN, 4954 AUTH, 6152 8BITMIME, 6531
SMTPUTF8, 6710 MT-PRIORITY, 9422 LIMITS. SASL mechanisms are in ``sasl``.

Names are loaded when they are first used: who only reads replies does not pay for the rest.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from posthouse.protocol.smtp.command import (
        Auth,
        AuthResponse,
        Bdat,
        Command,
        Data,
        Ehlo,
        Expn,
        Helo,
        Help,
        Lhlo,
        Mail,
        MessageEnd,
        Noop,
        Quit,
        Rcpt,
        Rset,
        StartTls,
        Unknown,
        Vrfy,
        Xclient,
    )
    from posthouse.protocol.smtp.connection import Connection, Role
    from posthouse.protocol.smtp.data import BodyFacts, normalize, stuff, unstuff
    from posthouse.protocol.smtp.errors import (
        LocalProtocolError,
        ProtocolError,
        RemoteProtocolError,
    )
    from posthouse.protocol.smtp.events import (
        BodyChunk,
        BodyEnd,
        CommandReceived,
        Event,
        MessageData,
        Refused,
        RemoteError,
        ReplyReceived,
        Sendable,
    )
    from posthouse.protocol.smtp.extensions import (
        SessionLimits,
        auth_mechanisms,
        decode_xtext,
        encode_xtext,
        erased,
        session_limits,
        size_limit,
    )
    from posthouse.protocol.smtp.limits import Limits
    from posthouse.protocol.smtp.masking import Masker, mask_text, printable
    from posthouse.protocol.smtp.path import PathError, check_address, parse_path
    from posthouse.protocol.smtp.reply import EnhancedCode, Reply, parse_reply
    from posthouse.protocol.smtp.state import State

__all__ = [
    "Auth",
    "AuthResponse",
    "Bdat",
    "BodyChunk",
    "BodyEnd",
    "BodyFacts",
    "Command",
    "CommandReceived",
    "Connection",
    "Data",
    "Ehlo",
    "EnhancedCode",
    "Event",
    "Expn",
    "Helo",
    "Help",
    "Lhlo",
    "Limits",
    "LocalProtocolError",
    "Mail",
    "Masker",
    "MessageData",
    "MessageEnd",
    "Noop",
    "PathError",
    "ProtocolError",
    "Quit",
    "Rcpt",
    "Refused",
    "RemoteError",
    "RemoteProtocolError",
    "Reply",
    "ReplyReceived",
    "Role",
    "Rset",
    "Sendable",
    "SessionLimits",
    "StartTls",
    "State",
    "Unknown",
    "Vrfy",
    "Xclient",
    "auth_mechanisms",
    "check_address",
    "decode_xtext",
    "encode_xtext",
    "erased",
    "mask_text",
    "normalize",
    "parse_path",
    "parse_reply",
    "printable",
    "session_limits",
    "size_limit",
    "stuff",
    "unstuff",
]

_HOMES: Final = {
    "command": (
        "Auth",
        "AuthResponse",
        "Bdat",
        "Command",
        "Data",
        "Ehlo",
        "Expn",
        "Helo",
        "Help",
        "Lhlo",
        "Mail",
        "MessageEnd",
        "Noop",
        "Quit",
        "Rcpt",
        "Rset",
        "StartTls",
        "Unknown",
        "Vrfy",
        "Xclient",
    ),
    "connection": (
        "Connection",
        "Role",
    ),
    "data": (
        "BodyFacts",
        "normalize",
        "stuff",
        "unstuff",
    ),
    "errors": (
        "LocalProtocolError",
        "ProtocolError",
        "RemoteProtocolError",
    ),
    "events": (
        "BodyChunk",
        "BodyEnd",
        "CommandReceived",
        "Event",
        "MessageData",
        "Refused",
        "RemoteError",
        "ReplyReceived",
        "Sendable",
    ),
    "extensions": (
        "SessionLimits",
        "auth_mechanisms",
        "decode_xtext",
        "encode_xtext",
        "erased",
        "session_limits",
        "size_limit",
    ),
    "limits": ("Limits",),
    "masking": (
        "Masker",
        "mask_text",
        "printable",
    ),
    "path": (
        "PathError",
        "check_address",
        "parse_path",
    ),
    "reply": (
        "EnhancedCode",
        "Reply",
        "parse_reply",
    ),
    "state": ("State",),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
