"""Each real peer comes up and does its part, before anything of ours talks to it.

What fails here is the tooling's fault, not Posthouse's.
"""

from __future__ import annotations

import imaplib
import json
import smtplib
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.message import EmailMessage

import dns.resolver
import pytest

from canaries import PASSWORD, WRONG_PASSWORD
from fakes.certs import Authority
from peers import (
    dovecot,
    exim,
    https,
    msmtp,
    nodemailer,
    nsd,
    opensmtpd,
    postfix,
    process,
    swaks,
    unbound,
)

pytestmark = pytest.mark.netns

ALICE, BOB = "alice@example.test", "bob@example.test"
USERS = {ALICE: PASSWORD, BOB: PASSWORD}
IMAP_HOST, MAIL_HOST = "127.0.0.20", "127.0.0.10"
HOSTS = ("mail.test", MAIL_HOST, IMAP_HOST, "autoconfig.example.test")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(process.new_folder("ca"))


@pytest.fixture(scope="module")
def mailboxes(authority: Authority) -> Iterator[dovecot.Dovecot]:
    with dovecot.running(IMAP_HOST, USERS, authority.issue(hosts=HOSTS)) as server:
        yield server


@pytest.fixture(scope="module")
def submission(authority: Authority, mailboxes: dovecot.Dovecot) -> Iterator[postfix.Postfix]:
    certificate = authority.issue(hosts=HOSTS)
    with postfix.running(
        MAIL_HOST, certificate, domains=["example.test"], lmtp=mailboxes
    ) as server:
        yield server


