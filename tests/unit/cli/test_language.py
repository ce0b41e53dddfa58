"""Which language is spoken, and that every help text is complete in both and fits 80 columns."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from posthouse.cli.command import COMMANDS
from posthouse.cli.domain import COMMANDS as DOMAIN_COMMANDS
from posthouse.cli.language import detect
from posthouse.explain import LANGUAGES
from unit.cli.world import World

BELOW = ("route test", *(f"domain {one}" for one in DOMAIN_COMMANDS))


@pytest.mark.parametrize(
    ("argv", "environ", "lang"),
    [
        ([], {}, "en"),
        ([], {"LANG": "zh_CN.UTF-8"}, "zh"),
        ([], {"LANG": "zh_TW.UTF-8", "LC_ALL": "de_DE.UTF-8"}, "en"),
        ([], {"LANG": "C", "LC_MESSAGES": "zh_CN.UTF-8"}, "zh"),
        (["find", "--lang", "zh"], {"LANG": "en_US.UTF-8"}, "zh"),
        (["find", "--lang=en"], {"LANG": "zh_CN.UTF-8"}, "en"),
        (["explain", "--", "--lang", "zh"], {}, "en"),
        (["find", "--lang", "xx"], {"LANG": "zh_CN.UTF-8"}, "zh"),
        (["find", "--lang"], {}, "en"),
    ],
)
def test_the_language_is_told_by_option_then_locale(argv, environ, lang) -> None:
    assert detect(argv, environ) == lang


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("command", ["", *COMMANDS, *BELOW])
def test_help_is_complete(world: World, command: str, lang: str) -> None:
    ran = world.run(*command.split(), "--help", lang=lang)
    assert ran.code == 0
    assert not ran.err
    assert f"posthouse {command}".strip() in ran.out
    assert "cli." not in ran.out, "a key instead of its words"
    assert ("示例：" if lang == "zh" else "Example:") in ran.out
    example = ran.out.rpartition("示例：" if lang == "zh" else "Example:")[2]
    assert [line for line in ran.out.splitlines() if cell_len(line) > 80] == []
    assert "posthouse" in example


def test_the_bare_command_shows_help(world: World) -> None:
    ran = world.run()
    assert ran.code == 0
    assert all(command in ran.out for command in COMMANDS)


def test_version(world: World) -> None:
    ran = world.run("--version")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("posthouse 0.")
