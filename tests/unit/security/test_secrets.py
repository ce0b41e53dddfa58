"""No credential comes back out: each mechanism, each form in which a server may echo it."""

from __future__ import annotations

import base64
import json
import time
from urllib.parse import quote, quote_plus

import pytest

from canaries import PASSWORD, TOKEN, UNICODE_PASSWORD, find_leaks
from fakes.imap import FakeImap
from fakes.smtp import Behaviour, FakeSmtpServer
from posthouse.flow import CredentialKind, NetworkFailure, Secret, Trace
from posthouse.net.clock import FakeClock
from posthouse.net.dial import MemoryDialer
from posthouse.net.imap import fetch_by_message_id
from posthouse.net.smtp import AuthOutcome, SmtpClient
from posthouse.net.stream import TcpStream
from posthouse.net.tls import TlsOptions
from posthouse.protocol.smtp import Auth, AuthResponse, Masker, Reply
from posthouse.setup.probe import to_dict
from scenarios.conftest import Scene, login

MECHANISMS = ("PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER")  # those that send the secret itself


def echoes(secret: str) -> dict[str, str]:
    """What a server that was sent ``secret`` may say."""
    octets = secret.encode()
    plain = base64.b64encode(b"\0alice\0" + octets).decode()
    alone = base64.b64encode(octets).decode()
    return {
        "plain": f"no such command: {secret}",
        "quoted": f'"{secret}" is wrong',
        "base64": f"unknown command {alone}",
        "base64 of PLAIN": f"unrecognized {plain}",
        "base64 cut off": f"unrecognized {plain[:-6]}...",
        "base64 at its end": f"...{plain[10:]} is no command",
        "base64 in capitals": f"unrecognized {alone.upper()}",
        "base64 url": f"see https://x.test/?p={alone.replace('+', '-').replace('/', '_')}",
        "base64 inside more": base64.b64encode(b"you said " + octets + b" to me").decode(),
        "url": f"see https://x.test/?p={quote(secret, safe='')}",
        "url plus": f"see https://x.test/?p={quote_plus(secret)}",
        "json": json.dumps({"password": secret}),
        "repr": repr(octets),
        "two lines": f"no: {alone[:20]}\n{alone[20:]}",
    }


