"""How many messages a second `posthouse send --many` hands in, beside Nodemailer's pool.

    scripts/netns .venv/bin/python benchmarks/send.py [--messages 2000] [--rtt 20]
                                                      [--connections 20] [--rounds 3] [--json]

A server in a process of its own, 20 ms away (each answer is written 20 ms after what it answers
came, a new connection's greeting after twice that); messages of 4 KiB; the same connections for
each. In turns, in one run: the command `posthouse send --many` as a whole process, with its journal
on the disk; Nodemailer with a pool, from .peers; aiosmtplib with as many workers, where it is
installed. The bar: 1.5 times Nodemailer. In the private network alone: the others ask the system's
resolver for this machine's name.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(ROOT)]

from benchmarks import _world  # noqa: E402

BAR = 1.5
SENDER, RECIPIENT = "sender@example.org", "rcpt@example.net"
BODY = ("X" * 78 + "\r\n") * 51  # 4 KiB

NODE = """
const [port, count, connections] = process.argv.slice(1).map(Number);
const transport = require("nodemailer").createTransport({
  host: "127.0.0.1", port, pool: true, maxConnections: connections, maxMessages: Infinity,
  secure: false, ignoreTLS: true,
});
const raw = require("fs").readFileSync(0);
let left = count, toCome = count;
function go() {
  if (toCome-- <= 0) return;
  transport.sendMail({ envelope: { from: "FROM", to: ["TO"] }, raw }, (error) => {
    if (error) { console.error(error); process.exit(1); }
    if (--left === 0) transport.close(); else go();
  });
}
for (let k = 0; k < connections * 5; k++) go();
""".replace("FROM", SENDER).replace("TO", RECIPIENT)

AIOSMTPLIB = """
import asyncio, sys
import aiosmtplib
port, count, connections = map(int, sys.argv[1:4])
raw = sys.stdin.buffer.read()
async def worker(left):
    client = aiosmtplib.SMTP("127.0.0.1", port, start_tls=False, use_tls=False)
    await client.connect()
    for _ in left:
        await client.sendmail("FROM", ["TO"], raw)
    await client.quit()
async def main():
    left = iter(range(count))
    await asyncio.gather(*[worker(left) for _ in range(connections)])
