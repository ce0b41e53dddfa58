"""The queue in one file: durable, counted, refusing in time, and whole after a kill."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from fakes.queue import items_in
from posthouse.letter import (
    Event,
    Letter,
    Outcome,
    QueueFull,
    Recipient,
    Result,
    Settled,
    State,
    StoreError,
)
from posthouse.send.queue import batch
from posthouse.send.queue import lane as lanes
from posthouse.send.queue.ids import number_of, text_of
from posthouse.send.queue.lane import Lane

NOW = 1_764_000_000.0


def letter(number: int, *recipients: str) -> Letter:
    names = recipients or ("bob@e.example",)
    params = {"NOTIFY": "NEVER"}
    return Letter(
        text_of((1 << 60) + number),
        "alice@d.example",
        tuple(Recipient(name, params) for name in names),
        b"Subject: x\r\n\r\n..dot\r\n",
        NOW,
        {"BODY": "8BITMIME"},
        "alice",
        "192.0.2.1",
        "<1@d.example>",
    )


def outcome(recipient: str, result: Result = Result.DELIVERED) -> Outcome:
    return Outcome(recipient, result, 250, "2.0.0", "Ok")


async def opened(tmp_path: Path, **more: int) -> Lane:
    lane = Lane(tmp_path / "lane.db", **more)
    await lane.open()
    return lane


async def test_a_letter_comes_back_as_it_was(tmp_path: Path) -> None:
    lane = await opened(tmp_path)
    kept = letter(1, "bob@e.example", "carol@f.example")
    items = await lane.put(kept, events=[Event(NOW, "accepted", kept.id)])
    assert [i.recipient.address for i in items] == ["bob@e.example", "carol@f.example"]
    await lane.close()
    lane = await opened(tmp_path)
    assert await lane.load(kept.id) == kept
    assert await items_in(lane) == items
    assert lane.count == 1
    await lane.close()


async def test_the_letter_goes_with_its_last_recipient(tmp_path: Path) -> None:
    lane = await opened(tmp_path)
    kept = letter(1, "bob@e.example", "carol@f.example")
    first, second = await lane.put(kept)
    await lane.settle([Settled(first, outcome("bob@e.example"))], [])
    assert lane.count == 1
    assert [i.key for i in await items_in(lane)] == [second.key]
    await lane.settle([Settled(second, outcome("carol@f.example"))], [])
    assert lane.count == 0
    assert await lane.load(kept.id) is None
    await lane.close()


async def test_what_is_put_off_waits_with_its_reason(tmp_path: Path) -> None:
    lane = await opened(tmp_path)
    (item,) = await lane.put(letter(1))
    later = Outcome(
        "bob@e.example", Result.DEFERRED, 452, "4.2.2", "full", cause="rcpt.mailbox_full"
    )
    await lane.settle([Settled(item, later, due=NOW + 300)], [])
    (waiting,) = await items_in(lane)
    assert (waiting.state, waiting.attempts, waiting.due) == (State.DEFERRED, 1, NOW + 300)
    assert waiting.last == "452 4.2.2 full"
    assert waiting.cause == "rcpt.mailbox_full"
    await lane.close()


async def test_bounces_and_events_come_in_the_same_transaction(tmp_path: Path) -> None:
    lane = await opened(tmp_path)
    kept, bounce = letter(1), letter(2, "alice@d.example")
    (item,) = await lane.put(kept)
    refused = outcome("bob@e.example", Result.REFUSED)
    before = lane.commits[0]
    events = [Event(NOW, "refused", kept.id, "bob@e.example", {"code": 550})]
    (waiting,) = await lane.settle([Settled(item, refused)], events, [bounce])
    assert lane.commits[0] == before + 1
    assert waiting.letter == bounce.id
    assert lane.count == 1
    rows = sqlite3.connect(tmp_path / "lane.db").execute("SELECT kind, recipient, data FROM events")
    assert rows.fetchall() == [("refused", "bob@e.example", '{"code":550}')]
    await lane.close()


async def test_the_limit_holds_exactly(tmp_path: Path) -> None:
    lane = await opened(tmp_path, capacity=3)
    items = [(await lane.put(letter(n)))[0] for n in range(1, 4)]
    with pytest.raises(QueueFull):
        await lane.put(letter(4))
    await lane.settle([Settled(items[0], outcome("bob@e.example"))], [])
    await lane.put(letter(5))
    assert lane.count == 3
    await lane.close()


async def test_a_disk_nearly_full_takes_nothing(tmp_path: Path) -> None:
    lane = await opened(tmp_path, spare=1 << 60)
    with pytest.raises(QueueFull):
        await lane.put(letter(1))
    assert lane.count == 0
    await lane.close()


async def test_a_slow_disk_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on its way to the disk has been given back by whoever collected it."""
    lane = await opened(tmp_path)
    monkeypatch.setattr(lanes, "ON_THE_WAY", 2 * len(letter(1).content))
    kept = [lane.put(letter(1)), lane.put(letter(2))]
    with pytest.raises(QueueFull, match="the disk is slow"):
        lane.put(letter(3))
    await asyncio.gather(*kept)
    assert lane.count == 2
    monkeypatch.setattr(lanes, "ON_THE_WAY", 1)
    await lane.put(letter(4))  # alone, it goes: no message is too large for ever
    with monkeypatch.context() as broken:
        broken.setattr(batch.Tables, "commit", lambda *_: 1 / 0)
        with pytest.raises(StoreError):
            await lane.put(letter(5))
    await lane.put(letter(6))
    await lane.close()


async def test_a_store_that_cannot_write_says_so_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = await opened(tmp_path)

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(batch.Tables, "commit", full)
        with pytest.raises(StoreError, match="full"):
            await lane.put(letter(1))
    assert lane.count == 0
    await lane.put(letter(2))  # and goes on afterwards
    assert lane.count == 1
    await lane.close()


