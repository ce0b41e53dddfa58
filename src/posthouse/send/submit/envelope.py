"""Paths and parameters of MAIL and RCPT: what is kept of them, and that nothing hides in them.

Enters: the address and parameters of a command that is in order. Leaves: what goes on with the
letter, or the reply that refuses it. Called by ``session``. ENVID and ORCPT are written into
reports one day, decoded (RFC 3464): what would be a line end there is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from posthouse.protocol.host import HostError, to_ascii
from posthouse.protocol.smtp.extensions import decode_xtext
from posthouse.protocol.smtp.limits import PATH
from posthouse.protocol.smtp.reply import Reply
from posthouse.send.submit import replies

_MAIL: Final = ("BODY", "SMTPUTF8", "RET", "ENVID")
_RCPT: Final = ("NOTIFY", "ORCPT")
# RFC 6533 section 3: a code point as \x{HEX}.
_HEX_POINT: Final = re.compile(r"\\x\{([0-9A-Fa-f]{1,8})\}")

Parameters = Mapping[str, str | None]


def plainest(address: str) -> str:
    """An address whose domain alone is beyond ASCII, in A-labels: it is the same one, and needs no
    SMTPUTF8 of any server on the way (RFC 5890 section 2.3.2.1, RFC 6531 section 3.2)."""
    if address.isascii():
        return address
    local, _, domain = address.rpartition("@")
    if not local.isascii():
        return address
    try:
        plain = f"{local}@{to_ascii(domain, underscores=True)}"
    except HostError:  # DNS will say so
        return address
    return plain if len(plain) + len("<>") <= PATH else address


def of_mail(params: Parameters) -> dict[str, str | None] | Reply:
    """What is kept of MAIL's parameters. AUTH= and SIZE= are between the two of us only."""
    if not params:
        return {}
    envid = params.get("ENVID")
    if envid and not _harmless(envid):  # RFC 3461 section 4.4
        return replies.BAD_ENVID
    return {name: params[name] for name in _MAIL if name in params}


def of_rcpt(params: Parameters, *, utf8: bool) -> dict[str, str | None] | Reply:
    """What is kept of RCPT's parameters; ``utf8``: the transaction is one of SMTPUTF8."""
    if not params:
        return {}
    kind, _, address = (params.get("ORCPT") or "").partition(";")
    if not utf8 and not address.isascii():  # RFC 6533 section 3: \x{...} is the form for that
        return replies.BAD_ORCPT
    if not _harmless(address, unitext=kind.lower() == "utf-8"):  # RFC 3461 section 4.2
        return replies.BAD_ORCPT
    # Postfix and Exim take an empty address, too, for xtext may be empty; it says nothing.
    return {name: params[name] for name in _RCPT if name in params and (address or name != "ORCPT")}


def _harmless(text: str, *, unitext: bool = False) -> bool:
    """Whether xtext, or an RFC 6533 address, has printable characters alone when decoded."""
    try:
        plain = text if unitext and not text.isascii() else decode_xtext(text)
        plain = _HEX_POINT.sub(lambda point: chr(int(point[1], 16)), plain)
        plain.encode("utf-8")  # no lone surrogate
    except (ValueError, OverflowError):
        return False
    return plain.isprintable()
