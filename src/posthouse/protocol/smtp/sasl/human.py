"""AUTH PLAIN for people: build the line by hand, or say what is wrong with one.

Enters: what somebody typed or pasted. Leaves: facts; the words are the catalogues'. Called by the
command line and by ``explain``. ``inspect_plain`` never fails: bad input is what it is for.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Final

from posthouse.flow import Secret
from posthouse.protocol.smtp.sasl.common import MAX_LINE
from posthouse.protocol.smtp.sasl.plain import plain_message

# What a server answers that can read the line but not the message (RFC 4954 section 4).
SYNTAX_REPLY: Final = "501 5.5.2"

_BASE64_PART = re.compile(r"[A-Za-z0-9+/]+={0,2}")


@dataclass(frozen=True, slots=True)
class PlainReport:
    """What a PLAIN string holds, and what is wrong with it.

    ``problems`` are stable ids, the gravest first. ``reply`` is the syntax reply a strict server
    gives, None where it would go on to check the password. ``suggestion`` is the line that was
    probably meant.
    """

    authzid: str = ""
    username: str = ""
    password: Secret | None = None
    problems: tuple[str, ...] = ()
    reply: str | None = None
    suggestion: Secret | None = field(default=None)


def auth_plain_line(username: str, password: Secret, authzid: str = "") -> Secret:
    """``AUTH PLAIN ...`` to paste into a session (RFC 4954, RFC 4616). Raises SaslError.

    A Secret, since base64 hides nothing.
    """
    message = plain_message(username, password, authzid)
    return Secret("AUTH PLAIN " + base64.b64encode(message).decode("ascii"))


def inspect_plain(text: str) -> PlainReport:
    """Read ``AUTH PLAIN xxx`` or the bare base64.

    Problem ids that make a line invalid: ``empty``, ``too_long``, ``colon`` (two base64 parts
    joined with a colon), ``blanks``, ``url_alphabet``, ``not_base64``, ``padding``,
    ``literal_escape`` (a typed backslash and 0 instead of NUL), ``http_basic`` (user:password),
    ``no_nul``, ``one_nul``, ``too_many_nul``, ``not_utf8``, ``empty_username``,
    ``empty_password``. Ids that a server lets pass and that then fail the login:
    ``line_end`` (echo's newline in the password), ``outer_blanks``, ``percent_encoded``,
    ``other_authzid``.
    """
    value = re.sub(r"^\s*(AUTH\s+)?(PLAIN(\s+|$))?", "", text, flags=re.IGNORECASE).strip()
    if not value:
        return PlainReport(problems=("empty",), reply=SYNTAX_REPLY)
    if len(value) > MAX_LINE:
        return PlainReport(problems=("too_long",), reply=SYNTAX_REPLY)
    wire = _wire_problem(value)
    if wire == "colon":
        return _two_parts(value)
    cleaned = re.sub(r"\s+", "", value).replace("-", "+").replace("_", "/")
    if not _BASE64_PART.fullmatch(cleaned) or len(cleaned.rstrip("=")) % 4 == 1:
        return PlainReport(problems=("not_base64",), reply=SYNTAX_REPLY)
    bare = cleaned.rstrip("=")
    report = _inspect_message(base64.b64decode(bare + "=" * (-len(bare) % 4)))
    if wire is None:
        return report
    return PlainReport(
        report.authzid,
        report.username,
        report.password,
        (wire, *report.problems),
        SYNTAX_REPLY,
        _suggest(report.username, report.password, report.authzid),
    )


def _wire_problem(value: str) -> str | None:
    """What is wrong before the base64 is undone."""
    if ":" in value and all(_BASE64_PART.fullmatch(part) for part in value.split(":")):
        return "colon"
    if re.search(r"\s", value):
        return "blanks"
    if re.search(r"[-_]", value):
        return "url_alphabet"
    if len(value) % 4:
        return "padding"
    return None


def _two_parts(value: str) -> PlainReport:
    """``base64(user):base64(password)``, as some guides print it: PLAIN is one base64."""
    parts = []
    for part in value.split(":"):
        bare = part.rstrip("=")
        if len(bare) % 4 == 1:
            return PlainReport(problems=("colon", "not_base64"), reply=SYNTAX_REPLY)
        parts.append(base64.b64decode(bare + "=" * (-len(bare) % 4)).decode("utf-8", "replace"))
    username, password = parts[0], Secret(parts[1])
    suggestion = _suggest(username, password) if len(parts) == 2 else None
    return PlainReport("", username, password, ("colon",), SYNTAX_REPLY, suggestion)


def _suggest(username: str, password: Secret | None, authzid: str = "") -> Secret | None:
    if password is None or "\ufffd" in username + password.reveal():
        return None
    if not username or not password.reveal() or "\0" in username + password.reveal() + authzid:
        return None
    return auth_plain_line(username, password, authzid)


def _inspect_message(message: bytes) -> PlainReport:
    try:
        text = message.decode("utf-8")
    except UnicodeDecodeError:
        return PlainReport(problems=("not_utf8",), reply=SYNTAX_REPLY)
    if "\0" not in text:
        return _without_nul(text)
    parts = text.split("\0")
    if len(parts) == 2:
        problem = ("one_nul",)  # user NUL password: the leading NUL was forgotten
        user, word = parts[0], Secret(parts[1])
        return PlainReport("", user, word, problem, SYNTAX_REPLY, _suggest(user, word))
    if len(parts) > 3:
        return PlainReport(problems=("too_many_nul",), reply=SYNTAX_REPLY)
    authzid, username, password = parts
    problems = [
        name
        for name, empty in (("empty_username", not username), ("empty_password", not password))
        if empty
    ]
    reply = SYNTAX_REPLY if problems else None
    problems += _doubts(authzid, username, password)
    suggestion = None
    if {"line_end", "outer_blanks"} & set(problems):
        suggestion = _suggest(username.strip(), Secret(password.strip()), authzid)
    return PlainReport(authzid, username, Secret(password), tuple(problems), reply, suggestion)


def _without_nul(text: str) -> PlainReport:
    escaped = re.fullmatch(r"(?:\\0|\\x00|\\000)(.+?)(?:\\0|\\x00|\\000)(.+)", text, re.DOTALL)
    if escaped:
        problem, user, word = "literal_escape", escaped[1], escaped[2]
    elif ":" in text:
        user, _, word = text.partition(":")
        problem = "http_basic"
    else:
        return PlainReport(problems=("no_nul",), reply=SYNTAX_REPLY)
    suggestion = _suggest(user, Secret(word))
    return PlainReport("", user, Secret(word), (problem,), SYNTAX_REPLY, suggestion)


def _doubts(authzid: str, username: str, password: str) -> list[str]:
    """What is valid and yet rarely meant."""
    found = []
    if password.endswith(("\n", "\r")):
        found.append("line_end")
    elif password != password.strip() or username != username.strip():
        found.append("outer_blanks")
    if re.search(r"%40", username):
        found.append("percent_encoded")
    if authzid and authzid != username:
        found.append("other_authzid")
    return found
