"""A whole run against real sockets: who is tried again, what is told, when it ends early."""

from __future__ import annotations

import asyncio
import email
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from canaries import PASSWORD, WRONG_PASSWORD
from fakes.certs import Authority, Kind
from fakes.smtp import Action, Behaviour, FakeSmtpServer
from posthouse.flow import Failure, NetworkFailure, Secret, Security, Stage
from posthouse.net.resolver import FixtureResolver
from posthouse.send.client import (
    Account,
    Book,
    Done,
    Door,
    Draft,
    End,
    Envelope,
    Journal,
    JournalError,
    NoJournal,
    Place,
    Problem,
    Refused,
    Terms,
    crew,
    hand_in,
)
from posthouse.send.client import (
    Kind as DraftKind,
)
from posthouse.send.client.outcomes import why

HOST = "smtp.d.example"
FAST = Terms(connections=4, pauses=(0.01, 0.01), reopen=(0.0, 0.01, 0.01))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def letters(number: int, **more: object) -> list[Draft]:
    return [letter(n, **more) for n in range(number)]


def letter(n: int, **more: object) -> Draft:
    fields = {"from": "alice@d.example", "to": f"b{n}@e.example", "text": f"{n}\n", **more}
    return Draft(f"l:{n}", json.dumps(fields).encode(), DraftKind.JSON)


def door(server: FakeSmtpServer, **more: object) -> Door:
    security = more.pop("security", Security.NONE)
    host = "127.0.0.1" if security is Security.NONE else HOST
    place = Place(host, server.port, security, timeout=2, **more)  # type: ignore[arg-type]
    return Door(place, FixtureResolver({(HOST, "A"): ["127.0.0.1"]}))


async def sent(
    server: FakeSmtpServer,
    drafts: Sequence[Draft] | Iterator[Draft],
    *,
    terms: Terms = FAST,
    book: Book | None = None,
    waiting: Callable[[int], None] = lambda _number: None,
    stopping: Callable[[], None] = lambda: None,
    **more: object,
) -> tuple[End, list[Done]]:
    told: list[Done] = []
    async with asyncio.timeout(20):
        end = await hand_in(
            iter(drafts),
            Envelope(),
            door(server, **more),
            book=book or NoJournal(),
            report=told.append,
            terms=terms,
            waiting=waiting,
            stopping=stopping,
        )
    return end, told


def statuses(told: list[Done]) -> dict[str, int]:
    return dict(Counter(done.status for done in told))


async def test_every_message_arrives_once_over_a_few_connections() -> None:
    async with FakeSmtpServer() as server:
        end, told = await sent(server, letters(60))
    assert (end.stopped, statuses(told)) == (None, {"sent": 60})
    assert sorted(m.recipients[0].recipient for m in server.messages) == sorted(
        f"b{n}@e.example" for n in range(60)
    )
    assert 1 < len(server.seen) <= 4


@pytest.mark.parametrize(("long", "least", "most"), [(60.0, 1, 2), (0.0, 3, 10)])
async def test_more_connections_come_where_the_work_lasts(
    monkeypatch: pytest.MonkeyPatch, long: float, least: int, most: int
) -> None:
    monkeypatch.setattr(crew, "LONG", long)
    async with FakeSmtpServer() as server:
        end, told = await sent(server, letters(100), terms=Terms())
    assert statuses(told) == {"sent": 100}
    assert least <= end.connections == len(server.seen) <= most


async def test_one_message_needs_one_connection() -> None:
    async with FakeSmtpServer() as server:
        await sent(server, letters(1))
    assert len(server.seen) == 1


@pytest.mark.parametrize("extensions", [(), ("PIPELINING",)])
async def test_a_server_without_pipelining_gets_them_too(extensions: tuple[str, ...]) -> None:
    async with FakeSmtpServer(Behaviour(extensions=extensions)) as server:
        _, told = await sent(server, letters(5))
    assert statuses(told) == {"sent": 5}


