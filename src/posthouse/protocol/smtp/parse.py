"""A command line as the server reads it. See ``command``; ``write`` is the other direction.

``parse_command`` takes a line without its CRLF and gives a command, or raises CommandError with
the reply that RFC 5321 section 4.2.2 asks for. Strict, but for four habits of real clients that
harm nobody: blanks after "FROM:" and "TO:", blanks at the end, blanks inside an EHLO name, and
there what a computer is called in no ASCII, in whatever charset: its octets are "?".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp.errors import ProtocolError
from posthouse.protocol.smtp.extensions import (
    MAIL_PARAMETERS,
    RCPT_PARAMETERS,
    Parameter,
    decode_xtext,
    parameter_problem,
)
from posthouse.protocol.smtp.limits import COMMAND_LINE, PATH
from posthouse.protocol.smtp.path import USUAL, PathError, parse_path
from posthouse.protocol.smtp.reply import Reply

_MECHANISM: Final = re.compile(r"[A-Z0-9_-]{1,20}")  # RFC 4422 section 3.1
_PARAMETER: Final = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9-]*)(?:=(?P<value>[\x21-\x3c\x3e-\x7e\u0080-\U0010ffff]+))?"
)
_BDAT: Final = re.compile(r"([0-9]{1,18})(?:[ ]+(LAST))?", re.IGNORECASE | re.ASCII)
# The lines that a relay hears all day, at one go. What is odd in the least is left to the parsers.
_USUAL: Final = re.compile(
    rb"(?:(?i:(MAIL FROM))|(?i:RCPT TO)):<(%b)>"
    rb"(?(1)(?: (?i:SIZE)=([0-9]{1,20}))?(?: (?i:BODY)=((?i:7BIT|8BITMIME)))?)\r\n" % USUAL.encode()
)
_USUAL_HELLO: Final = re.compile(rb"(EHLO|HELO) ([A-Za-z0-9.:_\[\]-]+)\r\n")
_USUAL_WORDS: Final[Mapping[bytes, c.Command]] = {
    b"DATA\r\n": c.DATA,
    b"RSET\r\n": c.Rset(),
    b"QUIT\r\n": c.Quit(),
}
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_HELLO: Final = re.compile(rb"[ \t]*(?:EHLO|HELO|LHLO)[ \t]", re.IGNORECASE)
_BEYOND_ASCII: Final = re.compile(rb"[\x80-\xff]")


class CommandError(ProtocolError):
    """A line that is no good command, with the reply to give. ``reason`` is a stable word."""

    def __init__(self, reply: Reply, reason: str) -> None:
        super().__init__(reason)
        self.reply = reply
        self.reason = reason


def _syntax(text: str, reason: str = "syntax") -> CommandError:
    return CommandError(Reply.make(501, text, "5.5.4"), reason)


def usual(line: bytes, extensions: Mapping[str, str]) -> c.Command | None:
    """The command of a line, with its CRLF, that is as most are; None: ``parse_command`` knows.

    Nobody may change what is in it: the same line gives the same command.
    """
    command = _read_usual(line)
    if not isinstance(command, c.Mail) or not command.params:
        return command
    unknown = any(MAIL_PARAMETERS[name].needs not in extensions for name in command.params)
    return None if unknown else command


@lru_cache(maxsize=2_048)  # who sends says the same names and senders again and again
def _read_usual(line: bytes) -> c.Command | None:
    match = _USUAL.fullmatch(line)
    if match is None:
        hello = _USUAL_HELLO.fullmatch(line) if len(line) <= COMMAND_LINE else None
        if hello is None:
            return _USUAL_WORDS.get(line)
        return (c.Helo if hello[1] == b"HELO" else c.Ehlo)(hello[2].decode("ascii"))
    mail, path, size, body = match.groups()
    if len(path) + len("<>") > PATH:
        return None
    address = path.decode("ascii")
    if mail is None:
        return c.Rcpt(address, {})
    params: dict[str, str | None] = {}
    if size is not None:
        params["SIZE"] = size.decode("ascii")
    if body is not None:
        params["BODY"] = body.decode("ascii")
    return c.Mail(address, params)


def parse_command(line: bytes, *, extensions: Mapping[str, str], utf8: bool = False) -> c.Command:
    """One command. ``extensions`` are those offered; ``utf8``: the transaction has SMTPUTF8."""
    verb, rest = split_command(line)
    return parse_arguments(verb, rest, extensions=extensions, utf8=utf8)


def split_command(line: bytes) -> tuple[str, str]:
    """The verb as the state table calls it, and the rest; of what is none "UNKNOWN" and all."""
    if _CONTROL.search(line):
        raise CommandError(Reply.make(500, "Control character in command", "5.5.2"), "control")
    if _HELLO.match(line):  # RFC 5321 section 4.1.4: no name is a reason to refuse a message
        line = _BEYOND_ASCII.sub(b"?", line)
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise CommandError(Reply.make(500, "Command is not UTF-8", "5.5.2"), "not_utf8") from None
    if '"' not in text:  # in a quoted local part a tab would be another address
        text = text.replace("\t", " ")
    verb, _, rest = text.strip(" ").partition(" ")
    verb = verb.upper() if verb.isascii() else ""  # the upper case of U+017F is an S
    return (verb, rest.strip(" ")) if verb in _PARSERS else (c.Unknown.verb, text)


def parse_arguments(
    verb: str, rest: str, *, extensions: Mapping[str, str], utf8: bool = False
) -> c.Command:
    """The command of a verb and what follows it, as ``split_command`` gave them."""
    parser = _PARSERS.get(verb)
    return c.Unknown(rest) if parser is None else parser(rest, _Context(extensions, utf8))


def parse_response(line: bytes) -> c.AuthResponse:
    """The line after a 334: base64, or "*" to cancel (RFC 4954 section 4)."""
    text = line.strip(b" \t")
    return c.AuthResponse(None) if text == b"*" else c.AuthResponse(_base64(text))


def _base64(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise CommandError(Reply.make(501, "Cannot decode base64", "5.5.2"), "base64") from None


class _Context:
    __slots__ = ("extensions", "utf8")

    def __init__(self, extensions: Mapping[str, str], utf8: bool) -> None:
        self.extensions = extensions
        self.utf8 = utf8


def _name(kind: type[c.Ehlo] | type[c.Helo] | type[c.Lhlo]) -> Parser:
    def parse(rest: str, _: _Context) -> c.Command:
        if not rest:
            raise _syntax(f"Syntax: {kind.verb} hostname")
        return kind(rest)

    return parse


def _bare(made: c.Command) -> Parser:
    def parse(rest: str, _: _Context) -> c.Command:
        if rest:
            raise _syntax(f"Syntax: {made.verb}")
        return made

    return parse


def _auth(rest: str, _: _Context) -> c.Command:
    mechanism, *more = rest.split() or [""]
    if _MECHANISM.fullmatch(mechanism.upper()) is None or len(more) > 1:
        raise _syntax("Syntax: AUTH mechanism [initial-response]")
    if not more:
        return c.Auth(mechanism.upper())
    # "=" is the empty initial response (RFC 4954 section 4).
    initial = b"" if more[0] == "=" else _base64(more[0].encode("utf-8"))
    return c.Auth(mechanism.upper(), initial)


def _mail(rest: str, context: _Context) -> c.Command:
    text = _after("FROM:", rest, "Syntax: MAIL FROM:<address>")
    address, more = _path(text, context, sender=True)
    params = _parameters(more, MAIL_PARAMETERS, context)
    if not address.isascii() and "SMTPUTF8" not in params:
        raise _not_ascii()  # RFC 6531 section 3.5
    return c.Mail(address, params)


def _rcpt(rest: str, context: _Context) -> c.Command:
    text = _after("TO:", rest, "Syntax: RCPT TO:<address>")
    address, more = _path(text, context, sender=False)
    return c.Rcpt(address, _parameters(more, RCPT_PARAMETERS, context))


def _after(keyword: str, rest: str, usage: str) -> str:
    if rest[: len(keyword)].upper() != keyword:
        raise _syntax(usage)
    return rest[len(keyword) :].lstrip(" ")


def _path(text: str, context: _Context, *, sender: bool) -> tuple[str, str]:
    utf8 = context.utf8 or (sender and "SMTPUTF8" in context.extensions)
    try:
        return parse_path(text, utf8=utf8, null=sender)
    except PathError as error:
        if error.reason == "not_ascii":
            raise _not_ascii() from None
        words = "Path too long" if error.reason == "too_long" else "Bad address syntax"
        enhanced = "5.1.7" if sender else "5.1.3"
        raise CommandError(Reply.make(501, words, enhanced), "bad_address") from None


def _not_ascii() -> CommandError:
    return CommandError(Reply.make(553, "Address needs SMTPUTF8", "5.6.7"), "not_ascii")


def _parameters(
    text: str, known: Mapping[str, Parameter], context: _Context
) -> dict[str, str | None]:
    if text and not text.startswith(" "):
        raise _syntax("Blank expected after the address")
    found: dict[str, str | None] = {}
    for word in text.split():
        match = _PARAMETER.fullmatch(word)
        if match is None or match["name"].upper() in found:
            raise _syntax("Bad or repeated parameter")
        name, value = match["name"].upper(), match["value"]
        problem = parameter_problem(name, value, known, context.extensions)
        if problem == "not_offered":  # RFC 5321 section 4.1.1.11
            raise CommandError(Reply.make(555, "Unsupported parameter", "5.5.4"), problem)
        if problem is not None:
            raise _syntax("Bad parameter value", problem)
        found[name] = value
    return found


def _bdat(rest: str, _: _Context) -> c.Command:
    match = _BDAT.fullmatch(rest)
    if match is None:
        # Message octets follow, but how many nobody can tell: the session cannot go on.
        raise CommandError(Reply.make(501, "Syntax: BDAT size [LAST]", "5.5.4"), "bdat_size")
    return c.Bdat(int(match[1]), match[2] is not None)


def _xclient(rest: str, _: _Context) -> c.Command:
    found: dict[str, str] = {}
    for word in rest.split():
        name, equals, value = word.partition("=")
        try:
            found[name.upper()] = decode_xtext(value)
        except ValueError:
            equals = ""
        if not equals:
            raise _syntax("Syntax: XCLIENT name=value...")
    if not found:
        raise _syntax("Syntax: XCLIENT name=value...")
    return c.Xclient(found)


def _text(kind: type[c.Vrfy] | type[c.Expn]) -> Parser:
    def parse(rest: str, _: _Context) -> c.Command:
        if not rest:
            raise _syntax(f"Syntax: {kind.verb} string")
        return kind(rest)

    return parse


Parser = Callable[[str, _Context], c.Command]

_PARSERS: Final[Mapping[str, Parser]] = {
    "EHLO": _name(c.Ehlo),
    "HELO": _name(c.Helo),
    "LHLO": _name(c.Lhlo),
    "STARTTLS": _bare(c.StartTls()),
    "AUTH": _auth,
    "MAIL": _mail,
    "RCPT": _rcpt,
    "DATA": _bare(c.Data()),
    "BDAT": _bdat,
    "RSET": _bare(c.Rset()),
    "NOOP": lambda rest, _: c.Noop(rest),
    "VRFY": _text(c.Vrfy),
    "EXPN": _text(c.Expn),
    "HELP": lambda rest, _: c.Help(rest),
    "QUIT": _bare(c.Quit()),
    "XCLIENT": _xclient,
}
