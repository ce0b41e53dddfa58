"""The relay beside Postfix: the same load, in the same run, in turns.

    scripts/netns python benchmarks/relay.py [--only 4k-20,...] [--seconds 8] [--rounds 3]
                                             [--workers 1] [--json]

smtp-source hands messages to the relay, the relay delivers them to smtp-sink: Postfix's own tools,
on the loopback of a private network. Both relays keep their queue on the same disk (under .peers),
and both say 250 only after a sync. Each workload is run in turns, and the median of each is told
with its ratio. "delivered/s" ends when the sink has the last message. CPU is that of the relay's
processes alone, a thousand messages; memory is PSS.

Bars, as ratios to Postfix: 5 with 20 connections, 6 with 100, 8 kept open, 2.5 on one, 3 at
100 KiB; at most 0.4 s CPU a thousand and 120 MB.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from peers import postfix, process  # noqa: E402

SINK, OURS, THEIRS = 11025, 12025, 13025
TICK = os.sysconf("SC_CLK_TCK")
WARM = 300  # messages before anything is measured

CONFIG = """\
[server]
name = "relay.test"
data = "{data}"
workers = {workers}
[[listen]]
address = "127.0.0.1:{port}"
mode = "relay"
networks = ["127.0.0.0/8"]
[limits]
burst = 0
hour = 0
day = 0
[[hop]]
name = "sink"
hosts = ["127.0.0.1:{sink}"]
security = "none"
tls = "none"
[[route]]
hop = "sink"
"""


@dataclass(frozen=True)
class Load:
    """One workload."""

    name: str
    sessions: int
    size: int = 4096
    kept: bool = False
    bar: float = 0.0


LOADS = (
    Load("4k-20", 20, bar=5),
    Load("4k-100", 100, bar=6),
    Load("4k-20-kept", 20, kept=True, bar=8),
    Load("4k-1", 1, bar=2.5),
    Load("100k-20", 20, size=102_400, bar=3),
)


class Sink:
    """smtp-sink and its counter."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "sink.count"
        command = [
            "smtp-sink",
            "-4",
            "-c",
            "-m",
            "1500",
            "-u",
            "nobody",
            f"127.0.0.1:{SINK}",
            "1024",
        ]
        self.process = subprocess.Popen(
            command, stdout=self.file.open("wb"), stderr=subprocess.DEVNULL
        )
        wait_for(SINK)

    def count(self) -> int:
        with self.file.open("rb") as file:
            file.seek(max(0, self.file.stat().st_size - 200))
            found = re.findall(rb"mesg=\s*(\d+)", file.read())
        return int(found[-1]) if found else 0


def wait_for(port: int) -> None:
    end = time.monotonic() + 20
    while not process.accepts("127.0.0.1", port):
        if time.monotonic() > end:
            raise SystemExit(f"nothing listens on {port}")
        time.sleep(0.05)


@contextlib.contextmanager
def ours(folder: Path, workers: int) -> Iterator[int]:
    data = folder / "ours"
    config = folder / "posthouse.toml"
    config.write_text(CONFIG.format(data=data, workers=workers, port=OURS, sink=SINK))
    command = [sys.executable, "-m", "posthouse", "serve", "--config", str(config)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    log = (folder / "ours.log").open("wb")
    started = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        wait_for(OURS)
        yield started.pid
    finally:
        started.send_signal(signal.SIGTERM)
        started.wait(30)


@contextlib.contextmanager
def theirs() -> Iterator[int]:
    settings = {
        "mynetworks": "127.0.0.0/8",
        "relayhost": f"[127.0.0.1]:{SINK}",
        "smtpd_relay_restrictions": "permit_mynetworks, reject",
        "message_size_limit": "50000000",
        "default_process_limit": "200",
        "smtpd_peername_lookup": "no",
        "smtpd_client_restrictions": "permit_mynetworks, reject",
        "smtpd_client_event_limit_exceptions": "127.0.0.0/8",
        "smtpd_tls_security_level": "none",
    }
    with postfix.running("127.0.0.1", None, ports=(THEIRS,), settings=settings) as running:
        yield running.daemon.process.pid


def tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(name))
    found, todo = [], [root]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def cpu(root: int) -> float:
    """Seconds of all processes below ``root``, also of children that have ended."""
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15]))
    return total / TICK


