"""What is kept in the data folder: the lanes of the queue, and who may sign in.

Enters: a ``Config``, a clock. Leaves: ``Finding``s. Called by ``look``. Nothing fails, and nothing
takes longer than ``SECONDS``: of a queue of gigabytes only the beginning is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from posthouse.config import Config
from posthouse.daemon.metrics import Reader
from posthouse.flow import Finding, Status
from posthouse.net.clock import Clock
from posthouse.send.queue.files import LaneError, file_of, lanes_in
from posthouse.send.queue.sound import look_at
from posthouse.send.submit.accounts import Accounts, AccountsUnreadable
from posthouse.send.submit.settings import Mode

SECONDS: Final = 10.0  # for all lanes together


def look(config: Config, clock: Clock) -> Iterator[Finding]:
    """The lanes, then the users."""
    yield from _lanes(config, clock)
    if any(one.mode is not Mode.RELAY for one in config.listen):
        yield _users(config)


def _lanes(config: Config, clock: Clock) -> Iterator[Finding]:
    data = config.server.data
    try:
        there = lanes_in(data)
    except LaneError as error:
        params = {"path": str(error.path), "why": error.why}
        yield Finding("relay.lane.unreadable", Status.FAIL, params=params)
        return
    # What is deleted under a worker is open still, and so are the letters in it.
    gone = Reader(data, config.server.workers).alive().keys() - there
    for lane in sorted(gone):
        yield Finding("relay.lane.gone", Status.FAIL, params={"path": str(file_of(data, lane))})
    paths = there.values()
    end = clock.monotonic() + SECONDS
    messages = readable = 0
    for path in paths:
        found = look_at(path, lambda: clock.monotonic() > end)
        messages += found.messages
        readable += not found.problem or found.messages > 0
        if found.problem:
            params = {"path": str(path), "why": found.problem}
            yield Finding(f"relay.lane.{found.kind}", Status.FAIL, params=params)
        elif not found.whole:
            params = {"path": str(path), "seconds": f"{SECONDS:.0f}"}
            yield Finding("relay.lane.unfinished", Status.UNKNOWN, params=params)
    if not readable and (gone or paths):  # what can't be read is not empty
        return
    lanes = {"lanes": readable, "messages": messages}
    status = Status.OK if paths else Status.SKIPPED
    yield Finding("relay.lane.counted" if paths else "relay.lane.none", status, params=lanes)


def _users(config: Config) -> Finding:
    path = str(config.server.data)
    try:
        accounts = Accounts(config.server.data)
    except AccountsUnreadable as error:
        if error.missing:
            return Finding("relay.users.none", Status.WARN, params={"path": path})
        return Finding("relay.users.unreadable", Status.FAIL, params={"why": str(error)})
    try:
        count = sum(user.enabled for user in accounts.users())
    except AccountsUnreadable as error:
        return Finding("relay.users.unreadable", Status.FAIL, params={"why": str(error)})
    finally:
        accounts.close()
    kind, status = ("ok", Status.OK) if count else ("none", Status.WARN)
    return Finding(f"relay.users.{kind}", status, params={"path": path, "count": count})
