"""How long the command takes to start: ``posthouse explain`` as a whole process.

    python benchmarks/start.py [--runs 20] [--json]

Bar: at most 200 ms, and no network module imported. The interpreter alone is timed in turn with
the command in the same run, since its share differs from machine to machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src"
REPLY = "535 5.7.8 Username and Password not accepted"
NETWORK = ("socket", "ssl", "asyncio", "dns", "httpx2", "OpenSSL", "posthouse.net")
COMMANDS = {
    "python alone": ["-c", "pass"],
    "explain REPLY": ["-m", "posthouse", "explain", REPLY],
    "explain REPLY --lang zh": ["-m", "posthouse", "explain", REPLY, "--lang", "zh"],
    "explain REPLY --json": ["-m", "posthouse", "explain", REPLY, "--json"],
    "explain auth.credentials": ["-m", "posthouse", "explain", "auth.credentials"],
    "--help": ["-m", "posthouse", "--help"],
}


def once(arguments: list[str]) -> float:
    """Milliseconds of one run, from the start of the process to its end."""
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        env={"PYTHONPATH": str(SOURCE), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return (time.perf_counter() - begin) * 1000


def imported(arguments: list[str]) -> list[str]:
    """Network modules that a command loads."""
    code = (
        "import sys, contextlib, io\n"
        f"sys.argv = ['posthouse', *{arguments[2:]!r}]\n"
        "from posthouse.cli import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()): main()\n"
        f"print(*[m for m in {NETWORK!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(SOURCE), "PATH": "/usr/bin:/bin"},
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stderr.split()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for arguments in COMMANDS.values():
        once(arguments)  # fills the byte-code cache
    for _ in range(options.runs):
        for name, arguments in COMMANDS.items():
            times[name].append(once(arguments))
    network = imported(COMMANDS["explain REPLY"])
    rows = {
        name: {"min": min(ms), "median": statistics.median(ms), "max": max(ms)}
        for name, ms in times.items()
    }
    if options.json:
        print(json.dumps({"ms": rows, "network_modules": network}))
        return
    print(f"{'command':28} {'min':>7} {'median':>7} {'max':>7}  ms, {options.runs} runs")
    for name, row in rows.items():
        print(f"{name:28} {row['min']:7.1f} {row['median']:7.1f} {row['max']:7.1f}")
    print("network modules imported by explain:", ", ".join(network) or "none")


if __name__ == "__main__":
    main()
