"""One login's dialogue: what is said, line by line, whatever the server asks."""

from __future__ import annotations

import pytest

from posthouse.flow import Secret
from posthouse.net.smtp_login import ROUNDS, exchange
from posthouse.protocol.smtp import sasl
from posthouse.protocol.smtp.command import Auth, AuthResponse, Command
from posthouse.protocol.smtp.reply import Reply

PLAIN = b"\0alice\0pw"
GO = Reply(334, ("",))
TWICE = [Auth("PLAIN", PLAIN), AuthResponse(PLAIN), AuthResponse(None)]


class Docile:
    """A mechanism that answers whatever it is asked."""

    name = "DOCILE"
    initial = None
    verified = False

    def respond(self, challenge: bytes) -> bytes:
        return b"yes"

    def done(self) -> None:
        pass


async def said(mechanism: sasl.ClientMechanism, *replies: Reply) -> tuple[list[Command], int, str]:
    lines: list[Command] = []
    left = list(replies)

    async def ask(command: Command) -> Reply:
        lines.append(command)
        return left.pop(0) if left else Reply(501, ("ended",))

    reply, cancelled = await exchange(ask, mechanism)
    return lines, reply.code, cancelled


def plain(password: str = "pw") -> sasl.ClientMechanism:
    return sasl.client(
        "PLAIN", username="alice", secret=Secret(password), host="h", port=25, nonce=b"n" * 24
    )


@pytest.mark.parametrize(
    ("replies", "lines", "code", "cancelled"),
    [
        ([Reply(235, ("ok",))], [Auth("PLAIN", PLAIN)], 235, ""),
        ([Reply(535, ("no",))], [Auth("PLAIN", PLAIN)], 535, ""),
        # RFC 4954 section 4: 334 alone asks; no other 3yz gets an answer.
        ([Reply(354, ("",))], [Auth("PLAIN", PLAIN)], 354, ""),
        ([Reply(334, ("$$",))], [Auth("PLAIN", PLAIN), AuthResponse(None)], 501, "not_base64"),
        ([GO, GO], TWICE, 501, "unexpected_challenge"),
        # A server that goes on after our "*" is not answered again.
        ([GO, GO, GO], TWICE, 334, "unexpected_challenge"),
    ],
)
async def test_the_lines(
    replies: list[Reply], lines: list[Command], code: int, cancelled: str
) -> None:
    assert await said(plain(), *replies) == (lines, code, cancelled)


@pytest.mark.parametrize(("octets", "at_once"), [(300, True), (365, True), (375, False)])
async def test_a_long_password_waits_for_its_turn(octets: int, at_once: bool) -> None:
    (first, *_), code, _ = await said(plain("p" * octets), Reply(235, ("ok",)))
    assert isinstance(first, Auth)
    assert (first.initial is not None) is at_once
    assert code == 235
    length = len(b"AUTH PLAIN \r\n") + (octets + len(PLAIN) - 2 + 2) // 3 * 4
    assert (length <= 512) is at_once


async def test_a_server_that_never_stops_asking_is_left() -> None:
    lines, code, cancelled = await said(Docile(), *[GO] * 50)
    assert lines == [Auth("DOCILE", None), *[AuthResponse(b"yes")] * ROUNDS, AuthResponse(None)]
    assert (code, cancelled) == (334, "unexpected_challenge")
