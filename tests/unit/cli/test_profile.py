"""``posthouse profile``: to the screen, to a pipe, to files."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from fakes.certs import Authority
from fakes.smtp import FakeSmtpServer
from posthouse.explain import LANGUAGES
from posthouse.setup import profile
from unit.cli.test_probe import HOST, _fake
from unit.cli.world import World
from unit.find.doubles import autoconfig


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("client", [c.id for c in profile.clients()])
def test_every_client_is_shown_in_both_languages(world: World, client: str, lang: str) -> None:
    arguments = ("profile", "alice@fastmail.com", "--for", client, "--offline")
    answer = world.run(*arguments, "--json", lang=lang).json
    assert answer["client"] == client
    assert answer["usable"] is True
    assert answer["files"] or answer["steps"] or answer["text"]
    said = [answer["steps"], answer["notes"], answer["text"]]
    words = json.dumps(said, ensure_ascii=False)
    assert "profile." not in words, "a key instead of its words"
    assert lang == "en" or any("\u4e00" <= c <= "\u9fff" for c in words)


def test_the_list(world: World) -> None:
    ran = world.run("profile", "--list", lang="zh")
    assert ran.code == 0
    assert all(c.id in ran.out for c in profile.clients())


def test_on_a_pipe_stdout_is_the_file_alone(world: World) -> None:
    ran = world.run("profile", "alice@qq.com", "--for", "msmtp", "--offline")
    assert ran.code == 0
    assert "host smtp.qq.com" in ran.out
    assert "Steps" not in ran.out
    assert "Steps" in ran.err


def test_a_file_is_written_once_with_its_mode(world: World, tmp_path: Path) -> None:
    path = tmp_path / "msmtprc"
    arguments = ("profile", "alice@qq.com", "--for", "msmtp", "--offline", "--out", str(path))
    assert world.run(*arguments).code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = world.run(*arguments)
    assert again.code == 2
    assert "must not exist" in again.err


def test_several_files_go_into_a_folder(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "relay"
    ran = world.run(
        "profile", "alice@qq.com", "--for", "postfix", "--offline", "--out", str(folder)
    )
    assert ran.code == 0
    assert len(list(folder.rglob("*"))) >= 2


def test_what_cannot_work_is_said(world: World) -> None:
    ran = world.run("profile", "alice@outlook.com", "--for", "git", "--offline")
    assert ran.code == 1
    assert "OAuth2" in ran.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--for CLIENT"),
        (("--for", "thunderbrid"), "Did you mean thunderbird?"),
        (("--for", "apple", "--sign-cert", "/nowhere"), "cannot read"),
    ],
)
def test_wrong_use(world: World, arguments: tuple[str, ...], words: str) -> None:
    ran = world.run("profile", "alice@qq.com", "--offline", *arguments)
    assert ran.code == 2
    assert words in " ".join(ran.err.split())


def test_the_port_that_works_is_the_one_in_the_file(world: World, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    world.dns.update(
        {
            (HOST, "A"): ["192.0.2.1"],
            ("d.example", "MX"): ["10 mx.d.example."],
            ("_submissions._tcp.d.example", "SRV"): [f"0 1 465 {HOST}."],
            ("_submission._tcp.d.example", "SRV"): [f"0 1 587 {HOST}."],
        }
    )
    fake: FakeSmtpServer = _fake(authority.context(hosts=(HOST,)), implicit=False)
    world.peers[HOST, 587] = fake
    ca = str(authority.ca_file)
    ran = world.run("profile", "alice@d.example", "--for", "python", "--ca-file", ca, "--json")
    assert ran.code == 0
    assert ran.json["server"] == {"host": HOST, "port": 587, "security": "starttls"}


def test_the_reading_server_of_the_domains_file_is_in_the_profile(world: World) -> None:
    incoming = (
        '<incomingServer type="pop3"><hostname>pop.d.example</hostname><port>995</port>'
        "<socketType>SSL</socketType><username>%EMAILADDRESS%</username>"
        "<authentication>password-cleartext</authentication></incomingServer>"
        '<incomingServer type="imap"><hostname>imap.d.example</hostname><port>993</port>'
        "<socketType>SSL</socketType><username>%EMAILADDRESS%</username>"
        "<authentication>password-cleartext</authentication></incomingServer>"
    )
    page = autoconfig(HOST).decode().replace("<outgoingServer", incoming + "<outgoingServer", 1)
    world.dns[("d.example", "MX")] = ["10 mx.d.example."]
    world.pages["https://autoconfig.d.example/mail/config-v1.1.xml"] = page.encode()
    arguments = ("alice@d.example", "--no-probe")
    answer = world.run("profile", *arguments, "--for", "apple", "--json").json
    assert "imap.d.example" in answer["files"][0]["text"]
    assert world.run("find", "alice@d.example", "--json").json["incoming"][0]["port"] == 995
