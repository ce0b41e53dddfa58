"""Real clients hand mail to ``posthouse serve``: programs, and mail servers that use it as a hop.

Each signs in at 465 and 587 with an app password and a certificate of the tests' authority; servers
of our own network come to 25 without. Behind the relay is our own recording server: the message
must get there unchanged but for our Received field, with the envelope it was handed in with.
"""

from __future__ import annotations

import re
import smtplib
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from canaries import WRONG_PASSWORD
from fakes.background import running as in_background
from fakes.behaviour import Behaviour
from fakes.certs import Authority
from fakes.letter import hard, unchanged
from fakes.smtp import FakeSmtpServer
from peers import exim, haraka, msmtp, nodemailer, opensmtpd, postfix, process, relay, swaks
from posthouse.net.smtp_server import Message
from posthouse.protocol.smtp import stuff

pytestmark = pytest.mark.netns

FAR, OTHER = "127.0.0.30", "127.0.0.15"
ALICE, BOB = "alice@example.test", "bob@elsewhere.test"
PORTS = (relay.SUBMISSIONS, relay.SUBMISSION)


@dataclass
class World:
    """The relay, and what stands behind it."""

    authority: Authority
    relay: relay.Relay
    far: FakeSmtpServer

    @property
    def password(self) -> str:
        return self.relay.passwords[ALICE]

    def arrived(self, sent: bytes | None, protocol: str) -> Message:
        """The next message, unchanged, and how our Received field says it came."""
        process.wait_until("a message", lambda: self.far.messages)
        (message,) = self.far.messages
        if sent is not None:
            assert unchanged(message.content, sent)
        assert message.mail.sender == ALICE
        assert [r.recipient for r in message.recipients] == [BOB]
        trace = message.content.partition(b";")[0]
        assert b"\r\n\tby relay.test with %s id " % protocol.encode() in trace
        assert b"for <bob@elsewhere.test>" in trace
        if protocol.endswith("SA"):
            assert re.search(rb"\(using TLSv1\.[23] [A-Z0-9_-]+\)", trace)
        return message


@pytest.fixture(scope="module")
def running() -> Iterator[World]:
    authority = Authority(process.new_folder("ca"))
    certificate = authority.issue(hosts=(relay.NAME, relay.HOST))
    config = relay.text(relay.plain("far", f"{FAR}:25"), certificate=certificate)
    with (
        in_background(FakeSmtpServer(Behaviour(), host=FAR, port=25)) as far,
        relay.running(config, users={ALICE: [ALICE]}) as ours,
    ):
        yield World(authority, ours, far)


@pytest.fixture
def world(running: World) -> World:
    for seen in running.far.seen:
        seen.messages.clear()
    return running


# Programs


def by_smtplib(world: World, port: int, sent: bytes) -> None:
    with world.relay.client(port, world.authority.client_context(), ALICE) as client:
        client.sendmail(ALICE, [BOB], sent, mail_options=["BODY=8BITMIME"])


def by_swaks(world: World, port: int, sent: bytes) -> None:
    file = process.new_folder("swaks") / "message"
    file.write_bytes(stuff(sent) + b".")  # its fix-up takes a last line of one dot for the end
    options = ["--no-data-fixup", "--data", f"@{file}"]
    ran = swaks.send(
        relay.HOST, port, sender=ALICE, recipient=BOB, ca_file=world.authority.ca_file,
        user=ALICE, password=world.password, mechanism="LOGIN", options=options,
    )  # fmt: skip
    assert ran.ok, ran.output


def by_msmtp(world: World, port: int, sent: bytes) -> None:
    ran = msmtp.send(
        relay.HOST, port, sent, sender=ALICE, recipient=BOB, ca_file=world.authority.ca_file,
        user=ALICE, password=world.password,
    )  # fmt: skip
    assert ran.ok, ran.output


def by_nodemailer(world: World, port: int, sent: bytes) -> None:
    ran = nodemailer.send(
        relay.HOST, port, sender=ALICE, recipient=BOB, ca_file=world.authority.ca_file,
        user=ALICE, password=world.password, raw=sent,
    )  # fmt: skip
    assert ran.ok, ran.output


