"""``posthouse serve`` with ``mx = true``: the recipient's domain decides, asked of real DNS.

unbound and NSD answer; the mail servers are our own recording ones on port 25. Where a domain takes
no mail, the report to the sender has to be there at once, not after days.
"""

from __future__ import annotations

import smtplib
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from fakes.background import running as in_background
from fakes.behaviour import Behaviour
from fakes.certs import Authority, Kind
from fakes.letter import hard, unchanged
from fakes.smtp import FakeSmtpServer
from peers import process, relay, unbound
from posthouse.explain.bounce import read_bounce
from posthouse.net.smtp_server import Message

pytestmark = [pytest.mark.netns, pytest.mark.peer("nsd", "unbound")]

ONE, TWO, SPARE = "192.0.2.31", "192.0.2.32", "192.0.2.33"  # for an MX, 127.0.0.0/8 is ourselves
SIX = "fd00::31"
OTHER = "127.0.0.12"  # of a second relay
ALICE = "alice@home.test"
ZONES = {
    "home.test": ["@ MX 10 mx", f"mx A {TWO}"],
    "both.test": [
        "@ MX 10 one", "@ MX 20 two", f"one A {ONE}", f"two A {TWO}",
        "www CNAME both.test.",
    ],
    "implicit.test": [f"@ A {TWO}"],
    "null.test": ["@ MX 0 ."],
    "down.test": ["@ MX 10 one", f"one A {ONE}"],
    "text.test": ['@ TXT "no address at all"'],
    "aliased.test": ["@ MX 10 mail", "mail CNAME two.both.test."],
    "us.test": ["@ MX 10 mx", f"mx A {relay.HOST}"],
    "best.test": ["@ MX 5 mx", "@ MX 10 two", f"mx A {relay.HOST}", f"two A {TWO}"],
    "spare.test": [
        "@ MX 10 one", "@ MX 20 mx", "@ MX 30 two",
        f"one A {ONE}", f"mx A {relay.HOST}", f"two A {TWO}",
    ],
    "under.test": ["@ MX 10 mail_in", f"mail_in A {TWO}"],
    "number.test": [f"@ MX 10 {TWO}."],
    "unlike.test": ["@ MX 10 one", "@ MX 10 two", f"one A {ONE}", f"two A {TWO}"],
    "dual.test": ["@ MX 10 mx", f"mx AAAA {SIX}", f"mx A {TWO}"],
    "farm.test": [f"@ A {ONE}", f"@ A {TWO}"],
}  # fmt: skip
MX = '[[hop]]\nname = "direct"\nmx = true\n[[route]]\nhop = "direct"\n'


@pytest.fixture(scope="module")
def ours() -> Iterator[relay.Relay]:
    for address in (ONE, TWO, SPARE):
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    subprocess.run(["ip", "address", "add", f"{SIX}/128", "dev", "lo", "nodad"], check=True)
    with unbound.with_nsd(ZONES), relay.running(relay.text(MX)) as running:
        yield running
    subprocess.run(["ip", "address", "del", f"{SIX}/128", "dev", "lo"], check=True)
    for address in (ONE, TWO, SPARE):
        subprocess.run(["ip", "address", "del", f"{address}/32", "dev", "lo"], check=True)


