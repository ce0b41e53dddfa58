"""One run of the relays' benchmark: a load handed to one relay, until the last server has it.

Enters: a ``Load`` and a running relay. Leaves: a ``Run``, its figures. A load that is not taken, or
does not come to its end in ``LONGEST`` seconds, ends the benchmark with the reason.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import _world
from benchmarks._relays import SINK, Relay

ROOT = Path(__file__).resolve().parents[1]
WARM = 300  # messages before anything is measured
LONGEST = 120.0  # seconds for one run
SETTLED = 0.02  # seconds of CPU in 0.2 s: a relay that does less has done its bookkeeping


@dataclass(frozen=True)
class Load:
    """One workload; ``bars`` are ratios to peers, ``share`` is of --messages."""

    name: str
    sessions: int
    size: int = 4096
    kept: bool = False
    tls: bool = False
    sender: str = "sender@example.org"
    bars: tuple[tuple[str, float], ...] = ()
    share: float = 1.0


@dataclass(frozen=True)
class Run:
    """What one run showed. CPU in seconds per 1,000 messages."""

    delivered: float  # messages a second
    accepted: float
    cpu: float
    memory: float  # MiB
    load: float  # cores that load and sink took
    others: float  # cores that somebody else took
    extra: int  # arrived more than once


class Sink:
    """smtp-sink and its counter."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "sink.count"
        where = f"{SINK[0]}:{SINK[1]}"
        command = ["smtp-sink", "-4", "-c", "-m", "1500", "-u", "nobody", where, "1024"]
        self.process = subprocess.Popen(
            command, stdout=self.file.open("wb"), stderr=subprocess.DEVNULL
        )
        _world.wait_for(*SINK)

    def count(self) -> int:
        with self.file.open("rb") as file:
            file.seek(max(0, self.file.stat().st_size - 200))
            found = re.findall(rb"mesg=\s*(\d+)", file.read())
        return int(found[-1]) if found else 0

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def source(load: Load, relay: Relay, count: int) -> list[str]:
    """The command that hands in."""
    where = f"{relay.host}:{relay.port}"
    sessions, size = str(load.sessions), str(load.size)
    if load.tls:
        script = str(ROOT / "benchmarks/_tls_source.py")
        kept = ["--kept"] if load.kept else []
        return [sys.executable, script, where, sessions, str(count), size, *kept]
    command = ["smtp-source", "-4", "-s", sessions, "-m", str(count), "-l", size]
    command += ["-f", load.sender, "-t", "rcpt@example.net"]
    return [*command, *(["-d"] if load.kept else []), where]


def run(load: Load, relay: Relay, sink: Sink, count: int) -> Run:
    """Hand in ``count`` messages, wait until the sink has them and the relay is done with them."""
    before, spent, theirs = sink.count(), _world.cpu(relay.pid), _world.cpu(sink.process.pid)
    all_before, own_before, begin = _world.busy(), time.process_time(), time.monotonic()
    with _world.Watched(relay.pid) as watched:
        child = subprocess.Popen(source(load, relay, count), stderr=subprocess.PIPE)
        try:
            accepted, usage = wait_for_all(load, relay, child, sink, before + count)
        except BaseException:
            child.kill()
            child.wait()
            raise
        seconds = time.monotonic() - begin
        tools = usage + _world.cpu(sink.process.pid) - theirs
        ours = _world.cpu(relay.pid) - spent + time.process_time() - own_before
        others = _world.busy() - all_before - tools - ours
    settle(relay)
    return Run(
        delivered=count / seconds,
        accepted=count / (accepted - begin),
        cpu=(_world.cpu(relay.pid) - spent) * 1000 / count,
        memory=watched.most,
        load=tools / seconds,
        others=max(0.0, others / seconds),
        extra=sink.count() - before - count,
    )


def wait_for_all(
    load: Load, relay: Relay, child: subprocess.Popen[bytes], sink: Sink, until: int
) -> tuple[float, float]:
    """When all was accepted, and the CPU seconds of the one who handed in."""
    end = time.monotonic() + LONGEST
    accepted, usage = 0.0, 0.0
    while True:
        if not accepted:
            pid, status, used = os.wait4(child.pid, os.WNOHANG)
            if pid:
                accepted, usage = time.monotonic(), used.ru_utime + used.ru_stime
                child.returncode = os.waitstatus_to_exitcode(status)
        got = sink.count()
        if accepted and got >= until:
            return accepted, usage
        if child.returncode:
            assert child.stderr is not None
            raise SystemExit(f"{load.name}, {relay.name}: {child.stderr.read().decode()[-300:]}")
        if relay.daemon.process.poll() is not None:
            raise SystemExit(f"{load.name}: {relay.name} ended:\n{relay.daemon.tail()[-2000:]}")
        if time.monotonic() > end:
            raise SystemExit(f"{load.name}, {relay.name}: {until - got} not there in {LONGEST} s")
        time.sleep(0.01)


def settle(relay: Relay) -> None:
    """Let it finish its bookkeeping, which is its work, too; no other turn begins before."""
    last = _world.cpu(relay.pid)
    for _ in range(25):
        time.sleep(0.2)
        now = _world.cpu(relay.pid)
        if now - last < SETTLED:
            return
        last = now
