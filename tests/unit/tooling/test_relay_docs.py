"""docs/relay.md and its Chinese sister: every configuration, command, key and metric is real."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest

from fakes.certs import Authority
from posthouse import config
from posthouse.cli import root
from posthouse.config import Server
from posthouse.daemon.metrics import COUNTERS, GAUGES
from posthouse.explain import catalogue
from posthouse.protocol import dkim
from posthouse.send.route.hops import KEYS as HOP
from posthouse.send.route.read import KEYS as ROUTE
from posthouse.send.submit.settings import Limits

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGES = ("relay.md", "relay.zh-CN.md")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r'"(/[^"]+/(?:[^"/]+\.(?:pem|secret)))"')
BASE = """[server]
name = "relay.example.com"
data = "/var/lib/posthouse"
[[listen]]
address = "127.0.0.1:465"
mode = "tls"
"""


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text("utf-8")
    return [body for kind, body in BLOCK.findall(text) if kind == language]


def with_files(text: str, folder: Path) -> str:
    """The same, with files of our own in the place of those it names."""
    issued = Authority(folder).issue(hosts=["relay.example.com"])
    key, secret = folder / "dkim.pem", folder / "secret"
    key.write_bytes(dkim.write_private_key(dkim.generate("ed25519")))
    secret.write_text("x" * 44)
    secret.chmod(0o600)

    def ours(found: re.Match[str]) -> str:
        name = found[1]
        if name.endswith(".secret"):
            return f'"{secret}"'
        if "/keys/" in name:
            return f'"{key}"'
        return f'"{issued.key_file if name.endswith("key.pem") else issued.cert_file}"'

    return FILE.sub(ours, text)


@pytest.mark.parametrize("page", PAGES)
def test_every_example_is_a_configuration(page, tmp_path) -> None:
    examples = blocks(page, "toml")
    assert len(examples) == 5
    for number, example in enumerate(examples):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = folder / "posthouse.toml"
        whole = example if "[server]" in example else BASE + example
        path.write_text(with_files(whole, folder), "utf-8")
        assert config.read(path).routes.unused == ()


def test_both_pages_show_the_same_examples() -> None:
    for language in ("toml",):
        assert blocks(PAGES[0], language) == blocks(PAGES[1], language)
    commands = [[line.split("#")[0].strip() for line in called(page)] for page in PAGES]
    assert commands[0] == commands[1]


def called(page: str) -> Iterator[str]:
    """The lines that call us."""
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            words = re.sub(r"^(sudo -u posthouse )?(\S*/)?posthouse ", "posthouse ", line)
            if words.startswith("posthouse "):
                yield words


@pytest.mark.parametrize("page", PAGES)
def test_every_command_can_be_parsed(page) -> None:
    lines = list(called(page))
    assert len(lines) > 25
    for line in lines:
        parse(root.build(catalogue("en")), shlex.split(line, comments=True)[1:])


def parse(command: click.Command, arguments: list[str]) -> None:
    """Down to the last group, whatever it would do. Raises click's errors."""
    if isinstance(command, click.Group) and not arguments[0].startswith("-"):
        below = command.get_command(click.Context(command), arguments[0])
        assert below is not None, arguments
        parse(below, arguments[1:])
    elif arguments != ["--version"]:
        command.make_context(command.name, list(arguments))


KEYS = {
    "server": {field.name for field in fields(Server)},
    "listen": {"address", "mode", "networks"},
    "tls": {"certificate", "key"},
    "limits": {field.name for field in fields(Limits)},
    "hop": set(HOP),
    "route": set(ROUTE),
    "dkim": {"domain", "selector", "key"},
    "retry": {"first", "most", "expire", "warn"},
    "queue": {"keep_events"},
    "metrics": {"listen"},
}


@pytest.mark.parametrize("page", PAGES)
def test_every_key_is_told_and_no_other(page) -> None:
    assert set(KEYS) == set(config.TABLES)
    text = (DOCS / page).read_text("utf-8")
    for table, keys in KEYS.items():
        section = re.search(rf"^### `\[+{table}\]+`.*?(?=^##)", text, re.MULTILINE | re.DOTALL)
        assert section is not None, table
        rows = [line.split("|")[1] for line in section[0].splitlines() if line.startswith("| `")]
        assert {key for row in rows for key in re.findall(r"`(\w+)`", row)} == keys


@pytest.mark.parametrize("page", PAGES)
def test_every_metric_is_told_and_no_other(page) -> None:
    text = (DOCS / page).read_text("utf-8")
    real = {f"posthouse_{name}_total" for name in COUNTERS} | {f"posthouse_{n}" for n in GAUGES}
    assert set(re.findall(r"posthouse_\w+", text)) == real | {"posthouse_ready"}