FORMS = tuple(echoes("x"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_what_comes_up_from_the_wire(authority, mechanism: str, form: str) -> None:
    """Transcript, reply and errors of a whole login against a server that echoes."""
    secret = TOKEN if mechanism in ("XOAUTH2", "OAUTHBEARER") else PASSWORD
    said = "\n".join(f"535{m}{text}" for m, text in _marked(echoes(secret)[form]))
    behaviour = Behaviour(
        tls=authority.context(), mechanisms=(mechanism,), accounts={"alice": "another"},
        tokens={"alice": "another"}, auth_reply=said,
    )  # fmt: skip
    trace = Trace(time.monotonic)
    async with FakeSmtpServer(behaviour) as server:
        client = SmtpClient(await TcpStream.connect(server.host, server.port), trace)
        await client.greeting()
        await client.ehlo("me.test")
        await client.starttls()
        await client.upgrade(TlsOptions("mail.test", ca_file=str(authority.ca_file)))
        await client.ehlo("me.test")
        outcome = await client.auth(mechanism, "alice", Secret(secret))
        await client.close()
    assert outcome.reply.code == 535
    shown = "\n".join(line.text for line in trace.lines)
    assert "AUTH " + mechanism in shown
    _clean(shown, outcome)


def _marked(text: str) -> list[tuple[str, str]]:
    lines = text.split("\n")
    return [("-" if i < len(lines) - 1 else " ", line) for i, line in enumerate(lines)]


def _clean(shown: str, outcome: AuthOutcome) -> None:
    assert not find_leaks(shown)
    assert not find_leaks(repr(outcome))
    assert not find_leaks("\n".join(outcome.reply.lines))
    assert not find_leaks(outcome.reply.raw)


@pytest.mark.parametrize("form", FORMS)
async def test_what_the_probe_tells(scene: Scene, form: str) -> None:
    """The whole answer of a probe, in both languages (``scene`` searches the transcript)."""
    said = "\n".join(f"535{m}{text}" for m, text in _marked(echoes(PASSWORD)[form]))
    await scene.server(587, replies={"AUTH": said})
    result = await scene.probe(587, login=login())
    for lang in ("en", "zh"):
        assert not find_leaks(json.dumps(to_dict(result, lang), ensure_ascii=False))
    assert not find_leaks(repr(result))


async def test_a_token_that_comes_back_in_the_challenge(scene: Scene) -> None:
    await scene.server(
        587,
        ehlo=("AUTH XOAUTH2",),
        more={"oauth_error": {"status": "401", "scope": TOKEN}, "tokens": {"alice": "another"}},
    )
    result = await scene.probe(587, login=login("alice", TOKEN, kind=CredentialKind.OAUTH2))
    assert not find_leaks(json.dumps(to_dict(result, "en")))


@pytest.mark.parametrize("secret", [PASSWORD, UNICODE_PASSWORD], ids=["ascii", "unicode"])
@pytest.mark.parametrize("code", [235, 250, 421, 500, 535])
def test_masker_cleans_replies(code: int, secret: str) -> None:
    masker = Masker()
    masker.learn(Auth("LOGIN"))
    masker.learn(AuthResponse(b"alice"))
    masker.learn(AuthResponse(secret.encode()))
    for text in echoes(secret).values():
        reply = masker.clean(Reply(code, tuple(text.split("\n")), raw=text.encode()))
        assert not find_leaks(repr(reply))
        assert not find_leaks("\n".join(masker.reply(reply)))


@pytest.mark.parametrize(
    ("mechanism", "response"),
    [
        ("CRAM-MD5", b"alice 3dbc88f0624776a737b39093f6eb6427"),
        (
            "SCRAM-SHA-256",
            b"c=biws,r=abcdefghijklmnopXYZ,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        ),
    ],
)
def test_proofs_are_hidden_too(mechanism: str, response: bytes) -> None:
    """With the challenge, a proof is all that a search for the password needs."""
    masker = Masker()
    assert masker.command(Auth(mechanism)) == f"AUTH {mechanism}"
    assert masker.command(AuthResponse(response)) == "***"
    proof = response.decode()[-30:]
    for text in (response.decode(), base64.b64encode(response).decode(), quote(response)):
        shown = masker.text(f"535 no: {text}")
        assert proof not in shown
        assert quote(proof) not in shown
        assert base64.b64encode(response).decode()[-20:] not in shown


def test_ordinary_words_stay() -> None:
    """A password made of words does not blank out the sentence about it."""
    masker = Masker()
    masker.learn(Auth("PLAIN", b"\0alice\0password-2026"))
    text = "535 5.7.8 Error: authentication failed: wrong username or password"
    assert masker.text(text) == text
    assert masker.text("535 you said password-2026!") == "535 you said ***!"
    assert masker.clean(Reply(535, (text,))).lines == (text,)


def test_a_challenge_stays_as_it_is() -> None:
    """The mechanism needs it to the letter."""
    masker = Masker()
    masker.learn(Auth("SCRAM-SHA-256", b"n,,n=alice,r=abcdefghijklmnop"))
    challenge = Reply.challenge(b"r=abcdefghijklmnopXYZ,s=c2FsdA==,i=4096")
    assert masker.clean(challenge) is challenge
    assert masker.reply(challenge) == ["334 ***"]


@pytest.mark.parametrize("capabilities", ["AUTH=PLAIN", ""])
@pytest.mark.parametrize("form", FORMS)
async def test_imap(authority, form: str, capabilities: str, monkeypatch) -> None:
    """A mailbox that says what it was sent."""
    fake = FakeImap(
        password="another", capabilities=f"IMAP4rev1 {capabilities}", tls=authority.context()
    )
    text = echoes(PASSWORD)[form].replace("\n", " ").encode()

    async def serve(stream) -> None:
        await stream.accept_tls(authority.context())
        await stream.write(b"* OK hi\r\n")
        while data := await stream.read():
            tag = data.split()[0]
            if b"CAPABILITY" in data:
                await stream.write(
                    b"* CAPABILITY IMAP4rev1 " + capabilities.encode() + b"\r\n" + tag + b" OK\r\n"
                )
            elif find_leaks(data):
                await stream.write(b"P2 NO " + text + b"\r\n")
            else:
                await stream.write(b"+ \r\n")

    with pytest.raises(NetworkFailure) as caught:
        await fetch_by_message_id(
            "<a@b>", host="mail.test", port=993, username="alice", secret=Secret(PASSWORD),
            dialer=MemoryDialer({("mail.test", 993): serve}), clock=FakeClock(), wait=1.0,
            ca_file=str(authority.ca_file),
        )  # fmt: skip
    assert caught.value.detail["reason"] == "login_refused"
    assert not find_leaks(repr(caught.value) + str(caught.value.detail))
    assert fake.log == []
