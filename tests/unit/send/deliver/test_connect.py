"""From a hop to a line that is ready: which server, how encrypted, signed in or not."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from fakes.behaviour import Action, Behaviour
from fakes.certs import Authority, Kind
from fakes.smtp import FakeSmtpServer
from posthouse.flow import Failure, NetworkFailure, Secret, Security, Stage, Status, Trace
from posthouse.net import smtp_open
from posthouse.net.resolver import FixtureResolver
from posthouse.net.smtp_open import Refused
from posthouse.protocol.dns import AnswerStatus
from posthouse.protocol.smtp import command as c
from posthouse.send.deliver import connect as module
from posthouse.send.deliver.connect import Connect, Line
from posthouse.send.deliver.encrypt import policy_of
from posthouse.send.deliver.places import Ourselves, Place
from posthouse.send.hop import Hop, Target, TlsPolicy

PASSWORD = Secret("tr0ub4dor-canary")
ZONE = {
    ("mail.test", "A"): ["127.0.0.1"],
    ("mail.test", "AAAA"): [],
    ("second.test", "A"): ["127.0.0.1"],
    ("both.test", "A"): ["127.0.0.1"],
    ("both.test", "AAAA"): ["::2"],
    ("e.example", "MX"): ["10 mail.test."],
    ("implied.example", "A"): ["127.0.0.1"],
    ("mute.example", "TXT"): ["x"],
    ("gone.example", "MX"): ["10 nowhere.test."],
}
CLOSED = "521 mail.test does not accept mail"
HERE = Ourselves(loopback=False)


def connector(mx_port: int = 1, **more: Any) -> Connect:
    loop = asyncio.get_running_loop()
    options = {"us": HERE, "now": loop.time} | more
    zone = options.pop("zone", ZONE)
    return Connect(
        FixtureResolver(zone),
        ehlo="relay.d.example",
        rng=random.Random(1),
        mx_port=mx_port,
        **options,
    )


def hop(*ports: int, host: str = "mail.test", **more: Any) -> Hop:
    targets = tuple(Target(host, port, priority=n) for n, port in enumerate(ports))
    return Hop("x", targets, **more)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certs"))


async def closed_port() -> int:
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def carries(line: Line) -> None:
    async with asyncio.timeout(5):
        message = b"Subject: x\r\n\r\nhi\r\n"
        done = await line.carry(c.Mail("a@d.example"), [c.Rcpt("bob@e.example")], message)
    assert {reply.code for _, reply in done.replies.values()} == {250}


# Encryption

VERIFIED, REQUIRED = TlsPolicy.VERIFIED, TlsPolicy.REQUIRED
OPPORTUNISTIC, NONE = TlsPolicy.OPPORTUNISTIC, TlsPolicy.NONE


@pytest.mark.parametrize(
    ("policy", "kind", "offered", "expected"),
    [
        (VERIFIED, Kind.GOOD, True, True),
        (VERIFIED, Kind.SELF_SIGNED, True, Failure.CERTIFICATE),
        (VERIFIED, Kind.WRONG_NAME, True, Failure.CERTIFICATE),
        (VERIFIED, Kind.EXPIRED, True, Failure.CERTIFICATE),
        (VERIFIED, Kind.GOOD, False, Failure.TLS_NOT_OFFERED),
        (REQUIRED, Kind.SELF_SIGNED, True, True),
        (REQUIRED, Kind.GOOD, False, Failure.TLS_NOT_OFFERED),
        (OPPORTUNISTIC, Kind.EXPIRED, True, True),
        (OPPORTUNISTIC, Kind.GOOD, False, False),
        (NONE, Kind.GOOD, True, False),
    ],
)
async def test_starttls(
    authority: Authority, policy: TlsPolicy, kind: Kind, offered: bool, expected: bool | Failure
) -> None:
    keyword = "STARTTLS" if offered else ""
    behaviour = Behaviour(tls=authority.context(kind), starttls_keyword=keyword)
    async with FakeSmtpServer(behaviour) as server:
        to = hop(server.port, tls=policy, ca_file=str(authority.ca_file))
        if isinstance(expected, Failure):
            with pytest.raises(NetworkFailure) as failed:
                await connector()(to)
            assert (failed.value.failure, failed.value.stage) == (expected, Stage.TLS)
            assert not server.messages
        else:
            line = await connector()(to)
            assert (line.tls is not None) is expected
            await carries(line)
            line.quit()


@pytest.mark.parametrize(
    ("policy", "kind", "good"),
    [
        (VERIFIED, Kind.GOOD, True),
        (VERIFIED, Kind.UNKNOWN_CA, False),
        (REQUIRED, Kind.UNKNOWN_CA, True),
        (OPPORTUNISTIC, Kind.UNKNOWN_CA, True),
    ],
)
async def test_implicit_tls(
    authority: Authority, policy: TlsPolicy, kind: Kind, good: bool
) -> None:
    behaviour = Behaviour(tls=authority.context(kind), implicit_tls=True)
    async with FakeSmtpServer(behaviour) as server:
        ca_file = str(authority.ca_file)
        to = hop(server.port, security=Security.TLS, tls=policy, ca_file=ca_file)
        if not good:
            with pytest.raises(NetworkFailure) as failed:
                await connector()(to)
            assert failed.value.failure is Failure.CERTIFICATE
            return
        line = await connector()(to)
        assert line.tls is not None
        await carries(line)
        line.quit()


@pytest.mark.parametrize(
    ("kind", "trusted"), [(Kind.GOOD, "intermediate.pem"), (Kind.PLAIN_CA, "plain.pem")]
)
async def test_who_is_named_in_the_ca_file_is_trusted(
    authority: Authority, kind: Kind, trusted: str
) -> None:
    async with FakeSmtpServer(Behaviour(tls=authority.context(kind))) as server:
        ca_file = str(authority.ca_file.with_name(trusted))
        line = await connector()(hop(server.port, tls=VERIFIED, ca_file=ca_file))
        assert line.tls is not None
        line.quit()


@pytest.mark.parametrize(
    "broken", [{"starttls": "454 4.7.0 TLS not available"}, {"starttls_then": b"garbage\r\n"}]
)
async def test_opportunistic_goes_on_in_the_clear_on_a_fresh_connection(
    authority: Authority, broken: dict[str, Any]
) -> None:
    async with FakeSmtpServer(Behaviour(tls=authority.context(), **broken)) as server:
        line = await connector()(hop(server.port, tls=OPPORTUNISTIC))
        assert line.tls is None
        await carries(line)
        line.quit()
        assert [seen.messages != [] for seen in server.seen] == [False, True]
        with pytest.raises((NetworkFailure, Refused)):
            await connector()(hop(server.port, tls=REQUIRED))
        assert len(server.messages) == 1


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
@pytest.mark.parametrize(
    ("ends", "kind"),
    [("silent", Failure.SILENT), ("closes", Failure.RESET), ("resets", Failure.RESET)],
)
def test_a_handshake_that_comes_to_nothing_is_trouble_with_tls(
    monkeypatch: pytest.MonkeyPatch,
    factory: Callable[[], asyncio.AbstractEventLoop],
    security: Security,
    ends: str,
    kind: Failure,
) -> None:
    monkeypatch.setattr(smtp_open, "HANDSHAKE", 0.3)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if security is Security.STARTTLS:
            for said in (b"220 hi\r\n", b"250-hi\r\n250 STARTTLS\r\n", b"220 go on\r\n"):
                writer.write(said)
                await reader.read(100)
        else:
            await reader.read(100)
        if ends == "silent":
            await reader.read()  # until the other side has had enough
        elif ends == "resets":
            writer.transport.abort()
        writer.close()

    async def run() -> NetworkFailure:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(NetworkFailure) as failed:
                await connector()(hop(port, security=security, tls=VERIFIED))
        return failed.value

    with asyncio.Runner(loop_factory=factory) as runner:
        failed = runner.run(run())
    assert (failed.failure, failed.stage) == (kind, Stage.TLS)


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
def test_who_broke_off_is_named_still(
    authority: Authority,
    factory: Callable[[], asyncio.AbstractEventLoop],
    security: Security,
) -> None:
    implicit = security is Security.TLS
    behaviour = Behaviour(
        tls=authority.context(), implicit_tls=implicit, replies=(("DATA", Action.RESET),)
    )

    async def run() -> str:
        async with FakeSmtpServer(behaviour) as server:
            to = hop(server.port, security=security, ca_file=str(authority.ca_file))
            line = await connector()(to)
            async with asyncio.timeout(5):
                done = await line.carry(c.Mail("a@d.example"), [c.Rcpt("b@e.example")], b"x\r\n")
            assert done.failure is not None
            line.quit()
            line.abort(done.failure)
            await asyncio.sleep(0.05)
        return line.name

    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(run()) == "mail.test [127.0.0.1]"


async def test_starttls_erased_on_the_way(authority: Authority) -> None:
    behaviour = Behaviour(tls=authority.context(), starttls_keyword="XXXXXXXA")
    async with FakeSmtpServer(behaviour) as server:
        with pytest.raises(NetworkFailure) as failed:
            await connector()(hop(server.port, tls=VERIFIED))
    assert failed.value.failure is Failure.TLS_STRIPPED


async def test_a_ca_file_that_is_not_there(authority: Authority, tmp_path: Path) -> None:
    async with FakeSmtpServer(Behaviour(tls=authority.context())) as server:
        with pytest.raises(NetworkFailure) as failed:
            await connector()(hop(server.port, tls=VERIFIED, ca_file=str(tmp_path / "no.pem")))
    assert failed.value.detail["reason"] == "ca_file"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("implicit", [False, True])
def test_sessions_are_resumed_and_only_where_they_were_verified(
    authority: Authority,
    version: ssl.TLSVersion,
    factory: Callable[[], asyncio.AbstractEventLoop],
    implicit: bool,
) -> None:
    async def run() -> list[bool]:
        context = authority.context(versions=(version, version))
        security = Security.TLS if implicit else Security.STARTTLS
        reused = []
        async with FakeSmtpServer(Behaviour(tls=context, implicit_tls=implicit)) as server:
            connect = connector()
            ca_file = str(authority.ca_file)
            to = hop(server.port, tls=VERIFIED, ca_file=ca_file, security=security)
            loose = hop(server.port, tls=REQUIRED, security=security)
            for each in (to, to, to, loose, loose, to):
                line = await connect(each)
                reused.append(line.tls.session_reused)
                await carries(line)
                line.quit()
        return reused

    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(run()) == [False, True, True, False, True, True]


async def test_a_certificate_is_looked_at_again_each_hour(authority: Authority) -> None:
    loop, passed = asyncio.get_running_loop(), [0.0]
    async with FakeSmtpServer(Behaviour(tls=authority.context())) as server:
        connect = connector(now=lambda: loop.time() + passed[0])
        to = hop(server.port, tls=VERIFIED, ca_file=str(authority.ca_file))
        reused = []
        for seconds in (0.0, 3_500.0, 3_700.0, 3_800.0):
            passed[0] = seconds
            line = await connect(to)
            reused.append(line.tls.session_reused)
            line.quit()
    assert reused == [False, True, False, True]


# Signing in


@pytest.mark.parametrize(
    ("mechanisms", "used"),
    [
        (("PLAIN", "LOGIN"), "PLAIN"),
        (("LOGIN",), "LOGIN"),
        (("CRAM-MD5", "LOGIN", "PLAIN"), "PLAIN"),
        (("SCRAM-SHA-256", "PLAIN"), "SCRAM-SHA-256"),
    ],
)
async def test_login(authority: Authority, mechanisms: tuple[str, ...], used: str) -> None:
    accounts = {"app": PASSWORD.reveal()}
    behaviour = Behaviour(tls=authority.context(), mechanisms=mechanisms, accounts=accounts)
    async with FakeSmtpServer(behaviour) as server:
        to = hop(server.port, ca_file=str(authority.ca_file), user="app", secret=PASSWORD)
        line = await connector()(to)
        await carries(line)
        line.quit()
        assert server.last.mechanisms == [used]
        assert (server.last.username, server.last.auth_in_clear) == ("app", False)


async def test_a_wrong_password_is_tried_once_and_nowhere_else(authority: Authority) -> None:
    behaviour = Behaviour(tls=authority.context(), accounts={"app": "another"})
    async with FakeSmtpServer(behaviour) as one, FakeSmtpServer(behaviour) as two:
        ca_file = str(authority.ca_file)
        to = hop(one.port, two.port, ca_file=ca_file, user="app", secret=PASSWORD)
        with pytest.raises(Refused) as refused:
            await connector()(to)
        assert (refused.value.stage, refused.value.reply.code) == (Stage.AUTH, 535)
        assert len(one.last.mechanisms) == 1
        assert two.seen == []


@pytest.mark.parametrize(
    "ill",
    ["454 4.7.0 Temporary authentication failure", "421 4.3.0 Too many", Action.CLOSE],
)
async def test_a_server_that_cannot_judge_a_login_is_left_for_another(
    authority: Authority, ill: str | Action
) -> None:
    context = authority.context()
    async with (
        FakeSmtpServer(Behaviour(tls=context, auth_reply=ill)) as one,
        FakeSmtpServer(Behaviour(tls=context)) as two,
    ):
        ca_file = str(authority.ca_file)
        to = hop(one.port, two.port, ca_file=ca_file, user="app", secret=PASSWORD)
        connect = connector()
        for _ in range(2):
            line = await connect(to)
            assert line.place.port == two.port
            line.quit()
        assert len(one.seen) == 1  # and remembered


@pytest.mark.parametrize("kind", [Kind.SELF_SIGNED, Kind.WRONG_NAME, Kind.EXPIRED])
@pytest.mark.parametrize("policy", [OPPORTUNISTIC, REQUIRED, VERIFIED])
async def test_no_password_to_who_is_not_verified(
    authority: Authority, policy: TlsPolicy, kind: Kind
) -> None:
    async with FakeSmtpServer(Behaviour(tls=authority.context(kind))) as server:
        ca_file = str(authority.ca_file)
        to = hop(server.port, tls=policy, ca_file=ca_file, user="app", secret=PASSWORD)
        with pytest.raises(NetworkFailure) as failed:
            await connector()(to)
        assert failed.value.failure is Failure.CERTIFICATE
        assert all(seen.credentials == [] for seen in server.seen)


@pytest.mark.parametrize(
    "more", [{"tls": NONE}, {"security": Security.NONE}, {"tls": NONE, "security": Security.TLS}]
)
async def test_a_hop_that_would_show_its_password_is_not_even_called(more: dict[str, Any]) -> None:
    async with FakeSmtpServer() as server:
        with pytest.raises(Refused) as refused:
            await connector()(hop(server.port, user="app", secret=PASSWORD, **more))
        assert refused.value.stage is Stage.AUTH
        assert 'tls = "verified"' in refused.value.reply.text
        assert PASSWORD.reveal() not in str(refused.value)
        assert server.seen == []


async def test_no_password_to_a_server_that_the_recipient_names(authority: Authority) -> None:
    async with FakeSmtpServer(Behaviour(tls=authority.context())) as server:
        to = Hop("direct", ca_file=str(authority.ca_file), user="app", secret=PASSWORD)
        with pytest.raises(Refused) as refused:
            await connector(server.port)(to, "e.example")
        assert refused.value.stage is Stage.AUTH
        assert server.seen == []


@pytest.mark.parametrize(
    ("mechanisms", "failure"),
    [((), Failure.AUTH_NOT_OFFERED), (("GSSAPI", "NTLM"), Failure.NO_COMMON_MECHANISM)],
)
async def test_nothing_to_sign_in_with(
    authority: Authority, mechanisms: tuple[str, ...], failure: Failure
) -> None:
    ehlo = "250-mail.test\n250 AUTH " + " ".join(mechanisms) if mechanisms else "250 mail.test"
    behaviour = Behaviour(tls=authority.context(), ehlo_tls=ehlo)
    async with FakeSmtpServer(behaviour) as server:
        to = hop(server.port, ca_file=str(authority.ca_file), user="app", secret=PASSWORD)
        with pytest.raises(NetworkFailure) as failed:
            await connector()(to)
    assert (failed.value.failure, failed.value.stage) == (failure, Stage.AUTH)


def test_a_login_makes_every_policy_verified() -> None:
    for policy in (OPPORTUNISTIC, REQUIRED, VERIFIED):
        assert policy_of(hop(25, tls=policy, user="app", secret=PASSWORD)) is VERIFIED
        assert policy_of(hop(25, tls=policy)) is policy


# Failover


@pytest.mark.parametrize(
    "first",
    [
        Behaviour(first="554 5.3.2 No service"),
        Behaviour(first="421 4.3.2 Too busy"),
        Behaviour(first="521 mail.test does not accept mail"),
        Behaviour(ehlo="521 5.3.2 mail.test does not accept mail"),
        Behaviour(reset=True),
        Behaviour(after_first=Action.CLOSE),
        Behaviour(ehlo="550 5.7.1 Go away", helo="550 5.7.1 Go away"),
        Behaviour(first="HTTP/1.1 400 Bad Request"),
    ],
)
async def test_the_next_server_is_tried(first: Behaviour) -> None:
    async with FakeSmtpServer(first) as bad, FakeSmtpServer() as good:
        connect = connector()
        line = await connect(hop(bad.port, good.port))
        assert line.place.port == good.port
        await carries(line)
        line.quit()
        again = await connect(hop(bad.port, good.port))
        assert again.place.port == good.port
        assert len(bad.seen) == 1  # who failed a moment ago is not asked first
        again.quit()


@pytest.mark.parametrize("code", [500, 501, 502, 503, 504, 550, 554])
async def test_helo_is_said_where_ehlo_is_not_taken(code: int) -> None:
    async with FakeSmtpServer(Behaviour(ehlo=f"{code} 5.5.1 Not that")) as server:
        line = await connector()(hop(server.port, tls=OPPORTUNISTIC))
        assert line.extensions == {}
        await carries(line)
        line.quit()


async def test_helo_is_said_within_tls_too(authority: Authority) -> None:
    behaviour = Behaviour(tls=authority.context(), ehlo_tls="554 5.5.1 Not that")
    async with FakeSmtpServer(behaviour) as server:
        line = await connector()(hop(server.port, ca_file=str(authority.ca_file), tls=VERIFIED))
        assert line.tls is not None
        await carries(line)
        line.quit()


@pytest.mark.parametrize("said", ["421 4.3.2 Later", "450 4.3.2 Later", CLOSED])
async def test_helo_is_no_way_round_an_answer(said: str) -> None:
    async with FakeSmtpServer(Behaviour(ehlo=said)) as server:
        with pytest.raises((Refused, NetworkFailure)):
            await connector()(hop(server.port, tls=OPPORTUNISTIC))
        assert not any(line.startswith("HELO") for line in server.last.lines)


@pytest.mark.parametrize("code", [500, 502, 550, 554])
@pytest.mark.parametrize("needs", ["required", "verified", "login"])
async def test_helo_is_no_way_round_tls_or_a_login(
    authority: Authority, code: int, needs: str
) -> None:
    """Whoever refuses EHLO on the way gets neither the mail nor the password."""
    said = f"{code} 5.5.1 Not that"
    inside = needs == "login"
    behaviour = Behaviour(
        tls=authority.context(), **({"ehlo_tls": said} if inside else {"ehlo": said})
    )
    more: dict[str, Any] = (
        {"user": "app", "secret": PASSWORD} if inside else {"tls": TlsPolicy(needs)}
    )
    async with FakeSmtpServer(behaviour) as server:
        to = hop(server.port, ca_file=str(authority.ca_file), **more)
        with pytest.raises(Refused) as refused:
            await connector()(to)
        assert (refused.value.stage, refused.value.reply.code) == (Stage.EHLO, code)
        assert not any(line.startswith(("HELO", "AUTH", "MAIL")) for line in server.last.lines)


async def test_who_hangs_up_at_helo_has_said_why_before() -> None:
    behaviour = Behaviour(ehlo="554 5.7.1 Your name is not good", helo=Action.CLOSE)
    async with FakeSmtpServer(behaviour) as server:
        with pytest.raises(Refused) as refused:
            await connector()(hop(server.port, tls=OPPORTUNISTIC))
        assert refused.value.reply.code == 554


@pytest.mark.parametrize(
    "silent",
    [
        {"first": Action.SILENT},
        {"ehlo": Action.SILENT},
        {"starttls": Action.SILENT},
        {"auth_reply": Action.SILENT},
    ],
)
async def test_a_silent_server_is_left_in_time(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, silent: dict[str, Any]
) -> None:
    for name in ("EACH", "LOGIN"):
        monkeypatch.setattr(module, name, 0.5)
    context = authority.context()
    async with (
        FakeSmtpServer(Behaviour(tls=context, **silent)) as mute,
        FakeSmtpServer(Behaviour(tls=context)) as good,
    ):
        to = hop(
            *(mute.port, await closed_port(), good.port),
            ca_file=str(authority.ca_file),
            user="app",
            secret=PASSWORD,
        )
        async with asyncio.timeout(5):
            line = await connector()(to)
        assert line.place.port == good.port
        line.quit()


async def test_who_answers_slowly_is_waited_for_where_nobody_else_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "EACH", 0.1)
    async with FakeSmtpServer(Behaviour(delay=0.4)) as slow:
        line = await connector()(hop(await closed_port(), slow.port))
        assert line.place.port == slow.port
        line.quit()


async def test_who_breaks_behind_ehlo_is_left_alone_for_longer_each_time() -> None:
    loop, passed = asyncio.get_running_loop(), [0.0]
    async with FakeSmtpServer() as one, FakeSmtpServer() as two:
        connect = connector(now=lambda: loop.time() + passed[0])
        to = hop(one.port, two.port)
        first: list[bool] = []
        for seconds in (0, 50, 70, 300, 320, 1_270, 1_290):
            passed[0] = float(seconds)
            line = await connect(to)
            first.append(line.place.port == one.port)
            if first[-1]:
                for _ in range(50):  # connections that break together
                    line.went(well=False)  # for 60, 240, 960 seconds
            line.quit()
        assert first == [True, False, True, False, True, False, True]
        line.went(well=True)
        again = await connect(to)
        assert again.place.port == one.port
        again.quit()


async def test_where_all_are_sore_the_one_that_failed_last_comes_last() -> None:
    async with FakeSmtpServer() as one, FakeSmtpServer() as two:
        connect = connector()
        asked = []
        for _ in range(4):
            line = await connect(hop(one.port, two.port))
            asked.append(line.place.port)
            line.went(well=False)
            line.quit()
    assert asked[:3] == [one.port, two.port, one.port]


async def test_whom_we_will_not_have_is_told_that_we_go(authority: Authority) -> None:
    """RFC 5321 section 4.1.1.10."""
    for behaviour, tls in (
        (Behaviour(first="554 5.3.2 No service"), OPPORTUNISTIC),
        (Behaviour(starttls_keyword=""), VERIFIED),
        (Behaviour(tls=authority.context(), starttls="454 4.7.0 Not now"), VERIFIED),
    ):
        async with FakeSmtpServer(behaviour) as server:
            with pytest.raises((Refused, NetworkFailure)):
                await connector()(hop(server.port, tls=tls))
            async with asyncio.timeout(5):
                while server.last.lines[-1:] != ["QUIT"]:
                    await asyncio.sleep(0.01)


async def test_who_takes_the_place_of_another_is_told_once(authority: Authority) -> None:
    """The mail goes, so nobody would hear of it before the second one fails, too."""
    news: list[tuple[str, int, str, int]] = []

    def passed_over(to: Hop, place: Place, error: Exception, instead: Line) -> None:
        news.append((to.name, place.port, str(error), instead.place.port))

    context = authority.context()
    ended = FakeSmtpServer(Behaviour(tls=authority.context(Kind.EXPIRED)))
    async with ended, FakeSmtpServer(Behaviour(tls=context)) as good:
        connect = connector(passed_over=passed_over)
        to = hop(ended.port, good.port, tls=VERIFIED, ca_file=str(authority.ca_file))
        lines = await asyncio.gather(*[connect(to) for _ in range(3)])
        lines.append(await connect(to))
        for line in lines:
            line.quit()
        assert [(name, port, instead) for name, port, _, instead in news] == [
            ("x", ended.port, good.port)
        ]
        assert "certificate" in news[0][2]
        with pytest.raises(NetworkFailure):  # that is told by the mail that waits
            await connector(passed_over=passed_over)(
                hop(ended.port, tls=VERIFIED, ca_file=to.ca_file)
            )
        assert len(news) == 1


async def test_the_most_telling_error_of_all() -> None:
    async with FakeSmtpServer(Behaviour(first="554 5.3.2 No service")) as bad:
        with pytest.raises(Refused) as refused:
            await connector()(hop(await closed_port(), bad.port))
        assert refused.value.stage is Stage.GREETING
    with pytest.raises(NetworkFailure) as failed:
        await connector()(hop(await closed_port(), await closed_port()))
    assert failed.value.failure is Failure.REFUSED
    assert len(failed.value.detail["tried"]) == 2


async def test_an_address_that_is_dead_costs_no_server() -> None:
    async with FakeSmtpServer() as server:
        line = await connector()(hop(server.port, host="both.test"))
        assert line.peer == "127.0.0.1"
        line.quit()


async def test_who_answers_with_nonsense_is_named() -> None:
    async with FakeSmtpServer(Behaviour(ehlo=b"HTTP/1.1 400 Bad Request\r\n")) as server:
        with pytest.raises(NetworkFailure) as failed:
            await connector()(hop(server.port))
    assert failed.value.failure is Failure.BAD_REPLY
    assert failed.value.detail["host"] == "mail.test"


async def test_a_source_that_is_no_address_of_ours_is_told() -> None:
    with pytest.raises(NetworkFailure) as failed:
        await connector()(hop(25, source="192.0.2.200"))
    assert "requested address" in failed.value.detail["reason"].lower()


async def test_what_is_told_of_a_host_is_not_that_we_have_no_ipv6() -> None:
    with pytest.raises(NetworkFailure) as failed:
        await connector()(hop(await closed_port(), host="both.test"))
    assert failed.value.failure is Failure.REFUSED


TWO_FAMILIES = {("mail.test", "AAAA"): ["::1"], ("mail.test", "A"): ["127.0.0.1"]}


@pytest.mark.parametrize(
    "six",
    [
        Behaviour(first="554 5.7.1 Your IPv6 address has no name"),
        Behaviour(first="421 4.3.2 Not from there"),
        Behaviour(ehlo="550 Go away", helo="550 Go away"),
        Behaviour(after_first=Action.RESET),
    ],
)
async def test_who_will_not_have_us_at_one_address_is_asked_at_the_other(six: Behaviour) -> None:
    """RFC 5321 section 5.1: each address, until one succeeds."""
    async with (
        FakeSmtpServer() as four,
        FakeSmtpServer(six, host="::1", port=four.port) as refusing,
    ):
        connect = connector(zone=TWO_FAMILIES)
        for _ in range(2):
            line = await connect(hop(four.port, host="mail.test"))
            assert line.peer == "127.0.0.1"
            await carries(line)
            line.quit()
        assert len(refusing.seen) == 1  # and then left alone for a while


async def test_an_address_where_mail_breaks_is_left_for_the_others() -> None:
    """The way of one family may carry a greeting and no message (RFC 8201 section 1)."""
    async with FakeSmtpServer() as four, FakeSmtpServer(host="::1", port=four.port):
        connect, met = connector(zone=TWO_FAMILIES), []
        for well in (False, True, True):
            line = await connect(hop(four.port, host="mail.test"))
            met.append(line.peer)
            line.went(well=well)
            line.quit()
        assert met == ["::1", "127.0.0.1", "127.0.0.1"]


async def test_an_address_with_a_bad_certificate_is_left_for_the_others(
    authority: Authority,
) -> None:
    expired = Behaviour(tls=authority.context(Kind.EXPIRED))
    good = Behaviour(tls=authority.context())
    async with FakeSmtpServer(good) as four, FakeSmtpServer(expired, host="::1", port=four.port):
        connect = connector(zone=TWO_FAMILIES)
        to = hop(four.port, host="mail.test", tls=VERIFIED, ca_file=str(authority.ca_file))
        with pytest.raises(NetworkFailure):
            await connect(to)
        line = await connect(to)
        assert line.peer == "127.0.0.1"
        line.quit()


async def test_lmtp() -> None:
    async with FakeSmtpServer(Behaviour(lmtp=True)) as server:
        line = await connector()(hop(server.port, lmtp=True, tls=NONE))
        await carries(line)
        line.quit()
        assert server.last.hello[0].startswith("LHLO") or server.last.lines[0].startswith("LHLO")


# Direct


async def test_direct_delivery_by_mx_and_without() -> None:
    async with FakeSmtpServer() as server:
        connect = connector(server.port)
        for domain, host in (("e.example", "mail.test"), ("implied.example", "implied.example")):
            line = await connect(Hop("direct"), domain)
            assert line.place.host == host
            assert line.name == f"{host} [127.0.0.1]"
            await carries(line)
            line.quit()


@pytest.mark.parametrize(
    ("domain", "code"),
    [("mute.example", 550), ("nowhere.example", 550)],
)
async def test_domains_without_mail(domain: str, code: int) -> None:
    with pytest.raises(Refused) as refused:
        await connector()(Hop("direct"), domain)
    assert (refused.value.stage, refused.value.reply.code) == (Stage.DNS, code)


TWO = {
    ("two.example", "MX"): ["10 one.test.", "20 two.test."],
    ("one.test", "A"): ["127.0.0.51"],
    ("two.test", "A"): ["127.0.0.52"],
}


@pytest.mark.parametrize("at", ["first", "ehlo"])
async def test_a_domain_whose_servers_take_no_mail_has_none(at: str) -> None:
    """RFC 7504: 521 of each of them is for good."""
    behaviour = Behaviour(**{at: CLOSED})
    async with (
        FakeSmtpServer(behaviour, host="127.0.0.51") as one,
        FakeSmtpServer(behaviour, host="127.0.0.52", port=one.port),
    ):
        with pytest.raises(Refused) as refused:
            await connector(one.port, zone=TWO)(Hop("direct"), "two.example")
    told = refused.value
    assert (told.stage, told.reply.code, told.heard) == (Stage.DNS, 556, False)
    assert str(told.reply.enhanced) == "5.3.2"
    assert "one.test says 521" in told.reply.text


@pytest.mark.parametrize("other", [None, "421 4.3.2 Not now", "554 5.7.1 Blocked"])
async def test_who_takes_no_mail_does_not_speak_for_others(other: str | None) -> None:
    async with FakeSmtpServer(Behaviour(first=CLOSED), host="127.0.0.51") as one:
        connect = connector(one.port, zone=TWO)
        if other is None:
            with pytest.raises(NetworkFailure) as failed:
                await connect(Hop("direct"), "two.example")
            assert [said["host"] for said in failed.value.detail["tried"]] == [
                "one.test",
                "two.test",
            ]
            return
        async with FakeSmtpServer(Behaviour(first=other), host="127.0.0.52", port=one.port):
            with pytest.raises(Refused) as refused:
                await connect(Hop("direct"), "two.example")
            assert (refused.value.stage, refused.value.host) == (Stage.GREETING, "two.test")


@pytest.mark.parametrize(
    "said",
    [
        "521 5.7.1 Service unavailable; client [192.0.2.1] blocked using zen.spamhaus.org",
        "521 5.7.1 You may not",
        "521 5.5.1 Protocol error",
        "521 5.3.2 Service currently unavailable",
        "554 5.3.2 No SMTP service here",
    ],
)
async def test_a_greeting_that_is_about_us_passes(said: str) -> None:
    """What postscreen says to clients that it does not like, and block lists."""
    async with FakeSmtpServer(Behaviour(first=said)) as server:
        with pytest.raises(Refused) as refused:
            await connector(server.port)(Hop("direct"), "e.example")
    assert refused.value.stage is Stage.GREETING


async def test_our_own_smart_host_that_takes_no_mail_is_waited_for() -> None:
    async with FakeSmtpServer(Behaviour(first=CLOSED)) as server:
        with pytest.raises(Refused) as refused:
            await connector()(hop(server.port))
    assert (refused.value.stage, refused.value.reply.code) == (Stage.GREETING, 521)


async def test_an_exchanger_that_is_not_there_may_come_back() -> None:
    with pytest.raises(NetworkFailure) as failed:
        await connector()(Hop("direct"), "gone.example")
    assert failed.value.failure is Failure.NAME_NOT_FOUND
    assert failed.value.detail["direct"] is True


async def test_dns_down_is_no_answer() -> None:
    zone = {("e.example", "MX"): ["10 mail.test."], ("mail.test", "A"): AnswerStatus.SERVFAIL}
    with pytest.raises(NetworkFailure) as failed:
        await connector(zone=zone)(Hop("direct"), "e.example")
    assert failed.value.failure is Failure.DNS_FAILED


async def test_an_exchanger_at_our_own_address_is_a_loop() -> None:
    async with FakeSmtpServer() as server:
        with pytest.raises(Refused) as refused:
            await connector(server.port, us=Ourselves())(Hop("direct"), "e.example")
        assert str(refused.value.reply.enhanced) == "5.4.6"
        assert server.seen == []


async def test_of_an_exchangers_addresses_only_a_servers_is_tried() -> None:
    """169.254.169.254 is where clouds tell a machine its secrets."""
    zone = {("e.example", "A"): ["169.254.169.254", "127.0.0.1"]}
    tried: list[str] = []

    def watch(_: Hop, __: Place, trace: Trace) -> None:
        tried.extend(str(step.detail["address"]) for step in trace.steps if step.name == "connect")

    async with FakeSmtpServer() as server:
        connect = connector(server.port, us=HERE, zone=zone, watch=watch)
        line = await connect(Hop("direct"), "e.example")
        line.quit()
    assert tried == ["127.0.0.1"]


async def test_a_spare_exchanger_that_is_us_does_not_end_the_wait_for_the_first() -> None:
    zone = {
        ("bk.example", "MX"): ["10 dead.test.", "20 us.test.", "30 mail.test."],
        ("dead.test", "A"): ["127.0.0.3"],
        ("us.test", "A"): ["127.0.0.9"],
        ("mail.test", "A"): ["127.0.0.1"],
    }
    us = Ourselves(addresses=frozenset({"127.0.0.9"}), loopback=False)
    async with FakeSmtpServer() as worse:
        with pytest.raises(NetworkFailure) as failed:
            await connector(worse.port, us=us, zone=zone)(Hop("direct"), "bk.example")
        assert failed.value.failure is Failure.REFUSED
        assert failed.value.detail["host"] == "dead.test"
        assert worse.seen == []


# What is told


async def test_every_server_tried_is_told_step_by_step(authority: Authority) -> None:
    told: list[tuple[str, int, Trace]] = []

    def watch(_: Hop, place: Place, trace: Trace) -> None:
        told.append((place.host, place.port, trace))

    behaviour = Behaviour(tls=authority.context(), accounts={"app": PASSWORD.reveal()})
    async with FakeSmtpServer(behaviour) as server:
        dead = await closed_port()
        ca_file = str(authority.ca_file)
        to = hop(dead, server.port, ca_file=ca_file, user="app", secret=PASSWORD)
        line = await connector(watch=watch)(to)
        line.quit()
    assert [port for _, port, _ in told] == [dead, server.port]
    steps = [[(step.name, step.status) for step in trace.steps] for _, _, trace in told]
    assert steps == [
        [("resolve", Status.OK), ("connect", Status.FAIL)],
        [(name, Status.OK) for name in ("resolve", "connect", "ehlo", "tls", "auth")],
    ]
    assert all(PASSWORD.reveal() not in repr(trace.steps) for _, _, trace in told)


async def test_no_connection_is_left_open_by_a_failure(authority: Authority) -> None:
    async with FakeSmtpServer(Behaviour(tls=authority.context(Kind.SELF_SIGNED))) as server:
        with pytest.raises(NetworkFailure):
            await connector()(hop(server.port, tls=VERIFIED))
        async with asyncio.timeout(5):
            while any(not task.done() for task in server._tasks):
                await asyncio.sleep(0.01)