async def test_what_is_deferred_is_tried_again_and_what_is_refused_is_not() -> None:
    replies = (
        ("RCPT TO:<b0", ("450 4.2.0 later", "250 2.1.5 ok")),
        ("RCPT TO:<b1", "550 5.1.1 no such user"),
        ("RCPT TO:<b2", "451 4.3.0 never"),
    )
    async with FakeSmtpServer(Behaviour(replies=replies)) as server:
        _, told = await sent(server, letters(4))
    assert statuses(told) == {"sent": 2, "refused": 1, "failed": 1}
    lines = Counter(line for seen in server.seen for line in seen.lines if "RCPT" in line)
    assert lines["RCPT TO:<b1@e.example>"] == 1
    assert lines["RCPT TO:<b2@e.example>"] == 1 + len(FAST.pauses)
    causes = {o.recipient[:2]: o.cause for d in told for o in d.outcomes}
    assert causes["b1"] == "rcpt.unknown"


async def test_only_the_recipients_that_were_deferred_get_it_again() -> None:
    replies = (("RCPT TO:<slow", ("450 4.2.0 later", "250 2.1.5 ok")),)
    to = ["b@e.example", "slow@e.example"]
    async with FakeSmtpServer(Behaviour(replies=replies)) as server:
        _, told = await sent(server, [letter(0, to=to)])
    assert [[r.recipient for r in m.recipients] for m in server.messages] == [
        ["b@e.example"],
        ["slow@e.example"],
    ]
    assert statuses(told) == {"sent": 1}


async def test_more_recipients_than_the_server_takes_at_once() -> None:
    to = [f"r{n}@e.example" for n in range(250)]
    async with FakeSmtpServer(Behaviour(max_recipients=40)) as server:
        _, told = await sent(server, [letter(0, to=to)])
    assert statuses(told) == {"sent": 1}
    got = [r.recipient for message in server.messages for r in message.recipients]
    assert sorted(got) == sorted(to)


@pytest.mark.parametrize("no", ["452 Too many recipients", "552 5.5.3 Too many recipients"])
async def test_however_the_server_says_that_they_are_too_many(no: str) -> None:
    """RFC 5321 section 4.5.3.1.10: 452 or, as of old, 552; nobody asks for an enhanced code."""
    yes = "250 2.1.5 ok"
    answers = (*[yes] * 2, "450 4.2.0 later", *[no] * 5, *[yes] * 2, *[no] * 3, yes)
    to = [f"r{n}@e.example" for n in range(8)]
    async with FakeSmtpServer(Behaviour(replies=(("^RCPT", answers),))) as server:
        _, told = await sent(server, [letter(0, to=to)])
    assert statuses(told) == {"sent": 1}
    got = [[r.recipient[:2] for r in message.recipients] for message in server.messages]
    assert got == [["r0", "r1"], ["r3", "r4"], ["r5", "r6", "r7"], ["r2"]]


async def test_the_same_message_twice_in_the_input_goes_once() -> None:
    async with FakeSmtpServer() as server:
        _, told = await sent(server, [*letters(3), *letters(3)])
    assert statuses(told) == {"sent": 3, "twice": 3}
    assert len(server.messages) == 3


async def test_a_bad_line_does_not_hold_up_the_others() -> None:
    drafts = [letter(0), Draft("l:x", b"{", DraftKind.JSON), letter(1)]
    async with FakeSmtpServer() as server:
        _, told = await sent(server, drafts)
    assert statuses(told) == {"sent": 2, "unusable": 1}


@pytest.mark.parametrize(
    ("behaviour", "problem"),
    [
        (Behaviour(size=300), Problem.TOO_BIG),
        (Behaviour(extensions=("PIPELINING", "8BITMIME")), Problem.NO_SMTPUTF8),
        (Behaviour(extensions=("PIPELINING", "SMTPUTF8")), Problem.NO_8BITMIME),
    ],
)
async def test_what_the_server_lacks_is_said_before_anything_is_sent(
    behaviour: Behaviour, problem: Problem
) -> None:
    raw = "From: a@d.example\nTo: ü@e.example\n\nä\n" + "x" * 300
    async with FakeSmtpServer(behaviour) as server:
        _, (done,) = await sent(server, [Draft("m", raw.encode())])
    assert done.problem is not None
    assert done.problem.problem is problem
    assert not any("MAIL" in line for line in server.last.lines)


