"""A new configuration for a supervisor: in which order workers change, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from posthouse.config import Config, ConfigError, read
from posthouse.daemon import supervisor
from posthouse.daemon.supervisor import Supervisor
from posthouse.explain import Catalogue
from posthouse.send.submit.tls import Lasting
from unit.daemon.installed import config

DAY = timedelta(days=1)


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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("workers = 'x'", "server.workers: this must be a whole number."),
        ("workers = 99", "server.workers: 99 is not between 1 and 64."),
        ("worker = 1", "server.worker: there is no such setting. Did you mean workers?"),
        ("workers = ", "this is not TOML: "),
    ],
)
def test_a_mistake_is_told_in_the_words_of_check(tmp_path, done, text: str, words: str) -> None:
    at = config(tmp_path)
    path = tmp_path / "posthouse.toml"
    path.write_text(path.read_text().replace("workers = 1", text))
    told = failed(Supervisor(at, lambda _post: 0, lambda: read(path), lambda *_: None))
    assert told.startswith(f"{path}: ")
    assert words in told
    with pytest.raises(ConfigError) as checked:
        read(path)
    assert told == checked.value.told(Catalogue("en"))
    assert done == []


def test_a_bug_in_reading_ends_no_relay_that_works(tmp_path, done) -> None:
    def read_again() -> Config:
        raise IsADirectoryError("no words for this")

    told = failed(Supervisor(config(tmp_path), lambda _post: 0, read_again, lambda *_: None))
    assert told == "IsADirectoryError: no words for this"
    assert done == []


def test_a_certificate_that_has_ended_replaces_no_good_one(tmp_path, done) -> None:
    now = datetime.now(UTC)
    ended, good = (Lasting(now - 9 * DAY, now + n * DAY) for n in (-1, 1))
    at = replace(config(tmp_path), certificate=tmp_path / "x.pem", lasting=good)
    told = failed(Supervisor(at, lambda _post: 0, lambda: replace(at, lasting=ended), print))
    assert told.startswith(f"The certificate {tmp_path / 'x.pem'} is not valid now (it ended on ")
    assert done == []
    _, said = reloaded(replace(at, lasting=ended), replace(at, lasting=ended))
    assert said == ["reloaded"]  # there is no better one to be kept


def test_a_port_that_is_taken_is_told_in_words(tmp_path, done) -> None:
    at = config(tmp_path)
    taken = supervisor.bound("127.0.0.1", 0)
    port = taken.getsockname()[1]
    more = replace(at, listen=(replace(at.listen[0], port=port),))
    one = Supervisor(at, lambda _post: 0, lambda: more, lambda *_: None)
    one._sockets = [supervisor.bound("127.0.0.1", 0)]
    try:
        said = failed(one)
    finally:
        for sock in (taken, *one._sockets):
            sock.close()
    assert said == f"Port 127.0.0.1:{port}: another program listens there already."
    assert done == []


def failed(one: Supervisor) -> str:
    """Why it goes on with the old configuration."""
    said: list[tuple[str, dict[str, Any]]] = []
    one.say = lambda kind, **facts: said.append((kind, facts))
    one._reload()
    ((kind, facts),) = said
    assert kind == "reload_failed"
    return facts["error"]


def test_the_data_folder_does_not_change_under_a_relay(tmp_path, done) -> None:
    at = config(tmp_path)
    other = replace(at, server=replace(at.server, data=tmp_path / "other"))
    one, said = reloaded(at, other)
    assert (done, said) == ([], ["reload_failed"])
    assert one.config is at
