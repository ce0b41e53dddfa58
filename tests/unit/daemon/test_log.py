"""The log: lines of JSON that a program can rely on."""

from __future__ import annotations

import asyncio
import io
import json

from posthouse.daemon.log import EventLog, say_to
from posthouse.flow import Secret
from posthouse.letter import Event


async def test_an_event_is_one_line_whatever_its_data_are_called() -> None:
    stream = io.StringIO()
    log = EventLog(3, stream)
    log(Event(1.5, "bounced", "abc", "a@d.example", {"kind": "failed", "of": "xyz", "at": 7}))
    log(Event(2.0, "held", "abc", "", {"rule": "\n规则"}))
    await asyncio.sleep(0)
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first == {
        "at": "1970-01-01T00:00:01.500+00:00", "kind": "bounced", "worker": 3, "letter": "abc",
        "recipient": "a@d.example", "of": "xyz",
    }  # fmt: skip
    assert second["rule"] == "\n规则"


def test_a_secret_is_never_written() -> None:
    stream = io.StringIO()
    say_to(stream, worker=1)("login", secret=Secret("canary-of-the-log"))
    assert "canary" not in stream.getvalue()
    assert json.loads(stream.getvalue())["kind"] == "login"