@pytest.mark.parametrize(("more", "goes"), [("", True), ("DKIM-Signature: v=1\n", False)])
async def test_a_server_of_seven_bits_gets_seven_bits(more: str, goes: bool) -> None:
    """RFC 6152 section 3: to convert it, or not to send it at all."""
    raw = f"{more}From: a@d.example\nTo: b@e.example\n\n.\nGrüße, 你好\n"
    async with FakeSmtpServer(Behaviour(extensions=("PIPELINING", "SIZE 1000"))) as server:
        _, (done,) = await sent(server, [Draft("m", raw.encode())])
    assert (done.problem is None) is goes
    if done.problem is not None:
        assert done.problem.problem is Problem.NO_8BITMIME
        return
    [message] = server.messages
    assert message.content.isascii()
    assert message.mail.params["SIZE"] == str(len(message.content))
    assert "BODY" not in message.mail.params
    read = email.message_from_bytes(message.content).get_payload(decode=True)
    assert read == ".\r\nGrüße, 你好\r\n".encode()


async def test_the_parameters_are_there_where_they_are_needed() -> None:
    raw = "From: a@d.example\nTo: ü@e.example\n\nä\n"
    async with FakeSmtpServer() as server:
        _, told = await sent(server, [Draft("m", raw.encode())])
    assert statuses(told) == {"sent": 1}
    mail = next(line for line in server.last.lines if line.startswith("MAIL"))
    assert "BODY=8BITMIME" in mail
    assert "SMTPUTF8" in mail


async def test_a_server_that_ends_each_connection_after_some_messages() -> None:
    replies = (("MAIL FROM", ("250 ok", "250 ok", "421 4.7.0 enough")),)
    server = FakeSmtpServer(Behaviour(replies=replies))

    async with server:
        terms = Terms(connections=1, pauses=(0.01,), reopen=(0.0, 0.0, 0.0))
        told: list[Done] = []
        async with asyncio.timeout(20):
            end = await hand_in(
                iter(letters(9)),
                Envelope(),
                door(server),
                book=NoJournal(),
                report=lambda done: (told.append(done), server.used.clear()),  # type: ignore[func-returns-value,arg-type]
                terms=terms,
            )
    assert (end.stopped, statuses(told)) == (None, {"sent": 9})


async def test_an_answer_that_got_lost_is_told_and_the_id_stays() -> None:
    behaviour = Behaviour(lost_reply=True)
    async with FakeSmtpServer(behaviour) as server:
        terms = Terms(connections=1, pauses=(0.01,), reopen=(0.0,) * 5)
        _, told = await sent(server, letters(1), terms=terms)
    (done,) = told
    assert (done.status, done.unsure) == ("failed", True)
    ids = {m.content.split(b"Message-ID: ")[1].split(b"\r\n")[0] for m in server.messages}
    assert ids == {done.message_id.encode()}


# Ends before the end


@pytest.mark.parametrize("secret", [PASSWORD, WRONG_PASSWORD], ids=["right", "wrong"])
async def test_a_login_is_tried_once_whatever_the_number_of_connections(
    authority: Authority, secret: str
) -> None:
    behaviour = Behaviour(
        tls=authority.context(hosts=(HOST,)), accounts={"alice": PASSWORD}, require_auth=True
    )
    async with FakeSmtpServer(behaviour) as server:
        end, told = await sent(
            server,
            letters(30),
            security=Security.STARTTLS,
            account=Account("alice", Secret(secret)),
            ca_file=str(authority.ca_file),
        )
    logins = sum(line.startswith("AUTH") for seen in server.seen for line in seen.lines)
    assert not any(seen.auth_in_clear for seen in server.seen)
    if secret == PASSWORD:
        assert statuses(told) == {"sent": 30}
        return
    assert logins == 1
    assert told == []
    assert isinstance(end.stopped, Refused)
    assert end.stopped.stage is Stage.AUTH


