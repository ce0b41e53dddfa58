"""Transcript text without credentials, for both sides.

Enters: commands and replies as they pass. Leaves: one printable line for each, in which whatever
can be a credential is ``***``. A ``Masker`` belongs to one connection, because a server may echo
("Command unrecognized: ...") what was sent to it before, also encoded (``echoes``);
``mask_text`` is for text of unknown origin, such as a pasted log. Control characters never pass:
a terminal would obey them. Nothing fails.
"""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import Final

from posthouse.protocol.smtp import command as c
from posthouse.protocol.smtp.echoes import HIDDEN, Echoes
from posthouse.protocol.smtp.errors import LocalProtocolError
from posthouse.protocol.smtp.reply import Reply, decode
from posthouse.protocol.smtp.write import write_command

SHOWN: Final = 1_000  # characters of one transcript line
FIRST_WORDS: Final = 200  # octets of an unexpected answer kept for the failure's detail
_LOOKED_AT: Final = 2 * SHOWN  # a secret that begins within what is shown may end after it

# Mechanisms whose challenges tell nothing: a prompt, or why a token was refused. A SCRAM or CRAM
# challenge is half of what an attack on the password needs.
_HARMLESS: Final = frozenset({"", "PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"})
# "AUTH PLAIN <base64>" anywhere in a text.
_AUTH: Final = re.compile(r"(\bAUTH[ =]+[A-Z0-9_-]{1,20}[ ]+)([^\s\"'<>]+)", re.IGNORECASE)
_WORD: Final = re.compile(r"[A-Z]?[a-z']+[.,;:!?]*|[A-Z_-]+[.,;:!?]*|[A-Z0-9_-]{1,20}")
_LOGIN: Final = re.compile(r"(\bLOGIN=)[^\s\"'<>]+", re.IGNORECASE)
_BEARER: Final = re.compile(r"(\bBearer[ ]+)[^\s\"'\x01]+", re.IGNORECASE)
# Two mechanisms carry a credential that is recognisable by itself: NUL user NUL password, and
# user=...^Aauth=...: their base64 begins with "A" and "dXNlcj", in a word of its own.
_BASE64: Final = re.compile(r"(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{8,}={0,2}(?![A-Za-z0-9+/=])")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
# Commands of SMTP's past, its extensions and its neighbours, which may be shown as they are.
_FOREIGN: Final = frozenset(
    ("ETRN", "TURN", "ATRN", "SEND", "SOML", "SAML", "BURL", "XFORWARD", "GET", "POST", "CONNECT")
)


def printable(text: str) -> str:
    """``text`` without characters that a terminal would obey, and not endless."""
    text = _CONTROL.sub("\ufffd", text)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def mask_text(text: str) -> str:
    """``text`` with everything that looks like a credential hidden."""
    text = _AUTH.sub(_hide_auth, text)
    text = _LOGIN.sub(rf"\1{HIDDEN}", text)
    text = _BEARER.sub(rf"\1{HIDDEN}", text)
    return _BASE64.sub(lambda m: HIDDEN if _is_credential(m[0]) else m[0], text)


def _hide_auth(match: re.Match[str]) -> str:
    """All but words ("AUTH not available") and further mechanisms ("AUTH LOGIN CRAM-MD5")."""
    return match[0] if _WORD.fullmatch(match[2]) else match[1] + HIDDEN


def _is_credential(word: str) -> bool:
    try:
        data = base64.b64decode(word + "=" * (-len(word) % 4), validate=True)
    except ValueError:
        return False
    plain = data.count(b"\0") == 2 and not data.endswith(b"\0") and _is_text(data)
    return plain or (b"\x01auth=" in data)


def _is_text(data: bytes) -> bool:
    try:
        return not _CONTROL.search(data.replace(b"\0", b"").decode("utf-8"))
    except UnicodeDecodeError:
        return False


