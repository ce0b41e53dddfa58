"""Where the CPU time of a message goes: one run with ``_sampled.py`` in the worker, summed by part.

Enters: a relay that was started by ``_sampled.py`` and the file that this writes. Leaves: seconds
per 1,000 messages by part of the code, by thread and by function, and their table.
"""

from __future__ import annotations

import json
import os
import signal
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import _world
from benchmarks._load import WARM, Load, Sink, run
from benchmarks._relays import Relay

from peers import process

# The first prefix that fits a function's place names its part.
PARTS = (
    ("event loop", "event loop: sockets, TLS, callbacks"),
    ("protocol/smtp/", "engine"),
    ("net/smtp_listen", "clients' sockets, replies written"),
    ("send/submit/", "session, message checked"),
    ("send/queue/", "queue, in the loop's thread"),
    ("send/route/", "route"),
    ("send/deliver/", "dispatcher, pool, outcome"),
    ("net/smtp_", "next hop's sockets, message written"),
    ("protocol/dkim/", "signature"),
    ("daemon/log", "log"),
    ("daemon/lines", "log"),
    ("daemon/", "wiring, counters"),
    ("", "the rest"),
)
TOP = 15  # functions told by name


def watched_run(load: Load, relay: Relay, sink: Sink, out: Path, count: int) -> dict[str, Any]:
    """The workload once, while the worker is watched; all times in seconds per 1,000."""
    run(load, relay, sink, min(WARM, count))
    out.unlink(missing_ok=True)
    [worker] = _world.tree(relay.pid)[1:]
    os.kill(worker, signal.SIGUSR1)
    result = run(load, relay, sink, count)
    os.kill(worker, signal.SIGUSR2)
    process.wait_until("profile", out.exists)
    found = json.loads(out.read_text())
    scale = 1000 / count
    parts = dict.fromkeys((name for _, name in PARTS), 0.0)
    for place, seconds in found["seconds"].items():
        parts[next(name for prefix, name in PARTS if place.startswith(prefix))] += seconds * scale
    top = sorted(found["seconds"].items(), key=lambda item: -item[1])[: TOP + 1]
    return {
        "name": load.name,
        "messages": count,
        **asdict(result),
        "parts": parts,
        "threads": {k: [s * scale for s in both] for k, both in found["threads"].items()},
        "waits": found["switches"] / count,
        "functions": {k: s * scale for k, s in top if k != "event loop"},
    }


def show(row: dict[str, Any]) -> None:
    """Milliseconds of CPU per 1,000 messages are microseconds of each."""
    threads = row["threads"]
    whole = sum(map(sum, threads.values()))
    print(f"{row['name']}, {row['messages']} messages, {row['delivered']:,.0f}/s while watched;")
    print(
        f"{row['cpu']:.3f} s CPU per 1,000, the loop waited {row['waits']:.2f} times a message;"
        f" others {row['others']:.2f}\n"
    )
    print(f"  {'thread':<38}{'us each':>9}{'user':>8}{'kernel':>8}{'share':>8}")
    for name, (user, kernel) in sorted(threads.items(), key=lambda item: -sum(item[1])):
        both = user + kernel
        print(
            f"  {name:<38}{both * 1000:>9.0f}{user * 1000:>8.0f}{kernel * 1000:>8.0f}"
            f"{both / whole:>8.0%}"
        )
    loop = sum(row["parts"].values())
    print(f"\n  {'part of the loop':<38}{'us each':>9}{'':>16}{'share':>8}")
    for name, seconds in sorted(row["parts"].items(), key=lambda item: -item[1]):
        if seconds:
            print(f"  {name:<38}{seconds * 1000:>9.0f}{'':>16}{seconds / loop:>8.0%}")
    print(f"\n  {'function':<63}{'us each':>9}")
    for name, seconds in row["functions"].items():
        print(f"  {name[:62]:<63}{seconds * 1000:>9.1f}")
    print(flush=True)