async def test_a_password_that_is_changed_in_the_middle_is_refused_once(
    authority: Authority,
) -> None:
    """However many connections are lost at once, and want to sign in again."""
    good = Behaviour(
        tls=authority.context(hosts=(HOST,)),
        accounts={"alice@d.example": PASSWORD},
    )
    account = Account("alice@d.example", Secret(PASSWORD))
    async with FakeSmtpServer(good) as server:

        def drafts() -> Iterator[Draft]:
            for n in range(5_000):
                yield letter(n)
                if server.behaviour is good and sum(bool(s.messages) for s in server.seen) == 10:
                    server.behaviour = replace(good, accounts={})
                    server.hang_up()

        end, _ = await sent(
            server,
            drafts(),
            terms=Terms(connections=10, pauses=(), reopen=FAST.reopen),
            security=Security.STARTTLS,
            account=account,
            ca_file=str(authority.ca_file),
        )
    assert isinstance(end.stopped, Refused)
    assert end.stopped.stage is Stage.AUTH
    tried = [seen for seen in server.seen if any(line.startswith("AUTH") for line in seen.lines)]
    assert sum(not seen.messages for seen in tried) == 1


@pytest.mark.parametrize(
    ("kind", "trusted"), [(Kind.GOOD, "intermediate.pem"), (Kind.PLAIN_CA, "plain.pem")]
)
async def test_who_is_named_in_the_ca_file_is_trusted_on_each_python(
    authority: Authority, kind: Kind, trusted: str
) -> None:
    """As a hop of the relay and ``posthouse probe`` have it; ssl's own defaults differ."""
    behaviour = Behaviour(tls=authority.context(kind, hosts=(HOST,)))
    ca_file = str(authority.ca_file.with_name(trusted))
    async with FakeSmtpServer(behaviour) as server:
        end, told = await sent(server, letters(1), security=Security.STARTTLS, ca_file=ca_file)
    assert (end.stopped, statuses(told)) == (None, {"sent": 1})


@pytest.mark.parametrize(
    ("kind", "variant"),
    [
        (Kind.EXPIRED, "expired"),
        (Kind.NOT_YET_VALID, "not_yet_valid"),
        (Kind.SELF_SIGNED, "self_signed"),
        (Kind.WRONG_NAME, "wrong_name"),
        (Kind.WEAK_KEY, "weak"),
        (Kind.MISSING_INTERMEDIATE, None),  # as for an authority that is not known
    ],
)
@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
async def test_no_password_to_a_server_that_cannot_prove_its_name(
    authority: Authority, kind: Kind, variant: str | None, security: Security
) -> None:
    host = "other.example" if kind is Kind.WRONG_NAME else HOST
    context = authority.context(kind, hosts=(host,))
    behaviour = Behaviour(tls=context, implicit_tls=security is Security.TLS)
    async with FakeSmtpServer(behaviour) as server:
        end, _ = await sent(
            server,
            letters(1),
            security=security,
            account=Account("alice", Secret(PASSWORD)),
            ca_file=str(authority.ca_file),
        )
    assert isinstance(end.stopped, NetworkFailure)
    assert end.stopped.failure is Failure.CERTIFICATE
    assert why(end.stopped, HOST).variant == variant
    assert not any(seen.credentials for seen in server.seen)


async def test_starttls_that_is_not_offered_ends_it() -> None:
    async with FakeSmtpServer() as server:
        account = Account("alice", Secret(PASSWORD))
        end, _ = await sent(server, letters(1), security=Security.STARTTLS, account=account)
    assert isinstance(end.stopped, NetworkFailure)
    assert end.stopped.failure is Failure.TLS_NOT_OFFERED
    assert not server.last.credentials


def test_a_password_without_tls_is_a_mistake_of_ours() -> None:
    place = Place(HOST, 25, Security.NONE, Account("alice", Secret(PASSWORD)))
    with pytest.raises(ValueError, match="TLS"):
        Door(place, FixtureResolver({}))