class Masker:
    """Shows what passes on one connection, and remembers what must not be shown."""

    def __init__(self) -> None:
        self._echoes = Echoes()
        self._mechanism = ""
        self._responses = 0

    def command(self, command: c.Command) -> str:
        """The transcript line for a command, sent or received."""
        self.learn(command)
        match command:
            case c.Auth():
                text = f"AUTH {command.mechanism}" + (f" {HIDDEN}" if command.initial else "")
            case c.AuthResponse():
                text = "*" if command.data is None else HIDDEN
            case c.Xclient():
                text = f"XCLIENT {HIDDEN}"
            case c.Unknown():
                text = _unknown_line(command.line)
            case c.MessageEnd():
                text = "."
            case c.Mail() | c.Rcpt():
                text = self.text(_path_line(command))
            case _:
                text = self.text(_line(command))
        return printable(text)

    def reply(self, reply: Reply) -> list[str]:
        """The transcript lines for a reply."""
        if reply.code == 334 and reply.text and self._mechanism not in _HARMLESS:
            return [f"334 {HIDDEN}"]
        enhanced = f"{reply.enhanced} " if reply.enhanced else ""
        marks = ["-"] * (len(reply.lines) - 1) + [" "]
        lines = zip(marks, reply.lines, strict=True)
        return [self.text(f"{reply.code}{m}{enhanced}{line}".rstrip()) for m, line in lines]

    def clean(self, reply: Reply) -> Reply:
        """The reply for everybody above the connection: no echo of what was sent is in it."""
        if reply.code == 334:
            return reply  # a challenge is for the mechanism, to the letter
        lines = tuple(map(self.hide, reply.lines))
        return reply if lines == reply.lines else replace(reply, lines=lines, raw=b"")

    def text(self, text: str) -> str:
        """Any other text that came from, or goes to, this connection."""
        return printable(mask_text(self.hide(text[:_LOOKED_AT])))

    def first_words(self, raw: bytes) -> str:
        """How an answer begins that is no reply, or none to what was asked."""
        return self.text(decode(raw[:FIRST_WORDS])[0].strip())

    def hide(self, text: str) -> str:
        """``text`` without echoes, and otherwise as it is."""
        return self._echoes.hide(text)

    def learn(self, command: c.Command) -> None:
        """Remember what a command gives away, so that an echo of it is hidden, too."""
        if isinstance(command, c.Auth):
            self._mechanism, self._responses = command.mechanism, 0
            if command.initial:
                self._responses += 1
                self._learn(command.initial)
        elif isinstance(command, c.AuthResponse) and command.data:
            self._responses += 1
            self._learn(command.data)
        elif isinstance(command, c.Xclient):
            login = command.attributes.get("LOGIN", "")
            self._echoes.add(login.encode("utf-8", "surrogateescape"))

    def _learn(self, data: bytes) -> None:
        self._echoes.add_encoded(data)
        if not (self._mechanism == "LOGIN" and self._responses == 1):  # that is the user name
            for part in _secret_parts(self._mechanism, data):
                self._echoes.add(part)


def _secret_parts(mechanism: str, data: bytes) -> list[bytes]:
    """The parts of a response that a server might echo decoded; user names stay readable."""
    if mechanism == "PLAIN":
        return data.split(b"\0")[2:]  # RFC 4616: authzid NUL authcid NUL passwd
    if mechanism == "CRAM-MD5":
        return data.split(b" ")[-1:]
    if b"auth=Bearer " in data:
        return [data.partition(b"auth=Bearer ")[2].partition(b"\x01")[0]]
    return [data]


def _unknown_line(line: str) -> str:
    """The verb alone, if it is one: all of it may be a password that came one line too late."""
    verb = line.partition(" ")[0]
    if verb.upper() not in _FOREIGN:
        return HIDDEN
    return f"{verb} {HIDDEN}" if " " in line else verb


def _path_line(command: c.Mail | c.Rcpt) -> str:
    if isinstance(command, c.Mail):
        head = f"MAIL FROM:<{command.sender}>"
    else:
        head = f"RCPT TO:<{command.recipient}>"
    words = (k if v is None else f"{k}={v}" for k, v in command.params.items())
    return " ".join([head, *words])


def _line(command: c.Command) -> str:
    try:
        line = write_command(command, extensions={"CHUNKING": "", "STARTTLS": ""}, utf8=True)
    except LocalProtocolError:
        return command.verb
    return line.decode("utf-8", "replace").rstrip("\r\n")
