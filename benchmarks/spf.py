"""How fast SPF is checked, beside pyspf and mailauth, on one core and the same in-memory DNS.

    python benchmarks/spf.py [--seconds 1.0] [--mailauth FOLDER] [--json]

Each shape is one record as it is seen in use. "cold" reads every record anew, "warm" keeps parsed
records as a relay does (``spf.parse``). Bar: 20,000 checks a second over all shapes, warm. pyspf
comes with the development environment; FOLDER is one in which ``npm install mailauth`` was run.
The results of all must agree before anything is timed. Rates are checks for each second of CPU
time, of the fastest round of five; the Python ones take turns.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
# In place of this folder: pyspf's module has this file's name.
sys.path[:1] = [str(ROOT / "src"), str(ROOT)]

from benchmarks._node import run_node  # noqa: E402

from posthouse.protocol import dns, spf  # noqa: E402
from posthouse.protocol.spf import check as check_module  # noqa: E402
from posthouse.protocol.spf.parse import parse_anew  # noqa: E402

ROUNDS = 5
BAR = 20_000
CLIENT = "192.0.2.77"
Table = dict[tuple[str, str], tuple[str, ...]]
TABLE: Table = {
    ("simple.test", "TXT"): ("v=spf1 ip4:198.51.100.0/24 ip4:192.0.2.64/26 -all",),
    ("host.test", "TXT"): ("v=spf1 a mx -all",),
    ("host.test", "A"): ("198.51.100.7",),
    ("host.test", "MX"): ("10 mx1.host.test.", "20 mx2.host.test."),
    ("mx1.host.test", "A"): ("198.51.100.8",),
    ("mx2.host.test", "A"): ("192.0.2.77",),
    ("chain.test", "TXT"): ("v=spf1 include:_spf.chain.test include:other.test ~all",),
    ("_spf.chain.test", "TXT"): (
        "v=spf1 include:_b1.chain.test include:_b2.chain.test include:_b3.chain.test ~all",
    ),
    ("_b1.chain.test", "TXT"): (
        "v=spf1 ip4:35.190.247.0/24 ip4:64.233.160.0/19 ip4:66.102.0.0/20 ip4:66.249.80.0/20 "
        "ip4:72.14.192.0/18 ip4:74.125.0.0/16 ip4:108.177.8.0/21 ip4:173.194.0.0/16 "
        "ip4:209.85.128.0/17 ip4:216.58.192.0/19 ip4:216.239.32.0/19 ~all",
    ),
    ("_b2.chain.test", "TXT"): (
        "v=spf1 ip6:2001:4860:4000::/36 ip6:2404:6800:4000::/36 ip6:2607:f8b0:4000::/36 "
        "ip6:2800:3f0:4000::/36 ip6:2a00:1450:4000::/36 ip6:2c0f:fb50:4000::/36 ~all",
    ),
    ("_b3.chain.test", "TXT"): (
        "v=spf1 ip4:172.217.0.0/19 ip4:172.217.32.0/20 ip4:192.0.2.0/24 ip4:172.253.56.0/21 ~all",
    ),
    ("other.test", "TXT"): ("v=spf1 ip4:203.0.113.0/24 ~all",),
    ("macro.test", "TXT"): ("v=spf1 exists:%{ir}.%{l1r-}.%{v}._spf.%{d} -all",),
    ("77.2.0.192.alice.in-addr._spf.macro.test", "A"): ("127.0.0.2",),
    ("moved.test", "TXT"): ("v=spf1 redirect=simple.test",),
    ("closed.test", "TXT"): ("v=spf1 ip4:198.51.100.0/24 -all exp=why.closed.test",),
    ("why.closed.test", "TXT"): ("%{i} may not send for %{d}",),
}
SHAPES = {
    "simple ip4": ("simple.test", "pass"),
    "a mx": ("host.test", "pass"),
    "include chain": ("chain.test", "pass"),
    "macro exists": ("macro.test", "pass"),
    "redirect": ("moved.test", "pass"),
    "fail with exp": ("closed.test", "fail"),
}


ANSWERS = {key: dns.Answer(*key, dns.AnswerStatus.OK, rows) for key, rows in TABLE.items()}


def lookup(ask: dns.Ask) -> dns.Answer:
    found = ANSWERS.get((ask.name, ask.type))
    return found or dns.Answer(ask.name, ask.type, dns.AnswerStatus.NXDOMAIN)


def ours(domain: str) -> str:
    return dns.run(spf.check_mail(CLIENT, f"alice@{domain}", domain), lookup).code.value


def ours_cold(domain: str) -> str:
    return ours(domain)


def pyspf_rows(name: str, qtype: str) -> list[Any]:
    rows = TABLE[name, qtype]
    if qtype == "TXT":
        return [((name, qtype), (row.encode(),)) for row in rows]
    if qtype == "MX":
        split = [row.split() for row in rows]
        return [((name, qtype), (int(level), host.rstrip("."))) for level, host in split]
    return [((name, qtype), row) for row in rows]


PYSPF = {key: pyspf_rows(*key) for key in TABLE}


def pyspf_lookup(name: str, qtype: str, *_: Any) -> list[Any]:
    return PYSPF.get((name, qtype), [])


def pyspf_check(domain: str) -> str:
    return str(pyspf.check2(i=CLIENT, s=f"alice@{domain}", h=domain, querytime=0)[0])


try:
    import spf as pyspf

    pyspf.DNSLookup = pyspf_lookup
except ImportError:
    pyspf = None

NODE = """
const {spf} = require(process.argv[1] + '/node_modules/mailauth/lib/spf');
const {table, shapes, ip, seconds} = JSON.parse(require('fs').readFileSync(0));
const dns = async (name, type) => {
  const rows = table[name + ' ' + type];
  if (!rows) { const e = new Error('none'); e.code = 'ENOTFOUND'; throw e; }
  if (type === 'TXT') return rows.map(row => [row]);
  if (type === 'MX') return rows.map(row => {
    const [priority, exchange] = row.split(' ');
    return {priority: +priority, exchange: exchange.replace(/\\.$/, '')}; });
  return rows;
};
const one = async domain => (await spf({sender: 'alice@' + domain, ip, helo: domain, mta: 'mta',
  resolver: dns, maxResolveCount: 10})).status.result;