asyncio.run(main())
""".replace("FROM", SENDER).replace("TO", RECIPIENT)


# The server


class Sink(asyncio.Protocol):
    """Takes everything, ``delay`` seconds away."""

    def __init__(self, delay: float, taken: multiprocessing.Value) -> None:  # type: ignore[valid-type]
        self.delay = delay
        self.taken = taken
        self.rest = b""
        self.data = False
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.loop.call_later(2 * self.delay, self.write, b"220 sink.example ESMTP\r\n")

    def write(self, octets: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(octets)

    def data_received(self, data: bytes) -> None:
        self.rest += data
        answers = b"".join(iter(self.answer, b""))
        if answers:
            self.loop.call_later(self.delay, self.write, answers)

    def answer(self) -> bytes:
        """To the next command or message, if it is complete."""
        item, end, rest = self.rest.partition(b"\r\n.\r\n" if self.data else b"\r\n")
        if not end:
            return b""
        self.rest = rest
        if self.data:
            self.data = False
            self.taken.value += 1
            return b"250 2.0.0 Ok: queued\r\n"
        verb = item[:4].upper()
        self.data = verb == b"DATA"
        return {
            b"EHLO": b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 50000000\r\n",
            b"DATA": b"354 Go ahead\r\n",
            b"QUIT": b"221 2.0.0 Bye\r\n",
        }.get(verb, b"250 2.1.0 Ok\r\n")


def serve(sock: socket.socket, delay: float, taken: multiprocessing.Value) -> None:  # type: ignore[valid-type]
    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Sink(delay, taken), sock=sock)
        await server.serve_forever()

    import uvloop

    uvloop.run(run())


# The clients


def ours(folder: Path, port: int, count: int, connections: int) -> list[str]:
    journal = folder / "journal"
    journal.unlink(missing_ok=True)
    return [
        *(sys.executable, "-m", "posthouse", "send", "--many", str(folder / "many.mbox")),
        *("--server", f"127.0.0.1:{port}", "--security", "none", "--journal", str(journal)),
        *("--connections", str(connections), "--from", SENDER),
    ]


def nodemailer(folder: Path, port: int, count: int, connections: int) -> list[str]:
    return ["node", "-e", NODE, str(port), str(count), str(connections)]


def aiosmtplib(folder: Path, port: int, count: int, connections: int) -> list[str]:
    return [sys.executable, "-c", AIOSMTPLIB, str(port), str(count), str(connections)]


Client = Callable[[Path, int, int, int], list[str]]


def clients() -> dict[str, Client]:
    found: dict[str, Client] = {"posthouse": ours}
    if shutil.which("node") and (ROOT / ".peers/npm/node_modules/nodemailer").is_dir():
        found["nodemailer"] = nodemailer
    if find_spec("aiosmtplib"):
        found["aiosmtplib"] = aiosmtplib
    return found


def message(number: int) -> bytes:
    head = f"From: {SENDER}\r\nTo: {RECIPIENT}\r\nSubject: bench {number}\r\n\r\n"
    return (head + BODY).encode()


def write_mbox(path: Path, count: int) -> None:
    with path.open("wb") as file:
        for number in range(count):
            file.write(b"From sender@example.org Mon May  4 03:02:01 2026\n")
            file.write(message(number).replace(b"\r\n", b"\n") + b"\n")


def measure(command: list[str], cache: Path) -> tuple[float, float]:
    """Seconds, and seconds of processor; compiled modules are there, as after an installation."""
    env = os.environ | {
        "NODE_PATH": str(ROOT / ".peers/npm/node_modules"),
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONPYCACHEPREFIX": str(cache),
    }
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    before, began = os.times(), time.perf_counter()
    done = subprocess.run(command, input=message(0), env=env, capture_output=True, check=False)
    seconds, after = time.perf_counter() - began, os.times()
    if done.returncode:
        sys.exit(f"{command[:3]} failed: {done.stderr.decode()[-1000:]}")
    spent = after.children_user + after.children_system
    return seconds, spent - before.children_user - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--rtt", type=float, default=20.0, help="milliseconds")
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    _world.need_netns(__file__)
    sock = socket.create_server(("127.0.0.1", 0), backlog=512)
    port = sock.getsockname()[1]
    taken = multiprocessing.Value("i", 0)
    server = multiprocessing.Process(
        target=serve, args=(sock, asked.rtt / 1000, taken), daemon=True
    )
    server.start()
    rates: dict[str, list[float]] = {name: [] for name in clients()}
    cpu: dict[str, list[float]] = {name: [] for name in rates}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_mbox(folder / "many.mbox", asked.messages)
        measure([sys.executable, "-m", "posthouse", "send", "--help"], folder / "cache")
        for _ in range(asked.rounds):
            for client, make in clients().items():
                was = taken.value
                command = make(folder, port, asked.messages, asked.connections)
                seconds, spent = measure(command, folder / "cache")
                if taken.value - was != asked.messages:
                    sys.exit(f"{client}: the server took {taken.value - was}")
                rates[client].append(asked.messages / seconds)
                cpu[client].append(spent * 1000 / asked.messages)
    server.terminate()
    report(asked, rates, cpu)


def report(
    asked: argparse.Namespace, rates: dict[str, list[float]], cpu: dict[str, list[float]]
) -> None:
    ratios = {
        name: statistics.median(a / b for a, b in zip(rates["posthouse"], each, strict=True))
        for name, each in rates.items()
        if name != "posthouse"
    }
    if asked.json:
        print(json.dumps({"rates": rates, "cpu_per_1000": cpu, "ratios": ratios}))
        return
    print(f"{asked.messages} messages, {asked.rtt:g} ms away, {asked.connections} connections")
    for name, each in rates.items():
        beside = f"  posthouse is {ratios[name]:.2f} times as fast" if name in ratios else ""
        spent = statistics.median(cpu[name])
        print(f"  {name:12} {statistics.median(each):7.0f}/s  {spent:.2f} s CPU per 1,000{beside}")
    if "nodemailer" in ratios:
        verdict = "reached" if ratios["nodemailer"] >= BAR else "MISSED"
        print(f"bar: {BAR} times Nodemailer: {verdict}")


if __name__ == "__main__":
    main()
