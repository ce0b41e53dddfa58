"""How soon find answers: round trips to the first answer of each source, and the worst case.

    python benchmarks/find.py [--rtt 0.05] [--runs 5] [--json]

Bars: a built-in answer within 5 ms after the start, any answer within 4 round trips, never more
than 5 s. DNS and web are in-memory doubles that take the given round-trip time for each step of a
real fetch: one for a DNS answer; DNS, TCP, TLS 1.3 and the answer for a page. The first row is a
new process each time, so that nothing is cached; time counts from the call of ``find``.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from posthouse.setup.find import FindResult, Outcome, find  # noqa: E402
from unit.find.doubles import NEVER, World, autoconfig  # noqa: E402

ADDRESS = "alice@d.example"
BUILT_IN = "alice@qq.com"
FAILS = {"built-in": 5.0, "answer": 4.0, "whole": 5.0}  # ms, round trips, s
PROCESS_SLACK = 0.3  # round trips that our own computing and the timer's grain may add

MX = {("d.example", "MX"): ["10 mx.d.example."]}
PACC = json.dumps({"protocols": {"smtp": {"host": "m.d.example"}}}).encode()
DIGEST = base64.b64encode(hashlib.sha256(PACC).digest()).decode()
POX = (
    b"<Autodiscover><Response><Account><Action>settings</Action><Protocol><Type>SMTP</Type>"
    b"<Server>m.d.example</Server><Port>465</Port><SSL>on</SSL></Protocol></Account></Response>"
    b"</Autodiscover>"
)


@dataclass(frozen=True)
class Case:
    """One world that answers in one way only."""

    name: str
    dns: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    pages: Mapping[str, Any] = field(default_factory=dict)
    slow: Mapping[str, float] = field(default_factory=dict)
    address: str = ADDRESS
    answer: float | None = 4  # round trips allowed to the first answer; None: there is none
    proven: bool = True  # only an answer that is more than a guess counts


WELL_KNOWN = "https://d.example/.well-known/autoconfig/mail/config-v1.1.xml"
CASES = (
    Case("directory", MX, address=BUILT_IN, answer=0),
    Case("SRV", {("_submissions._tcp.d.example", "SRV"): ["0 1 465 m.d.example."]}),
    Case("MX: tenant", {("d.example", "MX"): ["5 mxbiz1.qq.com."]}),
    Case(
        "MX: Amazon",
        {("d.example", "MX"): ["5 inbound-smtp.eu-west-1.amazonaws.com."]},
        proven=False,
    ),
    Case(
        "autoconfig",
        pages={"https://autoconfig.d.example/mail/config-v1.1.xml": autoconfig("m.d.example")},
    ),
    Case("autoconfig, well-known", pages={WELL_KNOWN: autoconfig("m.d.example")}),
    Case(
        "PACC with digest",
        {("_ua-auto-config.d.example", "TXT"): [f"v=UAAC1; a=sha256; d={DIGEST}"]},
        {"https://ua-auto-config.d.example/.well-known/user-agent-configuration.json": PACC},
    ),
    Case(
        "Autodiscover",
        pages={"https://autodiscover.d.example/autodiscover/autodiscover.xml": POX},
    ),
    Case("likely names", {("smtp.d.example", "A"): ["192.0.2.1"]}, proven=False),
    Case("nobody knows", answer=None),
    Case("all silent", slow={"*": NEVER}, answer=None),
    Case("all silent, known", slow={"*": NEVER}, address=BUILT_IN, answer=0),
    Case(
        "web silent, SRV answers",
        {("_submission._tcp.d.example", "SRV"): ["0 1 587 m.d.example."]},
        {WELL_KNOWN: 404},
        {"d.example": 0.05, "autoconfig.d.example": NEVER, "ua-auto-config.d.example": NEVER},
    ),
)

COLD = f"""
import asyncio, sys, time
sys.path[:0] = [{str(ROOT / "src")!r}, {str(ROOT / "tests")!r}]
from posthouse.setup.find import find
from unit.find.doubles import NEVER, World
world, seen = World(slow={{"*": NEVER}}), []
def see(result):
    if result.candidates: seen.append(time.perf_counter())
async def main():
    begin = time.perf_counter()
    task = asyncio.create_task(find({BUILT_IN!r}, world.net, observer=see))
    while not seen: await asyncio.sleep(0)
    print((seen[0] - begin) * 1000)
    task.cancel()
asyncio.run(main())
"""


async def once(case: Case, rtt: float) -> tuple[float | None, float]:
    """Seconds to the first answer, and to the end."""
    world = World({**MX, **case.dns}, case.pages, case.slow, rtt=rtt)
    first: list[float] = []
    begin = time.perf_counter()

    def see(result: FindResult) -> None:
        good = result.outcome is Outcome.FOUND or not case.proven
        if result.candidates and good and not first:
            first.append(time.perf_counter() - begin)

    await find(case.address, world.net, observer=see)
    return (first[0] if first else None), time.perf_counter() - begin


def cold(runs: int) -> list[float]:
    """Milliseconds to the built-in answer, each in a new process."""
    return [
        float(subprocess.run([sys.executable, "-c", COLD], capture_output=True, check=True).stdout)
        for _ in range(runs)
    ]


def measure(case: Case, rtt: float, runs: int) -> dict[str, Any]:
    """The median run of a case."""
    times = [
        asyncio.run(once(case, rtt)) for _ in range(1 if NEVER in case.slow.values() else runs)
    ]
    first = [t for t, _ in times if t is not None]
    answer = statistics.median(first) if first else None
    whole = statistics.median(t for _, t in times)
    good = whole <= FAILS["whole"]
    if case.answer is not None:
        good = good and answer is not None and answer / rtt <= case.answer + PROCESS_SLACK
    return {
        "case": case.name,
        "answer_s": answer,
        "answer_rtt": None if answer is None else answer / rtt,
        "whole_s": whole,
        "whole_rtt": whole / rtt,
        "ok": good,
    }


def main() -> int:
    """Run and print; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rtt", type=float, default=0.05, help="seconds")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    built_in = cold(options.runs)
    rows = [measure(case, options.rtt, options.runs) for case in CASES]
    median = statistics.median(built_in)
    fine = median < FAILS["built-in"] and all(row["ok"] for row in rows)
    if options.json:
        print(json.dumps({"rtt": options.rtt, "built_in_ms": built_in, "rows": rows, "ok": fine}))
        return 0 if fine else 1
    print(f"built-in answer, new process: median {median:.2f} ms, most {max(built_in):.2f} ms")
    print(f"{'who answers':26} {'answer':>9} {'in trips':>9} {'whole':>9} {'in trips':>9}")
    for row in rows:
        answer = "-" if row["answer_s"] is None else f"{row['answer_s'] * 1000:.0f} ms"
        trips = "-" if row["answer_rtt"] is None else f"{row['answer_rtt']:.1f}"
        whole = f"{row['whole_s'] * 1000:.0f} ms"
        mark = "" if row["ok"] else "  MISSED"
        print(f"{row['case']:26} {answer:>9} {trips:>9} {whole:>9} {row['whole_rtt']:>9.1f}{mark}")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
