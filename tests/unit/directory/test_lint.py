"""Each rule of the linter has a file that breaks it, and the shipped files break none."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from posthouse.directory import index, lint
from posthouse.directory.read import provider

ROOT = Path(__file__).parents[3]
GOOD = tomllib.loads("""
id = "good"
kind = "mailbox"
name = { en = "Good Mail", zh = "好邮箱" }
domains = ["good.example", "*.good.example"]
mx = [{ pattern = "mx*.good.example", trust = "official" }]
ns = [{ pattern = "*.good.example", trust = "secondary" }]
servers = [
  { host = "smtp.good.example", port = 465, security = "tls", trust = "official" },
  { host = "smtp.good.example", port = 587, security = "starttls", trust = "official" },
]
username = { form = "address" }
limits = { per_day = 5, trust = "official" }

[credential]
kinds = ["app_password"]
trust = "official"
url = "https://good.example"
[credential.steps]
en = ["Open it."]
zh = ["打开它。"]

[[ends]]
date = "2027-H2"
what = "password_login"
trust = "official"
en = "It ends."
zh = "停用。"

[[notes]]
en = "A note."
zh = "说明。"

[remedy."auth.disabled".tenant]
en = "Ask."
zh = "请联系管理员。"

[[sources]]
name = "Good Mail"
url = "https://good.example"
date = "2026-11"
trust = "official"
covers = ["servers", "mx", "ns", "credential", "limits", "ends"]
""")
WORDS = {"en": "Words.", "zh": "文字。"}
PLAIN = {"host": "a.example", "port": 25, "security": "none", "trust": "official"}
GOOD["servers"].append({**PLAIN, "note": WORDS})


def server(host: str, port: int, security: str, **more: Any) -> dict[str, Any]:
    return {"host": host, "port": port, "security": security, "trust": "official", **more}


BAD: list[tuple[str, dict[str, Any]]] = [
    ("schema", {"extra": 1}),
    ("schema", {"domains": "good.example"}),
    ("schema", {"sources": None}),
    ("schema", {"mx": ["mx.good.example"]}),
    ("schema", {"servers": [{"host": "smtp.good.example"}]}),
    ("schema", {"servers": [server("a.example", 465, "tls", extra=1)]}),
    ("schema", {"servers": [{**PLAIN, "port": "465"}]}),
    ("like", {"like": "nobody"}),
    ("id", {"id": "other"}),
    ("kind", {"kind": "shop"}),
    ("kind", {"domains": []}),
    ("kind", {"kind": "tenant", "mx": []}),
    ("name", {"domains": ["Good.Example"]}),
    ("name", {"domains": ["nodots"]}),
    ("name", {"mx": [{"pattern": "**.good.example", "trust": "official"}]}),
    ("name", {"servers": [server("smtp..example", 465, "tls")]}),
    ("name", {"servers": [server("smtp.10.10.10.10", 465, "tls")]}),
    ("name", {"also_hosts": ["smtp good.example"]}),
    ("security", {"servers": [server("a.example", 465, "ssl")]}),
    ("security", {"servers": [server("a.example", 70000, "starttls")]}),
    ("security", {"servers": [server("a.example", 465, "starttls")]}),
    ("security", {"servers": [server("a.example", 25, "tls")]}),
    ("plain", {"servers": [PLAIN]}),
    ("order", {"servers": [server("a.ex", 587, "starttls"), server("a.ex", 465, "tls")]}),
    ("order", {"servers": [server("a.ex", 25, "starttls"), server("a.ex", 587, "starttls")]}),
    ("order", {"servers": [{**PLAIN, "note": WORDS}, server("b.example", 465, "tls")]}),
    ("trust", {"mx": [{"pattern": "mx.good.example", "trust": "rumour"}]}),
    ("trust", {"limits": {"per_day": 5, "trust": "rumour"}}),
    ("username", {"username": {"form": "guess"}}),
    ("username", {"username": {"form": "fixed"}}),
    ("username", {"username": {"form": "address", "value": "x"}}),
    ("username", {"username": {"form": "custom"}}),
    ("username", {"username": {"form": "address", "alternatives": ["guess"]}}),
    ("credential", {"credential": {"kinds": [], "trust": "official"}}),
    ("credential", {"credential": {"kinds": ["luck"], "trust": "official"}}),
    ("credential", {"credential": {"kinds": ["auth_code"], "trust": "official"}}),
    ("steps", {"steps": {"en": ["One."]}}),
    ("steps", {"steps": {"en": ["One.", "Two."], "zh": ["一。"]}}),
    ("steps", {"steps": {"en": [], "zh": []}}),
    ("steps", {"steps": {"en": ["One."], "zh": ["One."]}}),
    ("languages", {"name": {"en": "Good Mail"}}),
    ("languages", {"name": {"en": "好邮箱", "zh": "好邮箱"}}),
    ("languages", {"notes": [{"en": "A note."}]}),
    ("languages", {"notes": [{"en": "A note.", "zh": "A note."}]}),
    ("languages", {"remedy": {"auth.disabled": {"en": "Ask."}}}),
    ("languages", {"remedy": {"auth.disabled": {"tenant": {"zh": "请联系管理员。"}}}}),
    ("languages", {"remedy": {"auth.disabled": {}}}),
    ("languages", {"limits": {"trust": "official", "note": {"en": "x", "zh": ""}}}),
    ("remedy", {"remedy": {"disabled": WORDS}}),
    ("date", {"ends": [{**GOOD["ends"][0], "date": "soon"}]}),
    ("date", {"sources": [{**GOOD["sources"][0], "date": "2026-13"}]}),
    ("url", {"sources": [{**GOOD["sources"][0], "url": "http://good.example"}]}),
    ("sources", {"sources": []}),
    ("sources", {"sources": [{**GOOD["sources"][0], "covers": ["servers"]}]}),
    ("sources", {"sources": [{**GOOD["sources"][0], "covers": ["serevrs"]}]}),
    ("limits", {"limits": {"per_day": 0, "trust": "official"}}),
]


def changed(change: dict[str, Any]) -> dict[str, Any]:
    data = copy.deepcopy(GOOD)
    if "steps" in change:
        data["credential"]["steps"] = change["steps"]
        return data
    data |= change
    return {key: value for key, value in data.items() if value is not None}


def rules(files: dict[str, dict[str, Any]]) -> set[str]:
    return {problem.rule for problem in lint.lint(files)}


def test_a_good_file_has_no_problems_and_can_be_read() -> None:
    assert lint.lint({"good": GOOD}) == []
    assert provider(GOOD).remedy("auth.disabled", "zh", "tenant") == "请联系管理员。"


@pytest.mark.parametrize(("rule", "change"), BAD)
def test_rule(rule: str, change: dict[str, Any]) -> None:
    assert rule in rules({"good": changed(change)})


def test_a_claim_of_two_files() -> None:
    other = copy.deepcopy(GOOD) | {"id": "other"}
    problems = [str(p) for p in lint.lint({"good": GOOD, "other": other})]
    assert "other: unique: good.example is also in good" in problems
    assert "other: unique: mx*.good.example is also in good" in problems


def test_like_may_not_be_chained() -> None:
    one = copy.deepcopy(GOOD) | {"id": "one", "like": "good", "domains": ["one.example"]}
    two = copy.deepcopy(GOOD) | {"id": "two", "like": "one", "domains": ["two.example"]}
    files = {"good": GOOD, "one": one, "two": two}
    assert [p.file for p in lint.lint(files) if p.rule == "like"] == ["two"]


def test_what_is_taken_over_need_not_be_said_again() -> None:
    slim = {
        "id": "slim",
        "like": "good",
        "kind": "mailbox",
        "name": {"en": "Slim", "zh": "小邮箱"},
        "domains": ["slim.example"],
        "credential": {"url": "https://slim.example"},
        "sources": [],
    }
    assert lint.lint({"good": GOOD, "slim": slim}) == []


def test_no_rule_is_without_a_bad_sample() -> None:
    assert {rule for rule, _ in BAD} >= {*lint.RULES, "schema", "like", "id"}


def test_shipped_files_are_right() -> None:
    files = lint.load_folder()
    assert len(files) > 200
    assert [str(problem) for problem in lint.lint(files)] == []


def test_shipped_index_is_fresh() -> None:
    assert index.PATH.read_text("utf-8") == index.build(lint.load_folder())


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the script works on, so that the test may spoil it."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "directory", tmp_path / "scripts" / "directory")
    shutil.copytree(
        ROOT / "src" / "posthouse",
        tmp_path / "src" / "posthouse",
        ignore=lambda folder, names: [n for n in names if not _needed(Path(folder), n)],
    )
    return tmp_path


def _needed(folder: Path, name: str) -> bool:
    at_top = folder.name == "posthouse"
    return name in ("directory", "flow.py", "__init__.py") if at_top else name != "__pycache__"


def script(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": ""}
    command = [sys.executable, str(checkout / "scripts" / "directory"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_script(checkout: Path) -> None:
    assert script(checkout, "--check").returncode == 0
    folder = checkout / "src" / "posthouse" / "directory"
    with (folder / "providers" / "qq.toml").open("a", encoding="utf-8") as file:
        file.write("# nothing changes\n")
    assert script(checkout, "index", "--check").returncode == 0
    (folder / "providers" / "tom.toml").unlink()
    assert script(checkout, "lint").returncode == 0
    assert script(checkout, "--check").returncode == 1
    assert script(checkout, "index").returncode == 0
    assert script(checkout, "--check").returncode == 0
    (folder / "providers" / "qq.toml").write_text('id = "qq"\n', "utf-8")
    answer = script(checkout, "lint")
    assert answer.returncode == 1
    assert "qq: schema: kind is missing" in answer.stdout


def test_script_says_how_to_use_it(checkout: Path) -> None:
    assert script(checkout).returncode == 2
