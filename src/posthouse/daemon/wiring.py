"""The stages of ``send`` put together: what is submitted is kept, what is kept is delivered.

Enters: a ``Config``. Leaves: one worker's relay: its listeners, lanes and dispatchers. Called by
``worker`` and by tests of the whole. The stages meet nowhere else.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from posthouse.config import Config
from posthouse.daemon.common import Common
from posthouse.flow import NetworkFailure
from posthouse.letter import Event, Item, Letter, Outcome, StoreError
from posthouse.net.clock import Clock, SystemClock
from posthouse.net.resolver import DnsResolver, Resolver
from posthouse.net.smtp_listen import Listener
from posthouse.net.smtp_open import Refused
from posthouse.net.tcp import is_local
from posthouse.send.crowd import Crowd
from posthouse.send.deliver.bounce import Bounces
from posthouse.send.deliver.connect import Connect, Line
from posthouse.send.deliver.dispatch import Dispatcher
from posthouse.send.deliver.outcome import ours, outcomes, trouble, warm
from posthouse.send.deliver.pace import Turns
from posthouse.send.deliver.places import MX_PORT, Ourselves, Place, plain
from posthouse.send.deliver.prepare import Prepare, Saving
from posthouse.send.deliver.retry import Schedule
from posthouse.send.deliver.slots import Slots
from posthouse.send.deliver.transaction import Way
from posthouse.send.deliver.tries import LOGIN_SORE
from posthouse.send.hop import Choice, Hop
from posthouse.send.queue.files import file_of
from posthouse.send.queue.ids import text_of
from posthouse.send.queue.lane import Lane
from posthouse.send.route import Facts, facts_of
from posthouse.send.submit.accounts import Accounts
from posthouse.send.submit.desk import Desk, Terms
from posthouse.send.submit.limits import Rate, Rates
from posthouse.send.submit.login import Gate
from posthouse.send.submit.settings import Listening, Mode
from posthouse.send.submit.tls import Certificates, self_made

Watch = Callable[[Event], None]
Say = Callable[[str, Mapping[str, Any]], None]

# Questions of DNS at once: 50 are few where a restart asks for thousands of domains, some of which
# nobody answers for; dnsmasq refuses more than 150.
DNS_PARALLEL: Final = 150
LANGUAGES: Final = {"en": ("en",), "zh": ("zh",), "both": ("en", "zh")}  # of reports to senders


@dataclass(frozen=True, slots=True)
class _Lane:
    """One lane and who empties it."""

    lane: Lane
    dispatcher: Dispatcher


def _ourselves(config: Config) -> Ourselves:
    """Our name and the addresses we listen on: an MX that leads back here is a loop.

    Who listens on all addresses of the machine is met at each, but only where an MX is asked.
    """
    wide = {"0.0.0.0", "::"}  # noqa: S104
    addresses = {plain(one.address) for one in config.listen} - wide
    names = frozenset({config.server.name.lower()})
    if any(one.address in wide and one.port == MX_PORT for one in config.listen):
        return Ourselves(names, frozenset(addresses), local=is_local)
    return Ourselves(names, frozenset(addresses))


def _trouble(outcome: Outcome, hop: str) -> dict[str, Any]:
    return {"cause": outcome.cause, "hop": hop, "host": outcome.host, "reply": outcome.last}


class Relay:
    """The owner of one worker's parts. ``watch`` gets events of letters, ``say`` all else."""

    def __init__(
        self,
        config: Config,
        number: int,
        *,
        watch: Watch,
        say: Say,
        clock: Clock | None = None,
        resolver: Resolver | None = None,
        common: Common | None = None,
    ) -> None:
        self._config = config
        self._number = number
        self._watch = watch
        self._say = say
        self._clock = clock or SystemClock()
        self._resolver = resolver or DnsResolver(parallel=DNS_PARALLEL)
        self._common = common or Common()
        self._lanes: list[_Lane] = []
        self._listeners: list[Listener] = []
        self._desk: Desk | None = None  # once we listen
        self._gate: Gate | None = None
        self._accounts: Accounts | None = None
        self._facts: tuple[str, Facts] = ("", Facts())
        self.saved = 0  # octets that undone base64 spared the network

    async def open(self, numbers: Sequence[int]) -> None:
        """Open lanes, the worker's own first, and begin to empty them.

        Raises StoreError for its own. One left over that can't be opened is told and left alone:
        it needs a person, and all other mail need not wait for him.
        """
        warm()
        config = self._config
        rng = random.Random(secrets.randbits(64))  # noqa: S311  jitter and weights, no secrets
        connect = Connect(
            self._resolver,
            ehlo=config.server.name,
            now=self._clock.monotonic,
            rng=rng,
            us=_ourselves(config),
            passed_over=self._passed_over,
        )
        schedule = Schedule(config.retry, rng)
        bounces = Bounces(
            config.server.name,
            self._next_id,
            langs=LANGUAGES[config.server.lang],
            expire=config.retry.expire,
        )
        prepare = Prepare(config.signing, self._now, saved=self._saved)
        turns = Turns(config.server.data / "pace")
        tries = Rates([Rate(1, LOGIN_SORE)], ledger=self._common.hop_logins)
        crowd = Crowd(self._number, self._common.crowd)

        def slots(way: Way) -> Slots:
            name = f"{way.hop.name} {way.domain}"
            return Slots(
                name, way.hop.pool, config.server.workers, now=self._clock.monotonic, crowd=crowd
            )

        lanes = [await self._opened(numbers[0])]
        for number in numbers[1:]:
            try:
                lanes.append(await self._opened(number))
            except StoreError as error:
                self._say("lane_unreadable", {"lane": number, "error": str(error)})
        self._ids = lanes[0].ids(numbers[0])
        for lane in lanes[1:]:  # reports of ours are in these, too
            self._ids.pass_by(lane.highest)
        for lane in lanes:
            dispatcher = Dispatcher(
                lane,
                config.hops,
                choose=self._choose,
                connect=connect,
                judge=outcomes,
                schedule=schedule,
                bounce=bounces,
                prepare=prepare,
                turns=turns,
                tries=tries,
                replies=self._common.hop_replies,
                slots=slots,
                alarm=self._alarm,
                say=self._say,
                now=self._now,
                monotonic=self._clock.monotonic,
                watch=self._watch,
            )
            await dispatcher.start()
            self._lanes.append(_Lane(lane, dispatcher))

    async def _opened(self, number: int) -> Lane:
        config = self._config
        lane = Lane(
            file_of(config.server.data, number),
            number,
            capacity=config.server.capacity,
            places=self._common.places,
        )
        await lane.open()
        return lane

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Take clients on the sockets that were opened for the configuration's listeners."""
        config = self._config
        signing_in = any(one.mode is not Mode.RELAY for one in config.listen)
        if signing_in:
            self._accounts = Accounts(config.server.data, create=True)
            self._gate = Gate(
                self._accounts,
                self._clock,
                self._say,
                pairs=self._common.failed_pairs,
                places=self._common.failed_places,
            )
        context = self._certificate().context() if signing_in or config.certificate else None
        terms = Terms(
            config.server.name, config.server.size, config.server.recipients, config.limits
        )
        self._desk = desk = Desk(
            terms,
            self._keep,
            self._next_id,
            gate=self._gate,
            clock=self._clock,
            watch=self._say,
            tls=context is not None,
            ledger=self._common.messages,
            crowd=Crowd(self._number, self._common.crowd),
        )
        for listening, sock in zip(config.listen, sockets, strict=True):
            await self._serve(desk, listening, sock, context)

    async def _serve(
        self, desk: Desk, listening: Listening, sock: socket.socket, context: ssl.SSLContext | None
    ) -> None:
        tls = None if context is None else lambda: context
        listener = Listener(desk.sessions(listening), tls=tls)
        if listening.mode is Mode.TLS and context is not None:
            listener.listen_tls(sock, context, crowded=desk.crowded)
        else:
            await listener.listen(sock=sock)
        self._listeners.append(listener)

    def _certificate(self) -> Certificates:
        config = self._config
        if config.certificate is not None and config.key is not None:
            files = (config.certificate, config.key)
        else:
            files = self_made(config.server.data, self._clock.now(), [config.server.name])
        return Certificates(*files, self._clock, self._say)

    async def close(self, patience: float) -> None:
        """Take no more, finish what is being handed in, then stop delivery."""
        await asyncio.gather(*(one.close(patience=patience) for one in self._listeners))
        await asyncio.gather(*(one.dispatcher.close() for one in self._lanes))
        if self._gate is not None:
            await self._gate.close()
        if self._accounts is not None:
            self._accounts.close()
        for one in self._lanes:
            await one.lane.close()

    # -- how the stages meet

    def _keep(self, letter: Letter, events: Sequence[Event]) -> asyncio.Future[tuple[Item, ...]]:
        """Durable first, then on its way. Raises QueueFull, or is done with QueueFull, StoreError.

        The caller's own callback comes after ours: the 250 is said when delivery has it.
        """
        company = self._desk is not None and self._desk.receiving > 1
        kept = self._lanes[0].lane.put(letter, events=events, company=company)
        kept.add_done_callback(partial(self._kept, letter, events))
        return kept

    def _kept(
        self, letter: Letter, events: Sequence[Event], kept: asyncio.Future[tuple[Item, ...]]
    ) -> None:
        if kept.cancelled() or kept.exception() is not None:
            return  # whoever asked is told
        for event in events:
            self._watch(event)
        self._lanes[0].dispatcher.take(letter, kept.result())

    def _choose(self, letter: Letter, item: Item) -> Choice:
        rules = self._config.routes.rules
        if len(rules) == 1:  # the default, whatever the letter is
            return rules[0].choice
        if self._facts[0] != letter.id:  # of one letter for all its recipients
            self._facts = (letter.id, facts_of(letter))
        return self._config.routes.choose(
            self._facts[1], item.recipient.address, released=item.released
        )

    def _alarm(self, outcome: Outcome, hop: str) -> None:
        """What fails by our own doing is for whoever runs us."""
        if ours(outcome):
            self._say("alarm", _trouble(outcome, hop))

    def _passed_over(
        self, hop: Hop, place: Place, error: NetworkFailure | Refused, instead: Line
    ) -> None:
        """The hop's other server has the mail; who runs us should know before that one fails."""
        outcome = trouble(error, place)
        self._say("passed_over", {**_trouble(outcome, hop.name), "instead": instead.name})
        self._alarm(outcome, hop.name)

    def _saved(self, saving: Saving) -> None:
        self.saved += saving.before - saving.after

    def _next_id(self) -> str:
        """Of a new letter or report, by the worker's own lane, whichever lane a report is for."""
        return text_of(self._ids.next(self._now()))

    def _now(self) -> float:
        return self._clock.time()

    # -- for the metrics

    def counters(self) -> Iterator[tuple[str, str, int]]:
        """What only grows."""
        yield "saved_octets", "", self.saved
        if isinstance(self._resolver, DnsResolver):
            yield "dns_questions", "hit", self._resolver.hits
            yield "dns_questions", "miss", self._resolver.misses
        yield "commits", "", sum(one.lane.commits[0] for one in self._lanes)

    def lost(self) -> dict[str, str]:
        """Files that were deleted or replaced while we have them open, and what is there now."""
        return {str(one.lane.path): why for one in self._lanes if (why := one.lane.lost)}

    def gauges(self) -> dict[tuple[str, str], float]:
        """What there is at this moment."""
        found: dict[tuple[str, str], float] = {
            ("queue_messages", ""): sum(one.lane.count for one in self._lanes),
            ("queue_waiting", ""): sum(one.dispatcher.waiting for one in self._lanes),
            ("sessions", ""): sum(len(listener.sessions) for listener in self._listeners),
            ("stopped", ""): max(one.dispatcher.stopped for one in self._lanes),
        }
        for one in self._lanes:
            for (hop, _), pool in one.dispatcher.pools.items():
                for name, number in (("connections", pool.open), ("tasks", pool.waiting)):
                    key = (name, hop)
                    found[key] = found.get(key, 0) + number
        return found
