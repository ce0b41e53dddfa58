"""Where a mistake in the configuration stands, and what is said to whoever made it."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthouse.config import ConfigError, read
from posthouse.explain import Catalogue
from posthouse.send.whereabouts import line_of

TEXT = """\
# a comment, name = "x"
[server]
name = "relay.example.com"

[[hop]]  # the first
name = "ses"
pool = 5
[[hop]]
  "name" = 'two'
  hosts = [
     "a.example.net",
  ]
[[route]]
name = "2"
hop = "ses"
[[route]]
hop = "two"
"""
LINES = [
    ("server.name", 3),
    ("server.data", 2),  # missing: where it belongs
    ("hop[ses].pool", 7),
    ("hop[two].hosts[1]", 10),
    ("hop[two]", 8),
    ("hop[1].pool", 7),
    ("route[2].hop", 15),  # by its name
    ("route[1].hop", 15),
    ("route[3].hop", None),
    ("route[x]y].hop", None),
    ("hop.name", None),  # of which?
    ("listen", None),
    ("", None),
]


@pytest.mark.parametrize(("setting", "line"), LINES)
def test_the_line_of_a_setting(setting: str, line: int | None) -> None:
    assert line_of(TEXT, setting) == line


HINTS = [
    ("mode = “tls”", "plain ones", "英文半角"),
    ('mode ＝ "tls"', "plain ones", "英文半角"),
    ('hosts = ["a"，"b"]', "plain ones", "英文半角"),
    ("mode = tls", "in quotation marks", "英文引号"),
    ("lmtp = yes", "true or false", "true 或 false"),
    ("lmtp = True", "true or false", "true 或 false"),
    ('hosts = ["a" "b"]', "commas", "逗号"),
    ('mode = "tls', "is missing", "结尾的引号"),
    ('data = "C:\\Users\\mail"', "twice", "写两个"),
    ('data = "C:\\mail"', "twice", "写两个"),
    ("a = 1\na = 2", "already", "已经写过"),
    ("[listen]\n[listen]", "double brackets", "双层方括号"),
    ('mode: "tls"', "a setting such as", "设置项"),
    ("; a comment", "begins with #", "# 开头"),
]


@pytest.mark.parametrize(("body", "en", "zh"), HINTS, ids=[row[0] for row in HINTS])
def test_what_is_no_toml_is_told_by_its_line_and_what_to_write(
    tmp_path: Path, body: str, en: str, zh: str
) -> None:
    path = tmp_path / "posthouse.toml"
    path.write_text("\n" + body + "\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read(path)
    line = 2 + body.count("\n")
    said = caught.value.told(Catalogue("en", strict=True))
    assert said.startswith(f"{path}: line {line}: ")
    assert en in said
    said = caught.value.told(Catalogue("zh", strict=True))
    assert said.startswith(f"{path}: 第 {line} 行：")
    assert zh in said
