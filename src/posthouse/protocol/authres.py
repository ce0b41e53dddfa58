"""Authentication-Results: what a receiving server writes about the checks it has made.

Enters: the value of a field, as bytes or text; or results to write. Leaves: ``AuthResults``, or
the text of a field. Called by ``arc``, the relay and whoever shows a message. Reading is lenient
and never fails: what cannot be read is left out. Writing is strict and fails with AuthResError.
RFC 8601 sections 2.2 to 2.7; RFC 8617 section 4.1.1 for ARC-Authentication-Results.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from posthouse.protocol.dkim.canon import CRLF
from posthouse.protocol.dkim.fields import Header, parse_header
from posthouse.protocol.dkim.result import Result

NAME: Final = b"authentication-results"
VALUE_LIMIT: Final = 16_384  # characters of one field that are read; servers write some 1,000
RESULTS_LIMIT: Final = 100  # results of one field
LINE: Final = 78  # columns (RFC 5322 section 2.1.1)

_WSP: Final = " \t\r\n"
_JOINS: Final = (".", "/")  # words on both sides of it are one
_KEYWORD: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?", re.ASCII)
_TOKEN: Final = re.compile(r"[^\x00-\x20\x7f()<>@,;:\\\"/\[\]?=]+")  # RFC 2045 section 5.1
_ATOM: Final = r"[^\x00-\x20\x7f()<>@,;:\\\"\[\]]+"
_ADDRESS: Final = re.compile(rf"(?:{_ATOM})?@[^\x00-\x20\x7f()<>@,;:\\\"/\[\]?=]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")
_BLANKS: Final = re.compile(r"[ \t\r\n]+")
_INSTANCE: Final = re.compile(r"[ \t\r\n]*i[ \t\r\n]*=[ \t\r\n]*([0-9]{1,3})[ \t\r\n]*;", re.ASCII)


class AuthResError(Exception):
    """A result that cannot be written. ``what`` is the part at fault."""

    def __init__(self, what: str, text: str) -> None:
        super().__init__(f"{what}: {text!r}")
        self.what = what


class Property(NamedTuple):
    """One property, ``header.d=example.com``."""

    ptype: str  # "smtp", "header", "body", "policy", "arc"...
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class MethodResult:
    """What one check came to."""

    method: str  # "spf", "dkim", "dmarc", "arc", "iprev", "auth"...
    result: str  # "pass", "fail"...
    reason: str = ""
    properties: tuple[Property, ...] = ()
    comments: tuple[str, ...] = ()
    version: str = ""  # of the method; "" is 1

    def get(self, ptype: str, name: str) -> str:
        """The first property of that name; "" where there is none."""
        wanted = (ptype, name)
        return next((p.value for p in self.properties if (p.ptype, p.name) == wanted), "")


@dataclass(frozen=True, slots=True)
class AuthResults:
    """One field. No results means "none": nothing was checked."""

    authserv_id: str  # who says so; "" where the field does not tell
    results: tuple[MethodResult, ...] = ()
    version: str = ""

    def get(self, method: str) -> tuple[MethodResult, ...]:
        """The results of one method."""
        return tuple(result for result in self.results if result.method == method)


class _Kind:
    WORD: Final = "word"
    VALUE: Final = "value"  # the word after an equals sign
    COMMENT: Final = "comment"
    END: Final = ";"


_Token = tuple[str, str]


def parse(value: bytes | str) -> AuthResults:
    """What a field says. Never fails."""
    parts = list(_parts(_text(value)))
    if not parts:
        return AuthResults("")
    words = [text for kind, text in parts[0] if kind == _Kind.WORD]
    if any(kind == _Kind.VALUE for kind, _ in parts[0]):
        head, rest = [""], parts  # no authserv-id, as some large servers write it
    else:
        head, rest = words or [""], parts[1:]
    found = (_result(part) for part in rest[:RESULTS_LIMIT])
    version = head[1] if len(head) > 1 else ""
    return AuthResults(head[0], tuple(one for one in found if one is not None), version)


def parse_arc(value: bytes | str) -> tuple[int, AuthResults] | None:
    """The instance and the results of an ARC-Authentication-Results field.

    None where it does not begin with i= and a semicolon. RFC 8617 section 4.1.1.
    """
    text = _text(value)
    instance = _INSTANCE.match(text)
    return (int(instance[1]), parse(text[instance.end() :])) if instance else None


def merged(header: Header, authserv_id: str) -> str:
    """All that we have written about a message, as one field's value. RFC 8617 section 5.1.

    The results stay as they are written, comments and all, in their order.
    """
    results: list[str] = []
    for field in header.named(NAME):
        if same_id(parse(field.value).authserv_id, authserv_id):
            pieces = _pieces(_text(field.value))[1:]
            results += [piece for piece in map(_collapsed, pieces) if piece not in ("", "none")]
    return "; ".join([_value(authserv_id), *(results or ["none"])])


def dkim_result(result: Result) -> MethodResult:
    """One signature's result, to be written. RFC 8601 section 2.7.1, RFC 6008."""
    properties = (
        Property("header", "d", result.domain),
        Property("header", "i", result.identity),
        Property("header", "s", result.selector),
        Property("header", "a", result.algorithm),
        Property("header", "b", result.signature),
    )
    comments = (f"{result.key_bits}-bit key",) if result.key_bits else ()
    return MethodResult(
        method="dkim",
        result=result.code.value,
        reason="" if result.passed else result.reason,
        properties=tuple(one for one in properties if one.value),
        comments=(*comments, "test mode") if result.testing else comments,
    )


