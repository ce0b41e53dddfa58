"""``posthouse send``: what is said to people and to scripts, in both languages, in 80 columns."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from canaries import PASSWORD, WRONG_PASSWORD
from fakes.background import running
from fakes.certs import Authority
from fakes.dns import FakeDns
from fakes.smtp import Behaviour, FakeSmtpServer
from posthouse.cli import results, sending
from posthouse.cli import send as send_command
from posthouse.cli.prose import cells
from posthouse.explain import Catalogue
from posthouse.letter import Outcome, Result
from posthouse.send import client
from unit.cli.world import Ran, World

HOST = "127.0.0.1"
LETTER = b"From: Alice <alice@d.example>\nTo: bob@e.example\nSubject: x\n\nhello\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def server(authority: Authority) -> Iterator[FakeSmtpServer]:
    behaviour = Behaviour(
        tls=authority.context(hosts=(HOST,)),
        accounts={"alice@d.example": PASSWORD},
        replies=(("RCPT TO:<nobody", "550 5.1.1 User unknown"), ("RCPT TO:<later", "450 4.2.1 x")),
    )
    with running(FakeSmtpServer(behaviour)) as fake:
        yield fake


@pytest.fixture
def letter(tmp_path: Path) -> str:
    path = tmp_path / "letter.eml"
    path.write_bytes(LETTER)
    return str(path)


def plain(world: World, server: FakeSmtpServer, *arguments: str, lang: str = "en") -> Ran:
    place = ("--server", f"{HOST}:{server.port}", "--security", "none")
    return world.run("send", *arguments, *place, lang=lang)


def secure(world: World, server: FakeSmtpServer, ca: Authority, *arguments: str) -> Ran:
    place = ("--server", f"{HOST}:{server.port}", "--security", "starttls")
    return world.run("send", *arguments, *place, "--ca-file", str(ca.ca_file))


def counts(answer: dict[str, Any]) -> dict[str, int]:
    return {name: number for name, number in answer["counts"].items() if number}


def test_a_message_is_taken(world: World, server: FakeSmtpServer, letter: str) -> None:
    ran = plain(world, server, letter)
    assert ran.code == 0
    assert "has taken the message for: bob@e.example" in ran.out
    assert "queued as 4711" in ran.out
    assert b"Message-ID: <" in server.messages[0].content
    assert not list(Path(letter).parent.glob("*.journal"))


def test_a_message_from_standard_input(
    world: World, server: FakeSmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(LETTER)))
    assert plain(world, server, "-", "--to", "carol@e.example").code == 0
    assert [r.recipient for r in server.messages[0].recipients] == ["carol@e.example"]


def test_a_few_words(world: World, server: FakeSmtpServer) -> None:
    who = ("--from", "alice@d.example", "--to", "bob@e.example")
    for _ in range(2):  # what is typed twice is meant twice
        assert plain(world, server, "--subject", "Grüße", "--text", "Hallo!", *who).code == 0
    first, second = (m.content for m in server.messages)
    assert b"\r\n\r\nHallo!\r\n" in first
    assert first.split(b"Message-ID")[1] != second.split(b"Message-ID")[1]


def test_files_go_with_a_few_words(world: World, server: FakeSmtpServer, tmp_path: Path) -> None:
    paths = [tmp_path / "report.pdf", tmp_path / "发票.txt"]
    for path in paths:
        path.write_bytes(b"%PDF\0\r\n.\n" + path.name.encode())
    to = ("--from", "alice@d.example", "--to", "bob@e.example", "--subject", "s")
    files = [word for path in paths for word in ("--attach", str(path))]
    assert plain(world, server, *to, *files).code == 0
    mail = message_from_bytes(server.messages[0].content, policy=policy.default)
    got = {one.get_filename(): one.get_payload(decode=True) for one in mail.iter_attachments()}
    assert got == {path.name: path.read_bytes() for path in paths}
    gone = plain(world, server, *to, "--attach", str(tmp_path / "gone.pdf"))
    assert (gone.code, len(server.messages)) == (2, 1)
    assert "gone.pdf" in gone.err


@pytest.mark.parametrize(
    ("sender", "lang", "asked"),
    [("alice@qq.com", "zh", "授权码"), ("alice@qq.com", "en", "authorization code")],
)
def test_what_is_asked_for_has_its_name(sender: str, lang: str, asked: str) -> None:
    assert asked in send_command._question(Catalogue(lang), sender, "smtp.qq.com").lower()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_refused_recipient_is_explained(
    world: World, server: FakeSmtpServer, letter: str, lang: str
) -> None:
    to = ("--to", "bob@e.example", "--to", "nobody@e.example")
    ran = plain(world, server, letter, *to, lang=lang)
    assert ran.code == 1
    assert "550 5.1.1 User unknown" in ran.out
    assert "→" in ran.out
    assert max(cells(line) for line in ran.all.splitlines()) <= 80
    found = plain(world, server, letter, *to, "--json", lang=lang).json
    assert (found["ok"], counts(found)) == (False, {"refused": 1})
    results = {
        r["recipient"]: (r["result"], r["cause"]) for r in found["messages"][0]["recipients"]
    }
    assert results["bob@e.example"] == ("delivered", None)
    assert results["nobody@e.example"] == ("refused", "rcpt.unknown")


def test_a_sign_in(
    world: World,
    server: FakeSmtpServer,
    authority: Authority,
    letter: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MY_SECRET", PASSWORD)
    ran = secure(world, server, authority, letter, "--password-env", "MY_SECRET")
    assert (ran.code, server.last.username) == (0, "alice@d.example")


def test_a_refused_sign_in_is_exit_code_4_after_one_try(
    world: World,
    server: FakeSmtpServer,
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = write_many(tmp_path, 50)
    monkeypatch.setattr("sys.stdin", io.StringIO(WRONG_PASSWORD + "\n"))
    user = ("--user", "alice@d.example", "--password-stdin")
    ran = secure(world, server, authority, "--many", many, *user, "--json")
    assert ran.code == 4
    assert ran.json["stopped"]["cause"] == "auth.credentials"
    assert set(ran.json["counts"].values()) == {0}
    logins = sum(line.startswith("AUTH") for seen in server.seen for line in seen.lines)
    assert logins == 1


def test_an_unknown_certificate_is_no_place_for_a_password(
    world: World, server: FakeSmtpServer, letter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTHOUSE_PASSWORD", PASSWORD)
    place = ("--server", f"{HOST}:{server.port}", "--security", "starttls")
    ran = world.run("send", letter, *place)
    assert ran.code == 1
    assert not server.last.credentials
    assert "certificate" in ran.out.lower()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_nobody_there_cannot_be_determined(world: World, letter: str, lang: str) -> None:
    ran = world.run("send", letter, "--server", f"{HOST}:1", "--security", "none", lang=lang)
    assert ran.code == 3
    assert "→" in ran.out


def test_a_sender_has_a_name_and_the_line_end_of_windows(
    world: World, server: FakeSmtpServer, tmp_path: Path
) -> None:
    path = tmp_path / "x.eml"
    path.write_bytes(LETTER.partition(b"\n")[2])
    assert plain(world, server, str(path), "--from", "王 <alice@d.example>\r").code == 0
    assert b"From: =?utf-8?b?546L?= <alice@d.example>\r\n" in server.messages[0].content


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_an_mbox_of_two_is_not_one_message(
    world: World, server: FakeSmtpServer, tmp_path: Path, lang: str
) -> None:
    path = tmp_path / "two.mbox"
    path.write_bytes(2 * (b"From alice@d.example Mon May  4 03:02:01 2026\n" + LETTER + b"\n"))
    ran = plain(world, server, str(path), lang=lang)
    assert (ran.code, ran.out, server.messages) == (2, "", [])
    assert "--many" in ran.err
    assert plain(world, server, "--many", str(path)).code == 0


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_lines_are_the_whole_answer_and_the_reason_is_on_stderr(
    world: World, letter: str, tmp_path: Path, lang: str
) -> None:
    nowhere = ("--server", f"{HOST}:1", "--security", "none", "--jsonl")
    for what in ((letter,), ("--many", write_many(tmp_path, 3))):
        ran = world.run("send", *what, *nowhere, lang=lang)
        assert (ran.code, ran.out) == (3, "")
        assert "→" in ran.err


def test_one_message_is_one_line_of_json(world: World, server: FakeSmtpServer, letter: str) -> None:
    ran = plain(world, server, letter, "--jsonl")
    assert (ran.code, ran.json["status"]) == (0, "sent")
    assert ran.out.count("\n") == 1


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(28, "No space left on device")])
def test_a_stdout_that_takes_no_more_repeats_nothing(
    world: World,
    server: FakeSmtpServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: OSError,
) -> None:
    def full(*_: object) -> None:
        raise error

    many = write_many(tmp_path, 100)
    with monkeypatch.context() as patched:
        patched.setattr(results, "line", full)
        patched.setattr(sending, "shut_output", lambda: None)  # pytest's own
        ran = plain(world, server, "--many", many, "--jsonl")
    assert (ran.code, ran.out) == (1, "")
    assert bool(ran.err) is not isinstance(error, BrokenPipeError)
    assert ("Standard output" in ran.err) is bool(ran.err)
    taken = len(server.messages)
    assert 0 < taken < 100
    again = plain(world, server, "--many", many, "--json")
    assert counts(again.json) == {"before": taken, "sent": 100 - taken}
    assert again.json["uncertain"] == 0


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_an_input_that_breaks_off_is_told(
    world: World,
    server: FakeSmtpServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lang: str,
) -> None:
    whole = client.Source.drafts

    def broken(source: client.Source) -> Iterator[client.Draft]:
        yield from islice(whole(source), 5)
        raise OSError(5, "Input/output error")

    many = write_many(tmp_path, 50)
    monkeypatch.setattr(client.Source, "drafts", broken)
    ran = plain(world, server, "--many", many, lang=lang)
    assert (ran.code, len(server.messages)) == (1, 5)
    assert ("could not be read" if lang == "en" else "没能读到结尾") in ran.out
    monkeypatch.undo()
    again = world.run("send", "--many", many, "--server", f"{HOST}:{server.port}",
                      "--security", "none", "--json")  # fmt: skip
    assert counts(again.json) == {"before": 5, "sent": 45}


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_help_says_how_long_a_step_may_take(world: World, lang: str) -> None:
    told = " ".join(world.run("send", "--help", lang=lang).out.split())
    assert "5321" in told.partition("--timeout")[2]


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("reason", ["write", "sync"])
def test_a_journal_that_is_lost_is_told_with_what_may_come_twice(
    world: World,
    server: FakeSmtpServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    reason: str,
    lang: str,
) -> None:
    def lost(*_: object, **__: object) -> None:
        raise client.JournalError(reason)

    method = "sent" if reason == "write" else "_sync"
    monkeypatch.setattr(client.Journal, method, lost)
    many = ("--many", write_many(tmp_path, 3), "--connections", "1")
    ran = plain(world, server, *many, lang=lang)
    assert ran.code == 1
    assert ("3" if reason == "sync" else "Message-ID") in ran.out
    (tmp_path / "many.jsonl.journal").unlink()
    taken = len(server.messages)
    found = plain(world, server, *many, "--json", lang=lang)
    assert (found.code, found.json["ok"]) == (1, False)
    assert "Message-ID" in found.json["error"]
    taken = len(server.messages) - taken
    assert found.json["unnoted"] == (taken if reason == "write" else 0)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_who_has_not_got_one_message_is_told_how_to_get_it_there(
    world: World, tmp_path: Path, letter: str, lang: str
) -> None:
    """No server of ours tries again by itself."""
    replies = (("RCPT TO:<grey", "450 4.7.1 Greylisted, try again in 300 seconds"),)
    with running(FakeSmtpServer(Behaviour(replies=replies))) as grey:
        to = ("--to", "bob@e.example", "--to", "grey@e.example")
        ran = plain(world, grey, letter, *to, lang=lang)
    assert ran.code == 1
    assert "--to grey@e.example" in " ".join(ran.out.split())
    assert "--to bob@e.example" not in " ".join(ran.out.split())
    assert ("nothing tries again" if lang == "en" else "不会自动重试") in "".join(
        ran.out.split("\n    ")
    )
    assert "Do nothing" not in ran.out


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_who_has_not_got_one_of_many_is_not_told_to_wait_for_nothing(
    world: World, tmp_path: Path, lang: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "Terms", partial(client.Terms, pauses=()))
    replies = (("RCPT TO:", "450 4.7.1 Greylisted, try again in 3000 seconds"),)
    with running(FakeSmtpServer(Behaviour(replies=replies))) as grey:
        ran = plain(world, grey, "--many", write_many(tmp_path, 2), lang=lang)
    remedy = Catalogue(lang).text("send.remedy.later")
    assert "".join(remedy.split()) in "".join(ran.out.split())


def test_why_a_run_was_ended_is_told_once(world: World, tmp_path: Path) -> None:
    replies = (("MAIL FROM", "550 5.4.5 Daily user sending limit exceeded"),)
    with running(FakeSmtpServer(Behaviour(replies=replies, errors=999))) as server:
        ran = plain(world, server, "--many", write_many(tmp_path, 100))
    assert ran.code == 1
    assert ran.out.count("Do not send the rejected messages in a loop") == 1
    assert "Run the same command again" in ran.out


def test_a_server_that_says_goodbye_has_answered(world: World, letter: str) -> None:
    behaviour = Behaviour(replies=(("MAIL FROM", "421 4.7.0 Too many messages today"),))
    with running(FakeSmtpServer(behaviour)) as busy:
        ran = plain(world, busy, letter)
    assert ran.code == 1
    assert "Too many messages today" in ran.out


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_each_reason_is_counted_by_itself_and_nothing_of_the_file_moves_the_cursor(
    world: World, server: FakeSmtpServer, tmp_path: Path, lang: str
) -> None:
    usual = {"from": "alice@d.example", "to": "bob@e.example"}
    bad: list[dict[str, object]] = [{**usual, "field": 1}, {**usual, "field": 2}]
    bad += [{**usual, "text": 1}, {**usual, "\x1b[2Jx": 1}]
    bad += [{**usual, "to": f"nobody{n}@e.example"} for n in range(2)]
    bad += [{**usual, "to": f"x{n}"} for n in range(2)]
    many = write_many(tmp_path, 1, *bad)
    ran = plain(world, server, "--many", many, lang=lang)
    assert "\x1b" not in ran.out
    heads = re.findall(r"(\d) × ", ran.out)
    assert sorted(heads) == ["1", "1", "2", "2", "2"]
    assert "?[2Jx" in ran.out
    assert "nobody0@" not in "".join(re.findall(r"\d × (.*)", ran.out))
    assert "x0" not in ran.out
    # All that is left was refused for good: the same command would not send it.
    assert ("Run the same command" in ran.out or "再次运行同样的命令" in ran.out) is False


def test_a_text_on_standard_input_is_utf_8(
    world: World, server: FakeSmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = ("--from", "alice@d.example", "--to", "bob@e.example", "--text", "-")
    for octets, code in ((b"Gr\xfc\xdfe", 2), ("\ufeffGrüße".encode(), 0)):
        stdin = io.TextIOWrapper(io.BytesIO(octets), encoding="ascii")
        monkeypatch.setattr("sys.stdin", stdin)
        ran = plain(world, server, *who)
        assert (ran.code, "bug" in ran.err) == (code, False)
    assert b"\r\n\r\nR3LDvMOfZQ0K\r\n" in server.messages[0].content


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_is_no_message_is_said_so(world: World, tmp_path: Path, lang: str) -> None:
    path = tmp_path / "text.txt"
    path.write_text("only words\n")
    ran = world.run("send", str(path), lang=lang)
    assert ran.code == 2
    assert "only words" in ran.err
    assert "--server" not in ran.err


HUNG_UP = Outcome("bob@e.example", Result.DEFERRED, cause="net.closed")


@pytest.mark.parametrize(
    ("end", "done", "words"),
    [
        (client.End(interrupted=True), None, "was not sent"),
        (client.End(interrupted=True, cut=1), None, "may have arrived"),
        (
            client.End(interrupted=True),
            client.Done("x", outcomes=(HUNG_UP,), unsure=True),
            "may have",
        ),
        (client.End(interrupted=True), client.Done("x", outcomes=(HUNG_UP,)), "was not sent"),
    ],
)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_one_message_that_was_interrupted(
    world: World,
    letter: str,
    monkeypatch: pytest.MonkeyPatch,
    end: client.End,
    done: client.Done | None,
    words: str,
    lang: str,
) -> None:
    async def hand_in(*_: object, **more: Any) -> client.End:
        if done is not None:
            more["report"](done)
        return end

    monkeypatch.setattr(client, "hand_in", hand_in)
    place = ("--server", f"{HOST}:1", "--security", "none")
    ran = world.run("send", letter, *place, lang=lang)
    assert ran.code == 130
    assert ("Interrupted" if lang == "en" else "中断") in ran.out
    assert words in " ".join(ran.out.split()) or lang == "zh"
    assert "finished" not in ran.out
    assert "→" not in ran.out  # the connection broke because we hung up


WRONG = [
    [],
    ["LETTER", "--subject", "x"],
    ["LETTER", "--attach", "LETTER"],
    ["--subject", "x", "--to", "b@e.example"],
    ["-", "--password-stdin"],
    ["LETTER", "--password-stdin", "--password-env", "X"],
    ["LETTER", "--server", "a.example", "--relay", "x"],
    ["LETTER", "--server", "a.example", "--security", "none", "--user", "x"],
    ["LETTER", "--server", "http://a.example/x/y"],
    ["LETTER", "--server", "a.example", "--password-env", "NOT_SET_ANYWHERE"],
    ["LETTER", "--server", "a.example", "--rate", "fast"],
    ["LETTER", "--server", "a.example", "--rate", "0/s"],
    ["LETTER", "--offline"],
    ["LETTER", "--server", "a.example", "--from", "a@d.example, b@d.example"],
    ["LETTER", "--server", "a.example", "--from", "Alice"],
    ["LETTER", "--server", "a.example", "--from", "A\r <a@d.example>"],
    ["MANY", "--server", "a.example"],
    ["--many", "/nonexistent", "--server", "a.example"],
    ["/nonexistent.eml", "--server", "a.example"],
    ["LETTER", "--relay", "/nonexistent.toml"],
    ["LETTER", "--relay", "x", "--security", "tls"],
    ["LETTER", "--relay", "LETTER"],
]


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_usage_is_one_clear_line(
    world: World, letter: str, tmp_path: Path, arguments: list[str], lang: str
) -> None:
    names = {"LETTER": letter, "MANY": write_many(tmp_path, 2)}
    given = [names.get(one, one) for one in arguments]
    ran = world.run("send", *given, lang=lang)
    assert ran.code == 2
    assert ran.out == ""
    assert "bug" not in ran.err
    assert bool(re.search("[\u4e00-\u9fff]", ran.err)) == (lang == "zh")


def write_many(folder: Path, number: int, *more: dict[str, object]) -> str:
    path = folder / "many.jsonl"
    rows = [
        {"from": "alice@d.example", "to": f"b{n}@e.example", "text": f"{n}"} for n in range(number)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, *more]))
    return str(path)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_many_and_again(world: World, server: FakeSmtpServer, tmp_path: Path, lang: str) -> None:
    bad = [
        {"from": "alice@d.example", "to": "nobody@e.example"},
        {"from": "alice@d.example", "to": "x"},
    ]
    many = write_many(tmp_path, 20, *bad)
    ran = plain(world, server, "--many", many, lang=lang)
    assert ran.code == 1
    assert len(server.messages) == 20
    assert "User unknown" in ran.out
    assert "many.jsonl:22" in ran.out
    assert max(cells(line) for line in ran.all.splitlines() if "/" not in line) <= 80
    again = plain(world, server, "--many", many, "--json", lang=lang)
    assert counts(again.json) == {"before": 20, "refused": 1, "unusable": 1}
    assert len(server.messages) == 20


def test_one_line_of_json_for_each(world: World, server: FakeSmtpServer, tmp_path: Path) -> None:
    ran = plain(world, server, "--many", write_many(tmp_path, 5), "--jsonl")
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.code == 0
    assert {row["status"] for row in rows} == {"sent"}
    assert sorted(row["message"] for row in rows) == [f"many.jsonl:{n}" for n in range(1, 6)]
    assert all(row["schema"] == 1 for row in rows)


def test_another_file_is_no_journal(world: World, server: FakeSmtpServer, tmp_path: Path) -> None:
    many = write_many(tmp_path, 3)
    ran = plain(world, server, "--many", many, "--journal", many)
    assert ran.code == 2
    assert "no journal" in ran.err
    assert not server.messages


@pytest.mark.parametrize("where", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("mode", ["tls", "starttls", "relay"])
def test_the_relay_of_a_configuration(
    world: World, authority: Authority, letter: str, tmp_path: Path, mode: str, where: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It is on this machine, whatever DNS says of its name; its own certificate proves the name."""
    context = authority.context(hosts=("no.invalid",))
    behaviour = Behaviour(
        tls=None if mode == "relay" else context, implicit_tls=mode == "tls",
        accounts={"alice@d.example": PASSWORD},
    )  # fmt: skip
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "self-made.pem").write_bytes(authority.ca_file.read_bytes())
    monkeypatch.setenv("POSTHOUSE_PASSWORD", PASSWORD)
    config = tmp_path / "relay.toml"
    with running(FakeSmtpServer(behaviour)) as server:
        text = f'[server]\nname = "no.invalid"\ndata = "data"\n[[listen]]\nmode = "{mode}"\n'
        text += f'address = "{where}:{server.port}"\nnetworks = ["127.0.0.0/8"]\n'
        config.write_text(text)
        resolver = ("--resolver", "127.0.0.1:1", "--timeout", "5")
        ran = world.run("send", letter, "--relay", str(config), *resolver, "--json")
        assert (ran.code, len(server.messages)) == (0, 1)
        assert bool(server.last.credentials) is (mode != "relay")
        name = "127.0.0.1" if mode == "relay" else "no.invalid"
        assert ran.json["server"] == f"{name}:{server.port}"
        if mode != "relay":  # who has lost the password makes a new one; there is no webmail
            monkeypatch.setenv("POSTHOUSE_PASSWORD", WRONG_PASSWORD)
            ran = world.run("send", letter, "--relay", str(config), *resolver)
            assert (ran.code, len(server.messages)) == (4, 1)
            assert f"userlist--config{config}" in "".join(ran.out.split())
            monkeypatch.setenv("POSTHOUSE_PASSWORD", PASSWORD)
        if mode != "relay":  # with one of the machine's own, no other is trusted
            config.write_text(config.read_text() + '[tls]\ncertificate = "c"\nkey = "k"\n')
            ran = world.run("send", letter, "--relay", str(config), *resolver, "--json")
            assert (ran.code, len(server.messages)) == (1, 1)


