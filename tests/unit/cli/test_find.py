"""``posthouse find``: the card, conflicts, what was noticed, JSON, exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from unit.cli.world import World
from unit.find.doubles import autoconfig

WELL_KNOWN = "https://d.example/.well-known/autoconfig/mail/config-v1.1.xml"
SRV = {
    ("d.example", "MX"): ["10 mx.d.example."],
    ("d.example", "A"): ["192.0.2.1"],
    ("_submissions._tcp.d.example", "SRV"): ["0 1 465 smtp.d.example."],
}


def test_qq_names_the_authorization_code_and_where_to_make_it(world: World) -> None:
    ran = world.run("find", "alice@qq.com", lang="zh")
    assert ran.code == 0
    assert "授权码" in ran.out
    assert "https://mail.qq.com" in ran.out
    assert "smtp.qq.com" in ran.out
    assert "465" in ran.out
    assert "生成授权码" in ran.out


def test_a_domain_that_publishes_srv(world: World) -> None:
    world.dns.update(SRV)
    ran = world.run("find", "alice@d.example")
    assert ran.code == 0
    assert "smtp.d.example" in ran.out
    assert "SRV records of the domain" in ran.out


def test_conflicts_are_shown_field_by_field(world: World) -> None:
    world.dns.update(SRV)
    world.dns[("smtp.d.example", "A")] = ["192.0.2.2"]
    world.pages[WELL_KNOWN] = autoconfig("mail.d.example", 587, "STARTTLS")
    ran = world.run("find", "alice@d.example", "--thorough")
    assert "contradict each other" in ran.out
    row = next(line for line in ran.out.splitlines() if line.strip().startswith("server "))
    assert "d.example" in row
    answer = world.run("find", "alice@d.example", "--thorough", "--json").json
    (conflict,) = [c for c in answer["conflicts"] if c["field"] == "host"]
    assert {v["value"] for v in conflict["values"]} == {"smtp.d.example", "mail.d.example"}


def test_json(world: World) -> None:
    answer = world.run("find", "alice@163.com", "--json").json
    assert answer["schema"] == 1
    assert answer["outcome"] == "found"
    best = answer["candidates"][0]
    assert (best["host"], best["port"], best["security"]) == ("smtp.163.com", 465, "tls")
    assert best["credential"]["kind"] == "auth_code"
    assert best["credential"]["steps"]
    assert best["evidence"][0]["source"] == "directory"


@pytest.mark.parametrize(
    ("dns", "code"),
    [
        ({}, 1),  # no such domain
        ({("d.example", "MX"): ["10 mx.d.example."]}, 1),  # nobody knows
        ({("d.example", "MX"): ["0 ."], ("d.example", "A"): ["192.0.2.1"]}, 1),
        ({("d.example", "MX"): ["1 mx.d.example."], ("smtp.d.example", "A"): ["192.0.2.1"]}, 1),
        (SRV, 0),
    ],
)
def test_exit_codes(world: World, dns: dict[tuple[str, str], list[str]], code: int) -> None:
    world.dns.update(dns)
    assert world.run("find", "alice@d.example").code == code


def test_offline_without_a_directory_entry_is_undetermined(world: World) -> None:
    ran = world.run("find", "alice@d.example", "--offline")
    assert ran.code == 3
    assert "--offline" in ran.out


def test_a_typo_is_noticed(world: World) -> None:
    ran = world.run("find", "alice@gmial.com")
    assert "Did you mean gmail.com" in " ".join(ran.out.split())


def test_an_organisation_file_beats_the_directory(world: World, tmp_path: Path) -> None:
    file = tmp_path / "settings.xml"
    text = (
        autoconfig("smtp.corp.example")
        .decode()
        .replace('id="x">', 'id="x"><domain>qq.com</domain>')
    )
    file.write_text(text)
    answer = world.run("find", "alice@qq.com", "--profile", str(file), "--json").json
    assert answer["candidates"][0]["host"] == "smtp.corp.example"
    assert answer["candidates"][0]["evidence"][0]["source"] == "organisation"


def test_providers_by_name(world: World) -> None:
    ran = world.run("find", "--provider", "sendgrid")
    assert ran.code == 0
    assert "apikey" in ran.out
    listed = world.run("find", "--list-providers", lang="zh")
    assert "qq" in listed.out
    assert "QQ 邮箱" in listed.out


def test_regions(world: World) -> None:
    ran = world.run("find", "--provider", "ses", "--region", "ap-south-1", "--json")
    assert ran.json["candidates"][0]["host"] == "email-smtp.ap-south-1.amazonaws.com"


def test_quiet_says_nothing_on_standard_error(world: World) -> None:
    world.dns.update(SRV)
    assert world.run("find", "alice@d.example", "--quiet").err == ""


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("不是地址", "不是地址 是服务器，不是邮箱地址"),
        ("alice qq.com", "缺少 @"),
    ],
)
def test_what_is_no_address_is_told_as_it_was_typed(world: World, typed: str, said: str) -> None:
    ran = world.run("find", typed, lang="zh")
    assert ran.code == 2
    assert said in ran.err
    assert "xn--" not in ran.err