def is_forged(value: bytes, authserv_ids: Iterable[str]) -> bool:
    """Whether an incoming field pretends to be ours, or cannot be told. RFC 8601 section 5."""
    found = parse(value).authserv_id
    return not found or any(same_id(found, ours) for ours in authserv_ids)


def without_forged(section: bytes, authserv_ids: Sequence[str]) -> bytes:
    """A header section without the fields that pretend to be ours, each field with CRLF."""
    kept = []
    header = parse_header(section)
    for name, raw in zip(header.names, header.raws, strict=True):
        if name != NAME or not is_forged(raw.partition(b":")[2], authserv_ids):
            kept.append(raw + CRLF)
    return b"".join(kept)


def same_id(one: str, other: str) -> bool:
    """Whether two authserv-ids are the same. They look like domains: case does not count."""
    return one.casefold().rstrip(".") == other.casefold().rstrip(".")


def write(results: AuthResults, *, name: str = "Authentication-Results", instance: int = 0) -> str:
    """A whole field, folded, with CRLF. Raises AuthResError. ``instance`` is for ARC."""
    return fold(name, write_value(results), instance=instance)


def write_value(results: AuthResults) -> str:
    """The value of a field on one line. Raises AuthResError."""
    if not results.authserv_id:
        raise AuthResError("authserv_id", "")
    head = _value(results.authserv_id)
    if results.version:
        head += " " + _number(results.version)
    parts = [_written(result) for result in results.results] or ["none"]
    return "; ".join([head, *parts])


def fold(name: str, value: str, *, instance: int = 0) -> str:
    """A field of one result a line, with CRLF; a long result is folded at its blanks."""
    pieces = [piece.strip(_WSP) for piece in _pieces(value)]
    if instance:
        pieces.insert(0, f"i={instance}")
    lines = [f"{name}:"]
    for number, piece in enumerate(pieces):
        text = piece + (";" if number < len(pieces) - 1 else "")
        head = number == 0 or text == "none" or (number == 1 and instance)
        if head and len(lines) == 1 and len(lines[0]) + 1 + len(text) <= LINE:
            lines[-1] += " " + text
        else:
            lines.extend(_folded(text))
    return "\r\n".join(lines) + "\r\n"


def _folded(text: str) -> Iterator[str]:
    """A result in lines, cut at blanks outside of quoted strings."""
    line = ""
    for word in _words(text):
        if line and len(line) + 1 + len(word) > LINE:
            yield line
            line = ""
        line += " " + word
    yield line


def _written(result: MethodResult) -> str:
    method = _keyword("method", result.method)
    if result.version:
        method += "/" + _number(result.version)
    parts = [f"{method}={_keyword('result', result.result)}"]
    parts += [f"({_comment(comment)})" for comment in result.comments]
    if result.reason:
        parts.append(f"reason={_value(result.reason)}")
    for ptype, name, value in result.properties:
        spec = f"{_keyword('ptype', ptype)}.{_keyword('property', name)}"
        parts.append(f"{spec}={value if _ADDRESS.fullmatch(value) else _value(value)}")
    return " ".join(parts)


def _keyword(what: str, text: str) -> str:
    """RFC 5321's Keyword (section 2.2)."""
    if not _KEYWORD.fullmatch(text):
        raise AuthResError(what, text)
    return text


def _number(text: str) -> str:
    if not (text.isascii() and text.isdigit()):
        raise AuthResError("version", text)
    return text


def _value(text: str) -> str:
    """A token, or a quoted-string. What would break the field becomes a blank."""
    if _TOKEN.fullmatch(text):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", _CONTROL.sub(" ", text)) + '"'


