"""Each generated profile, used by the program it is for, delivers one real message.

Postfix with Dovecot's login takes it, on 587 and 465, by a certificate of the tests' own authority.
Once with a plain user name, once with one that has all the characters that break a syntax; and once
without the authority, when nothing may go out.
"""

from __future__ import annotations

import email
import email.policy
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from canaries import PASSWORD, TOKEN
from fakes.background import running
from fakes.behaviour import Behaviour
from fakes.certs import Authority
from fakes.smtp import FakeSmtpServer
from peers import dovecot, postfix, process, unbound
from peers.machine import machine
from peers.senders import SENDERS, Job, Letter, Sender, install, php_program
from posthouse.flow import CredentialKind, Endpoint, Security
from posthouse.setup.profile import Level, Settings, find_client, make, quote

pytestmark = [pytest.mark.netns, pytest.mark.peer("postfix", "dovecot", "nsd", "unbound")]

ALICE, BOB = "alice@example.test", "bob@example.test"
# Quotes, a blank, what shells, mutt, Postfix, Exim and INI files act on; ":" where it may stand.
NASTY = "o'br\"ien\\ $home#x;y^z`w%40{n}<é>&!"
NASTY_ASCII = NASTY.replace("é", "e")
USERS = {ALICE: PASSWORD, BOB: PASSWORD}
# Dovecot's user file can hold no such names: any name is good with the right password.
ANYBODY = f"auth_username_chars =\npassdb {{\n  driver = static\n  args = password={PASSWORD}\n}}\n"
HOST, OTHER_HOST = "mail.test", "mail2.test"
MAIL_IP, OTHER_IP, IMAP_IP = "127.0.0.10", "127.0.0.11", "127.0.0.20"
NAME = 'Alice "A" <王>, $x'
# They take From as it is given to them, or write only the address there.
NAMELESS = {"msmtp", "nullmailer", "postfix", "exim", "exim-debian", "opensmtpd", "python"}
NAMELESS |= {"gitlab", "spring"}
STARTTLS = Endpoint(HOST, 587, Security.STARTTLS)
IMPLICIT = Endpoint(HOST, 465, Security.TLS)
OTHER = Endpoint(OTHER_HOST, 587, Security.STARTTLS)

numbers = count(1)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(process.new_folder("ca"))


@pytest.fixture(scope="module")
def mailboxes(authority: Authority) -> Iterator[dovecot.Dovecot]:
    certificate = authority.issue(hosts=[IMAP_IP])
    with dovecot.running(
        IMAP_IP, USERS, certificate, mechanisms="plain login", extra=ANYBODY
    ) as server:
        yield server


@pytest.fixture(scope="module")
def submission(authority: Authority, mailboxes: dovecot.Dovecot) -> Iterator[postfix.Postfix]:
    zones = {HOST: [f"@ A {MAIL_IP}"], OTHER_HOST: [f"@ A {OTHER_IP}"]}
    certificate = authority.issue(hosts=[HOST, OTHER_HOST])
    with (
        unbound.with_nsd(zones),
        postfix.running(MAIL_IP, certificate, domains=["example.test"], lmtp=mailboxes) as server,
    ):
        yield server


def settings(endpoint: Endpoint, username: str, ca_pem: str) -> Settings:
    return Settings(
        ALICE,
        (endpoint,),
        username,
        CredentialKind.PASSWORD,
        auth=("PLAIN", "LOGIN"),
        display_name=NAME,
        ca_pem=ca_pem,
    )


def send(sender: Sender, chosen: Settings, password: str = PASSWORD) -> tuple[str, process.Ran]:
    """Make the profile, install it, send by it; gives the subject and how the program ended."""
    profile = make(sender.client, chosen)
    assert profile.usable, profile.notes
    letter = Letter(ALICE, BOB, f"by {sender.client} {next(numbers)}")
    with machine(sender.spool) as place:
        install(place, profile, password)
        return letter.subject, sender.send(Job(place, profile, letter, password))


def arrived(mailboxes: dovecot.Dovecot, subject: str) -> bytes | None:
    """The message of that subject, if Bob has it; git writes [PATCH] before it."""
    found = [m for m in mailboxes.messages(BOB) if _subject(m).endswith(subject)]
    return found[0] if found else None


def _subject(source: bytes) -> str:
    message = email.message_from_bytes(source, policy=email.policy.default)
    return str(message["Subject"])


