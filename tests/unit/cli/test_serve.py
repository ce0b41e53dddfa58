"""posthouse serve: what is said of a configuration, and of a start that is not to be had."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from posthouse.explain import Catalogue
from unit.cli.world import World
from unit.daemon.installed import SMALL

BAD = [
    (SMALL.replace("name =", "nam ="), "unknown_key", "server.nam"),
    (SMALL + "[[hop]]\nname = 'h'\nmx = true\npool = 0\n", "range", "hop[h].pool"),
    ("[server", "toml", ""),
    (None, "file", ""),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "posthouse.toml"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_good_one(world: World, path: Path, lang: str) -> None:
    path.write_text(SMALL)
    ran = world.run("serve", "--config", str(path), "--check", lang=lang)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == Catalogue(lang).text("serve.good", path=str(path)) + "\n"
    ran = world.run("serve", "--config", str(path), "--check", "--json", lang=lang)
    assert (ran.code, ran.err) == (0, "")
    assert ran.json == {
        "schema": 1, "path": str(path), "good": True, "reason": "", "key": "", "error": ""
    }  # fmt: skip


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize(("text", "reason", "key"), BAD, ids=[row[1] for row in BAD])
def test_a_bad_one(world: World, path: Path, text: str, reason: str, key: str, lang: str) -> None:
    if text is not None:
        path.write_text(text)
    plain = world.run("serve", "--config", str(path), "--check", lang=lang)
    assert (plain.code, plain.out) == (2, "")
    ran = world.run("serve", "--config", str(path), "--check", "--json", lang=lang)
    assert (ran.code, ran.err) == (2, "")
    answer = ran.json
    assert (answer["schema"], answer["good"], answer["path"]) == (1, False, str(path))
    assert (answer["reason"], answer["key"]) == (reason, key)
    assert answer["error"] in plain.err
    assert str(path) in answer["error"]


@pytest.mark.parametrize("arguments", [("--check",), ("--config", "x.toml", "--data", "x")])
def test_what_does_not_go_together_starts_nothing(world: World, arguments: Sequence[str]) -> None:
    ran = world.run("serve", *arguments)
    assert ran.code == 2
    assert "--config" in ran.err
    assert ran.out == ""


def test_why_a_configuration_cannot_be_read_is_told_in_the_language(
    world: World, tmp_path: Path
) -> None:
    missing = str(tmp_path / "none.toml")
    for args in (["serve", "--check"], ["doctor"], ["user", "list"]):
        ran = world.run(*args, "--config", missing, lang="zh")
        assert "没有这个文件" in "".join(ran.all.split())
        assert "No such file" not in ran.all
    assert "这是文件夹" in world.run("serve", "--check", "--config", str(tmp_path), lang="zh").err


UNIT = Path(__file__).parents[3] / "packaging" / "posthouse.service"


@pytest.mark.parametrize(("lang", "why"), [("en", "a file of that name"), ("zh", "已有同名文件")])
def test_a_start_that_may_be_had_later_is_tried_again_by_systemd(
    path: Path, lang: str, why: str
) -> None:
    """A port or an address may be there in a moment; a wrong file is wrong until it is mended."""
    never = re.search(r"^RestartPreventExitStatus=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert never is not None
    codes = []
    for text in (SMALL, SMALL.replace("name", "nam")):
        path.write_text(text)
        (path.parent / "data").touch()
        call = [sys.executable, "-P", "-m", "posthouse", "serve", "--lang", lang, "--config", path]
        ran = subprocess.run(call, capture_output=True, text=True, timeout=60, check=False)
        codes.append(ran.returncode)
        assert ran.stderr.startswith("posthouse: ")
        assert (why in ran.stderr) == (text == SMALL)
    assert codes == [1, 2]
    assert never[1].split() == ["2"]