PROGRAMS = [
    pytest.param(by_smtplib, id="smtplib"),
    pytest.param(by_swaks, id="swaks", marks=pytest.mark.peer("swaks")),
    pytest.param(by_msmtp, id="msmtp", marks=pytest.mark.peer("msmtp")),
    pytest.param(by_nodemailer, id="nodemailer", marks=pytest.mark.peer("nodemailer")),
]


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("send", PROGRAMS)
def test_a_program_sends_through_us(
    world: World, send: Callable[[World, int, bytes], None], port: int
) -> None:
    sent = hard(f"by a program to {port}")
    send(world, port, sent)
    world.arrived(sent, "ESMTPSA")


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.peer("git-email")
def test_git_send_email_sends_through_us(world: World, port: int) -> None:
    folder = process.new_folder("git")
    git = ["git", "-C", str(folder), "-c", "user.name=A", "-c", f"user.email={ALICE}"]
    (folder / "file").write_text("text\n")
    for words in (["init", "-q"], ["add", "file"], ["commit", "-qm", "One change"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    encryption = "ssl" if port == relay.SUBMISSIONS else "tls"
    ran = process.run_client(
        [
            *git,
            *("send-email", "--confirm=never", "--suppress-cc=all", f"--to={BOB}"),
            *(f"--smtp-server={relay.HOST}", f"--smtp-server-port={port}"),
            *(f"--smtp-encryption={encryption}", f"--smtp-user={ALICE}"),
            *(f"--smtp-pass={world.password}", f"--smtp-ssl-cert-path={world.authority.ca_file}"),
            "-1",
        ],
        env={"HOME": str(folder)},
    )
    assert ran.ok, ran.output
    content = world.arrived(None, "ESMTPSA").content
    assert b"Subject: [PATCH] One change\r\n" in content
    assert b"+text\r\n" in content


@pytest.mark.parametrize("port", PORTS)
def test_a_wrong_password_opens_nothing(world: World, port: int) -> None:
    trust = world.authority.client_context()
    with world.relay.client(port, trust) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login(ALICE, WRONG_PASSWORD)
        assert refused.value.smtp_code == 535
        assert client.mail(ALICE)[0] == 530


def test_an_app_password_by_the_command_works_at_once_and_ends_at_once(world: World) -> None:
    made = world.relay.asked("user", "password", ALICE, "--label", "phone")
    trust = world.authority.client_context()
    with world.relay.client(relay.SUBMISSIONS, trust) as client:
        client.login(ALICE, made["secret"])
        assert world.relay.asked("user", "revoke", ALICE, "phone")["revoked"] == 1
        # Signed in already, and out again within a second: it ends idle, or at the next command.
        process.wait_until("its end", lambda: client.noop()[0] == 421)
    with (
        world.relay.client(relay.SUBMISSIONS, trust) as client,
        pytest.raises(smtplib.SMTPAuthenticationError),
    ):
        client.login(ALICE, made["secret"])


# Servers, with us as their smart host


def hand_in(port: int, sent: bytes, authority: Authority | None = None) -> None:
    """Give a server at OTHER a message for somebody elsewhere."""
    with smtplib.SMTP(OTHER, port, timeout=20) as client:
        if authority is not None:
            client.starttls(context=authority.client_context())
            client.login(ALICE, "of-the-other-1")
        client.sendmail(ALICE, [BOB], sent, mail_options=["BODY=8BITMIME"])


@pytest.mark.peer("postfix")
@pytest.mark.parametrize("port", [relay.RELAY, *PORTS])
def test_postfix_relays_through_us(world: World, port: int) -> None:
    settings = {"mynetworks": "127.0.0.0/8", "relayhost": f"[{relay.HOST}]:{port}"}
    if port != relay.RELAY:
        settings |= {
            "smtp_tls_security_level": "secure",
            "smtp_tls_secure_cert_match": relay.NAME,
            "smtp_tls_CAfile": str(world.authority.ca_file),
            "smtp_tls_wrappermode": "yes" if port == relay.SUBMISSIONS else "no",
            "smtp_sasl_auth_enable": "yes",
            "smtp_sasl_password_maps": f"static:{ALICE}:{world.password}",
            "smtp_sasl_security_options": "noanonymous",
        }
    sent = hard(f"by Postfix to {port}")
    with postfix.running(OTHER, None, ports=[postfix.SMTP], settings=settings):
        hand_in(25, sent)
        message = world.arrived(sent, "ESMTP" if port == relay.RELAY else "ESMTPSA")
    assert message.mail.params["BODY"] == "8BITMIME"


@pytest.mark.peer("exim")
@pytest.mark.parametrize("port", [relay.RELAY, *PORTS])
def test_exim_relays_through_us(world: World, port: int) -> None:
    transport = f"  tls_verify_certificates = {world.authority.ca_file}\n"
    login: tuple[str, ...] = ()
    if port != relay.RELAY:
        transport += "  hosts_require_tls = *\n  tls_verify_hosts = *\n  hosts_require_auth = *\n"
        login = (ALICE, world.password)
    if port == relay.SUBMISSIONS:
        transport += "  protocol = smtps\n"
    hop = exim.Smarthost(relay.HOST, port, *login, transport=transport)
    certificate = world.authority.issue(hosts=(OTHER,))
    sent = hard(f"by Exim to {port}")
    accept = "  accept hosts = 127.0.0.0/8"
    with exim.running(OTHER, {}, certificate, acl_rcpt=accept, smarthost=hop):
        hand_in(25, sent)
        # Exim sends by BDAT, and takes our STARTTLS wherever it is offered.
        world.arrived(sent, "ESMTPS" if port == relay.RELAY else "ESMTPSA")


@pytest.mark.peer("opensmtpd")
@pytest.mark.parametrize("port", [relay.RELAY, *PORTS])
def test_opensmtpd_relays_through_us(world: World, port: int) -> None:
    scheme = {relay.RELAY: "smtp+notls", relay.SUBMISSIONS: "smtps"}.get(port, "smtp+tls")
    login = (ALICE, world.password) if port != relay.RELAY else None
    where = f"{scheme}://{'login@' if login else ''}{relay.HOST}:{port}"
    certificate = world.authority.issue(hosts=(OTHER,))
    users = {ALICE: "of-the-other-1"}
    sent = hard(f"by OpenSMTPD to {port}")
    with opensmtpd.running(OTHER, users, certificate, relay=where, relay_login=login):
        hand_in(587, sent, world.authority)
        world.arrived(sent, "ESMTP" if port == relay.RELAY else "ESMTPSA")


@pytest.mark.peer("haraka")
@pytest.mark.parametrize("port", [relay.RELAY, relay.SUBMISSION])
def test_haraka_relays_through_us(world: World, port: int) -> None:
    login = (ALICE, world.password) if port != relay.RELAY else None
    sent = hard(f"by Haraka to {port}")
    ca_file = world.authority.ca_file
    with haraka.running(OTHER, forward=(relay.HOST, port), login=login, ca_file=ca_file):
        hand_in(25, sent)
        world.arrived(sent, "ESMTP" if port == relay.RELAY else "ESMTPSA")


# What a sender asked of delivery status goes through


@pytest.mark.peer("postfix")
def test_what_the_sender_asked_of_reports_is_carried_from_postfix_on(world: World) -> None:
    settings = {"mynetworks": "127.0.0.0/8", "relayhost": f"[{relay.HOST}]:25"}
    sent = hard("with DSN")
    with (
        postfix.running(OTHER, None, ports=[postfix.SMTP], settings=settings),
        smtplib.SMTP(OTHER, 25, timeout=20) as client,
    ):
        mail = ["BODY=8BITMIME", "RET=HDRS", "ENVID=QQ+2B1"]
        rcpt = ["NOTIFY=FAILURE,DELAY", f"ORCPT=rfc822;{BOB}"]
        client.sendmail(ALICE, [BOB], sent, mail_options=mail, rcpt_options=rcpt)
        message = world.arrived(sent, "ESMTP")
    assert (message.mail.params["RET"], message.mail.params["ENVID"]) == ("HDRS", "QQ+2B1")
    (recipient,) = message.recipients
    assert set((recipient.params["NOTIFY"] or "").split(",")) == {"FAILURE", "DELAY"}
    assert recipient.params["ORCPT"] == f"rfc822;{BOB}"
