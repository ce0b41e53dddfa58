"""``posthouse serve`` hands mail to real servers: plain on a network, by TLS with a login, by LMTP.

Each server gets three messages by one relay whose routes tell them apart by recipient: to 25, to
587 (STARTTLS) and to 465 (TLS), the last two with the server's certificate proved against the
tests' authority and a login. What is stored must be what was handed in, behind trace fields.
"""

from __future__ import annotations

import email
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from canaries import PASSWORD
from fakes.background import running as in_background
from fakes.behaviour import Behaviour
from fakes.certs import Authority, Issued
from fakes.letter import hard, unchanged
from fakes.smtp import FakeSmtpServer
from peers import aiosmtpd, dovecot, exim, haraka, opensmtpd, postfix, process, relay

pytestmark = pytest.mark.netns

FAR, BOXES, NEAR = "127.0.0.30", "127.0.0.20", "127.0.0.40"
SECRET = 'secret_env = "HOP_SECRET"\n'
ALICE = "alice@sender.test"
BY_25, BY_587, BY_465 = (f"by{port}@example.test" for port in (25, 587, 465))
USERS = dict.fromkeys((BY_25, BY_587, BY_465), PASSWORD)
HOSTS = ("mail.test", FAR, BOXES)

Read = Callable[[str], list[bytes]]  # the messages of one recipient


def hop(name: str, port: int, ca_file: str, more: str = "") -> str:
    security = {25: "none", 24: "none", 465: "tls"}.get(port, "starttls")
    policy = "none" if security == "none" else "verified"
    trust = "" if security == "none" else f'ca_file = "{ca_file}"'
    return f"""
[[hop]]
name = "{name}"
hosts = ["{FAR}:{port}"]
security = "{security}"
tls = "{policy}"
{trust}
{more}
"""


def three_ways(authority: Authority) -> str:
    """A hop for each port, and the route to it."""
    login = f'user = "{BY_587}"\nsecret_env = "HOP_SECRET"'
    text = ""
    for port, recipient in ((25, BY_25), (587, BY_587), (465, BY_465)):
        more = "" if port == 25 else login
        text += hop(f"by-{port}", port, str(authority.ca_file), more)
        text += f'[[route]]\nname = "r{port}"\nrecipient = ["{recipient}"]\nhop = "by-{port}"\n'
    return relay.text(text + '[[route]]\nhop = "by-25"\n')


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(process.new_folder("ca"))


@contextmanager
def of_postfix(certificate: Issued) -> Iterator[Read]:
    with (
        dovecot.running(BOXES, USERS, certificate) as boxes,
        postfix.running(FAR, certificate, domains=["example.test"], lmtp=boxes),
    ):
        yield boxes.messages


@contextmanager
def of_exim(certificate: Issued) -> Iterator[Read]:
    with exim.running(FAR, USERS, certificate) as server:
        yield server.messages


@contextmanager
def of_opensmtpd(certificate: Issued) -> Iterator[Read]:
    with opensmtpd.running(FAR, USERS, certificate) as server:
        # One mailbox for all: the subject tells who it was for.
        yield lambda who: [m for m in server.messages() if f"Subject: to {who}".encode() in m]


@contextmanager
def of_aiosmtpd(certificate: Issued) -> Iterator[Read]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert_file, certificate.key_file)
    with aiosmtpd.running(FAR, USERS, context) as server:
        yield server.messages


SERVERS = [
    pytest.param(of_postfix, id="postfix", marks=pytest.mark.peer("postfix", "dovecot")),
    pytest.param(of_exim, id="exim", marks=pytest.mark.peer("exim")),
    pytest.param(of_opensmtpd, id="opensmtpd", marks=pytest.mark.peer("opensmtpd")),
    pytest.param(of_aiosmtpd, id="aiosmtpd"),
]


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_gets_our_mail_plain_and_by_tls_with_a_login(
    authority: Authority, server: Callable[[Issued], Iterator[Read]]
) -> None:
    sent = {recipient: hard(f"to {recipient}") for recipient in USERS}
    with (
        server(authority.issue(hosts=HOSTS)) as read,
        relay.running(three_ways(authority)) as ours,
    ):
        for recipient, message in sent.items():
            ours.send(message, ALICE, recipient)
        for recipient, message in sent.items():
            (stored,) = process.wait_for_messages(lambda who=recipient: read(who), 1)
            assert unchanged(stored, message), recipient
        ours.wait_until_empty()
        assert [e["recipient"] for e in ours.log("deferred", "refused")] == []


