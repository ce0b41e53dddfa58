"""``posthouse queue`` and ``route test`` beside a running relay: what a person asks for happens."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fakes.background import running as in_background
from fakes.behaviour import Behaviour
from fakes.letter import letter
from fakes.smtp import FakeSmtpServer
from peers import process, relay

pytestmark = pytest.mark.netns

FAR, HELD_BY_RULE = "127.0.0.30", "kept@far.test"
ALICE = "alice@example.test"
HOPS = f"""
[[hop]]
name = "far"
hosts = ["{FAR}:25"]
security = "none"
tls = "none"
[[route]]
name = "look-first"
recipient = ["{HELD_BY_RULE}"]
action = "hold"
[[route]]
name = "away-with-it"
sender = ["*@spam.test"]
action = "discard"
[[route]]
name = "large"
larger = "1M"
hop = "far"
[[route]]
hop = "far"
"""


@pytest.fixture(scope="module")
def ours() -> Iterator[relay.Relay]:
    """Nobody is behind it, and what failed waits for an hour, until a test has it otherwise."""
    config = relay.text(HOPS, workers=2).replace(
        'first = "1s"\nmost = "2s"', 'first = "1h"\nmost = "1h"'
    )
    with relay.running(config) as running:
        yield running


@pytest.fixture(autouse=True)
def empty(ours: relay.Relay) -> Iterator[None]:
    yield
    ours.asked("queue", "delete", "--all", "--yes")
    assert ours.waiting() == 0


def waiting(ours: relay.Relay, *names: str) -> dict[str, str]:
    """Hand in for each name, wait until the first try has failed: name -> id."""
    before = len(ours.log("deferred"))
    for name in names:
        ours.send(letter(f"to {name}", b"x"), ALICE, f"{name}@far.test")
    ours.wait_for_log("deferred", before + len(names))
    return {one["recipients"][0].partition("@")[0]: one["id"] for one in listed(ours)}


def listed(ours: relay.Relay, *words: str) -> list[dict[str, Any]]:
    """Messages of ``queue list``, with plain addresses."""
    found = ours.asked("queue", "list", *words)["messages"]
    return [{**m, "recipients": [r["address"] for r in m["recipients"]], "raw": m} for m in found]


def states(ours: relay.Relay) -> set[str]:
    return {r["state"] for m in listed(ours) for r in m["raw"]["recipients"]}


def test_what_waits_is_listed_shown_and_found(ours: relay.Relay) -> None:
    ids = waiting(ours, "bob", "carol", "dan")
    assert len(ids) == 3
    assert [m["id"] for m in listed(ours, "--to", "carol@far.test")] == [ids["carol"]]
    assert [m["id"] for m in listed(ours, "--cause", "conn.*", "--oldest")] == sorted(ids.values())
    assert listed(ours, "--from", "*@nowhere.test") == []
    shown = ours.asked("queue", "show", ids["bob"])
    assert [event["kind"] for event in shown["events"]] == ["accepted", "deferred"]
    assert "Connection refused" in str(shown)
    content = ours.command("queue", "show", ids["bob"], "--content").output
    assert content.startswith("Received: from ")
    assert content.encode().endswith(letter("to bob", b"x"))
    text = ours.command("queue", "list", "--lang", "zh")
    assert text.ok
    assert ids["dan"] in text.output
    assert ours.command("queue", "show", "nonsense").code == 1


def test_held_is_not_tried_and_released_is(ours: relay.Relay) -> None:
    ids = waiting(ours, "bob", "carol")
    assert ours.asked("queue", "hold", ids["bob"])["recipients"] == 1
    with in_background(FakeSmtpServer(Behaviour(), host=FAR, port=25)) as far:
        assert ours.asked("queue", "retry", "--all")["recipients"] == 1
        process.wait_until("carol's", lambda: far.messages)
        process.wait_until("one left", lambda: [m["id"] for m in listed(ours)] == [ids["bob"]])
        assert states(ours) == {"held"}
        assert ours.asked("queue", "release", ids["bob"])["recipients"] == 1
        process.wait_until("bob's", lambda: len(far.messages) == 2)
        ours.wait_until_empty()
    got = [r.recipient for m in far.messages for r in m.recipients]
    assert got == ["carol@far.test", "bob@far.test"]
    events = ours.asked("queue", "show", ids["bob"])["events"]
    kinds = [event["kind"] for event in events]
    assert kinds == ["accepted", "deferred", "held", "released", "delivered"]


def test_deleted_is_gone_and_nobody_is_told(ours: relay.Relay) -> None:
    ids = waiting(ours, "bob", "carol")
    assert ours.command("queue", "delete", ids["bob"]).code == 2  # nobody there to say yes
    assert len(listed(ours)) == 2
    assert ours.asked("queue", "delete", ids["bob"], "--yes")["recipients"] == 1
    with in_background(FakeSmtpServer(Behaviour(), host=FAR, port=25)) as far:
        ours.asked("queue", "retry", "--all")
        ours.wait_until_empty()
    assert [m.recipients[0].recipient for m in far.messages] == ["carol@far.test"]
    assert ours.asked("queue", "show", ids["bob"])["events"][-1]["kind"] == "deleted"
    assert ours.log("bounced") == []


def test_what_a_rule_holds_waits_for_a_person(ours: relay.Relay) -> None:
    ours.send(letter("look at it first", b"x"), ALICE, HELD_BY_RULE)
    process.wait_until("held", lambda: states(ours) == {"held"})
    with in_background(FakeSmtpServer(Behaviour(), host=FAR, port=25)) as far:
        ours.asked("queue", "release", "--to", HELD_BY_RULE)
        process.wait_until("it", lambda: far.messages)
        ours.wait_until_empty()


def test_what_a_rule_discards_is_gone(ours: relay.Relay) -> None:
    ours.send(letter("spam", b"x"), "x@spam.test", "bob@far.test")
    (told,) = ours.wait_for_log("discarded")
    assert told["rule"] == "away-with-it"
    assert listed(ours) == []


@pytest.mark.parametrize(
    ("sender", "recipient", "rule", "code"),
    [
        (ALICE, "bob@far.test", "", 0),
        (ALICE, HELD_BY_RULE, "look-first", 1),
        ("x@spam.test", "bob@far.test", "away-with-it", 1),
    ],
)
def test_route_test_says_what_the_relay_does(
    ours: relay.Relay, sender: str, recipient: str, rule: str, code: int
) -> None:
    """The same file, the same message: said by one, done by the other."""
    message = letter("which way", b"x")
    words = ("route", "test", "-", "--from", sender, "--to", recipient, "--json")
    ran = ours.command(*words, stdin=message)
    assert ran.code == code
    (told,) = json.loads(ran.output)["recipients"]
    kinds = ("held", "discarded", "deferred")
    before = len(ours.log(*kinds))
    ours.send(message, sender, recipient)
    ours.daemon.wait_for("what is done", lambda: len(ours.log(*kinds)) > before)
    done = ours.log(*kinds)[-1]
    assert done.get("rule", "") == rule
    assert told["rule"] == rule or not rule
    as_done = {"deliver": "deferred", "hold": "held", "discard": "discarded"}
    assert as_done[told["action"]] == done["kind"]


def test_old_events_go_beside_the_running_relay(ours: relay.Relay) -> None:
    """Of what has left, not of what waits; what the relay does by itself is told in the log."""
    ids = waiting(ours, "bob", "carol")
    ours.asked("queue", "delete", ids["bob"], "--yes")
    counted = ours.asked("queue", "prune", "--older-than", "0s", "--dry-run")
    assert counted["messages"] >= 1
    done = ours.asked("queue", "prune", "--older-than", "0s")
    assert (done["messages"], done["events"]) == (counted["messages"], counted["events"])
    assert ours.command("queue", "show", ids["bob"]).code == 1
    kinds = [event["kind"] for event in ours.asked("queue", "show", ids["carol"])["events"]]
    assert kinds == ["accepted", "deferred"]
    ours.asked("queue", "delete", ids["carol"], "--yes")
    time.sleep(1.1)
    config = ours.config.read_text()
    ours.rewrite(f'{config}\n[queue]\nkeep_events = "1s"\n')
    ours.daemon.wait_for("a round", lambda: ours.log("pruned"))
    assert ours.command("queue", "show", ids["carol"]).code == 1
    ours.rewrite(config)