def message(subject: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = ALICE, BOB, subject
    mail.set_content("A test.\n")
    return mail


def connect(host: str, port: int, trust: ssl.SSLContext) -> smtplib.SMTP:
    if port == 465:
        return smtplib.SMTP_SSL(host, port, context=trust, timeout=20)
    client = smtplib.SMTP(host, port, timeout=20)
    client.starttls(context=trust)
    return client


def subjects_by_imap(address: str, trust: ssl.SSLContext) -> list[str]:
    with imaplib.IMAP4_SSL(IMAP_HOST, ssl_context=trust, timeout=20) as client:
        client.login(address, PASSWORD)
        client.select("INBOX", readonly=True)
        _, data = client.search(None, "ALL")
        numbers = data[0].split()
        fetched = [client.fetch(n, "(BODY[HEADER.FIELDS (SUBJECT)])")[1][0] for n in numbers]
        return [part[1].decode().partition(": ")[2].strip() for part in fetched]


def wait_for_subject(subject: str, trust: ssl.SSLContext) -> None:
    process.wait_until(
        f"message {subject!r} by IMAP", lambda: subject in subjects_by_imap(BOB, trust)
    )


@pytest.mark.peer("postfix", "dovecot")
@pytest.mark.parametrize("port", [587, 465])
def test_postfix_takes_mail_after_login_and_dovecot_hands_it_out(
    submission: postfix.Postfix, authority: Authority, port: int
) -> None:
    trust, subject = authority.client_context(), f"by Postfix, port {port}"
    with connect(submission.host, port, trust) as client:
        client.login(ALICE, PASSWORD)
        client.send_message(message(subject))
    wait_for_subject(subject, trust)


@pytest.mark.peer("postfix", "dovecot")
def test_postfix_takes_mail_for_its_domain_on_port_25_and_relays_for_nobody(
    submission: postfix.Postfix, authority: Authority
) -> None:
    trust = authority.client_context()
    with connect(submission.host, 25, trust) as client:
        client.send_message(message("by port 25"))
        with pytest.raises(smtplib.SMTPRecipientsRefused, match="Relay access denied"):
            client.sendmail(ALICE, ["someone@elsewhere.test"], b"Subject: no\r\n\r\n")
    wait_for_subject("by port 25", trust)


@pytest.mark.peer("postfix", "dovecot")
def test_postfix_refuses_a_wrong_password_and_any_password_before_tls(
    submission: postfix.Postfix, authority: Authority
) -> None:
    with (
        connect(submission.host, 587, authority.client_context()) as client,
        pytest.raises(smtplib.SMTPAuthenticationError) as refused,
    ):
        client.login(ALICE, WRONG_PASSWORD)
    assert refused.value.smtp_code == 535
    with smtplib.SMTP(submission.host, 587, timeout=20) as client:
        client.ehlo()
        assert not client.has_extn("auth")


@pytest.mark.peer("postfix", "dovecot")
@pytest.mark.parametrize("port", [587, 465])
def test_dovecot_submission_passes_mail_on_to_its_relay(
    submission: postfix.Postfix, authority: Authority, port: int
) -> None:
    trust, host = authority.client_context(), "127.0.0.30"
    certificate = authority.issue(hosts=[*HOSTS, host])
    with (
        dovecot.running(host, USERS, certificate, relay=(submission.host, 25)),
        connect(host, port, trust) as client,
    ):
        client.login(ALICE, PASSWORD)
        client.send_message(message(f"by Dovecot, port {port}"))
    wait_for_subject(f"by Dovecot, port {port}", trust)


@pytest.mark.peer("exim")
@pytest.mark.parametrize("port", [587, 465])
def test_exim_takes_mail_after_login(authority: Authority, port: int) -> None:
    trust, host = authority.client_context(), "127.0.0.11"
    certificate = authority.issue(hosts=[*HOSTS, host])
    with exim.running(host, USERS, certificate) as server:
        with connect(host, port, trust) as client:
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login(ALICE, WRONG_PASSWORD)
            client.login(ALICE, PASSWORD)
            client.send_message(message("by Exim"))
        assert b"Subject: by Exim" in server.wait_for_messages(BOB)[0]


@pytest.mark.peer("opensmtpd")
@pytest.mark.parametrize("port", [587, 465])
def test_opensmtpd_takes_mail_after_login(authority: Authority, port: int) -> None:
    trust, host = authority.client_context(), "127.0.0.12"
    with opensmtpd.running(host, USERS, authority.issue(hosts=[*HOSTS, host])) as server:
        with (
            connect(server.host, port, trust) as client,
            pytest.raises(smtplib.SMTPAuthenticationError),
        ):
            client.login(ALICE, WRONG_PASSWORD)
        with connect(server.host, port, trust) as client:
            client.login(ALICE, PASSWORD)
            client.send_message(message("by OpenSMTPD"))
        assert b"Subject: by OpenSMTPD" in server.wait_for_messages()[0]


ZONES = {
    "example.test": [
        "@ MX 10 mail",
        "mail A 127.0.0.10",
        "_submissions._tcp SRV 0 1 465 mail",
        "_imaps._tcp SRV 0 0 0 .",
    ]
}


@pytest.mark.peer("nsd")
def test_nsd_answers_with_authority() -> None:
    with nsd.running("127.0.0.2", ZONES):
        query = dns.message.make_query("example.test", "MX")
        answer = dns.query.udp(query, "127.0.0.2", timeout=5)
    assert answer.flags & dns.flags.AA
    assert answer.answer[0].to_text() == "example.test. 60 IN MX 10 mail.example.test."


@pytest.mark.peer("nsd", "unbound")
def test_unbound_resolves_the_zones_and_nothing_else() -> None:
    with unbound.with_nsd(ZONES):
        resolver = dns.resolver.Resolver()  # by the namespace's own resolv.conf
        records = resolver.resolve("_submissions._tcp.example.test", "SRV")
        assert [r.to_text() for r in records] == ["0 1 465 mail.example.test."]
        for name in ("no.example.test", "elsewhere.test", "example.org", "org"):
            with pytest.raises(dns.resolver.NXDOMAIN):
                resolver.resolve(name, "A")


@pytest.mark.peer("postfix", "dovecot", "swaks")
@pytest.mark.parametrize(("port", "mechanism"), [(587, "PLAIN"), (465, "LOGIN"), (587, "CRAM-MD5")])
def test_swaks_sends(
    submission: postfix.Postfix, authority: Authority, port: int, mechanism: str
) -> None:
    ran = swaks.send(
        submission.host,
        port,
        sender=ALICE,
        recipient=BOB,
        ca_file=authority.ca_file,
        user=ALICE,
        password=PASSWORD,
        mechanism=mechanism,
        options=["--header", f"Subject: by swaks {port} {mechanism}"],
    )
    assert ran.ok, ran.output
    assert "TLS started" in ran.output
    wait_for_subject(f"by swaks {port} {mechanism}", authority.client_context())


@pytest.mark.peer("postfix", "dovecot", "msmtp")
@pytest.mark.parametrize(("port", "mechanism"), [(587, "plain"), (465, "scram-sha-256")])
def test_msmtp_sends(
    submission: postfix.Postfix, authority: Authority, port: int, mechanism: str
) -> None:
    ran = msmtp.send(
        submission.host,
        port,
        message(f"by msmtp {port}").as_bytes(),
        sender=ALICE,
        recipient=BOB,
        ca_file=authority.ca_file,
        user=ALICE,
        password=PASSWORD,
        mechanism=mechanism,
    )
    assert ran.ok, ran.output
    wait_for_subject(f"by msmtp {port}", authority.client_context())


@pytest.mark.peer("postfix", "dovecot", "nodemailer")
@pytest.mark.parametrize("port", [587, 465])
def test_nodemailer_sends(submission: postfix.Postfix, authority: Authority, port: int) -> None:
    subject = f"by nodemailer {port}"
    ran = nodemailer.send(
        submission.host,
        port,
        sender=ALICE,
        recipient=BOB,
        ca_file=authority.ca_file,
        user=ALICE,
        password=PASSWORD,
        subject=subject,
    )
    assert ran.ok, ran.output
    assert json.loads(ran.output)["accepted"] == [BOB]
    wait_for_subject(subject, authority.client_context())


@pytest.mark.peer("postfix", "dovecot", "nodemailer")
def test_nodemailer_tells_the_refusal(submission: postfix.Postfix, authority: Authority) -> None:
    ran = nodemailer.send(
        submission.host, 587, sender=ALICE, recipient=BOB, ca_file=authority.ca_file
    )
    assert not ran.ok
    assert json.loads(ran.output)["response"].startswith("554 5.7.1")


@pytest.mark.peer("nsd", "unbound")
def test_https_serves_by_host_and_path(authority: Authority) -> None:
    name, trust = "autoconfig.example.test", authority.client_context()
    files = {f"{name}/mail/config-v1.1.xml": b"<clientConfig/>", "/gone": https.Page(b"", 410)}
    context = authority.context(hosts=HOSTS)
    with https.running("127.0.0.40", files, context) as web, unbound_for(name, "127.0.0.40"):
        url = f"https://{name}/mail/config-v1.1.xml?emailaddress=alice"
        with urllib.request.urlopen(url, context=trust, timeout=10) as answer:
            assert answer.read() == b"<clientConfig/>"
        with pytest.raises(urllib.error.HTTPError, match="410"):
            urllib.request.urlopen(f"http://{name}/gone", timeout=10)
    assert [(r.scheme, r.host) for r in web.requests] == [("https", name), ("http", name)]


def unbound_for(name: str, address: str):
    host, _, zone = name.partition(".")
    return unbound.with_nsd({zone: [f"{host} A {address}"]})
