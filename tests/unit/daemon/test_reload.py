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
    return found


def reloaded(before: Config, after: Config) -> tuple[Supervisor, list[str]]:
    said: list[str] = []

    def say(kind: str, **_facts: Any) -> None:
        said.append(kind)

    one = Supervisor(before, lambda _post: 0, lambda: after, say)
    one._sockets = [supervisor.bound("127.0.0.1", 0)]
    one._workers = [supervisor._Worker(n) for n in range(before.server.workers)]
    try:
        one._reload()
    finally:
        for sock in one._sockets:
            sock.close()
    return one, said


def workers(one: Config, number: int) -> Config:
    return replace(one, server=replace(one.server, workers=number))


def test_workers_that_go_have_ended_before_others_take_their_lanes(tmp_path, done) -> None:
    at = config(tmp_path)
    one, said = reloaded(workers(at, 3), workers(at, 1))
    assert done == ["end 1", "end 2", "end 0", "start 0"]
    assert [worker.number for worker in one._workers] == [0]
    assert said == ["reloaded"]


def test_more_workers_start_after_those_that_had_their_lanes(tmp_path, done) -> None:
    at = config(tmp_path)
    one, _ = reloaded(workers(at, 1), workers(at, 3))
    assert done == ["end 0", "start 0"]
    assert [worker.number for worker in one._workers] == [0, 1, 2]


def test_the_data_folder_does_not_change_under_a_relay(tmp_path, done) -> None:
    at = config(tmp_path)
    other = replace(at, server=replace(at.server, data=tmp_path / "other"))
    one, said = reloaded(at, other)
    assert (done, said) == ([], ["reload_failed"])
    assert one.config is at