BOTH = FixtureResolver({(HOST, "AAAA"): ["::1"], (HOST, "A"): ["127.0.0.1"]})


@pytest.mark.parametrize("six", [{"first": "554 5.7.1 No name"}, {"first": Action.SILENT}])
async def test_who_is_no_use_by_ipv6_is_asked_by_ipv4(six: dict[str, Any]) -> None:
    """RFC 5321 section 5.1: each address, until one succeeds."""
    async with (
        FakeSmtpServer() as four,
        FakeSmtpServer(Behaviour(**six), host="::1", port=four.port) as no_use,
    ):
        two = Door(Place(HOST, four.port, Security.NONE, timeout=0.05), BOTH)
        for _ in range(2):
            carrier = await two.open()
            assert carrier.peer == "127.0.0.1"
            carrier.quit()
        assert len(no_use.seen) == 1


async def test_an_address_that_goes_away_amid_a_run_leaves_the_other() -> None:
    async with FakeSmtpServer() as four:
        two = Door(Place(HOST, four.port, Security.NONE, timeout=2), BOTH)
        async with FakeSmtpServer(host="::1", port=four.port):
            first = await two.open()
            first.quit()
        second = await two.open(again=True)
        second.quit()
        assert (first.peer, second.peer) == ("::1", "127.0.0.1")


async def test_a_name_that_does_not_exist() -> None:
    place = Door(Place("no.example", 25, Security.NONE), FixtureResolver({}))
    told: list[Done] = []
    end = await hand_in(
        iter(letters(2)), Envelope(), place, book=NoJournal(), report=told.append, terms=FAST
    )
    assert isinstance(end.stopped, NetworkFailure)
    assert end.stopped.failure is Failure.NAME_NOT_FOUND
    assert (told, end.untried, end.all_read) == ([], 1, False)


async def test_a_server_that_refuses_every_sender_is_not_asked_a_thousand_times() -> None:
    behaviour = Behaviour(replies=(("MAIL FROM", "550 5.7.1 sender not allowed"),), errors=1000)
    async with FakeSmtpServer(behaviour) as server:
        end, told = await sent(server, letters(1000))
    assert isinstance(end.stopped, Refused)
    assert 20 <= len(told) < 60
    assert all(done.status == "refused" for done in told)


@pytest.mark.parametrize("where", ["^MAIL FROM", "^RCPT TO", r"^\.$"])
@pytest.mark.parametrize(
    "no",
    [
        "550 5.4.5 Daily user sending limit exceeded",
        "452 4.4.5 Daily sending limit exceeded, try tomorrow",
        "530 5.7.0 Authentication required",
    ],
)
async def test_an_account_at_its_limit_ends_it_whatever_went_before(where: str, no: str) -> None:
    """Each further try may count against it, and nothing that is still to come would be taken."""
    answers = ("250 ok",) * 5 + (no,)
    behaviour = Behaviour(replies=((where, answers),), errors=1000)
    async with FakeSmtpServer(behaviour) as server:
        end, told = await sent(server, letters(1000))
    assert isinstance(end.stopped, Refused)
    assert statuses(told)["sent"] == 5
    assert len(told) < 65
    assert sum(line.startswith("MAIL") for seen in server.seen for line in seen.lines) < 65


async def test_a_sender_of_many_who_may_not_send_holds_up_nobody() -> None:
    behaviour = Behaviour(replies=(("MAIL FROM:<eve", "550 5.7.1 sender not allowed"),), errors=999)
    drafts = [letter(0), *letters(200, **{"from": "eve@d.example"}), *letters(10, subject="s")]
    async with FakeSmtpServer(behaviour) as server:
        end, told = await sent(server, drafts)
    assert (end.stopped, statuses(told)) == (None, {"sent": 11, "refused": 200})


