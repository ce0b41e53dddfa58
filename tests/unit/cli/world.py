"""The command in this process: a small network of doubles, what was printed, the exit code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from fakes.smtp import FakeSmtpServer
from posthouse.cli import prove, root, search, wiring
from posthouse.flow import Failure
from posthouse.net.clock import SystemClock
from posthouse.net.dial import MemoryDialer
from posthouse.net.http import FixtureHttp
from posthouse.net.resolver import FixtureResolver


@dataclass(frozen=True)
class Ran:
    """One command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def all(self) -> str:
        return self.out + self.err


@dataclass
class World:
    """``run("find", "alice@d.example")`` in it. ``peers`` are fakes by (host, port)."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    dns: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    pages: dict[str, bytes] = field(default_factory=dict)
    peers: dict[tuple[str, int], FakeSmtpServer | Failure] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for module in (search, prove, wiring):
            self.monkeypatch.setattr(module, "network", lambda _session: self._network())
        for name in ("POSTHOUSE_PASSWORD", "LC_ALL", "LC_MESSAGES", "LANG", "NO_COLOR"):
            self.monkeypatch.delenv(name, raising=False)
        self.monkeypatch.setenv("COLUMNS", "80")

    def _network(self) -> wiring.Network:
        handlers: Mapping[tuple[str, int], Any] = {
            place: peer if isinstance(peer, Failure) else peer.serve
            for place, peer in self.peers.items()
        }
        clock = SystemClock()
        return wiring.Network(
            FixtureResolver(self.dns, clock=clock),
            MemoryDialer(handlers),
            FixtureHttp(self.pages, clock=clock),
            clock,
        )

    def run(self, *arguments: str, lang: str = "en") -> Ran:
        command, rest = arguments[:1], arguments[1:]
        code = root.run([*command, "--lang", lang, *rest], lang)
        printed = self.capsys.readouterr()
        return Ran(code, printed.out, printed.err)
