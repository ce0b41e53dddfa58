"""STARTTLS injection (CVE-2011-0411 and its kin) with a man in the middle and real peers.

The man in the middle passes everything on, and adds octets of his own in clear: behind the client's
STARTTLS, or behind the server's 220 to it. Both must vanish, be counted, and change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from canaries import PASSWORD
from fakes.background import running as in_background
from fakes.behaviour import Behaviour
from fakes.certs import Authority
from fakes.letter import hard, unchanged
from fakes.middle import Middle
from fakes.smtp import FakeSmtpServer
from peers import dovecot, exim, msmtp, opensmtpd, postfix, process, swaks
from posthouse.flow import Endpoint, Secret, Security, Status
from posthouse.net.clock import SystemClock
from posthouse.net.dial import NetDialer
from posthouse.net.resolver import FixtureResolver
from posthouse.net.smtp import SmtpClient
from posthouse.net.smtp_wire import Timeouts
from posthouse.net.stream import TcpStream
from posthouse.net.tls import TlsOptions
from posthouse.protocol.smtp import auth_mechanisms
from posthouse.setup.probe import Login, Net, Options, probe

pytestmark = pytest.mark.netns

MIDDLE, FAR, DOVECOT = "127.0.0.50", "127.0.0.51", "127.0.0.20"
ALICE, BOB = "alice@example.test", "bob@example.test"
USERS = {ALICE: PASSWORD, BOB: PASSWORD}
LIES = b"250-mail.test\r\n250 AUTH EXTERNAL\r\n235 2.7.0 welcome\r\n"
COMMANDS = b"EHLO evil.test\r\nMAIL FROM:<evil@example.test>\r\nRCPT TO:<victim@example.test>\r\n"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(process.new_folder("ca"))


@pytest.fixture(
    params=[
        pytest.param("postfix", marks=pytest.mark.peer("postfix", "dovecot")),
        pytest.param("exim", marks=pytest.mark.peer("exim")),
        pytest.param("opensmtpd", marks=pytest.mark.peer("opensmtpd")),
    ]
)
def server(request: pytest.FixtureRequest, authority: Authority) -> Iterator[str]:
    """A real server at FAR."""
    certificate = authority.issue(hosts=("mail.test", MIDDLE, FAR, DOVECOT))
    if request.param == "postfix":
        with (
            dovecot.running(DOVECOT, USERS, certificate) as boxes,
            postfix.running(FAR, certificate, domains=["example.test"], lmtp=boxes),
        ):
            yield request.param
    elif request.param == "exim":
        with exim.running(FAR, USERS, certificate):
            yield request.param
    else:
        with opensmtpd.running(FAR, USERS, certificate):
            yield request.param


async def test_lies_before_the_handshake_do_not_reach_our_client(
    server: str, authority: Authority
) -> None:
    patience = Timeouts(greeting=20, command=20, data=20, block=20, end=20)
    async with Middle(MIDDLE, FAR, behind_220=LIES):
        client = SmtpClient(await TcpStream.connect(MIDDLE, 587), timeouts=patience)
        assert (await client.greeting()).code == 220
        assert (await client.ehlo("client.test")).code == 250
        assert (await client.starttls()).code == 220
        session = await client.upgrade(TlsOptions(MIDDLE, ca_file=str(authority.ca_file)))
        assert session.trusted
        assert client.injected == len(LIES)
        assert (await client.ehlo("client.test")).code == 250
        assert "EXTERNAL" not in auth_mechanisms(client.extensions)
        assert (await client.auth("PLAIN", ALICE, Secret(PASSWORD))).reply.code == 235
        assert (await client.mail(ALICE)).code == 250
        assert (await client.quit()).code == 221
        await client.close()


@pytest.mark.peer("exim")
async def test_a_probe_tells_of_the_injection(authority: Authority) -> None:
    clock, resolver = SystemClock(), FixtureResolver({})
    net = Net(resolver, NetDialer(resolver), clock)
    options = Options(ca_file=str(authority.ca_file))
    certificate = authority.issue(hosts=("mail.test", MIDDLE, FAR))
    with exim.running(FAR, USERS, certificate):
        async with Middle(MIDDLE, FAR, behind_220=LIES):
            result = await probe(
                Endpoint(MIDDLE, 587, Security.STARTTLS),
                net,
                login=Login(ALICE, Secret(PASSWORD)),
                options=options,
            )
    (found,) = [f for f in result.findings if f.id == "starttls_injection"]
    assert (found.status, found.params["octets"]) == (Status.FAIL, len(LIES))


@pytest.mark.parametrize(
    "program",
    [
        pytest.param("swaks", marks=pytest.mark.peer("swaks")),
        pytest.param("msmtp", marks=pytest.mark.peer("msmtp")),
    ],
)
def test_commands_before_the_handshake_do_not_reach_our_server(
    authority: Authority, program: str
) -> None:
    sent = hard(f"through the middle by {program}")
    behaviour = Behaviour(
        tls=authority.context(hosts=(MIDDLE, FAR)), mechanisms=("PLAIN",), accounts=USERS
    )
    who = {"sender": ALICE, "recipient": BOB, "user": ALICE, "password": PASSWORD}
    with (
        in_background(FakeSmtpServer(behaviour, host=FAR, port=587)) as ours,
        in_background(Middle(MIDDLE, FAR, behind_starttls=COMMANDS)),
    ):
        if program == "swaks":
            ran = swaks.send(MIDDLE, 587, ca_file=authority.ca_file, **who)
        else:
            ran = msmtp.send(MIDDLE, 587, sent, ca_file=authority.ca_file, **who)
        assert ran.ok, ran.output
        process.wait_until("a message", lambda: ours.messages)
        process.wait_until("the end of the session", lambda: ours.last.injected)
    (message,) = ours.messages
    assert message.mail.sender == ALICE
    assert [r.recipient for r in message.recipients] == [BOB]
    if program == "msmtp":
        assert unchanged(message.content, sent)
    assert ours.last.injected == len(COMMANDS)
    assert not [line for line in ours.last.lines if "evil" in line or "victim" in line]
