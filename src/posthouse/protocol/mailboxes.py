"""A list of mailboxes, as From and To have it, read so that nothing is guessed and nothing lost.

Enters: the text of a field. Leaves: name and address of each mailbox. Called by submission, where
From must belong to the login, and by whoever sends a message to those it names. MailboxError where
an address is missing, or the text can be read in several ways: the libraries of two programs would
then see different people, and some (Python's own) leave out silently what they do not understand.
RFC 5322 section 3.4, with comments and groups (RFC 6854), without obsolete addresses.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_FOLD: Final = re.compile(r"\r?\n(?=[ \t])")
_TOKEN: Final = re.compile(
    r"(?P<blank>[ \t]+)|(?P<special>[<>@,:;])"
    r'|(?P<quoted>"(?:[^"\\\r\n]|\\[^\r\n])*")|(?P<literal>\[[^\[\]\\\r\n]*\])'
    r"|(?P<atom>[^\x00-\x20()<>\[\]:;@\\,\"\x7f]+)"
)
_IN_COMMENT: Final = re.compile(r"[()\\]")
_ESCAPED: Final = re.compile(r"\\(.)")


class MailboxError(ValueError):
    """No list of mailboxes. ``piece`` is the part that is none, "" where it is the whole."""

    def __init__(self, reason: str, piece: str = "") -> None:
        super().__init__(reason)
        self.piece = piece


class Mailbox(NamedTuple):
    """One of them; the name has no quotes, the address is as it was written."""

    name: str
    address: str


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def read_mailboxes(text: str, *, semicolons: bool = False) -> list[Mailbox]:
    """All of them; a group may have none. ``semicolons``: they part mailboxes, too, as in Outlook.

    Raises MailboxError.
    """
    text = _FOLD.sub("", text)
    found: list[Mailbox] = []
    piece: list[_Token] = []
    group = angle = False
    for token in [*_tokens(text), _Token("special", ",", len(text))]:
        special = token.text if token.kind == "special" else ""
        if special in ("<", ">"):
            angle = special == "<"
        if angle or special not in (":", ",", ";"):
            piece.append(token)
            continue
        if special == ":":
            if group or not piece or any(one.kind == "special" for one in piece):
                raise MailboxError("a colon")
            group = True
        elif piece:
            found.append(_mailbox(piece, text))
        if special == ";":
            if not group and not semicolons:
                raise MailboxError("a semicolon")
            group = False
        piece = []
    if angle or group:
        raise MailboxError("no end")
    return found


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while at < len(text):
        if text[at] == "(":
            at = _after_comment(text, at)
            continue
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise MailboxError("a character that has no place there")
        if match.lastgroup != "blank":
            tokens.append(_Token(match.lastgroup, match[0], at))
        at = match.end()
    return tokens


def _after_comment(text: str, at: int) -> int:
    """RFC 5322 section 3.2.2: comments nest."""
    depth = 0
    while (found := _IN_COMMENT.search(text, at)) is not None:
        at = found.end()
        if found[0] == "\\":
            at += 1
        else:
            depth += 1 if found[0] == "(" else -1
            if depth == 0:
                return at
    raise MailboxError("a comment without end")


def _mailbox(piece: list[_Token], text: str) -> Mailbox:
    """One mailbox: ``local@domain``, or words and ``<local@domain>``."""
    whole = text[piece[0].at : piece[-1].at + len(piece[-1].text)]
    opening = [n for n, token in enumerate(piece) if token[:2] == ("special", "<")]
    if not opening:
        return Mailbox("", _address(piece, whole))
    if len(opening) > 1 or piece[-1][:2] != ("special", ">"):
        raise MailboxError("angle brackets", whole)
    words, inside = piece[: opening[0]], piece[opening[0] + 1 : -1]
    address = _address(inside, whole)
    # alice@example.com <alice@example.com> is no phrase, and seen every day. Another address there
    # is what some readers would take for the author.
    phrase = all(token.kind != "special" for token in words)
    if not phrase and _address(words, whole).lower() != address.lower():
        raise MailboxError("another address before the brackets", whole)
    return Mailbox(" ".join(map(_plain, words)) if phrase else "", address)


def _address(piece: list[_Token], whole: str) -> str:
    kinds = [token.kind for token in piece]
    if (
        kinds
        not in (
            ["atom", "special", "atom"],
            ["quoted", "special", "atom"],
            ["atom", "special", "literal"],
            ["quoted", "special", "literal"],
        )
        or piece[1].text != "@"
    ):
        raise MailboxError("no address", whole)
    return "".join(token.text for token in piece)


def _plain(word: _Token) -> str:
    return _ESCAPED.sub(r"\1", word.text[1:-1]) if word.kind == "quoted" else word.text
