"""What benchmarks share: the private world they need, and what a tree of processes costs.

``need_netns`` ends a benchmark that would run outside ``scripts/netns``: there its packets could
leave the machine, and its ports are not free. ``cpu``, ``memory`` and ``Watched`` look at a process
and everything below it, by /proc.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TICK = os.sysconf("SC_CLK_TCK")
LOOK = 0.5  # seconds between looks at the memory: a look at 200 processes takes some milliseconds
START = 20.0  # seconds a server may take to listen


def need_netns(script: str) -> None:
    """Exit code 2, and the command that is right, outside the private network."""
    if os.environ.get("POSTHOUSE_NETNS") == "1":
        return
    print(
        f"{Path(script).name} runs in a private network only, from where no packet leaves:\n"
        f"    scripts/netns .venv/bin/python benchmarks/{Path(script).name}",
        file=sys.stderr,
    )
    raise SystemExit(2)


@contextlib.contextmanager
def on_disk() -> Iterator[Path]:
    """A folder on the disk of the checkout: the temporary one of a private world is memory."""
    (ROOT / "build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / "build"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(host: str, port: int) -> None:
    """Until somebody listens there."""
    end = time.monotonic() + START
    while True:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((host, port)) == 0:
                return
        if time.monotonic() > end:
            raise SystemExit(f"nothing listens on {host}:{port}")
        time.sleep(0.05)


def tree(root: int) -> list[int]:
    """A process and all below it."""
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        if fields := _fields(int(name)):
            children.setdefault(int(fields[1]), []).append(int(name))
    found, todo = [], [root]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def _fields(pid: int) -> list[str]:
    """Of /proc/PID/stat, from the state on; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def cpu(root: int) -> float:
    """Seconds of all processes below ``root``, also of children that have ended."""
    return sum(sum(map(int, _fields(pid)[11:15])) for pid in tree(root)) / TICK


def memory(root: int) -> float:
    """PSS in MiB: what is shared counts once."""
    total = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.findall(r"^Pss:\s+(\d+)", text, re.MULTILINE)[0])
    return total / 1024


def busy() -> float:
    """Seconds all cores of the machine have worked, for whomever."""
    fields = [int(part) for part in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICK  # without idle and waiting for the disk


class Watched(threading.Thread):
    """The most memory a tree of processes has, from ``with`` to its end."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root = root
        self.most = 0.0
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(LOOK):
            self.most = max(self.most, memory(self.root))

    def __enter__(self) -> Watched:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()
        self.most = max(self.most, memory(self.root))
