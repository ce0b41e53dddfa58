"""A day of mail and more, by a clock of our own: the real relay, next hops that behave as they do.

Hundreds of messages an hour apart to servers that greylist, are full, down for hours, refuse for
good, name their time, say 421, hang up behind the end of the data. Every message ends, once; what
comes back says why, in both languages. See ``day``: more of the same about hops and clocks.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from posthouse.explain.bounce import read_bounce
from posthouse.protocol.smtp.reply import Reply
from unit.send.day.loop import live
from unit.send.day.server import CROWDED, FULL, GREYLISTED, OK, UNKNOWN, Server, later
from unit.send.day.world import DAY, HOUR, MINUTE, SENDER, World, world

Decide = Callable[[Server, str], Reply]
LOOK = 1.0  # seconds between the dispatcher's looks: what is due goes within that
JITTER = 0.25
NAMED = 1_200  # seconds, as the busy server says them
KINDS = ("grey", "full", "down", "gone", "busy", "crowded", "cutting", "good")


def now() -> float:
    return asyncio.get_running_loop().time()


def after(seconds: float, no: Reply) -> Decide:
    """Each recipient is refused so for that long after it was first named."""
    first: dict[str, float] = {}

    def rcpt(_server: Server, address: str) -> Reply:
        return OK if now() - first.setdefault(address, now()) >= seconds else no

    return rcpt


def hops() -> list[Server]:
    crowds = iter(range(1_000_000))
    cuts = iter(range(1_000_000))
    return [
        Server("grey", rcpt=after(280, GREYLISTED)),
        Server("full", rcpt=after(5 * HOUR, FULL)),
        Server("down"),
        Server("gone", rcpt=lambda _server, _address: UNKNOWN),
        Server("busy", rcpt=after(NAMED, later(NAMED))),
        Server("crowded", end=lambda _server: CROWDED if next(crowds) % 3 == 0 else OK),
        Server("cutting", cut=lambda _server: next(cuts) % 4 == 0),
        Server("good", work=0.5),
    ]


async def mail(w: World, hours: int) -> None:
    """A message to each of them every ten minutes, each fifth from the null path."""
    for n in range(hours * 6):
        for kind in KINDS:
            await w.send(f"u{n}@{kind}.example", sender="" if n % 5 == 4 else SENDER)
        await w.pass_(10 * MINUTE)


def gaps(server: Server) -> dict[str, list[float]]:
    """Recipient -> seconds between its tries."""
    tries: dict[str, list[float]] = {}
    for at, address in server.asked:
        tries.setdefault(address, []).append(at)
    return {a: [t - s for s, t in pairwise(times)] for a, times in tries.items()}


def test_a_day_of_mail(tmp_path: Path) -> None:
    async def day() -> None:
        servers = {server.name: server for server in hops()}
        tables = [{"name": name, "hosts": [name]} for name in KINDS]
        async with world(tmp_path, list(servers.values()), tables) as w:
            work = asyncio.create_task(mail(w, 12))
            await w.pass_(2 * HOUR)
            async with servers["down"].off():
                await w.pass_(7 * HOUR)
            await work
            await w.pass_(12 * HOUR)
            await w.empty(DAY)
            w.check_ends()
            check_ends(w)
            check_copies(servers)
            check_retries(servers)
            check_reports(w)

    live(day(), LOOK)


def check_ends(w: World) -> None:
    ends = w.ends()
    for address, kinds in ends.items():
        assert kinds == ["refused" if address.endswith("@gone.example") else "delivered"], address
    assert len(ends) == 72 * len(KINDS)


def check_copies(servers: dict[str, Server]) -> None:
    """Once, but where the connection was cut behind the end: nobody can know (RFC 1047)."""
    for name, server in servers.items():
        copies = Counter(address for taken in server.taken for address in taken.recipients)
        if name == "cutting":
            assert set(copies.values()) == {1, 2}
        elif name != "gone":
            assert len(copies) == 72
            assert set(copies.values()) == {1}


def check_retries(servers: dict[str, Server]) -> None:
    for found in gaps(servers["full"]).values():
        assert len(found) >= 8
        for attempt, gap in enumerate(found):
            step = min(HOUR, MINUTE * 2**attempt)
            assert step * (1 - JITTER) <= gap <= step + 2 * LOOK
    for found in gaps(servers["grey"]).values():
        assert all(gap <= 5 * MINUTE + 2 * LOOK for gap in found)
        assert sum(found) < 10 * MINUTE  # let in soon after it may
    for found in gaps(servers["busy"]).values():
        assert len(found) == 1
        assert NAMED <= found[0] <= NAMED * (1 + JITTER) + 2 * LOOK
    assert all(found == [] for found in gaps(servers["gone"]).values())
    steps = {gap for found in gaps(servers["full"]).values() for gap in found[:1]}
    assert len({round(step) for step in steps}) > 5  # not all by the same clock


def check_reports(w: World) -> None:
    """Refused: told at once. Delayed past four hours: told once. The null path: never."""
    told: Counter[tuple[str, str]] = Counter()
    for content in w.reports():
        found = read_bounce(content)
        assert found is not None
        told.update((found.kind, one.recipient) for one in found.recipients)
    assert set(told.values()) == {1}
    senders = w.sent
    assert all(senders[address] == SENDER for _, address in told)
    failed = {address for kind, address in told if kind == "failed"}
    assert failed == {a for a in senders if a.endswith("@gone.example") and senders[a]}
    delayed = {address for kind, address in told if kind == "delayed"}
    assert delayed >= {a for a in senders if a.endswith("@full.example") and senders[a]}
    assert {a.partition("@")[2] for a in delayed} == {"full.example", "down.example"}


# Five days


@pytest.mark.parametrize(
    ("name", "why", "said"),
    [
        (
            "off",
            (
                "The server off.test is there, but nothing listens",
                "服务器 off.test 在线，但没有邮件服务",
            ),
            "Connection refused",
        ),
        (
            "full",
            ("The other server has a fault of its own", "对方服务器自己出了故障"),
            "452 4.3.1 Insufficient system storage",
        ),
    ],
)
def test_after_five_days_it_comes_back_with_its_cause(
    tmp_path: Path, name: str, why: tuple[str, str], said: str
) -> None:
    async def day() -> None:
        far = Server(name, rcpt=lambda _server, _address: FULL)
        async with world(tmp_path, [far], [{"name": name, "hosts": [name]}]) as w:
            if name == "off":
                await far.down()
            begin = w.now
            await w.send(f"bob@{name}.example")
            await w.send(f"null@{name}.example", sender="")
            await w.pass_(5 * DAY - 2 * MINUTE)
            assert w.left == 2
            await w.empty(10 * MINUTE)
            w.check_ends()
            assert w.kinds()["expired"] == 2
            await w.until(lambda: len(w.reports()) == 2, HOUR)
            delayed, failed = w.home.taken
            assert 4 * HOUR <= delayed.at - begin <= 5 * HOUR + MINUTE
            assert 5 * DAY <= failed.at - begin <= 5 * DAY + 2 * MINUTE
            for taken, kind in ((delayed, "delayed"), (failed, "failed")):
                assert taken.recipients == (SENDER,)
                check_report(taken.content, kind, (*why, said), f"bob@{name}.example")

    live(day(), look=30.0)


def check_report(content: bytes, kind: str, words: tuple[str, ...], address: str) -> None:
    found = read_bounce(content)
    assert found is not None
    assert (found.kind, [one.recipient for one in found.recipients]) == (kind, [address])
    message = email.message_from_bytes(content, policy=email.policy.default)
    text = next(p for p in message.walk() if p.get_content_type() == "text/plain").get_content()
    for part in words:
        assert part in text
    assert f"Final-Recipient: rfc822; {address}".encode() in content
    status = b"Status: 4.4.7" if kind == "failed" else b"Status: 4."
    assert status in content
