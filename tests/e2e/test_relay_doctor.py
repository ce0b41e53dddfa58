"""``posthouse doctor --config`` beside a relay that runs: real processes, on loopback alone."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fakes.certs import Authority
from fakes.dns import FakeDns
from fakes.smtp import FakeSmtpServer

SECONDS = 60
ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "COLUMNS": "80", "PYTHONPATH": str(ROOT / "src")}
CONFIG = """
[server]
name = "relay.test"
data = "data"
workers = 2
[[listen]]
address = "127.0.0.1:{port}"
mode = "tls"
[tls]
certificate = "{certificate}"
key = "{key}"
[[hop]]
name = "next"
hosts = ["127.0.0.1:{next}"]
security = "none"
tls = "none"
[[route]]
hop = "next"
"""
TABLE = {
    ("relay.test", "A"): ["192.0.2.9"],
    ("9.2.0.192.in-addr.arpa", "PTR"): ["relay.test."],
}


async def command(*arguments: str) -> tuple[int, str, str]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "posthouse", *arguments, env=ENVIRONMENT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(SECONDS):
        out, err = await child.communicate()
    return child.returncode or 0, out.decode(), err.decode()


@asynccontextmanager
async def served(config: Path) -> AsyncIterator[None]:
    """The relay, from when it says that it is ready."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "posthouse", "serve", "--config", str(config),
        env=ENVIRONMENT, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stderr is not None
    try:
        async with asyncio.timeout(SECONDS):
            while json.loads(await child.stderr.readline()).get("kind") != "ready":
                pass
        yield
    finally:
        child.terminate()
        async with asyncio.timeout(SECONDS):
            await child.communicate()


def written(folder: Path, server: FakeSmtpServer) -> Path:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    issued = Authority(folder).issue(hosts=["relay.test"])
    issued.key_file.chmod(0o600)
    path = folder / "posthouse.toml"
    path.write_text(
        CONFIG.format(
            port=port, certificate=issued.cert_file, key=issued.key_file, next=server.port
        )
    )
    return path


def statuses(out: str) -> dict[str, str]:
    return {one["id"]: one["status"] for one in json.loads(out)["checks"]}


async def test_an_installation_from_before_its_first_start_to_work(tmp_path: Path) -> None:
    async with FakeSmtpServer() as server, FakeDns(TABLE) as dns:
        config = written(tmp_path, server)
        resolver = f"{dns.address[0]}:{dns.address[1]}"
        doctor = ("doctor", "--config", str(config), "--resolver", resolver, "--timeout", "5")

        async def look(*more: str) -> tuple[int, str]:
            code, out, err = await command(*doctor, *more)
            assert "bug" not in err
            return code, out

        code, out = await look("--json")
        before = statuses(out)
        assert (code, json.loads(out)["ok"]) == (0, True), out
        assert before["relay.folder.missing"] == "warn"
        assert before["relay.port.free"] == before["relay.hop.ok"] == "ok"
        assert not (tmp_path / "data").exists()  # looking changes nothing
        async with served(config):
            code, out = await look("--json")
            during: dict[str, Any] = statuses(out)
            assert code == 0, out
            for id_ in ("running.ready", "port.held", "lane.counted", "certificate.ok", "name.ok"):
                assert during[f"relay.{id_}"] == "ok"
            assert during["fcrdns.ok"] == "ok"
            config.write_text(config.read_text().replace(str(server.port), "1"))
            code, out = await look("--lang", "zh")
            assert code == 1
            assert "下一跳 next：127.0.0.1:1 无法使用" in out
    assert not any("AUTH" in line for seen in server.seen for line in seen.lines)


async def test_a_configuration_that_can_not_be_used(tmp_path: Path) -> None:
    config = tmp_path / "posthouse.toml"
    config.write_text("[server]\nnam = 1\n")
    code, out, _ = await command("doctor", "--config", str(config), "--json", "--offline")
    assert code == 1
    [one] = json.loads(out)["checks"]
    assert (one["id"], one["status"]) == ("relay.config_bad", "fail")
    assert "listen is missing" in one["text"]
