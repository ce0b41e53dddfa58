"""The relay beside Postfix and Haraka: the same load, in the same run, in turns.

    scripts/netns .venv/bin/python benchmarks/relay.py
        [--only 4k-20,...] [--messages 4000] [--rounds 3] [--workers 1]
        [--python PYTHON] [--peers postfix,haraka,floor] [--json] [--profile]

A load generator hands messages to a relay on the loopback of a private network, the relay hands
them to smtp-sink. All relays run at once and are loaded one after the other (A B C A B C ...), with
equal numbers of messages; each has its best setting (``_relays.py``), keeps its queue on the disk
of the checkout and says 250 only after a sync. The middle of the rounds is told, the ratio is the
middle of each round's. "delivered/s" ends when the sink has the last message. CPU is seconds per
1,000 messages of everything the relay is made of, also of what it does afterwards; MiB is the most
PSS. Bookkeeping ends before the next one's turn.

Load and sink are smtp-source and smtp-sink, Postfix's own, in C: Python in their place would take
as much CPU as the relay. smtp-source knows no TLS; there it is ``_tls_source.py``, by STARTTLS on
the same port for all three, without a login: a full handshake (ECDSA P-256) for each message, or 20
connections kept open. "load" is how many cores load and sink took, "others" how many somebody else:
where all cores are busy, the figures are too low for all, most of all for the fastest.

"floor" is a peer that checks nothing, the least that a relay built like this one does: what is
missed beside it is the price of being a relay; a bar that it misses, too, is beyond this machine.

"--python" runs this relay under another build of the same version of Python, which matters much.

"--profile" is this relay alone, with one worker: where the CPU time of a message goes, by part of
the code, by thread, user and kernel apart (``_sampled.py``). Workload 4k-20, unless --only names
others.

"signed" is this relay with an RSA-2048 signature beside itself without one, and the bare signature
of ``cryptography`` at the same time: what it costs more may be 1.3 times that.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(ROOT / "src"), str(ROOT / "tests"), str(ROOT)]

from benchmarks import _profile, _relays, _world  # noqa: E402
from benchmarks._load import WARM, Load, Run, Sink, run  # noqa: E402
from benchmarks._relays import SIGNED, Relay  # noqa: E402
from cryptography.hazmat.primitives import hashes  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: E402

import peers  # noqa: E402
from fakes.certs import Authority, Issued  # noqa: E402
from peers import process  # noqa: E402
from posthouse.protocol import dkim  # noqa: E402

US = "posthouse"
PEERS = ("postfix", "haraka", "floor")
CPU_BAR, MEMORY_BAR, SIGNING_BAR = 0.4, 120.0, 1.3
SIGNATURES, PAUSE = 5, 0.1  # bare ones at a time, and seconds in between: some hundredths of a core

SIGN = Load("4k-20-signed", 20, sender=f"sender@{SIGNED}")
LOADS = (
    Load("4k-20", 20, bars=(("postfix", 5), ("haraka", 4))),
    Load("4k-100", 100, bars=(("postfix", 6), ("haraka", 4))),
    Load("4k-20-kept", 20, kept=True, bars=(("postfix", 8), ("haraka", 4))),
    Load("4k-1", 1, bars=(("postfix", 2.5),), share=0.5),
    Load("100k-20", 20, size=102_400, bars=(("postfix", 3), ("haraka", 4)), share=0.5),
    Load("4k-20-tls", 20, tls=True, share=0.5),
    Load("4k-20-tls-kept", 20, tls=True, kept=True),
    SIGN,
)
# Those that the bars for CPU and memory are for.
SMALL = {load.name for load in LOADS if load.size == 4096 and not load.tls and load is not SIGN}


# Rounds


def measure(load: Load, relays: list[Relay], sink: Sink, options: Any) -> dict[str, Any]:
    """One workload, all relays in turns."""
    if load.tls:
        relays = [relay for relay in relays if relay.name != "floor"]
    count = size_of(load, options)
    for relay in relays:
        run(load, relay, sink, min(WARM, count))
    rounds: dict[str, list[Run]] = {relay.name: [] for relay in relays}
    for _ in range(options.rounds):
        for relay in relays:
            rounds[relay.name].append(run(load, relay, sink, count))
    result: dict[str, Any] = {"load": load.name, "messages": count, "relays": {}}
    bars = dict(load.bars)
    for name, found in rounds.items():
        one: dict[str, Any] = asdict(middle(found))
        if name != US:
            pairs = zip(rounds[US], found, strict=True)
            one["ratio"] = round(statistics.median(a.delivered / b.delivered for a, b in pairs), 2)
            one["bar"] = bars.get(name)
        result["relays"][name] = one
    return result


def size_of(load: Load, options: argparse.Namespace) -> int:
    """How many messages."""
    return max(load.sessions, int(options.messages * load.share))


def middle(runs: list[Run]) -> Run:
    """Field by field; ``extra`` is of all."""
    values = [asdict(one) for one in runs]
    fields = {key: round(statistics.median(v[key] for v in values), 3) for key in values[0]}
    return replace(Run(**fields), extra=sum(one.extra for one in runs))


def signing(
    relay: Relay, sink: Sink, key: rsa.RSAPrivateKey, options: argparse.Namespace
) -> dict[str, Any]:
    """With a signature and without, in turns, and the bare one."""
    plain = replace(SIGN, name="4k-20-plain", sender=LOADS[0].sender)
    for load in (plain, SIGN):
        run(load, relay, sink, min(WARM, options.messages))
    runs: dict[str, list[Run]] = {"plain": [], "signed": []}
    bare = []
    for _ in range(options.rounds):
        with BareSignatures(key) as signatures:
            runs["plain"].append(run(plain, relay, sink, options.messages))
            runs["signed"].append(run(SIGN, relay, sink, options.messages))
        bare.append(signatures.seconds)
    pairs = zip(runs["plain"], runs["signed"], strict=True)
    raw = statistics.median(bare)
    more = statistics.median(b.cpu - a.cpu for a, b in pairs)
    return {
        "load": SIGN.name,
        "messages": options.messages,
        "relays": {f"{US}, {name}": asdict(middle(found)) for name, found in runs.items()},
        "bare_signature": round(raw, 3),
        "more": round(more, 3),
        "more_ratio": round(more / raw, 2),
        "bar": SIGNING_BAR,
    }


class BareSignatures(threading.Thread):
    """CPU seconds of 1,000, a few at a time while the relay works: on busy cores each takes longer,
    here as there."""

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        super().__init__(daemon=True)
        self.key = key
        self.seconds = 0.0
        self._done = threading.Event()

    def run(self) -> None:
        digest = b"x" * 600  # the header that is signed is about as long
        begin, count = time.thread_time(), 0
        while not self._done.wait(PAUSE):
            for _ in range(SIGNATURES):
                self.key.sign(digest, padding.PKCS1v15(), hashes.SHA256())
            count += SIGNATURES
            self.seconds = (time.thread_time() - begin) * 1000 / count

    def __enter__(self) -> BareSignatures:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()


# Where the time goes


def profile(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Each workload once, with the worker watched."""
    rows = []
    with contextlib.ExitStack() as stack:
        folder = prepared(stack)
        sink = Sink(folder)
        stack.callback(sink.end)
        out = folder / "sampled.json"
        command = (ROOT / "benchmarks/_sampled.py", out)
        certificate = Authority(folder).issue(hosts=["relay.test", "localhost"])
        _, key = signing_key(folder)
        for load in LOADS:
            if load.name not in options.only:
                continue
            signs = key if load is SIGN else None
            started = _relays.run_posthouse(
                certificate, signs, 1, python=options.python, command=command
            )
            with started as relay:
                rows.append(_profile.watched_run(load, relay, sink, out, size_of(load, options)))
                if not options.json:
                    _profile.show(rows[-1])
    return rows


