"""Whole files of programs that cannot be run here, read by a parser of their format."""

from __future__ import annotations

import base64
import configparser
import json
import subprocess
from pathlib import Path

import pytest

from posthouse.setup.profile import clients, make, to_dict

from .shared import ADDRESS, IMPLICIT, content, settings

HARD = "o'br\"ien\\ $home#x;y^z`w%40{n}"


def test_systemds_file_is_read_by_a_shell_as_well(tmp_path: Path) -> None:
    profile = make("systemd", settings(username=HARD, display_name='A "B" $c'))
    (tmp_path / "mail.env").write_bytes(next(f.content for f in profile.files))
    script = "set -a; . ./mail.env; env -0"
    command = ["env", "-i", "PATH=/usr/bin:/bin", "sh", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    read = dict(part.split("=", 1) for part in done.stdout.decode().split("\0") if part)
    assert read["SMTP_USERNAME"] == HARD
    assert read["SMTP_HOST"] == "smtp.example.com"
    assert read["MAIL_FROM"] == f'"A \\"B\\" $c" <{ADDRESS}>'


def test_systemds_drop_in() -> None:
    unit = configparser.RawConfigParser()
    unit.read_string(content(make("systemd", settings()), "posthouse-mail.conf"))
    assert unit["Service"]["EnvironmentFile"] == "/etc/posthouse/mail.env"
    assert unit["Service"]["LoadCredential"] == "smtp-password:/etc/posthouse/smtp-password"


@pytest.mark.parametrize("username", [ADDRESS, HARD])
def test_grafanas_section(username: str) -> None:
    parser = configparser.RawConfigParser(delimiters=("=",))
    parser.read_string(content(make("grafana", settings(username=username))))
    smtp = dict(parser["smtp"])
    assert smtp["user"].removeprefix('"""').removesuffix('"""') == username
    assert smtp["host"] == "smtp.example.com:587"
    assert smtp["password"] == "$__file{/etc/grafana/smtp_password}"
    assert smtp["skip_verify"] == "false"


def test_a_php_comment_does_not_end_php() -> None:
    text = content(make("wordpress", settings(address='"a?>b"@example.com')))
    comment = next(line for line in text.splitlines() if line.startswith("//"))
    assert "?>" not in comment


@pytest.mark.parametrize("client", [client.id for client in clients()])
def test_json(client: str) -> None:
    profile = make(client, settings(outgoing=(IMPLICIT,)), "zh")
    read = json.loads(json.dumps(to_dict(profile)))
    assert read["client"] == client
    assert read["server"] == {"host": "smtp.example.com", "port": 465, "security": "tls"}
    for entry, file in zip(read["files"], profile.files, strict=True):
        whole = entry["text"].encode() if "text" in entry else base64.b64decode(entry["base64"])
        assert whole == file.content
        assert int(entry["mode"], 8) == file.mode
