"""A new configuration for a supervisor: in which order workers change, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from posthouse.config import Config
from posthouse.daemon import supervisor
from posthouse.daemon.supervisor import Supervisor
from unit.daemon.installed import config


@pytest.fixture
def done(monkeypatch) -> list[str]:
    """What is done to workers, instead of processes."""
    found: list[str] = []
    monkeypatch.setattr(
        Supervisor, "_end", lambda _self, ones: found.extend(f"end {one.number}" for one in ones)
    )
    monkeypatch.setattr(
        Supervisor, "_start", lambda _self, one: found.append(f"start {one.number}")
    )
    monkeypatch.setattr(
        Supervisor, "_gets_ready", lambda _self, one: not found.append(f"ready {one.number}")
    )
    return found


def reloaded(before: Config, after: Config) -> tuple[Supervisor, list[str]]:
    said: list[str] = []

    def say(kind: str, **_facts: Any) -> None:
        said.append(kind)

    one = Supervisor(before, lambda _post: 0, lambda: after, say)
    one._sockets = [supervisor.bound("127.0.0.1", 0)]
    one._workers = [supervisor._Worker(n, config=before) for n in range(before.server.workers)]
    try:
        one._reload()
    finally:
        for sock in one._sockets:
            sock.close()
    return one, said


def workers(one: Config, number: int) -> Config:
    return replace(one, server=replace(one.server, workers=number))


def test_one_after_the_other_so_that_somebody_is_always_there(tmp_path, done) -> None:
    at = workers(config(tmp_path), 2)
    _, said = reloaded(at, replace(at))
    assert done == ["end 0", "start 0", "ready 0", "end 1", "start 1", "ready 1"]
    assert said == ["reloaded"]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (2, ["end 0", "start 0 new", "end 0", "start 0 old"]),  # the other goes on as it is
        (1, ["end 0", "end 1", "start 0 new", "end 0", "start 0 old", "start 1 old"]),
    ],
)
def test_where_one_does_not_get_ready_all_is_as_before(
    tmp_path, done, monkeypatch, after: int, expected: list[str]
) -> None:
    old = workers(config(tmp_path), 2)
    new = workers(replace(old), after)

    def start(one: Supervisor, worker: Any) -> None:
        worker.config = one.config
        done.append(f"start {worker.number} {'new' if one.config is new else 'old'}")

    monkeypatch.setattr(Supervisor, "_start", start)
    monkeypatch.setattr(Supervisor, "_gets_ready", lambda one, _worker: one.config is old)
    one, said = reloaded(old, new)
    assert (done, said) == (expected, ["reload_failed"])
    assert one.config is old
    assert len(one._sockets) == 1
    assert one._sockets[0].fileno() == -1  # by the end of the test alone: it was kept open


@pytest.mark.parametrize(("before", "after"), [(3, 1), (1, 3), (2, 3)])
def test_all_have_ended_before_lanes_change_hands(tmp_path, done, before: int, after: int) -> None:
    """Lane 3, left over, is worker 1's of two and worker 0's of three."""
    at = config(tmp_path)
    one, said = reloaded(workers(at, before), workers(at, after))
    assert done[:before] == [f"end {n}" for n in range(before)]
    assert done[before : before + after] == [f"start {n}" for n in range(after)]
    assert [worker.number for worker in one._workers] == list(range(after))
    assert said == ["reloaded"]


def test_the_data_folder_does_not_change_under_a_relay(tmp_path, done) -> None:
    at = config(tmp_path)
    other = replace(at, server=replace(at.server, data=tmp_path / "other"))
    one, said = reloaded(at, other)
    assert (done, said) == ([], ["reload_failed"])
    assert one.config is at
