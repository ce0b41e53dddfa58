"""``posthouse domain``: the audit's screen and JSON, single checks, comparison, one message."""

from __future__ import annotations

import json
import shlex
import tomllib
from pathlib import Path

import pytest

from posthouse.cli import domain as command
from posthouse.explain import LANGUAGES
from posthouse.setup import domain
from unit.cli.world import World

GOOD = {
    ("d.example", "MX"): ["10 mx.d.example."],
    ("mx.d.example", "A"): ["198.51.100.5"],
    ("d.example", "A"): ["198.51.100.7"],
    ("d.example", "TXT"): ["v=spf1 mx -all"],
    ("_dmarc.d.example", "TXT"): ["v=DMARC1; p=reject; rua=mailto:r@d.example"],
    ("5.100.51.198.in-addr.arpa", "PTR"): ["mx.d.example."],
}
MESSAGE = """\
Return-Path: <alice@d.example>
Received: from mx.d.example (mx.d.example [198.51.100.5])
\tby mx.e.example with ESMTPS id 1 for <bob@e.example>; Tue, 24 Nov 2026 12:00:00 +0000
From: alice@d.example
To: bob@e.example
Subject: Lunch
Date: Tue, 24 Nov 2026 12:00:00 +0000
Message-ID: <1@d.example>

At noon?
"""


def test_the_checks_are_the_audits() -> None:
    assert tuple(domain.CHECKS) == command.CHECKS


@pytest.mark.parametrize("lang", LANGUAGES)
def test_an_audit_in_both_languages(world: World, lang: str) -> None:
    world.dns.update(GOOD)
    ran = world.run("domain", "d.example", lang=lang)
    assert ran.code in (0, 1)
    assert "d.example" in ran.out
    assert "screen." not in ran.out
    assert "domain.check" not in ran.out
    for key in ("spf", "dmarc"):
        assert domain.words.title(key, lang) in ran.out


def test_what_is_missing_has_its_fix(world: World) -> None:
    world.dns.update(GOOD)
    del world.dns["_dmarc.d.example", "TXT"]
    ran = world.run("domain", "dmarc", "d.example")
    assert ran.code == 1
    assert '_dmarc.d.example. IN TXT "v=DMARC1' in ran.out
    assert "SPF" not in ran.out.partition("large receivers")[0]


def test_json(world: World) -> None:
    world.dns.update(GOOD)
    answer = world.run("domain", "d.example", "--json").json
    assert answer["schema"] == 1
    assert set(answer["checks"]) == set(command.CHECKS)
    assert answer["checks"]["spf"]["facts"]["record"] == "v=spf1 mx -all"
    spf = answer["checks"]["spf"]["findings"]
    assert all({"id", "verdict", "text", "evidence", "fix"} <= set(one) for one in spf)


def test_an_earlier_audit_is_compared_with(world: World, tmp_path: Path) -> None:
    world.dns.update(GOOD)
    before = tmp_path / "before.json"
    before.write_text(world.run("domain", "d.example", "--json").out)
    world.dns["d.example", "TXT"] = ["v=spf1 +all"]
    ran = world.run("domain", "d.example", "--against", str(before), "--json")
    assert ran.json["comparison"]["worse"] is True
    assert ran.code == 1
    before.write_text(json.dumps({"schema": 1, "domain": "other.example"}))
    assert world.run("domain", "d.example", "--against", str(before)).code == 2


@pytest.mark.parametrize(("fail_on", "code"), [("never", 0), ("warn", 1)])
def test_what_counts_as_failed_is_the_users_choice(world: World, fail_on: str, code: int) -> None:
    world.dns.update(GOOD)
    world.dns["d.example", "TXT"] = ["v=spf1 mx ptr -all"]
    assert world.run("domain", "spf", "d.example", "--fail-on", fail_on).code == code


@pytest.mark.parametrize("lang", LANGUAGES)
def test_one_message(world: World, tmp_path: Path, lang: str) -> None:
    world.dns.update(GOOD)
    mail = tmp_path / "mail.eml"
    mail.write_text(MESSAGE.replace("\n", "\r\n"))
    ran = world.run("domain", "check", str(mail), lang=lang)
    assert "198.51.100.5" in ran.out
    assert "pass" in ran.out
    answer = world.run("domain", "check", str(mail), "--json").json
    assert answer["results"]["spf"] == "pass"
    assert answer["results"]["dmarc"] == "pass"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give a domain"),
        (("spf",), "DOMAIN is missing"),
        (("bad..name",), "two dots"),
        (("d.example", "--offline"), "needs the DNS"),
        (("d.example", "--only", "everything"), "must be one of"),
        (("d.example", "--service", "nobody"), "no provider"),
        (("check", "/nowhere.eml"), "cannot read"),
    ],
)
def test_wrong_use(world: World, arguments: tuple[str, ...], words: str) -> None:
    ran = world.run("domain", *arguments)
    assert ran.code == 2
    assert words in " ".join(ran.err.split()), ran.err