# What is printed: 80 columns


HEAD = f"{'':<17}{'delivered/s':>12}{'CPU/1000':>10}{'MiB':>6}{'load':>6}{'others':>8}  ratio"


def show(result: dict[str, Any]) -> None:
    """One workload's lines."""
    print(f"\n{result['load']}, {result['messages']} messages")
    for name, one in result["relays"].items():
        line = f"  {name:<17}{one['delivered']:>10,.0f}{one['cpu']:>8.2f} s{one['memory']:>6.0f}"
        line += f"{one['load']:>6.2f}{one['others']:>8.2f}"
        if "ratio" in one:
            line += f"{one['ratio']:>6.1f}x" + (f", bar {one['bar']:g}" if one["bar"] else "")
        if one["extra"]:
            line += f" +{one['extra']}"
        print(line)
    if "more_ratio" in result:
        print(
            f"  {result['more']:.2f} s more, {result['more_ratio']}x the bare signature of"
            f" {result['bare_signature']:.2f} s, bar {SIGNING_BAR}"
        )
    sys.stdout.flush()


def missed(result: dict[str, Any]) -> list[str]:
    """The bars that were not reached."""
    found = [
        f"{one['ratio']}x {name}, bar {one['bar']:g}"
        for name, one in result["relays"].items()
        if one.get("bar") and one["ratio"] < one["bar"]
    ]
    if result.get("more_ratio", 0.0) > SIGNING_BAR:
        found.append(f"{result['more_ratio']}x the bare signature, bar {SIGNING_BAR}")
    ours = result["relays"].get(US)
    if ours and result["load"] in SMALL:
        if ours["cpu"] > CPU_BAR:
            found.append(f"{ours['cpu']:.2f} s CPU per 1,000, bar {CPU_BAR}")
        if ours["memory"] > MEMORY_BAR:
            found.append(f"{ours['memory']:.0f} MiB, bar {MEMORY_BAR:g}")
    return [f"{result['load']}: {words}" for words in found]


