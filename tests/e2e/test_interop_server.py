"""Our SMTP server against real clients: relays of three kinds, and the programs people send with.

Postfix, Exim and OpenSMTPD hand mail over to it as to a smart host; smtplib, swaks, msmtp and
nodemailer send by it. In clear, by STARTTLS and by TLS from the first byte; with every login they
know. The message is a hard one, and must arrive unchanged.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from canaries import PASSWORD, WRONG_PASSWORD
from fakes.background import running as in_background
from fakes.behaviour import EXTENSIONS, Behaviour
from fakes.certs import Authority
from fakes.letter import hard, unchanged
from fakes.smtp import FakeSmtpServer
from peers import exim, msmtp, nodemailer, opensmtpd, postfix, process, swaks
from posthouse.net.smtp_server import Message
from posthouse.protocol.smtp import stuff

pytestmark = pytest.mark.netns

HOST, NAME, RELAY = "127.0.0.9", "relay.test", "127.0.0.15"
ALICE, BOB = "alice@example.test", "bob@elsewhere.test"
USERS = {ALICE: PASSWORD}
SIZE = 50_000_000  # octets of a message

# port, whether TLS is used on it, the one login that is offered ("": none is wanted)
WAYS = [
    pytest.param(25, False, "", id="plain"),
    pytest.param(25, True, "", id="STARTTLS"),
    pytest.param(587, True, "PLAIN", id="STARTTLS-PLAIN"),
    pytest.param(587, True, "LOGIN", id="STARTTLS-LOGIN"),
    pytest.param(587, True, "CRAM-MD5", id="STARTTLS-CRAM-MD5"),
    pytest.param(465, True, "PLAIN", id="TLS-PLAIN"),
    pytest.param(465, True, "CRAM-MD5", id="TLS-CRAM-MD5"),
]
SCRAM = pytest.param(587, True, "SCRAM-SHA-256", id="STARTTLS-SCRAM-SHA-256")
LOGINS = [way for way in WAYS if way.values[2]]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(process.new_folder("ca"))


@contextmanager
def listening(
    authority: Authority, port: int, tls: bool, mechanism: str, *, chunking: bool = True
) -> Iterator[FakeSmtpServer]:
    """Our server on the real port. Nobody who needs a login or TLS there gets on without."""
    behaviour = Behaviour(
        name=NAME,
        tls=authority.context(hosts=(NAME, HOST)) if tls else None,
        implicit_tls=port == 465,
        starttls_keyword="STARTTLS" if tls and port != 465 else "",
        require_tls=tls,
        mechanisms=(mechanism,) if mechanism else (),
        mechanisms_plain=(),
        accounts=USERS,
        require_auth=bool(mechanism),
        extensions=(*(e for e in EXTENSIONS if chunking or e != "CHUNKING"), f"SIZE {SIZE}"),
    )
    with in_background(FakeSmtpServer(behaviour, host=HOST, port=port)) as server:
        yield server


def arrived(server: FakeSmtpServer, sent: bytes, mechanism: str) -> Message:
    """The one message, unchanged, by a session that went as it should."""
    process.wait_until("a message", lambda: server.messages)
    (message,) = server.messages
    assert unchanged(message.content, sent)
    assert message.mail.sender == ALICE
    assert [r.recipient for r in message.recipients] == [BOB]
    seen = next(s for s in server.seen if s.messages)
    assert not seen.auth_in_clear
    assert seen.mechanisms == ([mechanism] if mechanism else [])
    assert seen.username == (ALICE if mechanism else "")
    assert seen.injected == 0
    assert not [line for line in seen.lines if line.startswith("!")]  # nothing had to be refused
    return message


# Relays


def hand_in(host: str, port: int, sent: bytes, trust: ssl.SSLContext | None = None) -> None:
    """Give a relay a message for somebody elsewhere."""
    with smtplib.SMTP(host, port, timeout=20) as client:
        if trust is not None:
            client.starttls(context=trust)
            client.login(ALICE, PASSWORD)
        client.sendmail(ALICE, [BOB], sent, mail_options=["BODY=8BITMIME"])


@pytest.mark.peer("postfix")
@pytest.mark.parametrize(("port", "tls", "mechanism"), [*WAYS, SCRAM])
def test_postfix_relays_to_us(authority: Authority, port: int, tls: bool, mechanism: str) -> None:
    settings = {
        "mynetworks": "127.0.0.0/8",
        "relayhost": f"[{HOST}]:{port}",
        "smtp_tls_security_level": "secure" if tls else "none",
        "smtp_tls_secure_cert_match": NAME,
        "smtp_tls_CAfile": str(authority.ca_file),
        "smtp_tls_wrappermode": "yes" if port == 465 else "no",
        "smtp_sasl_auth_enable": "yes" if mechanism else "no",
        "smtp_sasl_password_maps": f"static:{ALICE}:{PASSWORD}",
        "smtp_sasl_security_options": "noanonymous",
        "smtp_sasl_mechanism_filter": mechanism.lower(),
    }
    sent = hard(f"by Postfix {port} {mechanism}")
    certificate = authority.issue(hosts=(NAME,))
    with (
        listening(authority, port, tls, mechanism) as server,
        postfix.running(RELAY, certificate, ports=[postfix.SMTP], settings=settings),
    ):
        hand_in(RELAY, 25, sent)
        message = arrived(server, sent, mechanism)
    assert message.mail.params["BODY"] == "8BITMIME"
    assert int(message.mail.params["SIZE"] or 0) > len(sent)


@pytest.mark.peer("exim")
@pytest.mark.parametrize(("port", "tls", "mechanism"), WAYS)
@pytest.mark.parametrize("chunking", [False, True], ids=["DATA", "BDAT"])
def test_exim_relays_to_us(
    authority: Authority, port: int, tls: bool, mechanism: str, chunking: bool
) -> None:
    transport = f"  tls_verify_certificates = {authority.ca_file}\n"
    if tls:
        transport += "  hosts_require_tls = *\n  tls_verify_hosts = *\n"
    if port == 465:
        transport += "  protocol = smtps\n"
    if mechanism:
        transport += "  hosts_require_auth = *\n"
    smarthost = exim.Smarthost(
        HOST, port, *((ALICE, PASSWORD) if mechanism else ()), transport=transport
    )
    sent = hard(f"by Exim {port} {mechanism}")
    with (
        listening(authority, port, tls, mechanism, chunking=chunking) as server,
        exim.running(
            RELAY,
            USERS,
            authority.issue(hosts=(RELAY,)),
            acl_rcpt="  accept hosts = 127.0.0.0/8",
            smarthost=smarthost,
        ),
    ):
        hand_in(RELAY, 25, sent)
        message = arrived(server, sent, mechanism)
    assert message.chunked == chunking


@pytest.mark.peer("opensmtpd")
@pytest.mark.parametrize(
    ("port", "tls", "mechanism"), [w for w in WAYS if w.values[2] != "CRAM-MD5"]
)
def test_opensmtpd_relays_to_us(authority: Authority, port: int, tls: bool, mechanism: str) -> None:
    scheme = "smtps" if port == 465 else "smtp+tls" if tls else "smtp+notls"
    login = "login@" if mechanism else ""
    sent = hard(f"by OpenSMTPD {port} {mechanism}")
    with (
        listening(authority, port, tls, mechanism) as server,
        opensmtpd.running(
            RELAY,
            USERS,
            authority.issue(hosts=(RELAY,)),
            relay=f"{scheme}://{login}{HOST}:{port}",
            relay_login=(ALICE, PASSWORD) if mechanism else None,
        ),
    ):
        hand_in(RELAY, 587, sent, authority.client_context())
        arrived(server, sent, mechanism)


@pytest.mark.peer("postfix")
def test_postfix_tells_us_what_the_sender_asked_of_delivery_status(authority: Authority) -> None:
    settings = {"mynetworks": "127.0.0.0/8", "relayhost": f"[{HOST}]:25"}
    sent = hard("with DSN")
    with (
        listening(authority, 25, False, "") as server,
        postfix.running(
            RELAY, authority.issue(hosts=(NAME,)), ports=[postfix.SMTP], settings=settings
        ),
    ):
        with smtplib.SMTP(RELAY, 25, timeout=20) as client:
            client.sendmail(
                ALICE,
                [BOB],
                sent,
                mail_options=["BODY=8BITMIME", "RET=HDRS", "ENVID=QQ+2B1"],
                rcpt_options=["NOTIFY=FAILURE,DELAY", f"ORCPT=rfc822;{BOB}"],
            )
        message = arrived(server, sent, "")
    assert (message.mail.params["RET"], message.mail.params["ENVID"]) == ("HDRS", "QQ+2B1")
    (recipient,) = message.recipients
    assert set((recipient.params["NOTIFY"] or "").split(",")) == {"FAILURE", "DELAY"}
    assert recipient.params["ORCPT"] == f"rfc822;{BOB}"


# Programs


def by_smtplib(authority: Authority, port: int, tls: bool, mechanism: str, sent: bytes) -> None:
    trust = authority.client_context()
    client = (
        smtplib.SMTP_SSL(HOST, port, context=trust, timeout=20)
        if port == 465
        else smtplib.SMTP(HOST, port, timeout=20)
    )
    with client:
        if tls and port != 465:
            client.starttls(context=trust)
        if mechanism:
            client.login(ALICE, PASSWORD)
        client.sendmail(ALICE, [BOB], sent, mail_options=["BODY=8BITMIME"])


def by_swaks(authority: Authority, port: int, tls: bool, mechanism: str, sent: bytes) -> None:
    file = process.new_folder("swaks") / "message"
    # Its own fix-up takes a last line of one dot for the end of data.
    file.write_bytes(stuff(sent) + b".")
    ran = swaks.send(
        HOST,
        port,
        sender=ALICE,
        recipient=BOB,
        ca_file=authority.ca_file,
        user=ALICE if mechanism else "",
        password=PASSWORD,
        mechanism=mechanism,
        options=["--no-data-fixup", "--data", f"@{file}", *([] if tls else ["--no-tls"])],
    )
    assert ran.ok, ran.output


def by_msmtp(authority: Authority, port: int, tls: bool, mechanism: str, sent: bytes) -> None:
    ran = msmtp.send(
        HOST,
        port,
        sent,
        sender=ALICE,
        recipient=BOB,
        ca_file=authority.ca_file,
        user=ALICE if mechanism else "",
        password=PASSWORD,
        mechanism=mechanism.lower(),
        extra="" if tls else "tls off\n",
    )
    assert ran.ok, ran.output


def by_nodemailer(authority: Authority, port: int, tls: bool, mechanism: str, sent: bytes) -> None:
    ran = nodemailer.send(
        HOST,
        port,
        sender=ALICE,
        recipient=BOB,
        ca_file=authority.ca_file,
        user=ALICE if mechanism else "",
        password=PASSWORD,
        transport=None if tls else {"requireTLS": False, "ignoreTLS": True},
        raw=sent,
    )
    assert ran.ok, ran.output


Send = Callable[[Authority, int, bool, str, bytes], None]


def programs() -> Iterator[object]:
    """Each program with each way."""
    for name, send in (
        ("smtplib", by_smtplib),
        ("swaks", by_swaks),
        ("msmtp", by_msmtp),
        ("nodemailer", by_nodemailer),
    ):
        marks = [] if name == "smtplib" else [pytest.mark.peer(name)]
        ways = [*WAYS, SCRAM] if name == "msmtp" else WAYS
        for way in ways:
            yield pytest.param(send, *way.values, marks=marks, id=f"{name}-{way.id}")


@pytest.mark.parametrize(("send", "port", "tls", "mechanism"), list(programs()))
def test_programs_send_by_us(
    authority: Authority, send: Send, port: int, tls: bool, mechanism: str
) -> None:
    sent = hard(f"by a program {port} {mechanism}")
    with listening(authority, port, tls, mechanism) as server:
        send(authority, port, tls, mechanism, sent)
        arrived(server, sent, mechanism)


@pytest.mark.peer("swaks")
@pytest.mark.parametrize(("port", "tls", "mechanism"), LOGINS)
def test_a_wrong_password_is_refused(
    authority: Authority, port: int, tls: bool, mechanism: str
) -> None:
    with listening(authority, port, tls, mechanism) as server:
        ran = swaks.send(
            HOST,
            port,
            sender=ALICE,
            recipient=BOB,
            ca_file=authority.ca_file,
            user=ALICE,
            password=WRONG_PASSWORD,
            mechanism=mechanism,
        )
    assert not ran.ok
    assert "535 5.7.8" in ran.output
    assert server.messages == []
    assert server.last.mechanisms == [mechanism]


def test_no_login_before_tls(authority: Authority) -> None:
    with (
        listening(authority, 587, True, "PLAIN") as server,
        smtplib.SMTP(HOST, 587, timeout=20) as client,
    ):
        client.ehlo("client.test")
        assert not client.has_extn("auth")
        assert client.mail(ALICE)[0] == 530
    assert server.messages == []


def test_the_authority_is_what_msmtp_trusts_us_by(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path)
    with listening(authority, 465, True, "PLAIN") as server:
        ran = msmtp.send(
            HOST,
            465,
            b"",
            sender=ALICE,
            recipient=BOB,
            ca_file=stranger.ca_file,
            user=ALICE,
            password=PASSWORD,
        )
    assert not ran.ok
    assert [s.lines for s in server.seen] in ([], [[]])