def received(mailboxes: dovecot.Dovecot, subject: str, ran: process.Ran) -> bytes:
    try:
        process.wait_until(subject, lambda: arrived(mailboxes, subject), 10)
    except process.PeerFailed:
        pytest.fail(f"nothing arrived; the program said ({ran.code}):\n{ran.output[-6000:]}")
    source = arrived(mailboxes, subject)
    assert source is not None
    return source


def _name(sender: Sender) -> str:
    split = "-split" if sender.send.__name__.endswith("split") else ""
    return f"{sender.client}{split}"


def parameters() -> list[Any]:
    return [
        pytest.param(sender, marks=pytest.mark.peer(*sender.needs), id=_name(sender))
        for sender in SENDERS
    ]


@pytest.mark.parametrize("sender", parameters())
@pytest.mark.parametrize(
    ("endpoint", "plain_user"),
    [(STARTTLS, False), (IMPLICIT, True)],
    ids=["587-hard-name", "465-address"],
)
def test_the_program_delivers(
    sender: Sender,
    endpoint: Endpoint,
    plain_user: bool,
    submission: postfix.Postfix,
    mailboxes: dovecot.Dovecot,
    authority: Authority,
) -> None:
    client = find_client(sender.client)
    username = NASTY if client.unicode_login else NASTY_ASCII
    username += ":y" if client.colon_in_username else ""
    username = ALICE if plain_user else username
    subject, ran = send(sender, settings(endpoint, username, authority.ca_file.read_text()))
    source = received(mailboxes, subject, ran)
    assert b"with ESMTPSA" in source  # RFC 3848: by TLS, signed in
    port, log = endpoint.port, submission.daemon.log()
    assert f"sasl_username={username}" in log
    assert any(f"postfix/{port}" in line and "sasl_method" in line for line in log.splitlines())
    assert b"Return-Path: <alice@example.test>" in source
    if sender.client not in NAMELESS:
        sent = email.message_from_bytes(source, policy=email.policy.default)
        assert sent["From"].addresses[0].display_name == NAME


def hard_values() -> list[str]:
    """Two hundred values out of what syntaxes act on, the same each time."""
    chance = random.Random(8314)
    parts = [
        *"\"'\\$`#;:^%{}<>&!=[]()|~*?, @",
        "\\n",
        "${x}",
        "#{x}",
        "$(x)",
        "?>",
        "é",
        "王",
        "a",
        "0",
    ]
    values = ["".join(chance.choices(parts, k=chance.randint(1, 12))).strip() for _ in range(200)]
    return [value or "x" for value in values]


RUBY = "require 'json'; puts eval('[' + STDIN.read + ']').to_json"
PHP = "echo json_encode(eval('return [' . file_get_contents('php://stdin') . '];'));"
NODE = "console.log(JSON.stringify(eval('[' + require('fs').readFileSync(0, 'utf8') + ']')))"
DOTENV = """
require "Dotenv/autoload.php";
$read = Dotenv\\Dotenv::parse(file_get_contents("php://stdin"));
echo json_encode(array_values($read));
"""


@pytest.mark.peer("actionmailer", "phpmailer", "symfony-mailer")
@pytest.mark.parametrize(
    ("command", "quoted", "pattern"),
    [
        (["ruby", "-e", RUBY], quote.ruby, "{}, "),
        (["php", "-r", PHP], quote.php, "{}, "),
        (["node", "-e", NODE], quote.javascript, "{}, "),
        (["php", "-d", "extension=mbstring", "-r", DOTENV], quote.dotenv, "A{n}={}\n"),
    ],
    ids=["ruby", "php", "node", "dotenv"],
)
def test_the_language_itself_reads_what_was_quoted(
    command: list[str], quoted: Callable[[str], str], pattern: str
) -> None:
    values = hard_values()
    source = "".join(pattern.format(quoted(v), n=n) for n, v in enumerate(values))
    words = [php_program() if word == "php" else word for word in command]
    ran = process.run_client(words, stdin=source.encode())
    assert ran.ok, ran.output
    assert json.loads(ran.output) == values


@pytest.mark.peer("git-email")
def test_git_reads_what_was_quoted() -> None:
    values = hard_values()
    with machine() as place:
        lines = "".join(f"\tv = {quote.git(value)}\n" for value in values)
        place.write("config", f"[a]\n{lines}")
        ran = place.run("git", "config", "-f", "config", "-z", "--get-all", "a.v")
    assert ran.output.split("\0")[:-1] == values