(async () => {
  const made = {};
  for (const [shape, [domain]] of Object.entries(shapes)) {
    const result = await one(domain);
    let best = 0;
    for (let round = 0; round < 5; round++) {
      const clock = () => { const used = process.cpuUsage(); return used.user + used.system; };
      const begin = clock(), end = begin + seconds * 2e5;
      let count = 0, now = begin;
      while (now < end) {
        for (let i = 0; i < 50; i++) await one(domain);
        count += 50; now = clock();
      }
      best = Math.max(best, count / ((now - begin) / 1e6));
    }
    made[shape] = [result, best];
  }
  console.log(JSON.stringify(made));
})();
"""


def mailauth(folder: Path, seconds: float) -> dict[str, tuple[str, float]]:
    data = {
        "table": {f"{name} {type_}": rows for (name, type_), rows in TABLE.items()},
        "shapes": SHAPES,
        "ip": CLIENT,
        "seconds": seconds,
    }
    return {shape: (row[0], row[1]) for shape, row in run_node(NODE, folder, data).items()}


def rate(one: Callable[[str], str], domain: str, seconds: float) -> float:
    begin = now = time.process_time()
    count = 0
    while now < begin + seconds:
        for _ in range(50):
            one(domain)
        count += 50
        now = time.process_time()
    return count / (now - begin)


def measure(seconds: float, folder: Path | None) -> dict[str, dict[str, float]]:
    cold = mock.patch.object(check_module, "parse", parse_anew)
    checks = {"posthouse": ours, "posthouse cold": ours_cold}
    if pyspf is not None:
        checks["pyspf"] = pyspf_check
    rates: dict[str, dict[str, float]] = {}
    for shape, (domain, wanted) in SHAPES.items():
        best = dict.fromkeys(checks, 0.0)
        for _ in range(ROUNDS):
            for name, one in checks.items():
                if name == "posthouse cold":
                    cold.start()
                assert one(domain) == wanted, (name, shape)
                best[name] = max(best[name], rate(one, domain, seconds / ROUNDS))
                if name == "posthouse cold":
                    cold.stop()
        rates[shape] = best
    for shape, (result, best_rate) in (mailauth(folder, seconds) if folder else {}).items():
        assert result == SHAPES[shape][1], ("mailauth", shape, result)
        rates[shape]["mailauth"] = best_rate
    rates["all, one of each"] = {
        name: len(SHAPES) / sum(1 / rates[shape][name] for shape in SHAPES)
        for name in rates[next(iter(SHAPES))]
    }
    return rates


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="for each shape and library")
    parser.add_argument("--mailauth", type=Path, metavar="FOLDER")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    rates = measure(options.seconds, options.mailauth)
    if options.json:
        print(json.dumps({"schema": 1, "checks_per_second": rates}))
    else:
        columns = list(rates[next(iter(rates))])
        print(f"{'checks/s, one core':<20}" + "".join(f"{name:>17}" for name in columns))
        for shape, row in rates.items():
            print(f"{shape:<20}" + "".join(f"{row[name]:>17,.0f}" for name in columns))
    return 0 if rates["all, one of each"]["posthouse"] >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