@pytest.mark.peer("haraka")
def test_haraka_gets_our_mail_plain_and_by_starttls(authority: Authority) -> None:
    text = hop("plain", 25, "") + hop("verified", 25, str(authority.ca_file)).replace(
        'security = "none"\ntls = "none"',
        f'security = "starttls"\ntls = "verified"\nca_file = "{authority.ca_file}"',
    )
    text += f'[[route]]\nname = "v"\nrecipient = ["{BY_587}"]\nhop = "verified"\n'
    text += '[[route]]\nhop = "plain"\n'
    with (
        haraka.running(FAR, authority.issue(hosts=HOSTS)) as server,
        relay.running(relay.text(text)) as ours,
    ):
        for recipient in (BY_25, BY_587):
            sent = hard(f"to {recipient}")
            ours.send(sent, ALICE, recipient)
            (stored,) = server.wait_for_messages(recipient)
            assert unchanged(stored, sent)
            tls = b"with ESMTPS" in stored.partition(b"by relay.test")[0]
            assert tls == (recipient == BY_587)


@pytest.mark.peer("dovecot")
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "STARTTLS"])
def test_dovecot_gets_our_mail_by_lmtp(authority: Authority, tls: bool) -> None:
    nobody = "nobody@example.test"
    text = hop("boxes", 24, "", "lmtp = true")
    if tls:
        text = text.replace(
            'security = "none"\ntls = "none"',
            f'security = "starttls"\ntls = "verified"\nca_file = "{authority.ca_file}"',
        )
    text += '[[route]]\nhop = "boxes"\n'
    sent = hard("by LMTP")
    with (
        dovecot.running(FAR, USERS, authority.issue(hosts=HOSTS)) as boxes,
        relay.running(relay.text(text)) as ours,
    ):
        ours.send(sent, BY_465, BY_25, nobody, BY_587)
        for recipient in (BY_25, BY_587):
            (stored,) = boxes.wait_for_messages(recipient)
            assert unchanged(stored, sent)
        # One of three does not exist: a report about that one comes back by the same hop.
        (report,) = boxes.wait_for_messages(BY_465)
        assert f"Final-Recipient: rfc822; {nobody}".encode() in report
        ours.wait_until_empty()
        (refused,) = ours.log("refused")
        assert (refused["recipient"], refused["cause"]) == (nobody, "rcpt.unknown")


@pytest.mark.peer("postfix", "dovecot")
@pytest.mark.parametrize("ill", ["login", "paused", "gone"])
def test_postfix_stands_in_for_a_provider(authority: Authority, ill: str) -> None:
    """The account's password has run out, its sending is paused, or nobody is there at all."""
    context = authority.context(hosts=[NEAR])
    paused = "554 5.7.8 Sending paused for this account. For more information, check the inbox"
    behaviour = {
        "login": Behaviour(tls=context, auth_reply="535 5.7.8 Authentication credentials invalid"),
        "paused": Behaviour(tls=context, replies=(("^MAIL", paused),)),
        "gone": Behaviour(tls=context),
    }[ill]
    text = hop("provider", 587, str(authority.ca_file), f'user = "u"\n{SECRET}fallback = "own"')
    text = text.replace(FAR, NEAR) + hop("own", 25, "") + '[[route]]\nhop = "provider"\n'
    messages = {n: hard(f"message {n}") for n in range(5)}
    near = NEAR if ill != "gone" else "127.0.0.41"
    with (
        of_postfix(authority.issue(hosts=HOSTS)) as read,
        in_background(FakeSmtpServer(behaviour, host=near, port=587)) as provider,
        relay.running(relay.text(text, workers=2)) as ours,
    ):
        began = time.monotonic()
        for message in messages.values():
            ours.send(message, ALICE, BY_25)
        stored = process.wait_for_messages(lambda: read(BY_25), len(messages))
        assert time.monotonic() - began < 5.0
        assert all(any(unchanged(one, sent) for one in stored) for sent in messages.values())
        ours.wait_until_empty()
        moved = ours.log("rerouted")
        assert len(moved) == len(messages)
        assert {one["hop"] for one in moved} == {"own"}
        assert ours.log("deferred", "refused") == []
        # What needs a person is told to him, though no mail waits for it.
        causes = {"login": {"auth.credentials"}, "paused": {"sender.account_blocked"}}
        assert {one["cause"] for one in ours.log("alarm")} == causes.get(ill, set())
        assert all(one["hop"] == "provider" for one in ours.log("alarm"))
    assert provider.messages == []
    if ill == "login":  # one try, not one for each message
        lines = [line for session in provider.seen for line in session.lines]
        assert sum(line.startswith("AUTH") for line in lines) == 1


