"""The log: lines of JSON that a program can rely on."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from posthouse.daemon.log import Log, say_to
from posthouse.flow import Secret
from posthouse.letter import Event


class Kept:
    """Lines that go nowhere."""

    def __init__(self) -> None:
        self.puts: list[bytes] = []

    def put(self, data: bytes) -> None:
        self.puts.append(data)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in b"".join(self.puts).splitlines()]


async def test_an_event_is_one_line_whatever_its_data_are_called() -> None:
    kept = Kept()
    log = Log(3, kept)
    log.event(Event(1.5, "bounced", "abc", "a@d.example", {"kind": "failed", "of": "xyz", "at": 7}))
    log.event(Event(2.0, "held", "abc", "", {"rule": "\n规则"}))
    log.event(Event(2.0, "held", "abc", "", MappingProxyType({"recipient": "of the data"})))
    log.event(Event(2.0, "gone", "abc"))
    await asyncio.sleep(0)
    first, second, third, fourth = kept.lines
    assert first == {
        "at": "1970-01-01T00:00:01.500+00:00", "kind": "bounced", "worker": 3, "letter": "abc",
        "recipient": "a@d.example", "of": "xyz",
    }  # fmt: skip
    assert second["rule"] == "\n规则"
    assert third["recipient"] == "of the data"
    assert list(fourth) == ["at", "kind", "worker", "letter"]


async def test_a_line_is_one_for_everybody() -> None:
    kept, odd = Kept(), "a\u2028{}\u2029b\x85规\r\nd"
    log = Log(3, kept)
    log.event(Event(2.0, "held", "abc", odd, {"reply": odd}))
    log.say("error", message=odd)
    await asyncio.sleep(0)
    first, second = b"".join(kept.puts).decode().splitlines()  # Python's ends them at U+2028, too
    assert json.loads(first)["recipient"] == json.loads(first)["reply"] == odd
    assert json.loads(second)["message"] == odd
    assert "规" in first


async def test_a_server_s_words_do_nothing_to_the_terminal_of_who_reads() -> None:
    kept, odd = (
        Kept(),
        "250 \x1b[2J\x9b31m \u202etxt.exe\u202c \u2066x\u2069\u200e\u200f è 规 \u2026",
    )
    log = Log(3, kept)
    log.event(Event(2.0, "deferred", "abc", "bob@far.test", {"reply": odd}))
    log.say("error", message=odd)
    await asyncio.sleep(0)
    for line in b"".join(kept.puts).decode().splitlines():
        assert odd in json.loads(line).values()
        assert [char for char in line if not char.isprintable()] == []
        assert "è 规 …" in line


async def test_events_of_a_turn_are_handed_over_together_and_in_order() -> None:
    kept = Kept()
    log = Log(0, kept)
    for number in range(3):
        log.event(Event(1.0, "accepted", str(number)))
    assert kept.puts == []
    await asyncio.sleep(0)
    assert len(kept.puts) == 1
    log.event(Event(1.0, "accepted", "3"))
    log.say("rejected", reason="rate")
    log.event(Event(1.0, "accepted", "4"))
    await asyncio.sleep(0)
    assert [line.get("letter") for line in kept.lines] == ["0", "1", "2", "3", None, "4"]
    log.flush()
    assert len(kept.lines) == 6


async def test_another_thread_may_say_something_and_leaves_the_events_alone() -> None:
    kept = Kept()
    log = Log(0, kept)
    log.event(Event(1.0, "accepted", "1"))
    thread = threading.Thread(target=log.say, args=("pruned",))
    thread.start()
    thread.join()
    assert [line["kind"] for line in kept.lines] == ["pruned"]
    await asyncio.sleep(0)
    assert [line["kind"] for line in kept.lines] == ["pruned", "accepted"]


@given(st.lists(st.floats(0, 4_000_000_000), min_size=1, max_size=5))
@example([1.9999996, 1.9999994, 1.0015, 1767225600.1235])
def test_times_are_those_of_datetime(times: list[float]) -> None:
    kept = Kept()
    log = Log(0, kept)

    async def work() -> None:
        for at in times:
            log.event(Event(at, "accepted", "1"))

    asyncio.run(work())
    log.flush()
    expected = [datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds") for at in times]
    assert [line["at"] for line in kept.lines] == expected


def test_what_is_said_has_its_time_in_the_same_form_and_place() -> None:
    kept = Kept()
    before = datetime.now(UTC).replace(microsecond=0)
    say_to(kept, worker=1)("login", at=7, result="ok")
    Log(2, kept).say("pruned", lane="l")
    for line, kind in zip(kept.lines, ("login", "pruned"), strict=True):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["at"])
        assert before <= datetime.fromisoformat(line["at"]) <= datetime.now(UTC)
        assert list(line)[:3] == ["at", "kind", "worker"]
        assert line["kind"] == kind


def test_a_secret_is_never_written() -> None:
    kept = Kept()
    say_to(kept, worker=1)("login", secret=Secret("canary-of-the-log"))
    assert b"canary" not in b"".join(kept.puts)
    assert kept.lines[0]["kind"] == "login"
