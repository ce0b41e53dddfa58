"""Chaos: messages under load while everything breaks, and a count of every one of them afterwards.

    scripts/netns python tests/chaos/run.py [--messages 10000] [--kills 20] [--seed 1]

The real command ``posthouse serve`` with two workers takes messages over TCP and delivers them to a
server of ours. Meanwhile, at random: a worker or the supervisor is killed with -9, the next hop
goes away, refuses with 421 or 451, or hangs up behind the end of the data; DNS is silent; the disk
is full (inside a private namespace, where the queue lies on a small disk of its own). Every message
has a number, and the next hop writes down when it took which letter of it. In the end each that was
acknowledged must have arrived: 0 lost; each copy beyond the first must have one of the reasons of
``judge.why_again``: nothing but a kill or a cut at that very moment, of the very worker, is one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from chaos.judge import Arrival, Kill, Record, tale, why_again  # noqa: E402
from fakes.dns import DnsReply, FakeDns  # noqa: E402
from peers import relay  # noqa: E402
from posthouse.flow import NetworkFailure  # noqa: E402
from posthouse.net.smtp_carry import Carried, Carrier  # noqa: E402
from posthouse.net.smtp_listen import Listener  # noqa: E402
from posthouse.net.smtp_open import Refused  # noqa: E402
from posthouse.net.smtp_session import Answer, Peer  # noqa: E402
from posthouse.protocol.smtp import command as c  # noqa: E402
from posthouse.protocol.smtp.connection import Connection  # noqa: E402
from posthouse.protocol.smtp.events import BodyEnd  # noqa: E402
from posthouse.protocol.smtp.reply import Reply  # noqa: E402
from posthouse.send.queue.ids import text_of  # noqa: E402

FAR = "far.test"
SENDERS = 20  # connections that hand in
POOL = 20  # connections to the next hop, of each worker
TROUBLE = 1.8  # seconds from one kill to the next, about
DISK = 256  # MiB of the small disk, where there is one; the relay wants 64 of them free
LONGEST = 600.0  # seconds for everything
NUMBER = re.compile(rb"^X-Number: (\d+)", re.MULTILINE)
LETTER = re.compile(rb"^Received: .*?\bid (\w+)", re.MULTILINE | re.DOTALL)
RETRY = """\
[retry]
first = "1s"
most = "3s"
expire = "1d"
warn = "0s"
"""


@dataclass
class FarEnd:
    """The next hop: writes down what arrives, and misbehaves as it is told."""

    record: Record
    refuse: int = 0  # a code to say instead of 250 to MAIL
    cut: bool = False  # take the message, then hang up without a word

    def session(self) -> FarSession:
        return FarSession(self)


class FarSession:
    """One connection of it."""

    def __init__(self, end: FarEnd) -> None:
        self.end = end
        self.parts: list[bytes] = []

    def greet(self, peer: Peer) -> Answer:
        return Reply.make(220, "far.test ESMTP")

    def command(self, command: c.Command, connection: Connection) -> Answer:
        if isinstance(command, c.Mail):
            self.parts = []
            if self.end.refuse:
                code = self.end.refuse
                return Reply.make(code, "Not now", f"{code // 100}.3.2")
        if isinstance(command, c.Ehlo):
            return Reply(250, ("far.test", "PIPELINING", "8BITMIME"))
        if isinstance(command, c.Data):
            return Reply.make(354, "Go ahead")
        if isinstance(command, c.Quit):
            return Reply.make(221, "Bye", "2.0.0")
        return Reply.make(250, "Ok", "2.0.0")

    def body(self, data: bytes) -> None:
        self.parts.append(data)

    def ended(self, end: BodyEnd, connection: Connection) -> Answer:
        content = b"".join(self.parts)
        found, letter = NUMBER.search(content), LETTER.search(content)
        number = int(found[1]) if found else -1
        text = letter[1].decode() if letter else ""
        self.end.record.arrivals.append(Arrival(number, text, time.monotonic(), self.end.cut))
        if self.end.cut:
            return Reply.make(421, "Gone", "4.3.2")
        return Reply.make(250, "Taken", "2.0.0")

    def over(self) -> None: ...

    def refused(self, reply: Reply, reason: str) -> None: ...

    def secured(self, peer: Peer) -> None: ...

    def closed(self, reason: str) -> None: ...


@dataclass
class Result:
    """What came of it."""

    acknowledged: int
    lost: list[int]
    duplicates: Counter[str]  # arrivals beyond the first, by reason
    unexplained: list[str]
    accepted_twice: int  # handed in again after a connection was cut under us
    kills: int
    seconds: float


@dataclass
class World:
    """Everything that runs."""

    folder: Path
    port: int
    sink: int
    dns: FakeDns
    end: FarEnd
    rng: random.Random
    relay: subprocess.Popen[bytes] | None = None
    record: Record = field(default_factory=Record)
    acknowledged: Counter[int] = field(default_factory=Counter)
    pause: float = 0.0  # between two messages of one client: the load lasts as long as the trouble

    # -- the relay

    def start(self) -> None:
        """Start the command; whoever held the data folder has to be gone first."""
        log = (self.folder / "relay.log").open("ab")
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        command = [sys.executable, "-m", "posthouse", "serve", "--config", str(self.config)]
        self.relay = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    @property
    def config(self) -> Path:
        return self.folder / "posthouse.toml"

    def workers(self) -> list[int]:
        assert self.relay is not None
        path = Path(f"/proc/{self.relay.pid}/task/{self.relay.pid}/children")
        with contextlib.suppress(OSError):
            return [int(pid) for pid in path.read_text().split()]
        return []

    def kill_worker(self) -> bool:
        workers = self.workers()
        if not workers:
            return False
        pid = self.rng.choice(workers)
        lanes = lanes_open(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.record.kills.append(Kill(time.monotonic(), lanes))
        return True

    def kill_supervisor(self) -> bool:
        assert self.relay is not None
        lanes = frozenset[int]().union(*map(lanes_open, self.workers()))
        self.record.kills.append(Kill(time.monotonic(), lanes, supervisor=True))
        self.relay.kill()
        self.relay.wait()
        self.start()
        return True


async def hand_in(world: World, numbers: asyncio.Queue[int]) -> None:
    """One client: each number until somebody says 250, over whatever connections it takes."""
    carrier: Carrier | None = None
    while not numbers.empty():
        number = numbers.get_nowait()
        await asyncio.sleep(world.pause)
        while True:
            try:
                if carrier is None:
                    carrier = Carrier()
                    await carrier.open("127.0.0.1", world.port, seconds=5)
                    await carrier.hello("client.test")
                async with asyncio.timeout(20):
                    done = await carrier.carry(*message(number))
            except (NetworkFailure, Refused, TimeoutError):
                carrier = None
                await asyncio.sleep(0.2)
                continue
            if taken(done):
                world.acknowledged[number] += 1
                break
            if done.unsure:
                world.record.unsure.setdefault(number, []).append(time.monotonic())
            if done.failure is not None:
                carrier = None
            await asyncio.sleep(0.1)
    if carrier is not None:
        carrier.quit()


def message(number: int) -> tuple[c.Mail, list[c.Rcpt], bytes]:
    header = f"From: a@client.test\r\nX-Number: {number}\r\nMessage-ID: <{number}@client.test>\r\n"
    body = header.encode() + b"\r\n" + b"x" * 70 + b"\r\n" * 20
    return c.Mail("a@client.test"), [c.Rcpt(f"b{number % 7}@far.test")], body


def taken(done: Carried) -> bool:
    return done.failure is None and all(r.is_success for _, r in done.replies.values())


# What goes wrong, each for a moment.


async def far_end_refuses(world: World, code: int) -> None:
    world.end.refuse = code
    await asyncio.sleep(world.rng.uniform(0.2, 1.0))
    world.end.refuse = 0


async def far_end_hangs_up(world: World) -> None:
    world.end.cut = True
    await asyncio.sleep(world.rng.uniform(0.05, 0.2))
    world.end.cut = False


async def dns_is_silent(world: World) -> None:
    world.dns.set(FAR, "A", DnsReply(silent=True))
    await asyncio.sleep(world.rng.uniform(0.5, 2.0))
    world.dns.set(FAR, "A", DnsReply(("127.0.0.1",), ttl=1))


async def disk_is_full(world: World) -> None:
    """Only where the queue has a small disk of its own."""
    filler = world.folder / "disk" / "filler"
    if not filler.parent.is_mount():
        return
    began = time.monotonic()
    with contextlib.suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(b"\0" * 1_000_000)
            file.flush()
    await asyncio.sleep(world.rng.uniform(0.5, 1.5))
    filler.unlink()
    world.record.full.append((began, time.monotonic()))


async def trouble(world: World, kills: int, busy: Callable[[], bool]) -> int:
    """Trouble while there is work: ``kills`` kills, and something else between each two."""
    others = [
        lambda: far_end_refuses(world, 421),
        lambda: far_end_refuses(world, 451),
        lambda: far_end_hangs_up(world),
        lambda: dns_is_silent(world),
        lambda: disk_is_full(world),
    ]
    done = 0
    while done < kills and busy():
        await asyncio.sleep(world.rng.uniform(0.3, 1.2))
        await world.rng.choice(others)()
        # One in five is the supervisor, whose workers have to notice by themselves.
        kill = world.kill_supervisor if world.rng.random() < 0.2 else world.kill_worker
        done += kill()
    world.pause = 0.0
    return done


async def chaos(messages: int, kills: int, seed: int, folder: Path) -> Result:
    """See the module."""
    began = time.monotonic()
    data = folder / "disk"
    data.mkdir()
    private = os.environ.get("POSTHOUSE_NETNS") == "1"  # a disk and a port 53 of our own
    mounted = private and mount(data)
    record = Record()
    end = FarEnd(record)
    listener = Listener(end.session)
    server = await listener.listen(host="127.0.0.1", port=0)
    sink = server.sockets[0].getsockname()[1]
    port = free_port()
    dns = FakeDns({(FAR, "A"): DnsReply(("127.0.0.1",), ttl=1)}, port=53 if private else 0)
    world = World(folder, port, sink, dns, end, random.Random(seed), record=record)
    host = FAR if private else "127.0.0.1"
    config = relay.server_text(data / "data", f"127.0.0.1:{port}", workers=2)
    hop = relay.plain("next", f"{host}:{sink}", more=f"pool = {POOL}")
    world.config.write_text(config + hop + RETRY)
    numbers: asyncio.Queue[int] = asyncio.Queue()
    for number in range(messages):
        numbers.put_nowait(number)
    world.pause = SENDERS * kills * TROUBLE / messages
    world.start()
    try:
        async with dns, asyncio.timeout(LONGEST):
            clients = [asyncio.create_task(hand_in(world, numbers)) for _ in range(SENDERS)]
            busy = lambda: any(not client.done() for client in clients)  # noqa: E731
            killed = await trouble(world, kills, busy)
            await asyncio.gather(*clients)
            while set(world.acknowledged) - set(record.copies()) or waiting(data / "data"):
                await asyncio.sleep(0.5)
    except TimeoutError:
        pass
    finally:
        assert world.relay is not None
        world.relay.terminate()
        world.relay.wait(60)
        await listener.close(patience=0.1)
    return judge(
        world, data / "data", killed, time.monotonic() - began, unmount=data if mounted else None
    )


def waiting(data: Path) -> int:
    """Letters still in the queue."""
    total = 0
    for file in (data / "queue").glob("lane-*.sqlite"):
        with contextlib.suppress(sqlite3.Error), sqlite3.connect(file, timeout=5) as db:
            total += db.execute("SELECT count(*) FROM letters").fetchone()[0]
    return total


def judge(world: World, data: Path, kills: int, seconds: float, unmount: Path | None) -> Result:
    copies = world.record.copies()
    lost = sorted(set(world.acknowledged) - set(copies))
    accepted, delivered = events(data)
    duplicates: Counter[str] = Counter()
    unexplained = []
    for number, each in sorted(copies.items()):
        for index in range(1, len(each)):
            reason = why_again(world.record, each, index)
            duplicates[reason or "no reason"] += 1
            if not reason:
                unexplained.append(tale(world.record, each))
        unexplained += [
            f"{number}: letter {letter} is recorded as delivered {delivered[letter]} times"
            for letter in {one.letter for one in each}
            if delivered[letter] > 1
        ]
    if unmount is not None:
        subprocess.run(["umount", "-l", unmount], check=False)
    return Result(
        len(world.acknowledged),
        lost,
        duplicates,
        unexplained,
        sum(1 for count in accepted.values() if count > 1),
        kills,
        round(seconds, 1),
    )


def lanes_open(pid: int) -> frozenset[int]:
    """The lanes a worker has open."""
    found = set()
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                match = re.search(r"/lane-(\d+)\.sqlite$", os.readlink(link))
                if match:
                    found.add(int(match[1]))
    return frozenset(found)


def events(data: Path) -> tuple[Counter[int], Counter[str]]:
    """By the events that the relay kept: how often each number was accepted, each letter delivered.

    A message has one recipient, so a letter is delivered once.
    """
    accepted: Counter[int] = Counter()
    delivered: Counter[str] = Counter()
    for file in sorted((data / "queue").glob("lane-*.sqlite")):
        with sqlite3.connect(file, timeout=5) as db:
            for kind, letter, text in db.execute("SELECT kind, letter, data FROM events"):
                if kind == "accepted":
                    found = re.match(r"<(\d+)@", json.loads(text).get("message_id", ""))
                    if found:
                        accepted[int(found[1])] += 1
                elif kind == "delivered":
                    delivered[text_of(letter)] += 1
    return accepted, delivered


def mount(folder: Path) -> bool:
    size = f"size={DISK}m"
    command = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the folder with log and queue")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(
            tempfile.mkdtemp(prefix="chaos-")
            if options.keep
            else stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-"))
        )
        result = asyncio.run(chaos(options.messages, options.kills, options.seed, folder))
        if options.keep:
            print(folder)
    print(f"{result.acknowledged} acknowledged, {len(result.lost)} lost, {result.kills} kills -9")
    print(f"{result.duplicates.total()} duplicates")
    for reason, count in result.duplicates.most_common():
        print(f"  {count} {reason}")
    print(f"{result.accepted_twice} accepted twice, after a cut; {result.seconds} s")
    for lost in result.lost[:20]:
        print(f"  lost: {lost}")
    for words in result.unexplained[:20]:
        print(f"  no reason: {words}")
    return 1 if result.lost or result.unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
