"""posthouse queue: what is shown, what is changed, what is asked, in both languages."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from rich.cells import cell_len

from fakes.queue import items_in
from posthouse.cli import asking, root
from posthouse.cli.queue import COMMANDS, show
from posthouse.daemon import numbers
from posthouse.explain import catalogue
from posthouse.letter import Event, Letter, Outcome, Recipient, Result, Settled, State
from posthouse.send.queue import files
from posthouse.send.queue.desk import Desk
from posthouse.send.queue.ids import Ids, text_of
from posthouse.send.queue.lane import Lane
from posthouse.send.queue.query import Query
from unit.cli.world import Ran, World

BODY = b"Subject: =?utf-8?B?5L2g5aW9?=\r\nX-Evil: \x1b[2J\r\n\r\n..dot\r\n"
SENDERS = ["alice@d.example", "", "a-very-long-local-part.of.somebody@quite-a-long-name.example"]
RECIPIENTS = [
    ("bob@qq.com", "eve@e.example", "dan@e.example"),
    ("carol@qq.com",),
    ("收件人的名字很长很长很长@一个很长的域名.example",),
]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    asyncio.run(fill(tmp_path))
    return tmp_path


async def fill(folder: Path) -> None:
    """Three messages, 3, 2 and 1 hours old; one recipient of the first is deferred."""
    (folder / "queue").mkdir()
    lane, ids, now = Lane(folder / "queue" / "lane-0.sqlite"), Ids(0), time.time()
    await lane.open()
    for n, (sender, to) in enumerate(zip(SENDERS, RECIPIENTS, strict=True)):
        at = now - 3_600 * (3 - n)
        name = text_of(ids.next(at))
        recipients = tuple(Recipient(one) for one in to)
        made = Letter(
            name, sender, recipients, BODY, at, {"BODY": "8BITMIME"}, "alice", "192.0.2.1", f"<{n}>"
        )
        await lane.put(made, events=[Event(at, "accepted", name, "", {"client": "192.0.2.1"})])
    item = next(i for i in await items_in(lane) if i.recipient.address == "bob@qq.com")
    outcome = Outcome(
        "bob@qq.com", Result.DEFERRED, 451, "4.7.1", "Try\x1b later", cause="rate.greylisted"
    )
    await lane.settle([Settled(item, outcome, now + 900)], [])
    await lane.close()


def run(world: World, data: Path, action: str, *more: str, lang: str = "en") -> Ran:
    return world.run("queue", action, *more, "--data", str(data), lang=lang)


def ids_of(data: Path) -> list[str]:
    """The oldest first."""
    with Desk(data) as desk:
        return [entry.id for entry in desk.list(Query(), oldest=True).entries]


def states(data: Path) -> dict[str, State]:
    with Desk(data) as desk:
        found = desk.list(Query()).entries
        return {item.recipient.address: item.state for entry in found for item in entry.items}


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_list_fits_the_screen(world: World, data: Path, lang: str) -> None:
    ran = run(world, data, "list", lang=lang)
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert len(lines) == 4
    assert all(cell_len(line) <= 80 for line in lines)
    assert "queue." not in ran.out
    first = lines[3].split()
    assert first[:3] == [ids_of(data)[0], "3h", str(len(BODY))]
    assert first[3] == ("不一" if lang == "zh" else "mixed")
    assert first[-2:] == ["bob@qq.com", "+2"]
    assert "<>" in lines[2]
    assert "…" in lines[1]


def test_columns_stand_below_their_titles(world: World, data: Path) -> None:
    lines = run(world, data, "list", "--oldest").out.splitlines()
    assert lines[0].index("FROM") == lines[1].index("alice@")
    assert lines[0].index("TO") == lines[1].index("bob@")


def test_a_list_says_what_it_leaves_out(world: World, data: Path) -> None:
    ran = run(world, data, "list", "--limit", "1")
    assert ran.out.splitlines()[-1] == "1 of 3 messages; --limit shows more."
    assert len(run(world, data, "list", "--limit", "0").out.splitlines()) == 4


FILTERS = [
    (["--from", "*@d.example"], 1),
    (["--from", "<>"], 1),
    (["--to", "*@qq.com"], 2),
    (["--domain", "qq.com"], 2),
    (["--message-id", "<1>"], 1),
    (["--state", "deferred"], 1),
    (["--cause", "rate.*"], 1),
    (["--older", "90m"], 2),
    (["--older", "1d"], 0),
    (["--domain", "qq.com", "--from", "<>"], 1),
]


@pytest.mark.parametrize(("given", "count"), FILTERS, ids=[" ".join(f) for f, _ in FILTERS])
def test_filters(world: World, data: Path, given: list[str], count: int) -> None:
    ran = run(world, data, "list", *given, "--json")
    assert (ran.code, ran.json["total"], len(ran.json["messages"])) == (0, count, count)


def test_a_domain_is_shown_as_people_write_it(world: World, data: Path) -> None:
    """It is kept in A-labels, and a program gets those."""
    kept = "bob@xn--mller-kva.example"

    async def put() -> None:
        lane = Lane(data / "queue" / "lane-0.sqlite")
        await lane.open()
        await lane.put(Letter(text_of(7), kept, (Recipient(kept),), BODY, time.time()))
        await lane.close()

    asyncio.run(put())
    for action in ("list", "show"):
        more = [text_of(7)] if action == "show" else []
        assert run(world, data, action, *more).out.count("bob@müller.example") == 2
        assert run(world, data, action, *more, "--json").out.count(kept) >= 2


def test_an_empty_list_is_no_problem(world: World, data: Path) -> None:
    ran = run(world, data, "list", "--to", "nobody@x.example")
    assert (ran.code, ran.out) == (0, "No message that waits fits this.\n")
    assert run(world, data, "delete", "--all", "--yes").code == 0
    assert run(world, data, "list").out == "No message waits.\n"


def test_a_line_for_each_message(world: World, data: Path) -> None:
    whole = run(world, data, "list", "--json").json["messages"]
    lines = [json.loads(line) for line in run(world, data, "list", "--jsonl").out.splitlines()]
    assert lines == [{"schema": 1, **one} for one in whole]
    assert len(run(world, data, "list", "--jsonl", "--limit", "1").out.splitlines()) == 1
    broken(data, 1, 0)
    ran = run(world, data, "list", "--jsonl")
    assert (ran.code, len(ran.out.splitlines())) == (3, len(whole))
    assert "lane-1.sqlite" in ran.err


def broken(data: Path, lane: int, at: int) -> None:
    """Another lane: a copy of the first, with rubbish from an octet on."""
    content = (data / "queue" / "lane-0.sqlite").read_bytes()
    path = data / "queue" / f"lane-{lane}.sqlite"
    path.write_bytes(content[:at] + b"rubbish!" * ((len(content) - at) // 8))


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("at", [0, 4096], ids=["no-database", "damaged-pages"])
def test_a_damaged_lane_hides_no_other(world: World, data: Path, lang: str, at: int) -> None:
    broken(data, 1, at)
    ran = run(world, data, "list", lang=lang)
    assert (ran.code, len(ran.out.splitlines())) == (3, 4)
    assert "lane-1.sqlite" in ran.err
    assert "posthouse doctor" in ran.err
    ran = run(world, data, "list", "--json")
    assert (ran.code, ran.json["total"], len(ran.json["messages"])) == (3, 3, 3)
    (lost,) = ran.json["unreadable"]
    assert lost["path"].endswith("lane-1.sqlite")
    assert lost["reason"] == "damaged"
    for action in ("show", "hold"):  # these need all of it, and say so
        ran = run(world, data, action, "1f3k9", lang=lang)
        assert (ran.code, ran.out) == (3, "")
        assert "posthouse doctor" in ran.err


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_letters_whose_recipients_are_lost_are_told_and_can_be_deleted(
    world: World, data: Path, lang: str
) -> None:
    """As the repair of a damaged lane may leave them."""
    with closing(sqlite3.connect(data / "queue" / "lane-0.sqlite")) as db, db:
        db.execute("DELETE FROM recipients WHERE letter = (SELECT min(id) FROM letters)")
    (lost,) = [one["id"] for one in run(world, data, "list", "--json").json["messages"]
               if not one["recipients"]]  # fmt: skip
    row = run(world, data, "list", "--oldest", lang=lang).out.splitlines()[1].split()
    assert (row[0], row[3]) == (lost, "残缺" if lang == "zh" else "lost")
    for action in ("hold", "retry"):
        assert run(world, data, action, lost, "--json").json["messages"] == []
    assert run(world, data, "delete", "--to", "*", "--json", "--yes").json["messages"] != [lost]
    assert run(world, data, "delete", lost, lang=lang).code == 2  # nobody to ask
    done = run(world, data, "delete", lost, "--yes", "--json").json
    assert (done["messages"], done["recipients"]) == ([lost], 0)
    assert run(world, data, "list", "--json").json["messages"] == []
    assert run(world, data, "show", lost, "--json").json["events"][-1]["kind"] == "deleted"


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("action", ["list", "hold"])
def test_who_forgets_sudo_is_told_so(
    world: World, data: Path, monkeypatch: pytest.MonkeyPatch, lang: str, action: str
) -> None:
    def denied(_folder: Path) -> list[str]:  # the tests may run as root, to whom nothing is
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(files.os, "listdir", denied)
    ran = run(world, data, action, *(["--all"] if action == "hold" else []), lang=lang)
    assert (ran.code, ran.out) == (3, "")
    assert str(data / "queue") in ran.err
    assert "Permission denied" in ran.err


def test_a_queue_of_which_nothing_can_be_read_is_not_called_empty(world: World, data: Path) -> None:
    (data / "queue" / "lane-0.sqlite").write_bytes(b"no database" * 99)
    ran = run(world, data, "list")
    assert (ran.code, ran.out) == (3, "")
    assert "lane-0.sqlite" in ran.err


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_all_of_one_message(world: World, data: Path, lang: str) -> None:
    name = ids_of(data)[0]
    ran = run(world, data, "show", name, lang=lang)
    assert ran.code == 0
    for said in (
        name,
        "alice@d.example",
        "eve@e.example",
        "451 4.7.1 Try? later",
        "rate.greylisted",
        "192.0.2.1",
        "X-Evil: ?[2J",
        "BODY=8BITMIME",
    ):
        assert said in ran.out
    assert "\x1b" not in ran.out
    assert "dot" not in ran.out  # the body is for --content
    assert "queue." not in ran.out
    assert "causes." not in ran.out
    assert all(cell_len(line) <= 80 for line in ran.out.splitlines())


@pytest.mark.parametrize(
    ("lang", "facts", "said"),
    [
        ("en", {"recipients": ["a@b.example", "c@d.example"], "size": 456},
         "(to a@b.example, c@d.example; size 456 bytes)"),
        ("zh", {"recipients": ["a@b.example"], "size": 456},
         "推迟（收件人 a@b.example；大小 456 字节）"),
        ("en", {"due": 1_700_000_000.5, "label": ""}, "(next try 2023-11-14 22:13:20Z)"),
        ("en", {"text": "timed out\x1b[2J", "new_one": 1}, "(reason timed out?[2J; new_one 1)"),
    ],
)  # fmt: skip
def test_what_happened_is_told_in_words(lang: str, facts: dict, said: str) -> None:
    assert show._event(catalogue(lang), Event(0.0, "deferred", "x", "", facts))[1].endswith(said)


def test_one_message_as_json(world: World, data: Path) -> None:
    answer = run(world, data, "show", ids_of(data)[0].upper(), "--json").json
    assert answer["in_queue"] is True
    assert answer["message"]["recipients"][0]["cause"] == "rate.greylisted"
    assert answer["events"][0]["kind"] == "accepted"
    assert answer["header"][0].startswith("Subject:")


def test_the_message_itself(data: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    code = root.run(["queue", "show", ids_of(data)[1], "--content", "--data", str(data)], "en")
    assert code == 0
    assert capfdbinary.readouterr().out == BODY.replace(b"..", b".")


def test_a_message_that_is_gone(world: World, data: Path) -> None:
    name = ids_of(data)[1]
    assert run(world, data, "delete", name, "--yes").code == 0
    ran = run(world, data, "show", name)
    assert ran.code == 0
    assert "No longer in the queue" in ran.out
    assert "deleted carol@qq.com" in ran.out
    assert run(world, data, "show", name, "--content").code == 1
    ran = run(world, data, "show", name, "--content", "--json")
    assert (ran.code, ran.out) == (2, "")  # never octets where a program expects JSON


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_hold_release_retry(world: World, data: Path, lang: str) -> None:
    said = {
        "hold": ("Held. Messages: 2, recipients: 2.", "已扣留：2 封邮件的 2 个收件人。"),
        "release": ("Released. Messages: 2, recipients: 2.", "已放行：2 封邮件的 2 个收件人。"),
        "nothing": ("Nothing to release.", "没有可以放行的。"),
    }
    which = ("--domain", "qq.com")
    place = lang == "zh"
    assert run(world, data, "hold", *which, lang=lang).out == said["hold"][place] + "\n"
    assert states(data)["bob@qq.com"] is states(data)["carol@qq.com"] is State.HELD
    assert states(data)["eve@e.example"] is State.READY
    assert run(world, data, "retry", "--all", lang=lang).code == 0
    assert states(data)["bob@qq.com"] is State.HELD
    assert run(world, data, "release", *which, lang=lang).out == said["release"][place] + "\n"
    assert set(states(data).values()) == {State.READY}
    ran = run(world, data, "release", "--all", lang=lang)
    assert (ran.code, ran.out) == (0, said["nothing"][place] + "\n")


def test_retry_makes_due(world: World, data: Path) -> None:
    ran = run(world, data, "retry", "--all", "--json")
    assert ran.json == {
        "schema": 1, "act": "retry", "messages": ids_of(data)[:1], "recipients": 1, "unknown": []
    }  # fmt: skip
    assert states(data)["bob@qq.com"] is State.READY


def test_an_id_that_is_none_is_told(world: World, data: Path) -> None:
    ran = run(world, data, "hold", ids_of(data)[1], "1f3k9", "!")
    assert ran.code == 1
    assert ran.out == "Held. Messages: 1, recipients: 1.\n"
    assert "no message 1f3k9 in the queue" in ran.err
    assert "no message ! in the queue" in ran.err
    assert run(world, data, "show", "1f3k9").code == 1


def test_delete_asks(world: World, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(asking, "may_ask", lambda _options: True)
    for answer, said, left in ((False, "Nothing was deleted.", 3), (True, "Deleted.", 2)):
        monkeypatch.setattr(
            asking, "confirm", lambda question, answer=answer, **_: asked.append(question) or answer
        )
        ran = run(world, data, "delete", "--from", "*@d.example")
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.startswith(said)
        assert len(ids_of(data)) == left
    assert asked == ["Delete for good? Messages: 1, recipients: 3."] * 2


def test_delete_without_a_terminal_needs_yes(world: World, data: Path) -> None:
    ran = run(world, data, "delete", "--all")
    assert (ran.code, len(ids_of(data))) == (2, 3)
    assert "--yes" in ran.err
    assert run(world, data, "delete", "--all", "--json").code == 2
    assert run(world, data, "delete", "--all", "--yes").code == 0
    assert ids_of(data) == []
    assert run(world, data, "delete", "--all").code == 0  # nothing to ask about


@pytest.mark.parametrize("action", ["hold", "release", "retry", "delete"])
def test_nothing_is_chosen_by_silence(world: World, data: Path, action: str) -> None:
    ran = run(world, data, action)
    assert (ran.code, ran.out) == (2, "")
    assert "--all" in ran.err


def test_the_configuration_names_the_folder(world: World, data: Path) -> None:
    config = data / "posthouse.toml"
    config.write_text(f"[server]\ndata = {json.dumps(str(data))}\n")
    assert world.run("queue", "list", "--config", str(config), "--json").json["total"] == 3
    config.write_text("[server]\ndata = 5\n")
    ran = world.run("queue", "list", "--config", str(config))
    assert ran.code == 2
    assert "server.data" in ran.err


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_can_fail(world: World, data: Path, tmp_path: Path, lang: str) -> None:
    ran = run(world, tmp_path / "elsewhere", "list", lang=lang)
    assert (ran.code, ran.out) == (2, "")
    assert "--data" in ran.err
    ran = run(world, tmp_path / "elsewhere", "list", "--json", lang=lang)
    assert (ran.code, ran.out) == (2, "")


def test_a_time_that_is_none(world: World, data: Path) -> None:
    ran = run(world, data, "list", "--older", "soon")
    assert ran.code == 2
    assert "--older: 'soon' is no time" in ran.err


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("action", COMMANDS)
def test_help(world: World, action: str, lang: str) -> None:
    ran = world.run("queue", action, "--help", lang=lang)
    assert ran.code == 0
    assert "cli." not in ran.out


@pytest.mark.parametrize(
    ("octets", "text"),
    [(0, "0"), (999, "999"), (1_000, "1.0K"), (4_300, "4.2K"), (150_000, "146K"),
     (1_023_999, "1000K"), (1_024_000, "1.0M"), (10 << 20, "10.0M"), (5 << 30, "5.0G")],
)  # fmt: skip
def test_sizes_fit_their_column(octets: int, text: str) -> None:
    assert show.size(octets) == text
    assert len(text) <= 5


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (59, "59s"), (60, "1m"), (7_199, "1h"), (86_400 * 4.5, "4d")],
)
def test_ages(seconds: float, text: str) -> None:
    assert show.age(seconds) == text


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_prune(world: World, data: Path, lang: str) -> None:
    def prune(*more: str) -> Ran:
        return run(world, data, "prune", "--older-than", *more, lang=lang)

    assert prune("1s").out.strip() == ("Nothing to remove." if lang == "en" else "没有可以清除的。")
    assert run(world, data, "delete", "--from", "*@d.example", "--yes").code == 0
    gone = {"dry_run": True, "messages": 1, "events": 4, "schema": 1}
    assert prune("1d", "--json").json == {**gone, "dry_run": False, "messages": 0, "events": 0}
    time.sleep(0.01)
    assert prune("0s", "--dry-run", "--json").json == gone
    ran = prune("0s", "--dry-run")
    assert (ran.code, ran.err) == (0, "")
    assert ("Would be" if lang == "en" else "将清除") in ran.out
    ran = prune("0s")
    assert (
        "Removed. Messages: 1, events: 4." if lang == "en" else "已清除 1 封邮件的 4 条"
    ) in ran.out
    assert len(ids_of(data)) == 2
    assert all(run(world, data, "show", name).code == 0 for name in ids_of(data))


def test_prune_needs_a_time(world: World, data: Path) -> None:
    for given in ([], ["--older-than", "soon"], ["--older-than", "30"]):
        ran = run(world, data, "prune", *given)
        assert ran.code == 2
        assert "--older-than" in ran.err
    assert run(world, data / "nowhere", "prune", "--older-than", "1d").code == 2


def test_prune_shows_how_far_it_is(world: World, data: Path, monkeypatch) -> None:
    from posthouse.cli.queue import prune

    monkeypatch.setattr(prune, "QUIET", -1.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    run(world, data, "delete", "--all", "--yes")
    ran = run(world, data, "prune", "--older-than", "0s")
    assert (ran.code, ran.out[:8]) == (0, "Removed.")


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("action", ["list", "show", "hold"])
@pytest.mark.parametrize("left", [True, False])
def test_a_queue_whose_files_are_gone_under_the_relay_is_not_called_none(
    world: World, data: Path, lang: str, action: str, left: bool
) -> None:
    lane = data / "queue" / "lane-1.sqlite"
    numbers.write(data, 0, {}, {}, {str(lane): "No such file or directory"})
    for file in (data / "queue").glob("lane-[1]*" if left else "*"):
        file.unlink()
    more = {"hold": ["--all"], "show": ["an2qdrqg2000"], "list": []}[action]
    ran = run(world, data, action, *more, lang=lang)
    assert ran.code == 3
    assert str(lane) in ran.err
    assert bool(ran.out) == (left and action == "list")