# The whole


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    names = [load.name for load in LOADS]
    parser.add_argument("--only", default="", help=f"of {', '.join(names)}")
    parser.add_argument("--messages", type=int, default=4000, help="of each run (100 to 50,000)")
    parser.add_argument("--rounds", type=int, default=3, help="1 to 20")
    parser.add_argument("--workers", type=int, default=1, help="of Posthouse and of Haraka")
    parser.add_argument("--python", default=sys.executable, help="what Posthouse runs under")
    parser.add_argument("--peers", default="postfix,haraka", help="beside whom; '' for nobody")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--profile", action="store_true", help="where the CPU time goes")
    options = parser.parse_args()
    everything = names[:1] if options.profile else names
    options.only = options.only.split(",") if options.only else everything
    options.peers = options.peers.split(",") if options.peers else []
    options.python = os.path.abspath(shutil.which(options.python) or options.python)
    if not as_new_as_ours(options.python):
        parser.error(f"{options.python} can't be lent the packages of {sys.executable}")
    if unknown := [name for name in options.only if name not in names]:
        parser.error(f"no such workload: {', '.join(unknown)}")
    if unknown := [name for name in options.peers if name not in PEERS]:
        parser.error(f"no such peer: {', '.join(unknown)}")
    if not (100 <= options.messages <= 50_000 and 1 <= options.rounds <= 20):
        parser.error("--messages 100 to 50000, --rounds 1 to 20")
    return options


def as_new_as_ours(python: str) -> bool:
    """Whether packages for our interpreter are for that one too."""
    if not os.access(python, os.X_OK):
        return False
    version = "import sys; print(*sys.version_info[:2])"
    found = subprocess.run([python, "-c", version], capture_output=True, text=True, check=False)
    return found.stdout.split() == [str(part) for part in sys.version_info[:2]]


def compare(options: argparse.Namespace) -> list[dict[str, Any]]:
    """All workloads that were asked for, shown as they come."""
    loads = [load for load in LOADS if load.name in options.only]
    results = []
    with contextlib.ExitStack() as stack:
        folder = prepared(stack)
        sink = Sink(folder)
        stack.callback(sink.end)
        certificate = Authority(folder).issue(hosts=["relay.test", "localhost"])
        if not options.json:
            print(HEAD)
        with contextlib.ExitStack() as running:
            relays = start(running, certificate, options)
            for load in loads:
                if load is not SIGN:
                    results.append(measure(load, relays, sink, options))
                    tell(results[-1], options)
        if SIGN in loads:
            key, key_file = signing_key(folder)
            started = _relays.run_posthouse(
                certificate, key_file, options.workers, python=options.python
            )
            with started as relay:
                results.append(signing(relay, sink, key, options))
                tell(results[-1], options)
    return results


def tell(result: dict[str, Any], options: argparse.Namespace) -> None:
    if not options.json:
        show(result)


def prepared(stack: contextlib.ExitStack) -> Path:
    """A folder on the disk, also where the peers have theirs."""
    folder = stack.enter_context(_world.on_disk())
    (folder / "peers").mkdir()
    process.BASE.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--bind", folder / "peers", process.BASE], check=True)
    stack.callback(subprocess.run, ["umount", "-l", process.BASE], check=False)
    return folder


def signing_key(folder: Path) -> tuple[rsa.RSAPrivateKey, Path]:
    made = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    file = folder / "dkim.pem"
    file.write_bytes(dkim.write_private_key(made))
    file.chmod(0o600)
    return made, file


def start(
    stack: contextlib.ExitStack, certificate: Issued, options: argparse.Namespace
) -> list[Relay]:
    """This relay first; a peer that is not here is named and left out."""
    ways = {
        "postfix": lambda: _relays.run_postfix(certificate),
        "haraka": lambda: _relays.run_haraka(certificate, options.workers),
        "floor": _relays.run_floor,
    }
    ours = _relays.run_posthouse(certificate, None, options.workers, python=options.python)
    relays = [stack.enter_context(ours)]
    for name in options.peers:
        missing = peers.why_missing(name) if name != "floor" else None
        if missing is None:
            relays.append(stack.enter_context(ways[name]()))
        else:
            print(f"without {name}: {missing}", file=sys.stderr)
    return relays


def main() -> int:
    options = arguments()
    _world.need_netns(__file__)
    if options.profile:
        rows = profile(options)
        if options.json:
            print(json.dumps({"rows": rows}))
        return 0
    rows = compare(options)
    below = [line for row in rows for line in missed(row)]
    if options.json:
        settings = {one: getattr(options, one) for one in ("workers", "rounds", "python")}
        print(json.dumps({**settings, "rows": rows, "missed": below}))
    for line in below if not options.json else ():
        print(f"missed  {line}")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
