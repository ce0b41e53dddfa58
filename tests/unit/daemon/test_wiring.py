"""The parts of one worker, put together."""

from __future__ import annotations

from pathlib import Path

from fakes.dns import FakeDns
from posthouse import config
from posthouse.daemon import metrics
from posthouse.daemon.wiring import Relay
from posthouse.net.resolver import DnsResolver
from posthouse.send.queue.files import file_of

CONFIG = {
    "server": {"name": "relay.test", "data": "data", "workers": 1},
    "listen": [{"address": "127.0.0.1:0", "mode": "relay", "networks": ["127.0.0.0/8"]}],
    "hop": [{"name": "direct", "mx": True}],
    "route": [{"hop": "direct"}],
}


async def test_the_hit_rate_of_dns_is_among_the_metrics(tmp_path: Path) -> None:
    made = config.of(CONFIG, tmp_path)
    file_of(made.server.data, 0).parent.mkdir(parents=True)
    async with FakeDns({("mail.test", "A"): ["127.0.0.1"]}) as server:
        resolver = DnsResolver(server.address)
        relay = Relay(made, 0, watch=lambda _e: None, say=lambda _k, _f: None, resolver=resolver)
        await relay.open([0])
        for _ in range(4):
            await resolver.ask("mail.test", "A")
        counts = {(name, label): number for name, label, number in relay.counters()}
        await relay.close(0.1)
    assert (counts["dns_questions", "hit"], counts["dns_questions", "miss"]) == (3, 1)
    assert {name for name, _ in counts} <= set(metrics.COUNTERS)
