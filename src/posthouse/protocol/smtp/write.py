"""A command as the client writes it. ``parse`` is the other direction.

``write_command`` gives the line with CRLF, or raises LocalProtocolError before a single octet is
written: a line break in an argument, an address that is none, a parameter the server did not
offer, a line that is too long. The errors name the field, never its content.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp.errors import LocalProtocolError
from posthouse.protocol.smtp.extensions import (
    MAIL_PARAMETERS,
    POLITELY_IGNORED,
    RCPT_PARAMETERS,
    Parameter,
    encode_xtext,
    parameter_problem,
)
from posthouse.protocol.smtp.limits import AUTH_LINE, command_limit
from posthouse.protocol.smtp.path import PathError, check_address, is_usual

_MECHANISM: Final = re.compile(r"[A-Z0-9_-]{1,20}")  # RFC 4422 section 3.1
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f]")


def write_command(item: c.Command, *, extensions: Mapping[str, str], utf8: bool = False) -> bytes:
    """One command line; ``utf8``: the transaction has SMTPUTF8 (for RCPT)."""
    if (usual := _usual(item, extensions)) is not None:
        return usual
    writer = _WRITERS.get(type(item))
    if writer is None:
        raise LocalProtocolError(f"{item.verb} is no command to send")
    text = writer(item, extensions, utf8)
    if _UNSAFE.search(text):
        raise LocalProtocolError(f"control character in {item.verb}")
    line = text.encode("utf-8", "surrogateescape") + b"\r\n"
    limit = AUTH_LINE if isinstance(item, c.AuthResponse) else command_limit(line)
    if len(line) > limit:
        raise LocalProtocolError(f"{item.verb} line is longer than {limit} octets")
    return line


def _usual(item: c.Command, extensions: Mapping[str, str]) -> bytes | None:
    """What nearly all lines are, at one go; None: the writers look closer."""
    line = None
    if isinstance(item, c.Rcpt):
        if not item.params and is_usual(item.recipient):
            line = f"RCPT TO:<{item.recipient}>\r\n"
    elif isinstance(item, c.Mail) and is_usual(item.sender):
        size = item.params.get("SIZE")
        if not item.params:
            line = f"MAIL FROM:<{item.sender}>\r\n"
        elif (
            len(item.params) == 1
            and size is not None
            and not (parameter_problem("SIZE", size, MAIL_PARAMETERS, extensions))
        ):
            line = f"MAIL FROM:<{item.sender}> SIZE={size}\r\n"
    return None if line is None else line.encode("ascii")


Writer = Callable[[Any, Mapping[str, str], bool], str]


def _hello(item: c.Ehlo | c.Helo | c.Lhlo, _: Mapping[str, str], __: bool) -> str:
    if not item.name or not item.name.isascii() or " " in item.name:
        raise LocalProtocolError(f"{item.verb} needs a host name or an address literal")
    return f"{item.verb} {item.name}"


def _bare(item: c.Command, _: Mapping[str, str], __: bool) -> str:
    return item.verb


def _text(item: c.Noop | c.Vrfy | c.Expn | c.Help, _: Mapping[str, str], utf8: bool) -> str:
    if not item.text.isascii() and not utf8:
        raise LocalProtocolError(f"{item.verb} is not ASCII")
    text = item.text.strip(" ")
    if not text and isinstance(item, (c.Vrfy, c.Expn)):
        raise LocalProtocolError(f"{item.verb} needs a name")
    return f"{item.verb} {text}".rstrip(" ")


def _auth(item: c.Auth, _: Mapping[str, str], __: bool) -> str:
    if _MECHANISM.fullmatch(item.mechanism) is None:
        raise LocalProtocolError("AUTH needs the name of a mechanism")
    if item.initial is None:
        return f"AUTH {item.mechanism}"
    # The empty initial response is "=" (RFC 4954 section 4).
    return f"AUTH {item.mechanism} {_base64(item.initial) or '='}"


def _response(item: c.AuthResponse, _: Mapping[str, str], __: bool) -> str:
    return "*" if item.data is None else _base64(item.data)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _mail(item: c.Mail, extensions: Mapping[str, str], _: bool) -> str:
    parameters = _parameters(item, MAIL_PARAMETERS, extensions)
    _check(item.sender, utf8="SMTPUTF8" in item.params, null=True, field="sender")
    return f"MAIL FROM:<{item.sender}>{parameters}"


def _rcpt(item: c.Rcpt, extensions: Mapping[str, str], utf8: bool) -> str:
    parameters = _parameters(item, RCPT_PARAMETERS, extensions)
    _check(item.recipient, utf8=utf8, null=False, field="recipient")
    return f"RCPT TO:<{item.recipient}>{parameters}"


def _check(address: str, *, utf8: bool, null: bool, field: str) -> None:
    try:
        check_address(address, utf8=utf8, null=null)
    except PathError as error:
        raise LocalProtocolError(f"the {field} is no address: {error.reason}") from None


def _parameters(
    item: c.Mail | c.Rcpt, known: Mapping[str, Parameter], extensions: Mapping[str, str]
) -> str:
    text = ""
    for name, value in item.params.items():
        problem = parameter_problem(name, value, known, extensions)
        if problem is None and name in POLITELY_IGNORED and known[name].needs not in extensions:
            problem = "not_offered"  # a server may be asked for a wish; we ask only where told
        if problem is not None:
            raise LocalProtocolError(f"parameter {name} of {item.verb}: {problem}")
        text += f" {name}" if value is None else f" {name}={value}"
    return text


def _bdat(item: c.Bdat, extensions: Mapping[str, str], _: bool) -> str:
    if "CHUNKING" not in extensions:
        raise LocalProtocolError("BDAT: the server does not offer CHUNKING")
    if item.size < 0:
        raise LocalProtocolError("BDAT needs a size")
    return f"BDAT {item.size}{' LAST' if item.last else ''}"


def _starttls(item: c.StartTls, extensions: Mapping[str, str], _: bool) -> str:
    if "STARTTLS" not in extensions:
        raise LocalProtocolError("the server does not offer STARTTLS")
    return item.verb


def _xclient(item: c.Xclient, _: Mapping[str, str], __: bool) -> str:
    words = (f"{name.upper()}={encode_xtext(value)}" for name, value in item.attributes.items())
    return " ".join(["XCLIENT", *words])


def _unknown(item: c.Unknown, _: Mapping[str, str], __: bool) -> str:
    return item.line


_WRITERS: Final[Mapping[type, Writer]] = {
    c.Ehlo: _hello,
    c.Helo: _hello,
    c.Lhlo: _hello,
    c.StartTls: _starttls,
    c.Auth: _auth,
    c.AuthResponse: _response,
    c.Mail: _mail,
    c.Rcpt: _rcpt,
    c.Data: _bare,
    c.Bdat: _bdat,
    c.Rset: _bare,
    c.Noop: _text,
    c.Vrfy: _text,
    c.Expn: _text,
    c.Help: _text,
    c.Quit: _bare,
    c.Xclient: _xclient,
    c.Unknown: _unknown,
}
