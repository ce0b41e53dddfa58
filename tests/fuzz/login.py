"""Targets of SASL: both sides of every mechanism, and what is typed by hand."""

# ruff: noqa: PT017  a target looks at an error where it catches it

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

from fuzz.smtp import text_of
from posthouse.flow import Secret
from posthouse.protocol.smtp import sasl
from posthouse.protocol.smtp.sasl.common import MAX_MESSAGE

NONCE = b"fixed nonce, 20 octs"
BINDING = sasl.ChannelBinding("tls-server-end-point", b"b" * 32)
ACCOUNTS = sasl.TableAccounts({"alice": "Wren-60"}, {"alice": "token.1"})


def line(data: bytes) -> None:
    for initial in (False, True):
        try:
            found = sasl.decode_line(data, initial=initial)
        except sasl.SaslError:
            continue
        assert len(found) <= MAX_MESSAGE
        if initial and data == b"=":
            assert found == b""
        else:
            assert sasl.decode_line(sasl.encode_line(found)) == found


def client(data: bytes) -> None:
    """Challenges of a hostile server; parted by line feeds."""
    for name in sasl.MECHANISMS:
        made = sasl.client(
            name,
            username="alice",
            secret=Secret("Wren-60"),
            nonce=NONCE,
            channel_binding=BINDING if name.endswith("-PLUS") else None,
        )
        for challenge in data.split(b"\n")[:6]:
            try:
                answer = made.respond(challenge)
            except sasl.SaslError as error:
                assert "Wren-60" not in f"{error} {error!r}"
                break
            assert len(answer) <= MAX_MESSAGE
        # Nobody who does not know the password can prove that he does.
        assert not made.verified
        _quietly(made.done)


def _quietly(do: Callable[[], None]) -> None:
    with contextlib.suppress(sasl.SaslError):
        do()


def server(data: bytes) -> None:
    """Responses of a hostile client; parted by line feeds."""
    first, *more = data.split(b"\n")[:6]
    for name in sasl.MECHANISMS:
        made = sasl.server(
            name,
            ACCOUNTS,
            nonce=NONCE,
            challenge=b"<1@mail.test>",
            channel_binding=BINDING if name.endswith("-PLUS") else None,
            decoy=b"decoy",
        )
        assert not made.username
        try:
            asked = made.start(first)
            for response in more:
                if asked is None:
                    break
                asked = made.receive(response)
        except sasl.SaslError:
            assert not made.username
            continue
        assert (asked is None) == (made.username == "alice")


def scram(data: bytes) -> None:
    """Whoever changes a word of the first two messages ends the login."""
    for number in (0, 1):
        near = sasl.client("SCRAM-SHA-256", username="alice", secret=Secret("Wren-60"), nonce=NONCE)
        far = sasl.server("SCRAM-SHA-256", ACCOUNTS, nonce=NONCE, decoy=b"decoy")
        changed = False
        try:
            message = near.initial or b""
            if number == 0:
                changed, message = _changed(message, data)
            message = far.start(message) or b""
            if number == 1:
                changed, message = _changed(message, data)
            final = far.receive(near.respond(message)) or b""
            ended = far.receive(near.respond(final))
        except sasl.SaslError:
            assert changed
            continue
        assert not changed
        assert ended is None
        assert near.verified


def _changed(message: bytes, data: bytes) -> tuple[bool, bytes]:
    """A place, how many octets to take out there, and what to put in."""
    if len(data) < 2:
        return False, message
    at, out = data[0] % (len(message) + 1), data[1] % 8
    made = message[:at] + data[2:] + message[at + out :]
    return made != message, made


def oauth_error(data: bytes) -> None:
    try:
        found = sasl.decode_oauth_error(data)
    except sasl.SaslError as error:
        assert error.reason == "not_oauth_error"
        return
    # Plain JSON values that can be printed and written again.
    again = json.dumps(found, allow_nan=False, ensure_ascii=False).encode("utf-8")
    assert json.loads(again) == found


def inspect(data: bytes) -> None:
    report = sasl.inspect_plain(text_of(data))
    assert report.suggestion is None or report.problems
    if report.suggestion is not None:
        again = sasl.inspect_plain(report.suggestion.reveal())
        assert again.reply is None
    assert "***" in repr(report) or report.password is None


def prep(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    try:
        found = sasl.saslprep(text)
    except sasl.SaslError as error:
        assert error.reason in {"prohibited", "bidi", "unassigned", "too_long"}
        return
    found.encode("utf-8")
    assert sasl.saslprep(found) == found