@contextmanager
def there(*hosts: str, behaviour: Behaviour | None = None) -> Iterator[list[FakeSmtpServer]]:
    """Mail servers on these addresses; nobody is on the others."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                in_background(FakeSmtpServer(behaviour or Behaviour(), host=host, port=25))
            )
            for host in hosts
        ]


def one_of(server: FakeSmtpServer) -> Message:
    process.wait_until("a message", lambda: server.messages)
    (message,) = server.messages
    return message


def test_the_mx_of_the_lowest_preference_is_taken(ours: relay.Relay) -> None:
    sent = hard("to the first")
    with there(ONE, TWO) as (one, two):
        ours.send(sent, ALICE, "bob@both.test")
        assert unchanged(one_of(one).content, sent)
        assert not two.seen
    assert ours.log("delivered")[-1]["host"].startswith("one.both.test")


def test_the_next_one_is_taken_where_the_first_is_down(ours: relay.Relay) -> None:
    sent = hard("to the second")
    with there(TWO) as (two,):
        ours.send(sent, ALICE, "bob@both.test")
        assert unchanged(one_of(two).content, sent)


def test_the_next_one_is_taken_where_the_first_turns_us_away(ours: relay.Relay) -> None:
    """RFC 5321 section 5.1: a server that is not up for now is not the end of the list."""
    sent = hard("to the second again")
    with there(ONE, behaviour=Behaviour(first="421 4.3.2 Not now")), there(TWO) as (two,):
        ours.send(sent, ALICE, "bob@both.test")
        assert unchanged(one_of(two).content, sent)


@pytest.mark.parametrize(
    "six",
    [
        Behaviour(drop_data_after=10),
        Behaviour(first="554 5.7.1 Your IPv6 address has no name"),
    ],
)
def test_who_refuses_us_by_ipv6_or_breaks_there_has_it_by_ipv4(
    ours: relay.Relay, six: Behaviour
) -> None:
    sent = hard("by the other family")
    with there(SIX, behaviour=six), there(TWO) as (two,):
        ours.send(sent, ALICE, "bob@dual.test")
        assert unchanged(one_of(two).content, sent)


def test_an_equal_takes_what_is_too_large_for_the_other(ours: relay.Relay) -> None:
    """Whichever of both comes first by chance, for each message anew."""
    with there(ONE, behaviour=Behaviour(size=100)) as (small,), there(TWO) as (large,):
        for number in range(6):
            ours.send(hard(f"number {number}"), ALICE, "bob@unlike.test")
            ours.wait_until_empty()
        assert (len(small.messages), len(large.messages)) == (0, 6)
    assert [e for e in ours.log("refused") if e["recipient"] == "bob@unlike.test"] == []


@pytest.mark.parametrize("domain", ["implicit.test", "aliased.test", "www.both.test", "under.test"])
def test_without_mx_and_by_alias(ours: relay.Relay, domain: str) -> None:
    sent = hard(f"to {domain}")
    with there(TWO) as (two,):
        ours.send(sent, ALICE, f"bob@{domain}")
        message = one_of(two)
    assert unchanged(message.content, sent)
    assert [r.recipient for r in message.recipients] == [f"bob@{domain}"]


@pytest.mark.parametrize(
    ("domain", "status", "cause"),
    [
        pytest.param("null.test", "5.1.10", "rcpt.domain", id="null-MX"),
        pytest.param("gone.test", "5.1.2", "rcpt.domain", id="no-such-domain"),
        pytest.param("text.test", "5.1.2", "rcpt.domain", id="no-server"),
        pytest.param("us.test", "5.4.6", "route.loop", id="ourselves"),
        pytest.param("best.test", "5.4.6", "route.loop", id="ourselves-first"),
        pytest.param("number.test", "5.4.4", "rcpt.domain", id="a-number-for-a-name"),
    ],
)
def test_a_domain_that_takes_no_mail_is_told_at_once(
    ours: relay.Relay, domain: str, status: str, cause: str
) -> None:
    with there(TWO) as (home,):
        ours.send(hard(f"to {domain}"), ALICE, f"bob@{domain}")
        report = one_of(home)
    assert report.mail.sender == ""
    assert [r.recipient for r in report.recipients] == [ALICE]
    (failed,) = read_bounce(report.content).recipients
    assert (failed.recipient, failed.status) == (f"bob@{domain}", status)
    assert ours.log("refused")[-1]["cause"] == cause


def test_a_domain_whose_servers_say_521_is_told_at_once(ours: relay.Relay) -> None:
    """RFC 7504. One of them alone says nothing: the other is tried."""
    closed = Behaviour(first="521 mx.both.test does not accept mail")
    with there(ONE, behaviour=closed), there(TWO) as (two,):
        ours.send(hard("to the one that is open"), ALICE, "bob@both.test")
        one_of(two)
    with there(ONE, behaviour=closed), there(TWO) as (home,):
        ours.send(hard("to nobody"), ALICE, "bob@down.test")
        (failed,) = read_bounce(one_of(home).content).recipients
    assert (failed.recipient, failed.status) == ("bob@down.test", "5.3.2")
    assert ours.log("refused")[-1]["cause"] == "rcpt.domain"


def test_mail_we_are_a_spare_for_waits_for_those_before_us(ours: relay.Relay) -> None:
    with there(TWO) as (worse,):
        ours.send(hard("to the first alone"), ALICE, "bob@spare.test")
        process.wait_until(
            "it is put off",
            lambda: [e for e in ours.log("deferred") if e["recipient"] == "bob@spare.test"],
        )
        assert worse.seen == []
    with there(ONE) as (one,):
        ours.asked("queue", "retry", "--all")
        one_of(one)


@pytest.mark.parametrize("kind", [Kind.GOOD, Kind.SELF_SIGNED, Kind.EXPIRED, None])
def test_tls_is_taken_where_it_is_offered_whoever_signed_it(
    ours: relay.Relay, kind: Kind | None
) -> None:
    """RFC 7435: opportunistic; no certificate is good enough to be worse than none."""
    context = Authority(process.new_folder("ca")).context(kind) if kind else None
    behaviour = Behaviour(tls=context) if context else Behaviour()
    sent = hard(f"with certificate {kind}")
    with there(ONE, behaviour=behaviour) as (one,):
        ours.send(sent, ALICE, "bob@both.test")
        assert unchanged(one_of(one).content, sent)
        seen = next(s for s in one.seen if s.messages)
    assert seen.tls == (kind is not None)


def test_what_is_broken_about_tls_does_not_stop_mail(ours: relay.Relay) -> None:
    """STARTTLS that ends in no handshake: the next try is in the clear, as for any MX."""
    sent = hard("behind a broken STARTTLS")
    broken = Behaviour(ehlo="250-mx.test\n250-8BITMIME\n250 STARTTLS", starttls="454 4.7.0 Not now")
    with there(ONE, behaviour=broken) as (one,):
        ours.send(sent, ALICE, "bob@both.test")
        assert unchanged(one_of(one).content, sent)


def test_who_is_too_many_at_the_end_of_a_message_gets_it_once(ours: relay.Relay) -> None:
    people = [f"many{n}@both.test" for n in range(9)]
    with there(ONE, behaviour=Behaviour(max_at_end=2)) as (one,):
        ours.send(hard("to many"), ALICE, *people)
        ours.wait_until_empty()
        got = [r.recipient for message in one.messages for r in message.recipients]
        assert sorted(got) == people
    told = [e for e in ours.log("deferred", "refused") if e["recipient"].startswith("many")]
    assert told == []


def test_an_empty_orcpt_is_taken_and_goes_no_further(ours: relay.Relay) -> None:
    """As Postfix and Exim take it: a client's template left it empty."""
    with there(ONE) as (one,), smtplib.SMTP(relay.HOST, 25, timeout=20) as client:
        client.sendmail(ALICE, ["bob@both.test"], hard("empty"), rcpt_options=["ORCPT=rfc822;"])
        assert "ORCPT" not in one_of(one).recipients[0].params