def memory(root: int) -> float:
    """PSS in MiB."""
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.findall(r"^Pss:\s+(\d+)", text, re.MULTILINE)[0])
    return total / 1024


def run(load: Load, port: int, root: int, sink: Sink, count: int) -> dict[str, float]:
    """Hand in ``count`` messages and wait until the sink has them."""
    command = [
        "smtp-source",
        "-4",
        "-s",
        str(load.sessions),
        "-m",
        str(count),
        "-l",
        str(load.size),
    ]
    command += [
        "-f",
        "sender@example.org",
        "-t",
        "rcpt@example.net",
        *(["-d"] if load.kept else []),
    ]
    before, spent, begin = sink.count(), cpu(root), time.monotonic()
    source = subprocess.Popen([*command, f"127.0.0.1:{port}"], stderr=subprocess.PIPE)
    accepted = None
    end = begin + 120
    while sink.count() - before < count and time.monotonic() < end:
        if accepted is None and source.poll() is not None:
            accepted = time.monotonic() - begin
        time.sleep(0.01)
    delivered = time.monotonic() - begin
    _, error = source.communicate(timeout=30)
    got = sink.count() - before
    if source.returncode or got < count:
        raise SystemExit(f"{load.name}: {got} of {count} delivered; {error.decode()[-300:]}")
    peak = memory(root)
    settle(root)
    return {
        "delivered": count / delivered,
        "accepted": count / (accepted or delivered),
        "cpu": (cpu(root) - spent) * 1000 / count,
        "memory": peak,
        "extra": sink.count() - before - count,
    }


def settle(root: int) -> None:
    """Let the relay finish its bookkeeping, which is its work, too."""
    last = cpu(root)
    for _ in range(20):
        time.sleep(0.2)
        now = cpu(root)
        if now - last < 0.02:
            return
        last = now


def measure(
    load: Load, sides: dict[str, tuple[int, int]], sink: Sink, options: Any
) -> dict[str, Any]:
    counts = {}
    for side, (port, root) in sides.items():
        rate = run(load, port, root, sink, max(50, min(WARM, 40 * load.sessions)))["delivered"]
        counts[side] = max(100, int(rate * options.seconds))
    rounds: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for _ in range(options.rounds):
        for side, (port, root) in sides.items():
            rounds[side].append(run(load, port, root, sink, counts[side]))
    result: dict[str, Any] = {"load": load.name, "bar": load.bar}
    for side, found in rounds.items():
        result[side] = {
            key: round(statistics.median(one[key] for one in found), 3) for key in found[0]
        }
    pairs = zip(rounds["ours"], rounds["postfix"], strict=True)
    result["ratio"] = round(statistics.median(a["delivered"] / b["delivered"] for a, b in pairs), 2)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="names of workloads, with commas")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if os.environ.get("POSTHOUSE_NETNS") != "1":
        parser.error("run it in a private network: scripts/netns python benchmarks/relay.py")
    loads = [one for one in LOADS if not options.only or one.name in options.only.split(",")]
    folder = ROOT / ".peers" / "bench"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "peers").mkdir()
    process.BASE.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--bind", folder / "peers", process.BASE], check=True)
    sink = Sink(folder)
    try:
        with ours(folder, options.workers) as mine, theirs() as postfix_pid:
            sides = {"ours": (OURS, mine), "postfix": (THEIRS, postfix_pid)}
            for load in loads:
                show(measure(load, sides, sink, options), as_json=options.json)
    finally:
        sink.process.kill()
        sink.process.wait()


def show(result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result), flush=True)
        return
    print(f"{result['load']:<12} {result['ratio']:>5} x Postfix (bar {result['bar']})", flush=True)
    for side in ("ours", "postfix"):
        one = result[side]
        print(
            f"  {side:<9} {one['delivered']:>7.0f} delivered/s {one['accepted']:>7.0f} accepted/s"
            f" {one['cpu']:.2f} s CPU/1000 {one['memory']:>4.0f} MiB, {one['extra']:.0f} extra",
            flush=True,
        )


if __name__ == "__main__":
    main()