async def test_a_server_that_goes_away_is_given_up_after_a_few_tries() -> None:
    behaviour = Behaviour(replies=(("MAIL FROM", Action.RESET),))
    async with FakeSmtpServer(behaviour) as server:
        end, told = await sent(server, letters(500))
    assert isinstance(end.stopped, NetworkFailure)
    assert len(server.seen) < 40
    assert "sent" not in statuses(told)


# Interrupted, and gone on


async def test_an_interrupted_run_and_a_second_one_send_each_message_once(tmp_path: Path) -> None:
    async with FakeSmtpServer() as server:
        book = Journal(tmp_path / "j", lambda: 0.0)

        def interrupting() -> Iterator[Draft]:
            for n, draft in enumerate(letters(100)):
                if n == 40:
                    os.kill(os.getpid(), signal.SIGINT)
                yield draft

        end, first = await sent(server, interrupting(), book=book)
        book.close()
        assert end.interrupted
        assert 0 < len(first) < 100
        book = Journal(tmp_path / "j", lambda: 0.0)
        assert book.uncertain == 0
        _, second = await sent(server, letters(100), book=book)
        book.close()
    assert statuses(second) == {"before": len(first), "sent": 100 - len(first)}
    assert len(server.messages) == len({m.recipients[0].recipient for m in server.messages}) == 100


@pytest.mark.parametrize("what", ["sent", "under_way"])
async def test_a_journal_that_cannot_be_written_ends_the_run(tmp_path: Path, what: str) -> None:
    """What was under way is answered, and told; what the journal misses is counted."""

    class Full(Journal):
        left = 5

        def _write(self, line: dict[str, object]) -> None:
            self.left -= what in line
            if self.left < 0:
                raise JournalError("write")
            super()._write(line)

    book = Full(tmp_path / "j", lambda: 0.0)
    async with FakeSmtpServer() as server:
        end, told = await sent(server, letters(200), book=book)
    book.close()
    assert isinstance(end.error, JournalError)
    assert statuses(told) == {"sent": len(server.messages)}
    assert len(server.messages) <= 5 + 2 * FAST.connections
    book = Journal(tmp_path / "j", lambda: 0.0)
    assert book.known <= 5
    assert len(server.messages) == book.known + end.unnoted
    book.close()


async def test_a_disk_that_keeps_nothing_ends_the_run(tmp_path: Path) -> None:
    class Unkept(Journal):
        async def keep(self) -> None:
            await asyncio.sleep(0.02)
            raise JournalError("sync")

    book = Unkept(tmp_path / "j", lambda: 0.0)
    async with FakeSmtpServer() as server:
        end, told = await sent(server, letters(5000), book=book)
    book.close()
    assert isinstance(end.error, JournalError)
    assert statuses(told) == {"sent": len(server.messages)}
    assert (len(server.messages), end.unnoted) == (book.known, 0)
    assert not end.all_read


def gone(_done: Done) -> None:
    raise BrokenPipeError


async def test_nobody_who_listens_ends_the_run_and_what_was_under_way_is_noted(
    tmp_path: Path,
) -> None:
    book = Journal(tmp_path / "j", lambda: 0.0)
    async with FakeSmtpServer() as server, asyncio.timeout(20):
        end = await hand_in(
            iter(letters(200)), Envelope(), door(server), book=book, report=gone, terms=FAST
        )
    book.close()
    assert isinstance(end.error, BrokenPipeError)
    assert 0 < len(server.messages) <= 1 + 2 * FAST.connections
    book = Journal(tmp_path / "j", lambda: 0.0)
    assert (book.known, book.uncertain) == (len(server.messages), 0)
    book.close()


async def test_a_draft_that_nobody_foresaw_ends_the_run_and_loses_nothing(tmp_path: Path) -> None:
    def drafts() -> Iterator[Draft]:
        yield from letters(50)
        raise ZeroDivisionError

    book = Journal(tmp_path / "j", lambda: 0.0)
    async with FakeSmtpServer() as server:
        end, told = await sent(server, drafts(), book=book)
    book.close()
    assert isinstance(end.error, ZeroDivisionError)
    assert statuses(told) == {"sent": 50}
    assert book.known == len(server.messages) == 50


