"""Fetching a test message back, from a mailbox in memory."""

from __future__ import annotations

import pytest

from fakes.certs import Authority, Kind
from fakes.imap import FakeImap
from posthouse.flow import Failure, NetworkFailure, Secret, Stage
from posthouse.net import imap_wire
from posthouse.net.clock import FakeClock
from posthouse.net.dial import MemoryDialer
from posthouse.net.imap import Fetched, fetch_by_message_id
from posthouse.net.stream import MemoryStream, PipeStream

ID = "<probe.1@mail.test>"


def message(message_id: str = ID, subject: str = "test") -> bytes:
    return f"Received: x\r\nMessage-ID: {message_id}\r\nSubject: {subject}\r\n\r\n".encode()


async def fetch(fake: FakeImap, authority: Authority, **more: object) -> Fetched:
    if fake.tls is None:
        fake.tls = authority.context()
    port = 993 if fake.implicit else 143
    options: dict[str, object] = {
        "host": "mail.test",
        "port": port,
        "username": fake.username,
        "secret": Secret("s3cret"),
        "dialer": MemoryDialer({("mail.test", port): fake.serve}),
        "clock": FakeClock(),
        "wait": 30.0,
        "ca_file": str(authority.ca_file),
    }
    return await fetch_by_message_id(ID, **(options | more))  # type: ignore[arg-type]


async def fail(fake: FakeImap, authority: Authority, **more: object) -> NetworkFailure:
    with pytest.raises(NetworkFailure) as caught:
        await fetch(fake, authority, **more)
    return caught.value


async def test_a_message_that_is_there(authority: Authority) -> None:
    fake = FakeImap({"INBOX": [message("<a@b>"), message(), message("<c@d>")]})
    got = await fetch(fake, authority)
    assert (got.folder, got.in_spam, got.seconds) == ("INBOX", False, 0.0)
    assert got.header.startswith(b"Received: x\r\nMessage-ID: " + ID.encode())
    assert fake.log[-1] == "LOGOUT"


async def test_nothing_in_the_mailbox_is_changed(authority: Authority) -> None:
    fake = FakeImap({"INBOX": [message()]})
    await fetch(fake, authority)
    verbs = {line.split()[0] for line in fake.log}
    assert verbs <= {"CAPABILITY", "AUTHENTICATE", "ID", "LIST", "EXAMINE", "FETCH", "LOGOUT"}
    assert all("PEEK" in line for line in fake.log if line.startswith("FETCH"))


async def test_a_message_that_takes_its_time(authority: Authority) -> None:
    fake = FakeImap({"INBOX": [message("<a@b>")]}, late=message(), arrive_at_look=4)
    clock = FakeClock()
    got = await fetch(fake, authority, clock=clock)
    assert clock.slept == [1.0, 1.5, 2.25]
    assert got.seconds == pytest.approx(4.75)


SPAM = [("Junk", "\\Junk"), ("Spam", ""), ("INBOX.Junk", ""), ("&V4NXPpCuTvY-", "\\HasNoChildren")]


@pytest.mark.parametrize(("folder", "flags"), SPAM)
async def test_a_message_in_the_spam_folder_has_arrived(
    authority: Authority, folder: str, flags: str
) -> None:
    fake = FakeImap({"INBOX": [], "Sent": [message()], folder: [message()]}, flags={folder: flags})
    got = await fetch(fake, authority)
    assert (got.folder, got.in_spam) == (folder, True)


async def test_a_message_that_never_comes(authority: Authority) -> None:
    clock = FakeClock()
    failure = await fail(FakeImap({"INBOX": [message("<a@b>")]}), authority, clock=clock, wait=20.0)
    assert (failure.failure, failure.detail["reason"]) == (Failure.SILENT, "not_arrived")
    assert clock.monotonic() == pytest.approx(20.0)
    assert max(clock.slept) <= 5.0


async def test_only_the_newest_messages_are_read(authority: Authority) -> None:
    fake = FakeImap({"INBOX": [message(f"<{n}@x>") for n in range(500)] + [message()]})
    await fetch(fake, authority)
    assert "FETCH 472:* (BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])" in fake.log


async def test_starttls_on_143(authority: Authority) -> None:
    fake = FakeImap({"INBOX": [message()]}, implicit=False, capabilities="IMAP4rev1 STARTTLS")
    await fetch(fake, authority)
    assert fake.log[:3] == ["CAPABILITY", "STARTTLS", "CAPABILITY"]
    assert fake.log[3].startswith("LOGIN ")