def test_an_account_for_a_relay_without_logins(world: World, letter: str, tmp_path: Path) -> None:
    """It was left out without a word."""
    config = tmp_path / "relay.toml"
    config.write_text(
        '[[listen]]\nmode = "relay"\naddress = "127.0.0.1:1"\nnetworks = ["127.0.0.0/8"]\n'
    )
    ran = world.run("send", letter, "--relay", str(config), "--user", "alice")
    assert ran.code == 2
    assert "without a sign-in" in ran.err


def test_a_wrong_configuration_is_told_by_its_line(
    world: World, letter: str, tmp_path: Path
) -> None:
    config = tmp_path / "relay.toml"
    config.write_text('[[listen]]\nmode = "tls"\naddress = "everywhere"\n')
    ran = world.run("send", letter, "--relay", str(config))
    assert ran.code == 2
    assert "listen[1].address" in ran.err


def test_the_server_is_found_by_the_sender(
    world: World, authority: Authority, letter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "smtp.d.example"
    monkeypatch.setenv("POSTHOUSE_PASSWORD", PASSWORD)
    behaviour = Behaviour(
        tls=authority.context(hosts=(name,)),
        implicit_tls=True,
        accounts={"alice@d.example": PASSWORD},
        require_auth=True,
    )
    with (
        running(FakeDns({(name, "A"): ["127.0.0.1"]})) as dns,
        running(FakeSmtpServer(behaviour)) as server,
    ):
        world.dns[("_submissions._tcp.d.example", "SRV")] = [f"0 1 {server.port} {name}."]
        resolver = f"{dns.address[0]}:{dns.address[1]}"
        ran = world.run("send", letter, "--ca-file", str(authority.ca_file), "--resolver", resolver)
        assert ran.code == 0, ran.all
        assert server.last.username == "alice@d.example"
        assert f"{name} has taken the message" in ran.out


def test_where_no_server_is_found_nothing_is_asked(world: World, letter: str) -> None:
    ran = world.run("send", letter)
    assert ran.code in (1, 3)
    assert ran.out == ""
    told = world.run("send", letter, "--json")
    assert (told.code, told.json["ok"]) == (ran.code, False)
    assert told.json["search"]["outcome"]
    lines = world.run("send", letter, "--jsonl")
    assert (lines.code, lines.out) == (ran.code, "")
    assert lines.err
