"""A way that is forgotten leaves nothing behind: neither its pool nor a connection with its TLS.

By counting references alone: what stands in a circle stays until Python looks for those, and a
relay that meets a thousand domains a minute had the TLS of hundreds of dead connections by then.
"""

from __future__ import annotations

import asyncio
import gc
import random
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop

from fakes.behaviour import Action, Behaviour
from fakes.certs import Authority, Kind
from fakes.smtp import FakeSmtpServer
from posthouse.flow import Secret
from posthouse.letter import Item, Letter, Recipient, State
from posthouse.net.resolver import FixtureResolver
from posthouse.net.smtp_carry import Carrier
from posthouse.net.smtp_work import Carried
from posthouse.send.deliver.connect import Connect, Line
from posthouse.send.deliver.places import Ourselves
from posthouse.send.deliver.pool import Pool
from posthouse.send.deliver.transaction import Task, Way
from posthouse.send.hop import Hop, Target, TlsPolicy

BOB = Item(0, "1", Recipient("bob@e.example"), State.READY)
LETTER = Letter("1", "alice@d.example", (BOB.recipient,), b"Subject: x\r\n\r\nhi\r\n", 0.0)
PLAIN, VERIFIED = {"tls": TlsPolicy.NONE}, {"tls": TlsPolicy.VERIFIED}
LOGIN = VERIFIED | {"user": "alice", "secret": Secret("tr0ub4dor-canary")}
LOOKS = 200  # for the last octets to have gone, 10 ms each


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certs"))


@pytest.fixture
def nobody_looks_for_circles() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> weakref.WeakSet[Line]:
    """All that there are."""
    found: weakref.WeakSet[Line] = weakref.WeakSet()
    make = Line.__init__

    def made(self: Line, *args: Any) -> None:
        make(self, *args)
        found.add(self)

    monkeypatch.setattr(Line, "__init__", made)
    return found


@pytest.mark.usefixtures("nobody_looks_for_circles")
@pytest.mark.parametrize(
    ("kind", "ill", "hop", "well"),
    [
        pytest.param(None, {}, PLAIN, True, id="carried"),
        pytest.param(None, {}, PLAIN | {"interval": 0.001}, True, id="paced"),
        pytest.param(Kind.GOOD, {}, VERIFIED, True, id="carried-in-TLS"),
        pytest.param(None, {"reset": True}, PLAIN, False, id="reset"),
        pytest.param(None, {"first": "421 4.3.2 Not now"}, PLAIN, False, id="turned-away"),
        pytest.param(Kind.EXPIRED, {}, VERIFIED, False, id="bad-certificate"),
        pytest.param(None, {}, VERIFIED, False, id="no-TLS"),
        pytest.param(Kind.GOOD, {"auth_reply": "535 5.7.8 No"}, LOGIN, False, id="login-refused"),
        pytest.param(None, {"replies": (("MAIL.*", Action.CLOSE),)}, PLAIN, False, id="broken"),
    ],
)
def test_a_way_that_is_forgotten_leaves_nothing(
    authority: Authority,
    lines: weakref.WeakSet[Line],
    kind: Kind | None,
    ill: dict[str, Any],
    hop: dict[str, Any],
    well: bool,
) -> None:
    if kind is not None:
        ill = ill | {"tls": authority.context(kind)}
    hop = hop | {"ca_file": str(authority.ca_file)}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        pool, told = runner.run(forgotten(Behaviour(**ill), hop, lines))
        codes = [reply.code for _, reply in told.replies.values()]
        assert (codes == [250]) is well
        assert (pool(), list(lines)) == (None, [])


async def forgotten(
    behaviour: Behaviour, hop: dict[str, Any], lines: weakref.WeakSet[Line]
) -> tuple[weakref.ref[Pool], Carried]:
    """A pool that had one task and was closed, and what came of the task."""
    loop = asyncio.get_running_loop()
    done: list[Carried] = []

    def report(task: Task, carried: Carried, carrier: Carrier | None) -> None:
        done.append(carried)

    async with FakeSmtpServer(behaviour) as server:
        to = Hop("x", (Target("mail.test", server.port),), **hop)
        connect = Connect(
            FixtureResolver({("mail.test", "A"): ["127.0.0.1"]}),
            ehlo="relay.d.example",
            now=loop.time,
            rng=random.Random(1),
            us=Ourselves(loopback=False),
        )
        pool = Pool(Way(to), connect, report, now=loop.time)
        pool.add(Task(LETTER, (BOB,)))
        await until(lambda: done)
        await pool.close()
        left = weakref.ref(pool)
        del pool
        await until(lambda: left() is None and not lines)
    return left, done[0]


async def until(there: Callable[[], object]) -> None:
    """Look for it, some seconds at most."""
    for _ in range(LOOKS):
        if there():
            return
        await asyncio.sleep(0.01)