def _comment(text: str) -> str:
    return re.sub(r"([()\\])", r"\\\1", _collapsed(_CONTROL.sub(" ", text)))


def _text(value: bytes | str) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return text[:VALUE_LIMIT]


def _collapsed(text: str) -> str:
    return _BLANKS.sub(" ", text).strip(_WSP)


def _result(tokens: Sequence[_Token]) -> MethodResult | None:
    """One result from its tokens, or None where there is no method."""
    pairs: list[tuple[str, str]] = []
    words: list[str] = []
    for kind, text in tokens:
        if kind == _Kind.WORD:
            words.append(text)
        elif kind == _Kind.VALUE:
            pairs.append((_key(words), text))
            words = []
    if not pairs:
        return None
    method, _, version = pairs[0][0].partition("/")
    reasons = [value for key, value in pairs[1:] if key == "reason"]
    return MethodResult(
        method=method,
        result=pairs[0][1].lower(),
        reason=reasons[0] if reasons else "",
        properties=tuple(_properties(pairs[1:])),
        comments=tuple(text for kind, text in tokens if kind == _Kind.COMMENT),
        version=version,
    )


def _properties(pairs: Iterable[tuple[str, str]]) -> Iterator[Property]:
    for key, value in pairs:
        ptype, dot, name = key.partition(".")
        if dot:
            yield Property(ptype, name, value)


def _key(words: Sequence[str]) -> str:
    """The last word, with what dots or slashes among blanks join to it, in lower case."""
    start = max(len(words) - 1, 0)
    while start > 0 and (words[start].startswith(_JOINS) or words[start - 1].endswith(_JOINS)):
        start -= 1
    return "".join(words[start:]).lower()


def _parts(text: str) -> Iterator[list[_Token]]:
    """The tokens of each part between semicolons."""
    part: list[_Token] = []
    for token in _tokens(text):
        if token[0] == _Kind.END:
            yield part
            part = []
        else:
            part.append(token)
    if part:
        yield part


def _tokens(text: str) -> Iterator[_Token]:
    at, value_next = 0, False
    while at < len(text):
        char = text[at]
        if char in _WSP:
            at += 1
        elif char == "(":
            comment, at = _read_comment(text, at)
            yield _Kind.COMMENT, comment
        elif char == ";":
            if value_next:
                yield _Kind.VALUE, ""
            yield _Kind.END, ""
            at, value_next = at + 1, False
        elif char == "=" and not value_next:
            at, value_next = at + 1, True
        else:
            word, at = _read_word(text, at, in_value=value_next)
            yield _Kind.VALUE if value_next else _Kind.WORD, word
            value_next = False
    if value_next:
        yield _Kind.VALUE, ""


def _read_word(text: str, at: int, *, in_value: bool) -> tuple[str, int]:
    """A word and where it ends. In a value an equals sign is a character like others."""
    stop = " \t\r\n;(" if in_value else " \t\r\n;(="
    out = []
    while at < len(text) and text[at] not in stop:
        if text[at] == '"':
            piece, at = _read_quoted(text, at)
            out.append(piece)
        else:
            out.append(text[at])
            at += 1
    return "".join(out), at


def _read_quoted(text: str, at: int) -> tuple[str, int]:
    """A quoted-string, unescaped; one that is not closed goes to the end."""
    out = []
    at += 1
    while at < len(text) and text[at] != '"':
        if text[at] == "\\":
            at += 1
        out.append(text[at : at + 1])
        at += 1
    return "".join(out).replace("\r\n", ""), at + 1


def _read_comment(text: str, at: int) -> tuple[str, int]:
    """A comment, its inner ones included; one that is not closed goes to the end."""
    start, depth = at + 1, 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == "(":
            depth += 1
        elif text[at] == ")":
            depth -= 1
            if depth == 0:
                break
        at += 1
    return _collapsed(re.sub(r"\\(.)", r"\1", text[start:at])), at + 1


def _pieces(text: str) -> list[str]:
    """``text`` cut at its semicolons, those in quoted strings and comments excepted."""
    return _cut(text, ";")


def _words(text: str) -> list[str]:
    return [word for word in _cut(text, " ") if word]


def _cut(text: str, separator: str) -> list[str]:
    pieces, start, at = [], 0, 0
    while at < len(text):
        if text[at] == '"':
            at = _read_quoted(text, at)[1]
        elif text[at] == "(":
            at = _read_comment(text, at)[1]
        else:
            if text[at] == separator:
                pieces.append(text[start:at])
                start = at + 1
            at += 1
    return [*pieces, text[start:]]