async def test_no_password_without_tls(authority: Authority) -> None:
    fake = FakeImap(implicit=False, capabilities="IMAP4rev1 AUTH=PLAIN")
    failure = await fail(fake, authority)
    assert failure.failure is Failure.TLS_NOT_OFFERED
    assert fake.log == ["CAPABILITY"]


@pytest.mark.parametrize("kind", [Kind.EXPIRED, Kind.SELF_SIGNED, Kind.WRONG_NAME])
async def test_no_password_to_an_untrusted_server(authority: Authority, kind: Kind) -> None:
    fake = FakeImap(tls=authority.context(kind))
    failure = await fail(fake, authority)
    assert (failure.failure, failure.stage) == (Failure.CERTIFICATE, Stage.TLS)
    assert failure.detail["problems"] == [str(kind)]
    assert fake.log == ["CAPABILITY"]


LOGINS = ["AUTH=PLAIN", "", "AUTH=PLAIN LOGINDISABLED"]


@pytest.mark.parametrize("capabilities", LOGINS)
@pytest.mark.parametrize("password", ['p"w\\d', "密码 ü", "{5}"])
async def test_any_character_of_a_password_gets_through(
    authority: Authority, capabilities: str, password: str
) -> None:
    fake = FakeImap(
        {"INBOX": [message()]}, password=password, capabilities=f"IMAP4rev1 {capabilities}"
    )
    assert (await fetch(fake, authority, secret=Secret(password))).folder == "INBOX"


async def test_a_refused_login_is_told_without_the_password(authority: Authority) -> None:
    fake = FakeImap(password="another")
    failure = await fail(fake, authority, secret=Secret("hunter2-wrong"))
    assert (failure.failure, failure.stage) == (Failure.BAD_REPLY, Stage.AUTH)
    assert failure.detail["reason"] == "login_refused"
    assert "AUTHENTICATIONFAILED" in failure.detail["text"]
    assert "hunter2" not in repr(failure)
    assert sum(line.startswith("AUTHENTICATE") for line in fake.log) == 1  # one try


async def test_login_disabled(authority: Authority) -> None:
    failure = await fail(FakeImap(capabilities="IMAP4rev1 LOGINDISABLED"), authority)
    assert failure.failure is Failure.AUTH_NOT_OFFERED


async def test_netease_wants_a_name(authority: Authority) -> None:
    fake = FakeImap({"INBOX": [message()]})
    await fetch(fake, authority)
    assert fake.log.index('ID ("name" "posthouse")') < fake.log.index('EXAMINE "INBOX"')


async def test_smtp_greets_instead(authority: Authority) -> None:
    failure = await fail(FakeImap(greeting=b"220 mail.test ESMTP\r\n"), authority)
    assert (failure.failure, failure.detail["reason"]) == (Failure.BAD_REPLY, "not_imap")
    assert failure.detail["protocol"] == "smtp"


FLOODS = [
    (b"* " + b"x" * 70_000, "too_big"),
    (b"* 1 FETCH {999999999}\r\n", "too_big"),
    (b"* 1 EXISTS\r\n" * 3_000, "too_big"),
    (b"P2 OK strange\r\n", "not_imap"),
    (b"nonsense\r\n", "not_imap"),
]


@pytest.mark.parametrize(("flood", "reason"), FLOODS)
async def test_floods_and_nonsense(authority: Authority, flood: bytes, reason: str) -> None:
    async def serve(stream: PipeStream) -> None:
        await stream.accept_tls(authority.context())
        await stream.write(b"* OK hi\r\n")
        await stream.read()
        await stream.write(flood)
        await stream.read()

    dialer = MemoryDialer({("mail.test", 993): serve})
    failure = await fail(FakeImap(), authority, dialer=dialer)
    assert (failure.failure, failure.detail["reason"]) == (Failure.BAD_REPLY, reason)


async def test_a_silent_server(authority: Authority, monkeypatch) -> None:
    monkeypatch.setattr(imap_wire, "COMMAND_SECONDS", 0.1)

    async def serve(stream: MemoryStream) -> None:
        await stream.accept_tls(authority.context())
        await stream.read()

    failure = await fail(FakeImap(), authority, dialer=MemoryDialer({("mail.test", 993): serve}))
    assert failure.failure is Failure.SILENT
    assert "reason" not in failure.detail