@pytest.mark.parametrize("sender", parameters())
def test_the_program_gives_no_password_to_a_server_it_cannot_trust(
    sender: Sender, submission: postfix.Postfix, mailboxes: dovecot.Dovecot
) -> None:
    username = f"nobody-{next(numbers)}@example.test"
    subject, _ = send(sender, settings(STARTTLS, username, ""))
    assert arrived(mailboxes, subject) is None
    assert username not in submission.daemon.log()  # as "sasl_username" of a refused login


@pytest.mark.parametrize("sender", parameters())
def test_the_program_gives_no_password_where_starttls_was_taken_out(
    sender: Sender, submission: postfix.Postfix, authority: Authority
) -> None:
    chosen = settings(OTHER, ALICE, "")
    if not find_client(sender.client).forces_starttls:
        profile = make(sender.client, chosen)
        assert "starttls_optional" in {note.id for note in profile.notes}
        return
    with running(FakeSmtpServer(Behaviour(), host=OTHER_IP, port=587)) as server:
        send(sender, chosen)
        assert server.seen
        assert not any(seen.auth_in_clear or seen.messages for seen in server.seen)


@pytest.mark.parametrize(
    "sender", [p for p in parameters() if find_client(p.values[0].client).oauth]
)
def test_a_token_signs_in_where_no_password_is_accepted(
    sender: Sender, submission: postfix.Postfix, authority: Authority
) -> None:
    behaviour = Behaviour(
        tls=authority.context(hosts=[OTHER_HOST]),
        mechanisms=("XOAUTH2",),
        tokens={ALICE: TOKEN},
        require_tls=True,
        require_auth=True,
    )
    chosen = replace(
        settings(
            Endpoint(OTHER_HOST, 587, Security.STARTTLS), ALICE, authority.ca_file.read_text()
        ),
        credential=CredentialKind.OAUTH2,
        auth=("XOAUTH2",),
    )
    with running(FakeSmtpServer(behaviour, host=OTHER_IP, port=587)) as server:
        subject, ran = send(sender, chosen, TOKEN)
        assert [m for m in server.messages if subject.encode() in m.content], ran.output
        assert server.last.tls
        assert server.last.mechanisms == ["XOAUTH2"]


@pytest.mark.peer("msmtp")
def test_two_accounts_in_one_file_send_by_two_servers(
    submission: postfix.Postfix, mailboxes: dovecot.Dovecot, authority: Authority
) -> None:
    other = authority.issue(hosts=[HOST, OTHER_HOST])
    ca_pem = authority.ca_file.read_text()
    profiles = [
        make(
            "msmtp",
            Settings(address, (Endpoint(host, 587, Security.STARTTLS),), ALICE, ca_pem=ca_pem),
        )
        for address, host in ((ALICE, HOST), (BOB, OTHER_HOST))
    ]
    with (
        postfix.running(OTHER_IP, other, name=OTHER_HOST, domains=["example.test"], lmtp=mailboxes),
        machine() as place,
    ):
        for profile in profiles:
            install(place, profile, PASSWORD)
        rc = place.path("~/.msmtprc")
        first, last = rc.read_text().split("account default : alice-example.test\n")
        rc.write_text(first + last)  # as the first step says
        for name in ("alice", "bob"):
            place.write(f"~/.config/posthouse/{name}-example.test.password", PASSWORD, 0o600)
        for name, host in (("alice", HOST), ("bob", OTHER_HOST)):
            letter = Letter(f"{name}@example.test", BOB, f"identity {name} {next(numbers)}")
            ran = place.run("msmtp", "-a", f"{name}-example.test", BOB, stdin=letter.source)
            source = received(mailboxes, letter.subject, ran)
            assert f"by {host} (Postfix)".encode() in source


def test_every_client_that_can_be_run_here_is_run() -> None:
    """A new client needs a sender above, or a reason to be checked by its format alone."""
    by_format = {
        "thunderbird",
        "outlook",
        "outlook-new",
        "autodiscover",
        "apple",
        "thunderbird-android",
        "qr",
        "text",
        "posthouse",
        "domain",
        "grafana",
        "systemd",
    }
    from posthouse.setup.profile import clients

    assert {c.id for c in clients()} == by_format | {s.client for s in SENDERS}


def test_no_level_of_a_usable_profile_is_a_failure() -> None:
    for sender in SENDERS:
        profile = make(sender.client, settings(STARTTLS, ALICE, ""))
        assert all(note.level is not Level.FAIL for note in profile.notes)
        assert all(Path(file.name).name == file.name for file in profile.files)
