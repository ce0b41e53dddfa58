"""What every test run does besides testing.

Tests that need real ports or a real program, and can't have them, are skipped by name (and fail
where POSTHOUSE_REQUIRE_PEERS=1 is set); a line at the end tells which peers there were.
All output of the run is searched for the passwords of ``canaries``: one found fails the run.
No generated example has a time limit: a machine that does something else is slow, not wrong.
"""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, settings

import peers
from canaries import find_leaks
from peers import process

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

REPORT_SUFFIXES = {".log", ".out", ".err", ".json", ".jsonl", ".html", ".report"}
leaks: list[str] = []
skipped: Counter[str] = Counter()  # file -> tests skipped for want of a peer or a namespace


# Peers and the private network


def pytest_runtest_setup(item: pytest.Item) -> None:
    reason = None
    if item.get_closest_marker("netns") and not peers.in_netns():
        reason = peers.NO_NETNS
    for mark in item.iter_markers("peer"):
        for name in mark.args:
            reason = reason or peers.why_missing(name)
    if reason and os.environ.get("POSTHOUSE_REQUIRE_PEERS") == "1":
        pytest.fail(f"POSTHOUSE_REQUIRE_PEERS=1, but {reason}", pytrace=False)
    if reason:
        skipped[item.nodeid.partition("::")[0]] += 1
        pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.write_line(peers.summary())
    for file, count in skipped.items():
        terminalreporter.write_line(f"skipped for want of them: {count} in {file}")
    for leak in leaks:
        terminalreporter.write_line(f"SECRET IN OUTPUT: {leak}", red=True)


@pytest.fixture
def ip_route() -> Iterator[Callable[..., None]]:
    """``ip_route("unreachable", "198.51.100.0/24")``: ``ip route add``, taken back afterwards.

    Only in the private network (mark the test ``netns``); scripts/netns tells the useful kinds.
    """
    routes: list[tuple[str, ...]] = []

    def add(*words: str) -> None:
        subprocess.run(["ip", "route", "add", *words], check=True, capture_output=True)
        routes.append(words)

    yield add
    for words in routes:
        subprocess.run(["ip", "route", "del", *words], check=True, capture_output=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A failed test shows what the servers it talked to have logged."""
    report = yield
    if report.failed and peers.in_netns():
        report.sections += [(f"Log of {name}", text) for name, text in process.logs()]
    return report


# The search for secrets


def sweep(where: str, text: str | bytes | None) -> None:
    """Search ``text``; what is found fails the run at its end."""
    if text:
        leaks.extend(f"{leak}, in {where}" for leak in find_leaks(text))


def sweep_file(where: str, path: Path) -> None:
    if path.is_file():
        sweep(f"{where}: {path.name}", path.read_bytes())


@pytest.fixture
def secret_sweep(request: pytest.FixtureRequest) -> Callable[[Path | str | bytes], None]:
    """Call it with more output to search: text, or the path of a file or folder."""

    def register(output: Path | str | bytes) -> None:
        if not isinstance(output, Path):
            sweep(request.node.nodeid, output)
            return
        for path in [output] if output.is_file() else sorted(output.rglob("*")):
            sweep_file(request.node.nodeid, path)

    return register


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Reports and logs that a test left in its folder."""
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    for path in sorted(folder.rglob("*")) if folder else ():
        if path.suffix in REPORT_SUFFIXES:
            sweep_file(item.nodeid, path)
    return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """What pytest itself captured and shows: stdout, stderr, log records, tracebacks."""
    sweep("the name of a test", report.nodeid)
    for title, text in report.sections:
        sweep(f"{report.nodeid}: {title}", text)
    sweep(f"{report.nodeid}: failure report", report.longreprtext)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if leaks and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _swept(owner: type | Any, name: str, texts: Callable[[Any], list[Any]]) -> None:
    """Wrap ``owner.name`` so that the texts of what it returns are searched."""
    original = getattr(owner, name)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        where = os.environ.get("PYTEST_CURRENT_TEST", "the run").removesuffix(" (call)")
        for text in texts(result):
            sweep(f"{where}: {name}", text)
        return result

    setattr(owner, name, wrapper)


# Three ways of reading a command's output that pytest's own reports never see.
_swept(CliRunner, "invoke", lambda result: [result.output, getattr(result, "stderr_bytes", b"")])
_swept(subprocess, "run", lambda done: [done.stdout, done.stderr])
_swept(pytest.CaptureFixture, "readouterr", lambda pair: [pair.out, pair.err])