# What to publish, and the keys

SENDERS = ("--ip", "198.51.100.5", "--dmarc-report", "r@d.example")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_records_as_text(world: World, lang: str) -> None:
    world.dns.update({("d.example", "MX"): ["10 mx.d.example."]})
    ran = world.run("domain", "records", "d.example", *SENDERS, lang=lang)
    assert ran.code == 1
    assert 'd.example. 3600 IN TXT "v=spf1 ip4:198.51.100.5' in ran.out
    assert "records." not in ran.out.replace("records.zone", "")


def test_records_as_zone_diff_and_json(world: World, tmp_path: Path) -> None:
    world.dns.update({("d.example", "MX"): ["10 mx.d.example."]})
    zone = world.run("domain", "records", "d.example", *SENDERS, "--as", "zone").out
    assert all(line.startswith(("d.example.", "_dmarc.")) for line in zone.splitlines())
    diff = world.run("domain", "records", "d.example", *SENDERS, "--as", "diff").out
    assert "+ d.example." in diff
    answer = world.run("domain", "records", "d.example", *SENDERS, "--json").json
    assert answer["domain"] == "d.example"
    folder = tmp_path / "out"
    ran = world.run("domain", "records", "d.example", *SENDERS, "--out", str(folder))
    assert (folder / "records.zone").read_text() == zone
    assert "records.zone" in ran.err
    assert world.run("domain", "records", "d.example", *SENDERS, "--out", str(folder)).code == 2


def test_a_wrong_inventory_names_its_line(world: World, tmp_path: Path) -> None:
    file = tmp_path / "senders.toml"
    file.write_text('domain = "d.example"\naddresses = ["not an address"]\n')
    ran = world.run("domain", "records", "d.example", "--inventory", str(file))
    assert ran.code == 2
    assert f"{file}:2:" in "".join(ran.err.split("\n"))


def test_keys_are_made_listed_and_put_to_use(world: World, tmp_path: Path) -> None:
    folder = ("--folder", str(tmp_path / "keys"))
    made = world.run("domain", "keys", "make", "d.example", "--selector", "s1", *folder)
    assert made.code == 0
    assert 's1._domainkey.d.example. IN TXT "v=DKIM1' in made.out
    assert "PRIVATE" not in made.all
    assert f"{folder[1]}/d.example/" in made.out
    again = world.run("domain", "keys", "make", "d.example", "--selector", "s1", *folder)
    assert again.code == 2
    listed = world.run("domain", "keys", "list", *folder)
    assert listed.code == 1  # its record is not published
    answer = world.run("domain", "keys", "rotate", "d.example", *folder, "--json").json
    assert answer["key"]["selector"] != "s1"
    world.dns[answer["record"]["name"], "TXT"] = [answer["record"]["text"]]
    used = world.run(
        "domain", "keys", "activate", "d.example", "--selector", answer["key"]["selector"], *folder
    )
    assert used.code == 0
    assert "PRIVATE" not in world.run("domain", "keys", "list", "--json", *folder).all


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("name", ["keys", "the keys"])
def test_what_a_new_key_asks_for_can_be_copied(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, lang: str
) -> None:
    """The command as a shell takes it, and the table of the relay's configuration."""
    monkeypatch.chdir(tmp_path)
    make = ("domain", "keys", "make", "d.example", "--folder", name)
    first = world.run(*make, lang=lang)
    assert "activate" not in first.out  # it would be refused: the first key is active
    assert "[[dkim]]" in first.out
    made = world.run(*make, lang=lang)
    (command,) = (line for line in made.out.splitlines() if "activate" in line)
    program, *told = shlex.split(command)
    assert program == "posthouse"
    table = tomllib.loads(made.out[made.out.index("[[dkim]]") :])["dkim"][0]
    assert Path(table["key"]).read_text().startswith("-----BEGIN")
    assert told[told.index("--selector") + 1] == table["selector"]
    assert world.run(*told).code == 0


def test_keys_that_others_can_read_are_refused(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    world.run("domain", "keys", "make", "d.example", "--selector", "s1", "--folder", str(folder))
    key = next(folder.rglob("*.pem"))
    key.chmod(0o644)
    ran = world.run("domain", "keys", "list", "--folder", str(folder))
    assert ran.code in (1, 2)
    assert "chmod" in ran.all
