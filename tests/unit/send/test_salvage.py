"""A damaged lane: whichever page is spoiled, all that lies on the others is saved."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from posthouse.letter import Event, Letter, Outcome, Recipient, Result, Settled
from posthouse.send.queue.ids import number_of, text_of
from posthouse.send.queue.lane import Lane
from posthouse.send.queue.salvage import PAGE, salvage

NOW = 1_764_000_000.0
MANY, LEFT, HALF = 90, 30, 40  # messages; gone wholly; of the next ten, one recipient of two
RECIPIENTS = 2 * (MANY - LEFT) - (HALF - LEFT)
Damage = Callable[[Path, int], None]


def letter(number: int) -> Letter:
    """Small ones share a page, large ones have several."""
    people = tuple(Recipient(f"{who}{number}@e.example", {"NOTIFY": "NEVER"}) for who in "xy")
    text = b"a line of text\r\n" * (1500 if number % 5 == 0 else 20)
    head = b"Subject: %d\r\n\r\n" % number
    name = text_of((1 << 60) + number)
    return Letter(name, "a@d.example", people, head + text, NOW, {}, "alice", "192.0.2.1", "<1@d>")


async def filled(path: Path) -> Lane:
    lane = Lane(path)
    await lane.open()
    for number in range(MANY):
        one = letter(number)
        told = {"recipients": [person.address for person in one.recipients]}
        items = await lane.put(one, events=[Event(NOW, "accepted", one.id, "", told)], now=NOW)
        for item in items[: 2 if number < LEFT else 1 if number < HALF else 0]:
            who = item.recipient.address
            done = Settled(item, Outcome(who, Result.DELIVERED, 250, "2.0.0", "Ok"))
            await lane.settle([done], [Event(NOW, "delivered", item.letter, who)])
    return lane


def waiting(path: Path) -> dict[int, set[str]]:
    """Recipients by their letter's number; every letter must be the one that was put."""
    found: dict[int, set[str]] = {}
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for name, address, state, content in db.execute(
            "SELECT id, address, state, content FROM recipients JOIN letters ON id = letter"
        ):
            number = name - (1 << 60)
            assert name == number_of(letter(number).id)
            assert content == letter(number).content
            assert state == "held"
            found.setdefault(number, set()).add(address)
    return found


def zeros(path: Path, page: int) -> None:
    write(path, page, bytes(PAGE))


def noise(path: Path, page: int) -> None:
    write(path, page, Random(page).randbytes(PAGE))


def write(path: Path, page: int, octets: bytes) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(octets)


@pytest.mark.parametrize("damage", [zeros, noise])
async def test_one_page_costs_what_is_on_it_and_no_more(tmp_path: Path, damage: Damage) -> None:
    """Also the root of a table, and the first page, without which SQLite finds nothing."""
    whole = tmp_path / "whole"
    await (await filled(whole)).close()
    assert salvage(whole, tmp_path / "same") == {
        "messages": MANY - LEFT,
        "recipients": RECIPIENTS,
        "events": MANY + LEFT + HALF,
        "lost": 0,
    }
    real = waiting(tmp_path / "same")
    for page in range(1, whole.stat().st_size // PAGE + 1):
        path, fresh = tmp_path / f"lane-{page}", tmp_path / f"fresh-{page}"
        shutil.copy(whole, path)
        damage(path, page)
        counts = salvage(path, fresh)
        saved = waiting(fresh)
        assert len(real.keys() - saved.keys()) < 20, page
        if counts["events"] == MANY + LEFT + HALF:  # nothing that was delivered comes back
            assert all(people <= real.get(n, set()) for n, people in saved.items()), page
            assert all(saved[n] == real[n] for n in saved), page


async def test_what_is_still_in_the_log_of_writes_counts(tmp_path: Path) -> None:
    lane = await filled(tmp_path / "lane")  # as it lies there after a kill
    for name in ("lane", "lane-wal"):
        shutil.copy(tmp_path / name, tmp_path / f"killed{name[4:]}")
    await lane.close()
    zeros(tmp_path / "killed", 1)
    assert salvage(tmp_path / "killed", tmp_path / "fresh")["recipients"] == RECIPIENTS


async def test_a_message_of_which_a_part_is_missing_is_lost_and_goes_to_nobody(
    tmp_path: Path,
) -> None:
    """The last page of a chain: SQLite gives zeros for it, and says nothing."""
    path = tmp_path / "lane"
    lane = Lane(path)
    await lane.open()
    await lane.put(letter(5), now=NOW)
    await lane.close()
    octets = path.read_bytes()
    last = octets.rindex(b"a line of text\r\n") // PAGE + 1
    zeros(path, last)
    counts = salvage(path, tmp_path / "fresh")
    assert counts == {"messages": 1, "recipients": 0, "events": 0, "lost": 1}


@pytest.mark.parametrize("octets", [b"", b"no database", bytes(3 * PAGE), b"\r\n" * PAGE])
def test_whatever_it_is_the_new_lane_is_one(tmp_path: Path, octets: bytes) -> None:
    (tmp_path / "lane").write_bytes(octets)
    command = [sys.executable, "-m", "posthouse.send.queue.salvage", "lane", "fresh"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    assert json.loads(said) == {"messages": 0, "recipients": 0, "events": 0, "lost": 0}
    assert waiting(tmp_path / "fresh") == {}
    assert (tmp_path / "fresh").stat().st_mode & 0o077 == 0


async def test_noise_anywhere_is_no_failure(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole", tmp_path / "lane"
    await (await filled(whole)).close()
    octets = whole.read_bytes()
    for seed in range(30):
        rng = Random(seed)
        spoiled = bytearray(octets)
        for _ in range(200):
            spoiled[rng.randrange(len(spoiled))] = rng.randrange(256)
        path.write_bytes(spoiled)
        salvage(path, tmp_path / f"fresh-{seed}")
