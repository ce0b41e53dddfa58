"""What is handed out for an installation: the example configuration and the systemd unit."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fakes.certs import Authority
from posthouse import config
from posthouse.cli import root
from posthouse.daemon import supervisor
from posthouse.daemon.doctor import place
from posthouse.protocol import dkim

PACKAGING = Path(__file__).resolve().parents[3] / "packaging"
EXAMPLE = PACKAGING / "posthouse.toml"
UNIT = PACKAGING / "posthouse.service"
OFF = re.compile(r"^#(?=\S)", re.MULTILINE)  # a setting that is switched off


def test_the_example_passes_as_it_stands(capsys) -> None:
    assert root.run(["serve", "--config", str(EXAMPLE), "--check"], "en") == 0
    assert str(EXAMPLE) in capsys.readouterr().out


def all_on(folder: Path) -> Path:
    """The example with everything switched on, and the files that it names."""
    text = OFF.sub("", EXAMPLE.read_text("utf-8"))
    issued = Authority(folder).issue(hosts=["relay.example.com"])
    keys = folder / "key.pem"
    keys.write_bytes(dkim.write_private_key(dkim.generate("rsa")))
    secret = folder / "secret"
    secret.write_text("x" * 44)
    secret.chmod(0o600)
    for name, path in {
        "/etc/posthouse/fullchain.pem": issued.cert_file,
        "/etc/posthouse/key.pem": issued.key_file,
        "/etc/posthouse/ses.secret": secret,
        "/etc/posthouse/smart.secret": secret,
        "/var/lib/posthouse/keys/example.com/r202611.pem": keys,
    }.items():
        assert name in text
        text = text.replace(name, str(path))
    made = folder / "posthouse.toml"
    made.write_text(text)
    return made


def test_what_is_switched_off_in_the_example_is_right_too(tmp_path) -> None:
    path = all_on(tmp_path)
    read = config.read(path)
    assert read.routes.unused == ()
    assert set(read.hops) == {"direct", "ses", "smart"}
    assert set(tomllib.loads(path.read_text())) == set(config.TABLES)


def test_what_the_example_calls_a_default_is_one(tmp_path) -> None:
    shown, plain = config.read(all_on(tmp_path)), config.read(EXAMPLE)
    assert (shown.limits, shown.retry) == (plain.limits, plain.retry)
    assert shown.keep_events == plain.keep_events
    for name in ("size", "recipients", "capacity", "lang"):
        assert getattr(shown.server, name) == getattr(plain.server, name)


def service() -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return parser["Service"]


def test_the_unit_fits_the_relay() -> None:
    unit = service()
    example = config.read(EXAMPLE)
    assert Path("/var/lib") / unit["StateDirectory"] == example.server.data
    assert unit["ExecStart"].endswith("serve --config /etc/posthouse/posthouse.toml")
    assert unit["Type"] == "notify"
    assert float(unit["TimeoutStopSec"]) > supervisor.PATIENCE
    pools = sum(hop.pool * place.DOMAINS for hop in example.hops.values())
    assert int(unit["LimitNOFILE"]) > place.OWN + place.CLIENTS + pools


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_understands_the_unit(tmp_path) -> None:
    made = tmp_path / "posthouse.service"
    text = re.sub("^ExecStart=.*", f"ExecStart={sys.executable}", UNIT.read_text(), flags=re.M)
    made.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(made)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