def test_the_parameters_of_the_envelope_go_on(authority: Authority) -> None:
    """DSN (RFC 3461 section 5.2.1), 8BITMIME, SMTPUTF8: to a server that knows them."""
    config = relay.text(relay.plain("far", f"{FAR}:25"))
    bob, eve = "bob@example.test", "eve@example.test"
    with (
        in_background(FakeSmtpServer(Behaviour(), host=FAR, port=25)) as far,
        relay.running(config) as ours,
        ours.client() as client,
    ):
        client.ehlo("client.test")
        assert client.mail(ALICE, ["BODY=8BITMIME", "RET=FULL", "ENVID=x+2B1+3D"])[0] == 250
        rcpt = ["NOTIFY=SUCCESS,FAILURE", f"ORCPT=rfc822;{bob}"]
        assert client.rcpt(bob, rcpt)[0] == 250
        assert client.rcpt(eve, ["NOTIFY=NEVER"])[0] == 250
        assert client.data(hard("with parameters"))[0] == 250
        process.wait_until("a message", lambda: far.messages)
    (message,) = far.messages
    assert message.mail.sender == ALICE
    for key, value in (("BODY", "8BITMIME"), ("RET", "FULL"), ("ENVID", "x+2B1+3D")):
        assert message.mail.params[key] == value
    got = {r.recipient: r.params for r in message.recipients}
    assert list(got) == [bob, eve]
    assert set((got[bob]["NOTIFY"] or "").split(",")) == {"SUCCESS", "FAILURE"}
    assert got[bob]["ORCPT"] == f"rfc822;{bob}"
    assert got[eve]["NOTIFY"] == "NEVER"


@pytest.mark.peer("exim")
def test_a_page_in_one_line_reaches_a_server_that_takes_none(authority: Authority) -> None:
    """Exim refuses a line of more than 998 octets; many programs write their HTML in one."""
    page = b"<p>" + b"hello, world. " * 200 + b"</p>\r\n"
    head = b"From: alice@sender.test\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n"
    to = b"X-All: " + b"one after the other " * 100 + b"\r\n"
    config = relay.text(relay.plain("far", f"{FAR}:25"))
    with of_exim(authority.issue(hosts=HOSTS)) as read, relay.running(config) as ours:
        ours.send(head + to + b"\r\n" + page, ALICE, BY_25)
        (stored,) = process.wait_for_messages(lambda: read(BY_25), 1)
    message = email.message_from_bytes(stored)
    decoded = message.get_payload(decode=True)
    assert isinstance(decoded, bytes)
    assert decoded.replace(b"\r\n", b"\n").strip() == page.replace(b"\r\n", b"\n").strip()
    assert message["X-All"].split() == to.decode().split()[1:]


def test_what_is_signed_is_what_arrives(authority: Authority) -> None:
    """DKIM by the configuration: a signature on top of the message as it was, that verifies."""
    import dkim
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    folder = process.new_folder("relay")
    (folder / "s1.pem").touch(0o600)
    (folder / "s1.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    record = b"v=DKIM1; k=rsa; p=" + b"".join(public.splitlines()[1:-1])
    signing = '[[dkim]]\ndomain = "example.test"\nselector = "s1"\nkey = "s1.pem"\n'
    config = relay.text(relay.plain("far", f"{FAR}:25") + signing)
    sent = hard("signed")
    with (
        in_background(FakeSmtpServer(Behaviour(), host=FAR, port=25)) as far,
        relay.running(config, folder=folder) as ours,
    ):
        ours.send(sent, ALICE, BY_25)
        process.wait_until("a message", lambda: far.messages)
    content = far.messages[0].content
    assert content.endswith(sent)
    assert content.startswith(b"DKIM-Signature: ")
    assert dkim.verify(content, dnsfunc=lambda name, timeout=0: record)
