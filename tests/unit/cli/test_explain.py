"""``posthouse explain``: replies, causes, files, streams."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from posthouse import explain
from posthouse.explain import LANGUAGES
from unit.cli.world import World

REPLY = "535 5.7.8 Error: authentication failed: UGFzc3dvcmQ6"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_reply(world: World, lang: str) -> None:
    ran = world.run("explain", REPLY, lang=lang)
    assert (ran.code, ran.err) == (0, "")
    found = explain.explain_reply(REPLY)
    assert explain.title(found, lang) in ran.out
    assert "auth.credentials" in ran.out


def test_a_reply_as_json(world: World) -> None:
    answer = world.run("explain", REPLY, "--json").json
    assert answer["schema"] == 1
    assert answer["cause"] == "auth.credentials"
    assert {"stage", "who", "retry", "confidence", "evidence", "title", "remedy"} <= set(answer)


def test_hints_decide(world: World) -> None:
    answer = world.run("explain", "550 User has no permission", "--host", "smtp.163.com", "--json")
    assert answer.json["provider"] == "163" or answer.json["provider"].startswith("netease")
    assert answer.json["cause"] == "auth.disabled"


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("cause", [c.id for c in explain.causes()])
def test_every_cause_has_a_page(world: World, cause: str, lang: str) -> None:
    ran = world.run("explain", cause, lang=lang)
    assert ran.code == 0
    page = explain.page(cause, lang)
    assert page.title in " ".join(ran.out.split()) or lang == "zh"
    assert cause in ran.out
    assert "causes." not in ran.out, "a key instead of its words"


def test_lines_from_standard_input(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        REPLY.encode(),
        b"",
        "550 \u6536\u4ef6\u4eba\u4e0d\u5b58\u5728".encode("gb18030"),
        b"\xff\xfe\x00",
    ]
    stdin = io.TextIOWrapper(io.BytesIO(b"\n".join(lines) + b"\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    ran = world.run("explain", "--jsonl")
    answers = [json.loads(line) for line in ran.out.splitlines()]
    assert [a["cause"] for a in answers][:2] == ["auth.credentials", "rcpt.unknown"]
    assert len(answers) == 3
    assert all(a["schema"] == 1 for a in answers)


def test_a_reply_of_several_lines_is_one(world: World) -> None:
    reply = "550-5.1.1 The email account that you tried to reach does not exist.\n550 5.1.1 Try"
    answer = world.run("explain", reply, "--json").json
    assert answer["cause"] == "rcpt.unknown"


def test_a_log_in_gb18030_is_shown_readably(world: World, tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    line = "550 \u6536\u4ef6\u4eba\u4e0d\u5b58\u5728"
    log.write_bytes(f"{line}\n535 5.7.8 authentication failed\n".encode("gb18030"))
    assert line in world.run("explain", str(log), lang="zh").out
    rows = world.run("explain", str(log), "--json").json["causes"]
    assert line in [example for row in rows for example in row["examples"]]


def test_a_log_is_summed_up(world: World, tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    bounce = "host mx.d.example[192.0.2.1] said: 550 5.1.1 <{}@d.example>: User unknown"
    lines = [f"postfix/smtp[1]: A{n}: status=bounced ({bounce.format(n)})" for n in range(3)]
    lines += ["postfix/qmgr[2]: A9: removed", "postfix/smtpd[3]: warning: x: " + REPLY]
    log.write_text("\n".join(lines) + "\n")
    ran = world.run("explain", str(log))
    assert ran.code == 1
    assert "3 ×" in ran.out
    assert "rcpt.unknown" in ran.out
    answer = world.run("explain", str(log), "--json").json
    assert answer["lines"] == 5
    assert answer["causes"][0]["cause"] == "rcpt.unknown"
    assert answer["causes"][0]["count"] == 3


def test_a_quiet_log(world: World, tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_text("all is well\nnothing to see\n")
    ran = world.run("explain", str(log))
    assert ran.code == 0
    assert "0 of 2 lines" in ran.out
