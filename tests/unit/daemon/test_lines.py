"""Lines of the log, and readers that read slowly, never, or no more. Real pipes."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from budget import soon
from posthouse.daemon import lines
from posthouse.daemon.lines import Direct, Queued
from posthouse.daemon.log import Log
from posthouse.letter import Event

LIMIT = 200_000


class Pipe:
    """A pipe that nobody reads until told."""

    def __init__(self) -> None:
        self.read_fd, self.fd = os.pipe()
        self.noise = 0

    def fill(self) -> None:
        os.set_blocking(self.fd, False)
        with suppress(BlockingIOError):
            while True:
                self.noise += os.write(self.fd, b"~" * 4_096)
        os.set_blocking(self.fd, True)

    def read(self) -> list[dict[str, Any]]:
        """All that is written until the other end is closed."""
        whole = b""
        while piece := os.read(self.read_fd, 65_536):
            whole += piece
        return [json.loads(line) for line in whole[self.noise :].splitlines()]

    def close(self) -> None:
        for fd in (self.fd, self.read_fd):
            with suppress(OSError):
                os.close(fd)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def line(number: int, size: int = 0) -> bytes:
    return json.dumps({"n": number, "x": "x" * size}).encode() + b"\n"


def read_all(pipe: Pipe) -> tuple[threading.Thread, list[dict[str, Any]]]:
    """Somebody reads again; what is found when the thread has ended."""
    found: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: found.extend(pipe.read()))
    thread.start()
    return thread, found


def test_a_reader_that_keeps_up_gets_everything_in_order(pipe: Pipe) -> None:
    log = Queued(pipe.fd)
    thread, found = read_all(pipe)
    for number in range(20_000):
        log.put(line(number, 100))
    log.close()
    os.close(pipe.fd)
    thread.join()
    assert [one["n"] for one in found] == list(range(20_000))


async def test_a_reader_that_stands_still_delays_nobody(pipe: Pipe) -> None:
    pipe.fill()
    queued = Queued(pipe.fd, limit=LIMIT, worker=3)
    log = Log(3, queued)
    longest = 0.0
    with soon():
        for number in range(2_000):
            log.event(Event(1.0, "accepted", str(number), "bob@e.example"))
            log.say("rejected", number=number)
            began = time.perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - began)
    assert longest < 0.25
    thread, found = read_all(pipe)
    queued.close()
    log.say("late")
    os.close(pipe.fd)
    thread.join()
    *kept, last = found
    assert [last["kind"], last["worker"]] == ["log_dropped", 3]
    assert len(kept) + last["lines"] == 4_000
    assert sum(len(json.dumps(one)) for one in kept) < LIMIT * 1.2
    order = [one.get("letter") or str(one["number"]) for one in kept]
    assert order == [str(number // 2) for number in range(len(kept))]


def test_the_gap_is_told_where_it_is(pipe: Pipe) -> None:
    pipe.fill()
    log = Queued(pipe.fd, limit=1_000)
    for number in range(100):
        log.put(line(number, 100))
    thread, found = read_all(pipe)
    until = time.monotonic() + 5
    while not any("lines" in one for one in found) and time.monotonic() < until:
        log.put(line(-1))
        if not log._size:
            break
        time.sleep(0.001)
    log.put(line(1_000))
    log.close()
    os.close(pipe.fd)
    thread.join()
    numbers = [one.get("n", "gap") for one in found]
    gap = numbers.index("gap")
    assert numbers[:gap] == list(range(gap))
    assert 0 < gap < 20
    assert found[gap]["lines"] >= 100 - gap
    assert numbers[-1] == 1_000
    assert numbers.count("gap") == 1


def test_what_waits_at_the_end_is_written_if_somebody_reads(pipe: Pipe) -> None:
    pipe.fill()
    log = Queued(pipe.fd)
    for number in range(1_000):
        log.put(line(number, 1_000))
    thread, found = read_all(pipe)
    log.close()
    os.close(pipe.fd)
    thread.join()
    assert [one["n"] for one in found] == list(range(1_000))


def test_the_end_does_not_wait_for_nobody(pipe: Pipe) -> None:
    pipe.fill()
    log = Queued(pipe.fd)
    log.put(line(1))
    began = time.monotonic()
    log.close(0.2)
    assert 0.2 <= time.monotonic() - began < 2
    thread, _ = read_all(pipe)  # so that its thread ends
    log.close()
    os.close(pipe.fd)
    thread.join()


@pytest.mark.parametrize("kind", [Queued, Direct])
def test_a_reader_that_has_gone_harms_nothing(pipe: Pipe, kind: type[Queued | Direct]) -> None:
    os.close(pipe.read_fd)
    log = kind(pipe.fd)
    with soon():
        for number in range(100):
            log.put(line(number))
        if isinstance(log, Queued):
            log.close()
            assert not log._thread.is_alive()
    assert log._dropped == 100


@pytest.mark.parametrize("kind", [Queued, Direct])
def test_without_standard_error(kind: type[Queued | Direct]) -> None:
    log = kind(-1)
    log.put(line(1))
    if isinstance(log, Queued):
        log.close()
    assert log._dropped == 1


def test_a_descriptor_that_somebody_made_non_blocking(pipe: Pipe) -> None:
    pipe.fill()
    os.set_blocking(pipe.fd, False)
    log = Queued(pipe.fd)
    for number in range(5_000):
        log.put(line(number, 100))
    time.sleep(0.05)
    thread, found = read_all(pipe)
    log.close()
    os.close(pipe.fd)
    thread.join()
    assert [one["n"] for one in found] == list(range(5_000))


def test_two_writers_of_one_pipe_do_not_tear_each_other_s_lines(pipe: Pipe) -> None:
    one, other = Queued(pipe.fd), Queued(pipe.fd)
    for number in range(0, 2_000, 20):
        one.put(b"".join(line(n, n % 1_000) for n in range(number, number + 20)))
        other.put(b"".join(line(-n, n % 900) for n in range(number, number + 20)))
    thread, found = read_all(pipe)
    one.close()
    other.close()
    os.close(pipe.fd)
    thread.join()
    assert len(found) == 4_000
    assert [line["n"] for line in found if line["n"] > 0] == list(range(1, 2_000))


def test_a_disk_that_is_full_for_a_while(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Half a line is left behind; what comes next is on a line of its own."""
    path = tmp_path / "log"
    full = [False]

    def written(fd: int, data: bytes) -> int:
        if not full[0]:
            return os.write(fd, data)
        if len(data) > 6:
            return os.write(fd, data[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lines, "_written", written)
    with path.open("wb") as file:
        log = Queued(file.fileno())
        for number in (1, 2, 3):
            full[0] = number == 2
            log.put(b"[%d, 123]\n" % number)
            until = time.monotonic() + 5
            while log._size and time.monotonic() < until:
                time.sleep(0.001)
        log.close()
    first, torn, told, last = path.read_bytes().splitlines()
    assert (first, torn, last) == (b"[1, 123]", b"[2, 1", b"[3, 123]")
    assert json.loads(told)["lines"] == 1


def test_the_supervisor_waits_a_moment_and_tells_later(pipe: Pipe) -> None:
    pipe.fill()
    log = Direct(pipe.fd)
    with soon():
        log.put(line(1))
        log.put(line(2))
    thread, found = read_all(pipe)
    time.sleep(0.05)
    log.put(line(3))
    os.close(pipe.fd)
    thread.join()
    assert [one.get("lines", one.get("n")) for one in found] == [2, 3]
    assert found[0]["kind"] == "log_dropped"
