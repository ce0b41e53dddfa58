"""A password goes out once, inside TLS with a certificate that is good, or not at all."""

from __future__ import annotations

import pytest

from canaries import PASSWORD, find_leaks
from fakes.certs import Kind
from posthouse.flow import Endpoint, Security
from posthouse.net.stream import TcpStream
from scenarios.conftest import Scene, login
from scenarios.peer import CAPABILITIES, Action, Peer

BAD_KINDS = [kind for kind in Kind if kind not in (Kind.GOOD, Kind.EXPIRES_SOON, Kind.INTERCEPTION)]


def nothing_given_away(server: Peer) -> None:
    assert server.credentials == []
    assert "AUTH" not in server.verbs()


@pytest.mark.parametrize("port", [465, 587])
@pytest.mark.parametrize("kind", BAD_KINDS)
async def test_bad_certificates(scene: Scene, kind: Kind, port: int) -> None:
    server = await scene.server(port, kind=kind)
    await scene.probe(port, login=login())
    nothing_given_away(server)


NO_TLS = [
    {"starttls": ""},
    {"starttls": "XXXXXXXA"},
    {"replies": {"STARTTLS": "454 4.7.0 TLS not available"}},
    {"replies": {"STARTTLS": "502 5.5.1 no"}},
    {"after_starttls": b"250 AUTH PLAIN LOGIN\r\n"},
    {"after_starttls": b"\x15\x03\x01\x00\x02\x02\x28"},
]


@pytest.mark.parametrize("script", NO_TLS, ids=lambda script: str(script)[:40])
async def test_no_tls(scene: Scene, script: dict[str, object]) -> None:
    """However STARTTLS is kept from us, and though AUTH is offered in the clear."""
    server = await scene.server(587, **script)
    await scene.probe(587, login=login())
    nothing_given_away(server)


async def test_plain_mode_is_not_obeyed(scene: Scene) -> None:
    """Somebody asks for a connection without TLS: no password on it either."""
    server = await scene.server(25, starttls="")
    await scene.probe(Endpoint("mail.test", 25, Security.NONE), login=login())
    nothing_given_away(server)


async def test_auth_offered_only_before_tls(scene: Scene) -> None:
    """What was offered in plain text counts for nothing afterwards (RFC 3207 section 4.2)."""
    server = await scene.server(
        587, ehlo=tuple(c for c in CAPABILITIES if not c.startswith("AUTH"))
    )
    await scene.probe(587, login=login())
    nothing_given_away(server)


async def test_injected_success_is_not_taken_for_the_servers(scene: Scene) -> None:
    """Replies put behind the 220 in plain text are thrown away, not read inside TLS."""
    answer = b"220 go\r\n250-mail.test\r\n250 AUTH PLAIN\r\n235 2.7.0 welcome\r\n"
    server = await scene.server(587, replies={"STARTTLS": answer, "AUTH": "535 5.7.8 no"})
    result = await scene.probe(587, login=login())
    assert server.verbs().count("AUTH") <= 1
    assert result.verdict.cause is not None


ENDINGS = [
    "535 5.7.8 wrong",
    "454 4.7.0 temporary failure",
    "421 4.7.0 too many",
    "534 5.7.9 mechanism too weak",
    "504 5.5.4 unrecognized mechanism",
    "501 5.5.2 malformed",
    "250 2.0.0 what?",
    "garbage without a code",
    Action.CLOSE,
    Action.RESET,
    Action.SILENT,
]


@pytest.mark.parametrize("ending", ENDINGS, ids=str)
async def test_one_try(scene: Scene, ending: str | Action) -> None:
    """Whatever comes of it, a sign-in is not repeated: a second could lock the account."""
    server = await scene.server(
        587, ehlo=(*CAPABILITIES[:3], "AUTH PLAIN LOGIN CRAM-MD5"), replies={"AUTH": ending}
    )
    await scene.probe(587, login=login())
    assert server.verbs().count("AUTH") == 1
    assert len(server.credentials) <= 1


async def test_a_server_that_asks_for_ever(scene: Scene) -> None:
    """334 after 334: the password is not sent a second time."""
    seen: list[bytes] = []

    async def raw(stream: TcpStream) -> None:
        await stream.accept_tls(scene.authority.context())
        await stream.write(b"220 mail.test ESMTP\r\n")
        while data := await stream.read():
            seen.append(data)
            if data.startswith(b"EHLO"):
                await stream.write(b"250-mail.test\r\n250 AUTH LOGIN\r\n")
            elif data.startswith((b"QUIT", b"*")):
                await stream.write(b"501 5.5.2 cancelled\r\n")
            else:
                await stream.write(b"334 UGFzc3dvcmQ6\r\n")

    await scene.server(465, raw=raw)
    await scene.probe(465, login=login())
    sent = [data for data in seen if find_leaks(data)]
    assert len(sent) == 1, "PASSWORD must be sent once"
    assert PASSWORD