def test_an_old_server_that_knows_no_ehlo_gets_helo(ours: relay.Relay) -> None:
    old = Behaviour(ehlo="503 Say HELO first")
    with there(ONE, behaviour=old) as (one,):
        ours.send(hard("by HELO"), ALICE, "bob@both.test")
        one_of(one)
        assert [line[:4] for line in one.last.lines][:3] == ["EHLO", "HELO", "MAIL"]


def test_a_smart_host_stands_in_for_servers_that_are_down(ours: relay.Relay) -> None:
    """But not for a domain that takes no mail: that is an answer, and the sender gets it."""
    text = MX.replace("mx = true\n", 'mx = true\nfallback = "spare"\n')
    text += f'[[hop]]\nname = "spare"\nhosts = ["{SPARE}:25"]\nsecurity = "none"\n'
    sent = hard("by the smart host")
    with (
        there(SPARE, TWO) as (server, home),
        relay.running(relay.text(text, host=OTHER), host=OTHER) as other,
    ):
        other.send(sent, ALICE, "bob@down.test", "carol@down.test", "dave@null.test")
        message = one_of(server)
        assert unchanged(message.content, sent)
        assert {r.recipient for r in message.recipients} == {"bob@down.test", "carol@down.test"}
        other.wait_until_empty()
        moved = other.log("rerouted")
        assert {(one["recipient"], one["hop"]) for one in moved} == {
            ("bob@down.test", "spare"), ("carol@down.test", "spare")
        }  # fmt: skip
        assert [one["recipient"] for one in other.log("refused")] == ["dave@null.test"]
        assert b"dave@null.test" in one_of(home).content  # the report to the sender


@pytest.mark.parametrize("connections", [1, 10])
@pytest.mark.parametrize("text", [relay.plain("farm", "farm.test:25"), MX], ids=["host", "mx"])
def test_the_addresses_of_one_name_share_the_mail(
    ours: relay.Relay, text: str, connections: int
) -> None:
    """Half of it each, whether messages come one by one or at once; all where one is down."""
    share = 500 // connections

    def hand_in(_: int) -> None:
        with smtplib.SMTP(OTHER, 25, timeout=20) as client:
            for n in range(share):
                client.sendmail(ALICE, ["bob@farm.test"], f"Subject: {n}\r\n\r\nhello\r\n")

    def hand_in_all() -> None:
        with ThreadPoolExecutor(connections) as threads:
            list(threads.map(hand_in, range(connections)))
        other.wait_until_empty()

    with there(TWO) as (two,), relay.running(relay.text(text, host=OTHER), host=OTHER) as other:
        with there(ONE) as (one,):
            hand_in_all()
            counts = len(one.messages), len(two.messages)
            assert sum(counts) == 500
            assert 0.45 * 500 <= counts[0] <= 0.55 * 500
        hand_in_all()
        assert len(two.messages) == counts[1] + 500
        assert other.log("deferred", "refused") == []