async def test_a_second_interruption_tells_what_it_did_not_wait_for() -> None:
    behaviour = Behaviour(replies=(("MAIL FROM", Action.SILENT),))
    async with FakeSmtpServer(behaviour) as server:
        for seconds in (0.2, 0.3):
            asyncio.get_running_loop().call_later(seconds, os.kill, os.getpid(), signal.SIGINT)
        terms = Terms(connections=1, pauses=(), reopen=())
        end, told = await sent(server, letters(3), terms=terms)
    assert (end.interrupted, end.cut, told) == (True, 2, [])


async def test_what_a_killed_run_left_in_the_middle_is_told_of_each(tmp_path: Path) -> None:
    path = tmp_path / "j"
    async with FakeSmtpServer() as server:
        told = (await sent(server, letters(1)))[1]
        cut = Journal(path, lambda: 0.0)
        cut.under_way(told[0].key)
        cut.close()
        book = Journal(path, lambda: 0.0)
        _, told = await sent(server, letters(3), book=book)
        book.close()
    assert {done.where: done.unsure for done in told} == {"l:0": True, "l:1": False, "l:2": False}
    assert (book.uncertain, statuses(told)) == (1, {"sent": 3})


async def test_who_interrupts_is_told_what_is_waited_for() -> None:
    stopping: list[str] = []
    async with FakeSmtpServer(Behaviour(replies=((r"^\.$", Action.SILENT),))) as server:
        loop = asyncio.get_running_loop()

        def twice() -> None:
            stopping.append("once")
            loop.call_soon(os.kill, os.getpid(), signal.SIGINT)

        loop.call_later(0.3, os.kill, os.getpid(), signal.SIGINT)
        end, _ = await sent(server, letters(3), stopping=twice)
    assert (stopping, end.interrupted, end.cut) == (["once"], True, 3)


async def test_how_many_wait_for_a_further_try_is_told() -> None:
    waiting: list[int] = []
    behaviour = Behaviour(replies=(("RCPT TO", ("450 4.7.1 Greylisted",) * 3 + ("250 ok",)),))
    async with FakeSmtpServer(behaviour) as server:
        _, told = await sent(server, letters(3), waiting=waiting.append)
    assert (max(waiting), waiting[-1], statuses(told)) == (3, 0, {"sent": 3})


async def test_a_closed_terminal_ends_no_run_that_nohup_began() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        async with FakeSmtpServer() as server:
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGHUP)
            end, told = await sent(server, letters(50))
        assert (end.interrupted, statuses(told)) == (False, {"sent": 50})
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_a_rate_is_kept() -> None:
    loop = asyncio.get_running_loop()
    async with FakeSmtpServer() as server:
        began = loop.time()
        _, told = await sent(server, letters(6), terms=Terms(connections=3, rate=50.0))
        spent = loop.time() - began
    assert statuses(told) == {"sent": 6}
    assert spent >= 5 / 50  # the first goes at once; never sooner is certain, later is not


async def test_memory_holds_only_what_is_needed() -> None:
    read = 0

    def counted() -> Iterator[Draft]:
        nonlocal read
        for draft in letters(400):
            read += 1
            yield draft

    ahead: list[int] = []
    async with FakeSmtpServer() as server:
        told: list[Done] = []
        await hand_in(
            counted(),
            Envelope(),
            door(server),
            book=NoJournal(),
            report=lambda done: (told.append(done), ahead.append(read - len(told))),  # type: ignore[func-returns-value,arg-type]
            terms=FAST,
        )
    assert len(told) == 400
    assert max(ahead) <= 2 * FAST.connections + FAST.connections


async def test_an_interruption_while_nobody_answers_ends_it_at_once() -> None:
    behaviour = Behaviour(first=Action.SILENT)
    async with FakeSmtpServer(behaviour) as server:
        asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGINT)
        end, told = await sent(server, letters(3))
    assert (end.interrupted, told, end.untried) == (True, [], 1)