async def test_a_store_that_cannot_be_opened_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> sqlite3.Connection:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(lanes, "connect", full)
    with pytest.raises(StoreError, match="full"):
        async with asyncio.timeout(5):
            await opened(tmp_path)


async def test_a_folder_that_has_gone_takes_nothing_and_says_so(tmp_path: Path) -> None:
    """An OSError in a callback of asyncio ends the connection without a word to anybody."""
    (tmp_path / "queue").mkdir()
    lane = await opened(tmp_path / "queue")
    shutil.rmtree(tmp_path / "queue")
    with pytest.raises(StoreError, match=r"lane.db: No such file"):
        lane.put(letter(1))
    await lane.close()


async def test_a_file_that_was_replaced_or_removed_takes_nothing(tmp_path: Path) -> None:
    """What is written to the old one is gone when the process ends."""
    path = tmp_path / "lane.db"
    lane = await opened(tmp_path)
    await lane.put(letter(1), now=10.0)
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(StoreError, match=r"lane.db: No such file"):
        lane.put(letter(2), now=20.0)
    path.write_bytes(kept)
    with pytest.raises(StoreError, match=r"lane.db: another file is there"):
        lane.put(letter(2), now=20.0)
    await lane.close()


async def test_a_lane_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """A relay has several, and the log must say which."""
    (tmp_path / "lane.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match=r"/lane.db: file is not a database"):
        await opened(tmp_path)


async def test_a_lane_of_a_newer_posthouse_is_left_alone(tmp_path: Path) -> None:
    lane = await opened(tmp_path)
    await lane.put(letter(1))
    await lane.close()
    with closing(sqlite3.connect(tmp_path / "lane.db")) as db:
        db.execute("PRAGMA user_version = 2")
    with pytest.raises(StoreError, match=r"lane.db.* newer Posthouse .*version 2"):
        await opened(tmp_path)
    with closing(sqlite3.connect(tmp_path / "lane.db")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        assert db.execute("SELECT count(*) FROM letters").fetchone() == (1,)


async def test_many_at_once_share_commits(tmp_path: Path) -> None:
    lane = await opened(tmp_path)
    many = [letter(n) for n in range(1, 301)]
    await asyncio.gather(*(lane.put(one) for one in many))
    commits, jobs = lane.commits
    assert jobs == 300
    assert commits < 300
    assert lane.count == 300
    await lane.close()


async def test_the_log_of_writes_shrinks_when_a_long_reader_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup of a large lane takes minutes; the disk it cost came back at a restart alone."""
    monkeypatch.setattr(lanes, "LOG_KEPT", 1024 * 1024)
    lane = await opened(tmp_path)
    log = tmp_path / "lane.db-wal"
    numbers = iter(range(1_000))

    async def pass_through() -> None:
        for number in [next(numbers) for _ in range(100)]:
            one = letter(number)._replace(content=b"x" * 100_000)
            (item,) = await lane.put(one)
            await lane.settle([Settled(item, outcome("bob@e.example"), None)], [])

    with closing(sqlite3.connect(tmp_path / "lane.db")) as backup:
        backup.execute("BEGIN")
        backup.execute("SELECT count(*) FROM letters").fetchone()
        await pass_through()
        assert log.stat().st_size > 10_000_000
    await pass_through()
    assert log.stat().st_size < 9_000_000  # what is written between two checkpoints
    await lane.close()


async def test_ids_after_a_restart_are_higher(tmp_path: Path) -> None:
    lane = await opened(tmp_path)
    kept = letter(5)
    await lane.put(kept)
    assert lane.ids(0).next(0.0) > number_of(kept.id)
    await lane.close()


async def test_a_change_by_the_command_is_noticed(tmp_path: Path) -> None:
    lane = await opened(tmp_path)
    await lane.put(letter(1))
    assert not lane.changed()
    other = lanes.connect(tmp_path / "lane.db")
    other.execute("UPDATE changes SET n = n + 1")
    assert lane.changed()
    await items_in(lane)
    assert not lane.changed()
    await lane.close()


def test_the_file_is_private(tmp_path: Path) -> None:
    lanes.connect(tmp_path / "lane.db").close()
    assert (tmp_path / "lane.db").stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_used_is_not_kept_open(tmp_path: Path) -> None:
    """A worker goes on without a lane left over that is damaged."""
    path = tmp_path / "lane.db"
    path.write_bytes(b"no database" * 1_000)
    with pytest.raises(sqlite3.DatabaseError) as caught:
        lanes.connect(path)
    assert caught.traceback  # which still has the frame, and so what was open there
    assert not [one for one in Path("/proc/self/fd").iterdir() if one.resolve() == path]


CHILD = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from unit.send.test_lane import letter
from posthouse.send.queue.lane import Lane
async def main():
    lane = Lane(Path(sys.argv[1])); await lane.open()
    for n in range(1, 100_000):
        kept = letter(n)
        await lane.put(kept)
        print(kept.id, flush=True)
asyncio.run(main())
"""


async def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", CHILD, str(tmp_path / "lane.db"), root / "src", root / "tests"]
    for _ in range(3):
        (tmp_path / "lane.db").unlink(missing_ok=True)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            first = child.stdout.readline().strip()
            time.sleep(0.2)
            os.kill(child.pid, signal.SIGKILL)
            rest = child.stdout.read().splitlines()
        told = {first, *rest}
        lane = await opened(tmp_path)
        kept = {item.letter for item in await items_in(lane)}
        assert told <= kept
        assert len(kept - told) <= 1  # the one on its way
        await lane.close()
        for file in tmp_path.glob("lane.db*"):
            file.unlink()
