"""How long an audit of a domain takes, and how many go at once.

    scripts/netns .venv/bin/python benchmarks/audit.py [--delay 20] [--domains 100] [--rounds 5]
                                                       [--workers 1] [--json]

A DNS server in a process of its own answers every question after 20 ms, from a table of made-up
domains that share two providers; there is nothing but DNS. In one run and in turns: this project's
whole audit of one domain, this project's audit of what checkdmarc looks at, and checkdmarc where it
is installed. Then 100 domains at once, as often as there are rounds. Each domain is audited once,
so that no cache helps; the middle of the rounds counts. Bars: one domain in 0.15 s; of 100 at once,
with what checkdmarc looks at, 100 a second in one worker. In the private network alone: besides the
resolver it is given, checkdmarc asks the system's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import socket
import statistics
import struct
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, islice
from multiprocessing.synchronize import Event
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]
sys.path = [place for place in sys.path if Path(place or ".").resolve() != ROOT / "benchmarks"]

import dns.rdata  # noqa: E402
import dns.rdataclass  # noqa: E402
import dns.rdatatype  # noqa: E402
from benchmarks import _world  # noqa: E402

from posthouse.net.clock import SystemClock  # noqa: E402
from posthouse.net.dial import MemoryDialer  # noqa: E402
from posthouse.net.http import FixtureHttp  # noqa: E402
from posthouse.net.resolver import DnsResolver  # noqa: E402
from posthouse.protocol import dkim, txt  # noqa: E402
from posthouse.setup.domain import Net, Options, audit  # noqa: E402

# What checkdmarc looks at (its TLS test left out), by our names.
SAME = frozenset({"mx", "spf", "dmarc", "mtasts", "tlsrpt", "dnssec", "bimi"})
Table = dict[tuple[bytes, int], list[bytes]]


# The DNS server


def table(domains: int) -> dict[tuple[str, str], list[str]]:
    """What the made-up domains publish."""
    key = dkim.record_text(dkim.generate("rsa", 2048))
    found: dict[tuple[str, str], list[str]] = {
        ("_spf.provider.example", "TXT"): [
            '"v=spf1 include:_a.provider.example include:_b.provider.example ~all"'
        ],
        ("_a.provider.example", "TXT"): ['"v=spf1 ip4:192.0.2.0/25 ~all"'],
        ("_b.provider.example", "TXT"): ['"v=spf1 ip4:192.0.2.128/25 ~all"'],
        ("spf.sender.example", "TXT"): ['"v=spf1 a:out.sender.example ~all"'],
        ("out.sender.example", "A"): ["203.0.113.9"],
    }
    strings = txt.quoted(key)
    for n in range(domains):
        name, ip = f"d{n}.example", f"198.51.{100 + n // 250}.{n % 250 + 1}"
        backwards = ".".join(reversed(ip.split(".")))
        include = "include:_spf.provider.example include:spf.sender.example"
        found |= {
            (name, "SOA"): ["ns.example. h.example. 1 3600 600 86400 60"],
            (name, "MX"): [f"10 mx.{name}.", f"20 mx2.{name}."],
            (f"mx.{name}", "A"): [ip],
            (f"mx2.{name}", "A"): [ip],
            (f"{backwards}.in-addr.arpa", "PTR"): [f"mx.{name}."],
            (name, "A"): [ip],
            (name, "TXT"): [f'"v=spf1 mx {include} ~all"', '"site-verification=abc"'],
            (f"_dmarc.{name}", "TXT"): [f'"v=DMARC1; p=reject; rua=mailto:d@{name}"'],
            (f"_smtp._tls.{name}", "TXT"): [f'"v=TLSRPTv1; rua=mailto:t@{name}"'],
            (f"default._domainkey.{name}", "TXT"): [strings],
            (f"_submissions._tcp.{name}", "SRV"): [f"0 1 465 mx.{name}."],
        }
    return found


def wire_name(name: str) -> bytes:
    labels = [label.encode() for label in name.split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def packed(records: dict[tuple[str, str], list[str]]) -> tuple[Table, set[bytes]]:
    """The answers, ready to be sent, and the names that exist."""
    answers: Table = {}
    names: set[bytes] = set()
    for (name, type_), texts in records.items():
        number = dns.rdatatype.from_text(type_)
        rows = []
        for text in texts:
            data = dns.rdata.from_text(dns.rdataclass.IN, number, text).to_wire()
            rows.append(b"\xc0\x0c" + struct.pack("!HHIH", number, 1, 300, len(data)) + data)
        answers[wire_name(name), int(number)] = rows
        labels = name.split(".")
        names |= {wire_name(".".join(labels[start:])) for start in range(len(labels))}
    return answers, names


class Server(asyncio.DatagramProtocol):
    """Answers after a delay; the work for one answer is some microseconds."""

    def __init__(self, records: dict[tuple[str, str], list[str]], delay: float) -> None:
        self.answers, self.names = packed(records)
        self.delay = delay
        soa = dns.rdata.from_text(
            dns.rdataclass.IN, dns.rdatatype.SOA, "ns.example. h.example. 1 3600 600 86400 60"
        ).to_wire()
        self.negative = b"\0" + struct.pack("!HHIH", 6, 1, 60, len(soa)) + soa

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        end = data.index(b"\0", 12) + 1
        name, number = data[12:end].lower(), struct.unpack("!H", data[end : end + 2])[0]
        rows = self.answers.get((name, number), [])
        code = 0 if rows or name in self.names else 3
        head = data[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(rows), 0 if rows else 1, 0)
        reply = head + data[12 : end + 4] + (b"".join(rows) or self.negative)
        loop = asyncio.get_running_loop()
        loop.call_later(self.delay, self.transport.sendto, reply, addr)


def serve(port: int, domains: int, delay: float, ready: Event) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        records = table(domains)
        await loop.create_datagram_endpoint(
            lambda: Server(records, delay), local_addr=("127.0.0.1", port)
        )
        ready.set()
        await asyncio.Event().wait()

    asyncio.run(run())


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# The clients


def net(port: int, resolvers: int = 1) -> list[Net]:
    """As many as there are resolvers: each holds back what one home router would choke on."""
    made = []
    for _ in range(resolvers):
        resolver = DnsResolver(("127.0.0.1", port))
        made.append(Net(resolver, MemoryDialer({}), FixtureHttp({}), SystemClock()))
    return made


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def ours(port: int, name: str, checks: frozenset[str]) -> None:
    async def run() -> None:
        found = await audit(name, net(port)[0], Options(checks=checks))
        assert found.check("spf").facts["lookups"] == 6, found.check("spf")
        assert found.check("dmarc").facts["grade"] == "ok"

    asyncio.run(run())


def theirs(port: int, name: str) -> Callable[[], object] | None:
    try:
        import checkdmarc
        import dns.resolver
    except ImportError:
        return None
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], port

    def work() -> object:
        found = checkdmarc.check_domains([name], resolver=resolver, wait=0.0)
        assert found["spf"]["valid"], found["spf"]
        assert found["dmarc"]["valid"], found["dmarc"]
        return found

    return work


def some_at_once(port: int, names: list[str], checks: frozenset[str], resolvers: int) -> None:
    async def run() -> None:
        nets = net(port, resolvers)
        options = Options(checks=checks)
        jobs = (audit(name, nets[n % resolvers], options) for n, name in enumerate(names))
        await asyncio.gather(*jobs)

    asyncio.run(run())


def warm_up(port: int, names: multiprocessing.Queue[str], checks: frozenset[str]) -> None:
    """What a worker reads once: modules, the directory, the list of public suffixes."""
    some_at_once(port, [names.get()], checks, 1)


def at_once(
    port: int, fresh: Iterator[str], checks: frozenset[str], options: argparse.Namespace
) -> float:
    """Domains a second, in the middle of some rounds.

    The domains are shared out among processes that are there already, as a watcher has them. They
    are started, not forked: one that is forked pays for the memory of this process.
    """
    context = multiprocessing.get_context("spawn")
    first = context.Queue()
    for _ in range(options.workers):
        first.put(next(fresh))
    rates = []
    with context.Pool(options.workers, warm_up, (port, first, checks)) as pool:
        pool.map(len, [()] * options.workers)
        for _ in range(options.rounds):
            names = list(islice(fresh, options.domains))
            parts = [names[n :: options.workers] for n in range(options.workers)]
            work = [(port, part, checks, options.resolvers) for part in parts]
            seconds = timed(partial(pool.starmap, some_at_once, work, chunksize=1))
            rates.append(len(names) / seconds)
    return statistics.median(rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--delay", type=float, default=20.0, help="milliseconds a DNS answer")
    parser.add_argument("--domains", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--resolvers", type=int, default=4, help="for all domains at once")
    parser.add_argument("--workers", type=int, default=1, help="processes, for the same")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    _world.need_netns(__file__)
    port = free_port()
    singles = 3 * (options.rounds + 1)
    total = singles + 2 * (options.rounds * options.domains + options.workers)
    ready = multiprocessing.Event()
    server = multiprocessing.Process(
        target=serve, args=(port, total, options.delay / 1000, ready), daemon=True
    )
    server.start()
    ready.wait()
    try:
        result = measure(options, port)
    finally:
        server.kill()
    show(result, as_json=options.json)


def measure(options: argparse.Namespace, port: int) -> dict[str, float | None]:
    fresh = (f"d{n}.example" for n in count())
    rows: dict[str, list[float]] = {"all checks": [], "same checks": [], "checkdmarc": []}
    for round_ in range(options.rounds + 1):
        took = {
            "all checks": timed(lambda: ours(port, next(fresh), frozenset())),
            "same checks": timed(lambda: ours(port, next(fresh), SAME)),
        }
        work = theirs(port, next(fresh))
        if work is not None:
            took["checkdmarc"] = timed(work)
        for name, seconds in took.items():
            if round_:  # the first warms up what is read once a process
                rows[name].append(seconds)
    result: dict[str, float | None] = {
        name: statistics.median(times) if times else None for name, times in rows.items()
    }
    for label, checks in (("all", frozenset[str]()), ("same", SAME)):
        result[f"domains/s, {label} checks"] = at_once(port, fresh, checks, options)
    return result


def show(result: dict[str, float | None], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        unit = "" if "/s" in name else " s"
        print(f"{name:28} {'not installed' if value is None else f'{value:.3f}{unit}'}")


if __name__ == "__main__":
    main()
