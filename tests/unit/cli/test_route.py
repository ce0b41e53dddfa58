"""posthouse route test: the answer for people and programs, in both languages; mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len

from unit.cli.world import Ran, World

CONFIG = """
[server]
data = "/nowhere"

[[hop]]
name = "ses"
provider = "ses"
region = "eu-west-1"
user = "AKIAIOSFODNN7EXAMPLE"
secret_file = "/nowhere/ses.secret"
interval = "30s"

[[hop]]
name = "office"
hosts = ["mx1.corp.example:25", "mx2.corp.example:25"]
tls = "required"

[[hop]]
name = "direct"
mx = true

[[hop]]
name = "spare"
mx = true

[[route]]
name = "bulk"
header = { List-Unsubscribe = "*" }
larger = "1K"
hop = "ses"

[[route]]
name = "own"
sender = ["*@corp.example", ".corp.example"]
recipient = ["@corp.example", ".corp.example"]
hop = "office"

[[route]]
name = "care"
user = ["intern"]
action = "hold"

[[route]]
hop = "direct"
"""
MESSAGE = b"From: A <a@corp.example>\nTo: B <b@qq.com>\nCc: c@corp.example, b@QQ.com\n\nhello\n"


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "posthouse.toml"
    path.write_text(CONFIG)
    return str(path)


def run(world: World, config: str, *more: str, lang: str = "en") -> Ran:
    return world.run("route", "test", "--config", config, *more, lang=lang)


def narrow(ran: Ran) -> bool:
    return all(cell_len(line) <= 80 for line in ran.all.splitlines())


def test_the_whole_answer(world: World, config: str) -> None:
    ran = run(world, config, "--from", "a@corp.example", "--to", "B@Sub.Corp.Example")
    assert ran.code == 0
    assert ran.out == (
        "✓ B@sub.corp.example goes by office\n"
        "  Decided by rule own\n"
        "    ✓ sender a@corp.example: *@corp.example, .corp.example\n"
        "    ✓ recipient B@sub.corp.example: @corp.example, .corp.example\n"
        "  Rules before it\n"
        "    Rule bulk\n"
        "      ✗ size 0: larger than 1K\n"
        "      ✗ list-unsubscribe (nothing): *\n"
        "\n"
        "Hop office\n"
        "  Servers      mx1.corp.example:25 (priority 0, weight 1)\n"
        "               mx2.corp.example:25 (priority 1, weight 1)\n"
        "  Security     STARTTLS; encryption required, the certificate is not checked\n"
        "  Login        none\n"
        "  Connections  up to 50 at once, 1000 messages each\n"
        "  Pacing       none\n"
    )
    assert ran.err == "! No rule leads to the hop spare.\n"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_stands_in_is_shown(world: World, tmp_path: Path, lang: str) -> None:
    path = tmp_path / "posthouse.toml"
    path.write_text(CONFIG.replace('name = "direct"\n', 'name = "direct"\nfallback = "spare"\n'))
    given = ("--from", "a@x.example", "--to", "b@x.example")
    ran = run(world, str(path), *given, lang=lang)
    assert ran.code == 0
    said = {
        "en": "  Stands in    spare, while no server here can be reached or takes our mail\n",
        "zh": "备用",
    }[lang]
    assert said in ran.out
    assert ran.out.index("direct") < ran.out.index("spare")
    assert ran.err == ""  # spare is used
    assert narrow(ran)
    answer = run(world, str(path), *given, "--json").json
    assert [(hop["name"], hop["fallback"]) for hop in answer["hops"]] == [
        ("direct", "spare"), ("spare", None)
    ]  # fmt: skip


def test_pacing_and_login_of_a_provider(world: World, config: str, tmp_path: Path) -> None:
    (tmp_path / "bulk.eml").write_bytes(b"List-Unsubscribe: <x>\n" + MESSAGE + b"x" * 2000)
    ran = run(world, config, str(tmp_path / "bulk.eml"), "--to", "b@qq.com")
    assert ran.code == 0
    assert "b@qq.com goes by ses" in ran.out
    assert "email-smtp.eu-west-1.amazonaws.com:465" in ran.out
    assert "SSL/TLS; the certificate must be good" in ran.out
    assert "AKIAIOSFODNN7EXAMPLE" in ran.out
    assert "30s at least between two messages (120 an hour at most)" in ran.out


def test_the_message_tells_sender_and_recipients(world: World, config: str, tmp_path: Path) -> None:
    (tmp_path / "m.eml").write_bytes(MESSAGE)
    ran = run(world, config, str(tmp_path / "m.eml"), "--json")
    assert ran.code == 0
    answer = ran.json
    assert (answer["schema"], answer["ok"], answer["sender"]) == (1, True, "a@corp.example")
    assert answer["size"] == len(MESSAGE) + MESSAGE.count(b"\n")  # as on the wire
    assert [(one["recipient"], one["hop"], one["rule"]) for one in answer["recipients"]] == [
        ("b@qq.com", "direct", ""), ("c@corp.example", "office", "own")
    ]  # fmt: skip
    own = answer["recipients"][0]["rules"][1]
    assert (own["name"], own["holds"]) == ("own", False)
    assert own["conditions"][1] == {
        "condition": "recipient",
        "field": "",
        "holds": False,
        "wanted": ["@corp.example", ".corp.example"],
        "found": ["b@qq.com"],
    }
    assert [hop["name"] for hop in answer["hops"]] == ["office", "direct"]
    assert answer["hops"][0]["servers"][1] == {
        "host": "mx2.corp.example", "port": 25, "priority": 1, "weight": 1
    }  # fmt: skip
    assert answer["unused_hops"] == ["spare"]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_would_be_held_is_a_problem(world: World, config: str, lang: str) -> None:
    given = ("--from", "<>", "--to", "b@qq.com", "--user", "intern")
    ran = run(world, config, *given, lang=lang)
    assert ran.code == 1
    assert ("会被扣留" if lang == "zh" else "would be held") in ran.out
    assert narrow(ran)
    assert run(world, config, *given, "--json").json["recipients"][0]["action"] == "hold"


def test_in_chinese(world: World, config: str, tmp_path: Path) -> None:
    (tmp_path / "m.eml").write_bytes(MESSAGE)
    ran = run(world, config, str(tmp_path / "m.eml"), lang="zh")
    assert "✓ c@corp.example 经由 office" in ran.out
    assert "route." not in ran.all
    assert narrow(ran)


def test_hostile_values_move_no_cursor(world: World, config: str, tmp_path: Path) -> None:
    text = CONFIG.replace('List-Unsubscribe = "*"', 'X = "a*"')
    Path(config).write_text(text)
    (tmp_path / "m.eml").write_bytes(b"X: \x1b[2J" + b"y" * 500 + b"\n" + MESSAGE)
    ran = run(world, config, str(tmp_path / "m.eml"), "--to", "b@qq.com")
    assert "\x1b" not in ran.all
    assert "x ?[2Jyyy" in " ".join(ran.out.split())
    assert narrow(ran)


WRONG = [
    (["--from", "a@b.example"], "--to is missing"),
    (["--to", "a@b.example"], "--from is missing"),
    (["--from", "a@b.example", "--to", "nobody"], "'nobody' is no e-mail address"),
    (["--from", "a@b.example", "--to", "a@b.example", "/nowhere.eml"], "cannot read"),
]
BROKEN = [
    ("[[hop", "this is not TOML"),
    ("x" * 1_100_000, "too long"),
    (CONFIG.replace('hop = "direct"', 'hop = "dircet"'), "Did you mean direct?"),
    (CONFIG.replace("interval", "intervall"), "hop[ses].intervall"),
    (CONFIG.replace('"30s"', "30"), "hop[ses].interval: '30' is no time"),
    (CONFIG.replace('"direct"\nmx = true', '"direct"\nmx = 1'), "must be true or false"),
    ('[hop]\nname = "x"', "name stands in double brackets"),
]


@pytest.mark.parametrize(("given", "said"), WRONG, ids=[w[1] for w in WRONG])
def test_wrong_use(world: World, config: str, given: list[str], said: str) -> None:
    for lang in ("en", "zh"):
        ran = run(world, config, *given, lang=lang)
        assert (ran.code, ran.out) == (2, "")
        assert lang == "zh" or said in ran.err


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_recipient_that_cannot_be_read_is_not_left_out(
    world: World, config: str, tmp_path: Path, lang: str
) -> None:
    (tmp_path / "m.eml").write_bytes(b"From: a@b.example\nTo: c@d.example, Bob <e@\n\nx\n")
    ran = run(world, config, str(tmp_path / "m.eml"), lang=lang)
    assert (ran.code, ran.out) == (2, "")
    assert "c@d.example, Bob <e@" in ran.err


@pytest.mark.parametrize(("text", "said"), BROKEN, ids=[b[1] for b in BROKEN])
def test_a_configuration_that_is_wrong(world: World, config: str, text: str, said: str) -> None:
    Path(config).write_text(text)
    for lang in ("en", "zh"):
        ran = run(world, config, "--from", "a@b.example", "--to", "a@b.example", lang=lang)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith(f"posthouse: {config}: ")
        assert lang == "zh" or said in ran.err
        assert "Traceback" not in ran.err


def test_no_configuration(world: World) -> None:
    given = ("--from", "a@b.example", "--to", "a@b.example")
    assert "--config is missing" in world.run("route", "test", *given).err
    assert world.run("route", "test", "--config", "/nowhere", *given).code == 2
    assert world.run("route").code == 2


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_help(world: World, lang: str) -> None:
    ran = world.run("route", "test", "--help", lang=lang)
    assert ran.code == 0
    assert "cli." not in ran.out
