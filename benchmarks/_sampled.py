"""`posthouse serve` with each worker watched: where the CPU time of its event loop goes.

    python benchmarks/_sampled.py OUT.json serve --config FILE

USR1 to a worker begins, USR2 ends and writes OUT.json. A signal comes with the CPU time that is
used, at most a thousand times a second; each time, what the loop's thread has used since the last
one is charged to the innermost function of ours. Python hears a signal only between two bytecodes:
one heard at the very start of a function came before it, in its caller or in the event loop, whose
C code (sockets, TLS, callbacks) has no frame. Other threads are told as a whole, user and kernel
time apart. It costs some hundredths of what is measured; a tracing profiler would double it.
"""

from __future__ import annotations

import contextlib
import dis
import json
import os
import resource
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE = str(ROOT / "src" / "posthouse") + os.sep
EVERY = 0.001  # seconds of CPU
TICK = os.sysconf("SC_CLK_TCK")
RESUME = dis.opmap.get("RESUME")
LOOP = "event loop"
# Frames of these mean that the loop is at work itself.
LOOP_FILES = (f"asyncio{os.sep}runners.py", f"asyncio{os.sep}base_events.py")


@cache
def _entries(code: CodeType) -> frozenset[int]:
    """Where a function begins, or goes on after waiting."""
    octets = code.co_code
    return frozenset(at for at in range(0, len(octets), 2) if octets[at] == RESUME)


@cache
def _place(code: CodeType) -> str:
    """Ours: "send/queue/lane.py put"; the loop; else nothing: its caller is to blame."""
    if code.co_filename.startswith(SOURCE):
        return f"{code.co_filename.removeprefix(SOURCE)} {code.co_qualname}"
    return LOOP if code.co_filename.endswith(LOOP_FILES) else ""


def where(frame: FrameType | None) -> str:
    """The function that is charged."""
    if frame is not None and frame.f_lasti in _entries(frame.f_code):
        frame = frame.f_back
    while frame is not None:
        if place := _place(frame.f_code):
            return place
        frame = frame.f_back
    return LOOP


class Sampler:
    """The owner of the timer and the sums."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.seconds: Counter[str] = Counter()
        self.last = 0.0
        self.threads: dict[int, tuple[float, float]] = {}
        self.switches = 0

    def listen(self) -> None:
        """In the main thread of a worker."""
        signal.signal(signal.SIGUSR1, self.begin)
        signal.signal(signal.SIGUSR2, self.end)
        signal.signal(signal.SIGPROF, self.sample)

    def begin(self, *_: object) -> None:
        self.seconds.clear()
        self.threads = _threads()
        self.switches = _switches()
        signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)
        self.last = time.thread_time()

    def sample(self, _: int, frame: FrameType | None) -> None:
        self.seconds[where(frame)] += time.thread_time() - self.last
        self.last = time.thread_time()

    def end(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        names = {thread.native_id: thread.name for thread in threading.enumerate()}
        names[os.getpid()] = LOOP  # threading has the number it had before the fork
        threads: dict[str, list[float]] = {}
        for number, (user, kernel) in _threads().items():
            before = self.threads.get(number, (0.0, 0.0))
            one = threads.setdefault(names.get(number, "other"), [0.0, 0.0])
            one[0] += user - before[0]
            one[1] += kernel - before[1]
        text = json.dumps(
            {
                "seconds": dict(self.seconds),
                "threads": threads,
                "switches": _switches() - self.switches,
            }
        )
        fresh = self.out.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self.out)


def _threads() -> dict[int, tuple[float, float]]:
    """User and kernel seconds of each thread."""
    found = {}
    for name in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/self/task/{name}/stat").read_text().rpartition(")")[2].split()
            found[int(name)] = (int(fields[11]) / TICK, int(fields[12]) / TICK)
    return found


def _switches() -> int:
    """How often the loop's thread had nothing to do and waited."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def main() -> Any:
    out = Path(sys.argv[1])
    sys.argv[:2] = ["posthouse"]
    sys.path[:1] = [str(ROOT / "src")]
    from posthouse.cli import main as command
    from posthouse.daemon import worker

    real: Callable[..., int] = worker.main

    def watched(*given: Any, **named: Any) -> int:
        Sampler(out).listen()
        return real(*given, **named)

    worker.main = watched
    return command()


if __name__ == "__main__":
    sys.exit(main())
