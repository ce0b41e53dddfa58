"""How near the relay comes to what a slow next hop allows: one message in 0.5 s on each connection.

    python benchmarks/slow_peer.py [--pools 1 4 20 100] [--seconds 10] [--json]

The real command `posthouse serve` with one worker, its queue filled over SMTP; a next hop on
loopback that answers each end of data 0.5 s after it came. What is possible is 120 messages a
minute on each connection of the pool; the bar is 95 % of it. Counted is from when all connections
were busy for the first time: until then the relay feels its way (5 connections, then as many more
as messages went well), which takes 2.5 s for 100 and is told apart. The rate is that between two
answers, those of the first round not counted, so that it does not depend on where the seconds end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from posthouse.flow import NetworkFailure  # noqa: E402
from posthouse.net.smtp_carry import Carrier  # noqa: E402
from posthouse.protocol.smtp import command as c  # noqa: E402

BAR = 0.95
WORK = 0.5  # seconds for a message
WARM = 6.0  # seconds until all connections are surely busy
LONGEST = 30.0  # seconds to wait for anything
FEEDERS = 8
MESSAGE = (b"From: a@d.example\r\nSubject: slow\r\nMessage-ID: <%d@d.example>\r\n\r\n") + (
    b"X" * 78 + b"\r\n"
) * 51  # 4 KiB
CONFIG = """\
[server]
name = "relay.test"
data = "{data}"
workers = 1
[limits]
burst = 0
hour = 0
day = 0
[[listen]]
address = "127.0.0.1:{port}"
mode = "relay"
networks = ["127.0.0.0/8"]
[[hop]]
name = "slow"
hosts = ["127.0.0.1:{slow}"]
security = "none"
pool = {pool}
[[route]]
hop = "slow"
"""


@dataclass(eq=False)
class Slow:
    """The next hop: what it answered and when, how much it had at once."""

    answered: list[float] = field(default_factory=list)
    busy: int = 0
    most: int = 0
    full: float = 0.0  # when ``enough`` were busy for the first time
    enough: int = 0
    first: float = 0.0  # when the first message was there

    def begin(self) -> None:
        self.busy += 1
        self.first = self.first or time.monotonic()
        self.most = max(self.most, self.busy)
        if self.busy >= self.enough and not self.full:
            self.full = time.monotonic()

    def end(self) -> None:
        self.busy -= 1
        self.answered.append(time.monotonic())


class Session(asyncio.Protocol):
    """One connection to it."""

    def __init__(self, slow: Slow) -> None:
        self.slow = slow
        self.rest = b""
        self.data = False
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.write(b"220 slow.example ESMTP\r\n")  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.rest += data
        while True:
            item, end, rest = self.rest.partition(b"\r\n.\r\n" if self.data else b"\r\n")
            if not end:
                return
            self.rest = rest
            if self.data:
                self.data = False
                self.slow.begin()
                self.loop.call_later(WORK, self.done)
            else:
                self.answer(item[:4].upper())

    def answer(self, verb: bytes) -> None:
        self.data = verb == b"DATA"
        said = {
            b"EHLO": b"250-slow.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
            b"DATA": b"354 Go ahead\r\n",
            b"QUIT": b"221 2.0.0 Bye\r\n",
        }.get(verb, b"250 2.1.0 Ok\r\n")
        self.transport.write(said)  # type: ignore[attr-defined]

    def done(self) -> None:
        self.slow.end()
        if not self.transport.is_closing():
            self.transport.write(b"250 2.0.0 Ok\r\n")  # type: ignore[attr-defined]


def _rate(answered: list[float], pool: int) -> float:
    """Answers a second, from the end of the first round on."""
    if len(answered) <= pool:
        return 0.0
    return (len(answered) - pool) / (answered[-1] - answered[pool - 1])


@contextlib.asynccontextmanager
async def relay(pool: int, slow: int) -> AsyncIterator[int]:
    """`posthouse serve` at work; the port it listens on."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), _free_port()
        file = folder / "posthouse.toml"
        file.write_text(CONFIG.format(data=folder / "data", port=port, slow=slow, pool=pool))
        command = [sys.executable, "-m", "posthouse", "serve", "--config", str(file)]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield port
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, LONGEST)


def _free_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def connected(port: int) -> Carrier:
    """A client's connection, as soon as the relay is there."""
    end = time.monotonic() + LONGEST
    while True:
        carrier = Carrier()
        try:
            await carrier.open("127.0.0.1", port)
        except NetworkFailure:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.1)
            continue
        await carrier.hello("client.test")
        return carrier


async def feed(port: int, numbers: range) -> None:
    """Hand messages in over one connection."""
    carrier = await connected(port)
    for number in numbers:
        mail, to = c.Mail("a@d.example"), [c.Rcpt("b@e.example")]
        done = await carrier.carry(mail, to, MESSAGE % number)
        if not all(reply.is_success for _, reply in done.replies.values()) or done.failure:
            raise SystemExit(f"not accepted: {done}")
    carrier.quit()


async def measure(pool: int, seconds: float) -> dict[str, float]:
    """One pool size."""
    slow = Slow(enough=pool)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Session(slow), "127.0.0.1", 0, backlog=256)
    count = int(pool / WORK * (seconds + WARM)) + pool
    async with relay(pool, server.sockets[0].getsockname()[1]) as port:
        began = time.monotonic()
        feeding = [
            asyncio.create_task(feed(port, range(n, count, FEEDERS))) for n in range(FEEDERS)
        ]
        while not slow.full and time.monotonic() < began + LONGEST:
            await asyncio.sleep(0.01)
        await asyncio.sleep(max(0.0, slow.full + seconds + 0.1 - time.monotonic()))
        for one in feeding:
            one.cancel()
        await asyncio.gather(*feeding, return_exceptions=True)
    server.close()
    rate = _rate([at for at in slow.answered if at >= slow.full], pool)
    return {
        "pool": pool,
        "per_minute": round(rate * 60),
        "share": round(rate * WORK / pool, 4),
        "most_at_once": slow.most,
        "ramp_seconds": round(slow.full - slow.first, 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pools", type=int, nargs="+", default=[1, 4, 20, 100])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [asyncio.run(measure(pool, options.seconds)) for pool in options.pools]
    if options.json:
        print(json.dumps({"bar": BAR, "rows": rows}))
    else:
        for row in rows:
            line = "  ".join(f"{name} {value:>7}" for name, value in row.items())
            print(line, "" if row["share"] >= BAR else f"  below {BAR}")
    good = all(row["share"] >= BAR and row["most_at_once"] <= row["pool"] for row in rows)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
