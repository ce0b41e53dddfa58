"""What is typed wrong ends in clear words and exit code 2, a bug in a report without secrets."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import posthouse
from canaries import PASSWORD
from posthouse.cli import search
from unit.cli.world import World

ENV = {"PYTHONPATH": str(Path(posthouse.__file__).parent.parent), "LC_ALL": "C.UTF-8"}
WRONG = [
    (["fnid", "a@b.example"], "Did you mean 'find'?"),
    (["find"], "give an address, or --provider"),
    (["find", "--jsno", "a@b.example"], "Did you mean --json"),
    (["find", "a@b.example", "--resolver", "dns.example"], "not the address of a DNS server"),
    (["find", "a@b.example", "--ca-file", "/nowhere"], "no such file"),
    (["find", "a@b.example", "--timeout", "0"], "must be between"),
    (["find", "--provider"], "needs a value"),
    (["find", "a@b.example", "extra"], "one argument too many: extra"),
    (["find", "--provider", "gmial"], "Did you mean gmail?"),
    (["find", "--provider", "ses", "--region", "eu-wst-1"], "eu-west-1"),
    (["find", "alice"], "alice has no dot"),
    (["find", "alice at example.com"], "no host name"),
    (["find", "a@b@c.example"], "more than one @"),
    (["find", "@example.com"], "nothing before the @"),
    (["find", "alice@"], "nothing after the @"),
    (["find", "smtp.10.10.10.10"], "the last part can't be a number"),
    (["find", "smtp://smtp.example.com:587"], "posthouse probe smtp.example.com"),
    (["find", "imap.gmail.com"], "smtp.gmail.com"),
    (["find", "a@b.example", "--profile", "/nowhere"], "nowhere can't be used"),
    (["probe"], "HOST[:PORT]|ADDRESS is missing"),
    (["probe", "smtp.example.com", "--port", "70000"], "must be between 1 and 65535"),
    (["probe", "smtp.example.com:99999"], "between 1 and 65535"),
    (["probe", "smtp.example.com", "--security", "ssl"], "must be one of: tls, starttls, none"),
    (["probe", "imap.example.com:993", "--offline"], "needs the network"),
    (["probe", "smtp.example.com", "--login"], "needs a user name"),
    (["probe", "smtp.example.com", "--open-relay"], "needs --rcpt-to"),
    (["probe", "http://example.com/mail"], "web address"),
    (["probe", "smtp.example.com", "--send-test", "a@b.example"], "needs --login"),
    (["setup", "a@b.example", "--offline"], "needs the network"),
    (["explain"], "give a reply"),
    (["explain", "auth.app_pasword"], "Did you mean auth.app_password?"),
    (["explain", "--provider", "nobody", "535 no"], "no provider 'nobody'"),
    (["explain", "--stage", "login", "535 no"], "must be one of"),
    (["completion", "tcsh"], "bash, zsh, fish"),
    (["queue", "--lang", "en"], "list|show|hold|release|retry|delete|prune is missing"),
    (["route", "--lang", "en"], "test is missing"),
    (["user", "--lang", "en"], "add|list|password|revoke|disable|enable|delete is missing"),
    (["domain", "--lang", "en"], "give a domain"),
    (["route", "tset"], "there is no command 'tset'. Did you mean 'test'?"),
    (["user", "lst"], "there is no command 'lst'. Did you mean 'list'?"),
    (["queue", "list", "--config"], "needs a value. Try 'posthouse queue list --help'"),
]
# What a script says whose variable is not set: each would mean more, or another relay.
EMPTY = [
    ["queue", "delete", "--state", "held", "--domain", "", "--yes"],
    ["queue", "delete", "--all", "--yes", "--config", ""],
    ["queue", "hold", "--from", "", "--cause", "auth.*"],
    ["user", "add", "shop", "--from", "", "--from", "*@shop.example"],
    ["user", "password", "shop", "--label", ""],
    ["serve", "--data", ""],
    ["doctor", "--config", ""],
]


@pytest.mark.parametrize("arguments", EMPTY, ids=lambda a: " ".join(a))
def test_an_empty_value_is_no_value(world: World, arguments: list[str]) -> None:
    ran = world.run(*arguments)
    option = arguments[arguments.index("") - 1]
    assert (ran.code, ran.out) == (2, "")
    assert f"the option {option} needs a value" in ran.err


@pytest.mark.parametrize(("arguments", "words"), WRONG, ids=[" ".join(a) for a, _ in WRONG])
def test_wrong_use_is_one_clear_line(world: World, arguments: list[str], words: str) -> None:
    ran = world.run(*arguments)
    assert ran.code == 2
    assert not ran.out
    assert words in " ".join(ran.err.split()), ran.err
    assert "Traceback" not in ran.err
    assert 1 <= len(ran.err.splitlines()) <= 3


@pytest.mark.parametrize("arguments", [a for a, _ in WRONG], ids=lambda a: " ".join(a))
def test_wrong_use_is_said_in_chinese(world: World, arguments: list[str]) -> None:
    ran = world.run(*arguments, lang="zh")
    assert ran.code == 2
    assert "Traceback" not in ran.err
    assert any("\u4e00" <= character <= "\u9fff" for character in ran.err), ran.err


def test_wrong_input_as_json(world: World) -> None:
    ran = world.run("find", "imap.gmail.com", "--json")
    assert ran.code == 2
    assert ran.json["ok"] is False
    (finding,) = ran.json["findings"]
    assert finding["id"] == "incoming_host"
    assert finding["params"]["suggestion"] == "smtp.gmail.com"


def test_a_bug_ends_in_a_short_report_without_secrets(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(f"the password was {PASSWORD}")

    monkeypatch.setattr(search, "run", broken)
    ran = world.run("find", "alice@example.com")
    assert ran.code == 1
    assert "bug in Posthouse (RuntimeError" in ran.err
    assert "test_errors.py" in ran.err  # where
    assert PASSWORD not in ran.all
    assert "Traceback" not in ran.err
    assert len(ran.err.splitlines()) <= 6


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_full_disk_is_no_bug(lang: str) -> None:
    command = [sys.executable, "-m", "posthouse", "explain", "550 5.1.1 no such user"]
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [*command, "--lang", lang],
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, **ENV},
        )
    assert ran.returncode == 1
    said = ran.stderr.decode()
    assert len(said.splitlines()) == 1
    assert os.strerror(errno.ENOSPC) in said


@pytest.mark.parametrize("error", [KeyboardInterrupt, BrokenPipeError])
def test_interruptions_are_no_bugs(
    world: World, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def interrupted(*_: object) -> None:
        raise error

    monkeypatch.setattr(search, "run", interrupted)
    ran = world.run("find", "alice@example.com")
    assert ran.code == (130 if error is KeyboardInterrupt else 0)
    assert "bug" not in ran.err


@pytest.mark.parametrize("arguments", [("--help",), ("find", "--list-providers"), ("--version",)])
def test_a_reader_that_has_gone_is_no_problem(arguments: tuple[str, ...]) -> None:
    """``| head -1`` under pipefail: the answer was fine, and so is the exit code."""
    read, write = os.pipe()
    os.close(read)
    try:
        ran = subprocess.run(
            [sys.executable, "-P", "-m", "posthouse", *arguments],
            stdout=write,
            stderr=subprocess.PIPE,
            env={**os.environ, **ENV},
            check=False,
        )
    finally:
        os.close(write)
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_an_empty_password_file(world: World, tmp_path: Path) -> None:
    empty = tmp_path / "secret"
    empty.write_text("\n")
    ran = world.run(
        "probe", "smtp.d.example", "--login", "--user", "a", "--password-file", str(empty)
    )
    assert ran.code == 2
    assert "password is empty" in ran.err
