"""The dispatcher: what is due goes its way, what became of it is recorded, and what comes next.

Enters: letters just accepted (``take``), and whatever the queue holds that is due. Leaves: tasks in
the pools of their ways; outcomes, events and bounces in the queue, in one transaction for all that
came back in the same moment. The owner of who is in whose hands. Wired by the daemon.

What can fail: a store that cannot be written. Then nothing new is begun, for what is delivered and
not recorded would be delivered again; what waits to be recorded is tried again each second. So is
what can't be read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from posthouse.letter import (
    Event,
    Item,
    Letter,
    Outcome,
    Queue,
    Result,
    Settled,
    State,
    StoreError,
)
from posthouse.net import loop
from posthouse.net.smtp_carry import Carrier
from posthouse.net.smtp_work import Carried
from posthouse.send.deliver.agenda import Agenda
from posthouse.send.deliver.divide import too_many
from posthouse.send.deliver.outcome import ours, unjudged
from posthouse.send.deliver.pace import Turns
from posthouse.send.deliver.parts import Bounce, Choose, Connector, Judge, Prepare, Schedule
from posthouse.send.deliver.pool import Pool
from posthouse.send.deliver.recorder import Record, Recorder
from posthouse.send.deliver.room import Due, Key, Room, by_way
from posthouse.send.deliver.slots import Slots
from posthouse.send.deliver.steady import Steady
from posthouse.send.deliver.transaction import Task, Way, as_it_is
from posthouse.send.deliver.tries import Replies, Tries
from posthouse.send.deliver.verdict import Verdicts
from posthouse.send.hop import Action, Hop

LOOK: Final = 1.0  # seconds between looks for what is due, changed or to be recorded again
AHEAD: Final = 1_000  # recipients that are due and taken up at once, so that nobody waits for all
TURN: Final = 20  # letters brought from the queue before whatever else there is to do has its turn
QUIET: Final = 60  # looks after which a way that is not used is forgotten


class Dispatcher:
    """See the module. ``now`` is the wall clock in seconds, ``monotonic`` for pools."""

    def __init__(
        self,
        queue: Queue,
        hops: Mapping[str, Hop],
        *,
        choose: Choose,
        connect: Connector,
        judge: Judge,
        schedule: Schedule,
        bounce: Bounce,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        prepare: Prepare = as_it_is,
        turns: Turns | None = None,
        tries: Tries | None = None,
        replies: Replies | None = None,
        slots: Callable[[Way], Slots | None] = lambda _way: None,
        watch: Callable[[Event], None] = lambda _event: None,
        alarm: Callable[[Outcome, str], None] = lambda _outcome, _hop: None,
        say: Callable[[str, Mapping[str, object]], None] = lambda _kind, _facts: None,
    ) -> None:
        self._queue = queue
        self._hops = hops
        self._choose = choose
        self._connect = connect
        self._judge = judge
        self._now = now
        self._monotonic = monotonic
        self._prepare = prepare
        self._turns = turns or Turns()
        self._tries = tries
        self._replies = replies
        self._slots = slots
        self._watch = watch
        self._say = say
        self.pools: dict[Key, Pool] = {}
        self._steady = Steady(now, monotonic)
        self._agenda = Agenda(self._steady)
        self._ready: deque[Due] = deque()  # still on the disk
        self._hands: set[tuple[str, int]] = set()  # (letter, item) on their way
        self._room = Room()
        self._recorder = Recorder(queue, self._written, self._halt)
        self._verdicts = Verdicts(
            self._recorder, self._steady, schedule=schedule, bounce=bounce, now=now, alarm=alarm
        )
        self._loading: asyncio.Task[None] | None = None
        self._unread: set[str] = set()  # letters that can't be read, as the log has said
        self._looking: asyncio.Task[None] | None = None
        self._closing = False
        self._halted = False  # the pools are
        self._reading = False  # the queue anew: what is due may be held by now

    async def start(self) -> None:
        """Take up what the queue holds."""
        await self._reload()
        self._looking = asyncio.create_task(self._look())

    async def close(self) -> None:
        """Stop; what is under way and comes back in time is recorded."""
        self._closing = True
        if self._looking is not None:
            self._looking.cancel()
        await asyncio.gather(*(pool.close() for pool in self.pools.values()))
        await self._recorder.close()

    @property
    def waiting(self) -> int:
        """Recipients that wait for their time."""
        return len(self._agenda)

    @property
    def stopped(self) -> bool:
        """Whether delivery stands still because nothing can be recorded."""
        return self._recorder.stopped

    # -- in

    def take(self, letter: Letter, items: Sequence[Item]) -> None:
        """Deliver a letter that the queue has just kept."""
        self._steady.arrived(letter)
        self._take(letter, items)

    def _take(self, letter: Letter, items: Sequence[Item]) -> None:
        if self._closing:  # it stays in the queue
            return
        if self._recorder.stopped or self._room.full:
            self._ready.append((letter.id, tuple(items)))
            return
        going: list[tuple[Hop, Item]] = []
        for item in items:
            choice = self._choose(letter, item)
            if choice.action is Action.DELIVER:
                going.append((self._hops[choice.hop], item))
            else:
                self._hands.add((letter.id, item.key))  # until that is on the disk
                self._verdicts.put_aside(item, choice)
                self._recorder.soon()
        size = len(letter.content)
        for way, its in by_way(going):
            if self._room.has(way, size):
                self._hand_over(way, letter, its)
            else:
                self._room.put_aside(way, (letter.id, its), size)

    def _hand_over(self, way: Key, letter: Letter, items: tuple[Item, ...]) -> None:
        for item in items:
            self._hands.add((letter.id, item.key))
        self._room.take(way, letter)
        pool = self.pools.get(way)
        if pool is None:
            hop = self._hops[way[0]]
            to = Way(hop, way[1])
            pool = self.pools[way] = Pool(
                to,
                self._connect,
                partial(self._back, way),
                now=self._monotonic,
                divided=partial(self._divided, way),
                prepare=self._prepare,
                turns=self._turns,
                tries=self._tries,
                replies=self._replies,
                slots=self._slots(to),
            )
        pool.add(Task(letter, items))

    def _divided(self, way: Key, task: Task) -> None:
        """It comes back once more than it went."""
        self._room.take(way, task.letter)

    # -- out

    def _back(self, way: Key, task: Task, carried: Carried, carrier: Carrier | None) -> None:
        """What became of a task that went this way."""
        letter, hop = task.letter, self._hops[way[0]]
        self._room.leave(way, letter.id)
        told = list(zip(task.items, self._judged(task, carried, carrier), strict=True))
        if not (self._closing or self._recorder.stopped):
            told = self._go_next(letter, told, carrier)
            if hop.fallback:
                told = self._go_round(hop, letter, told, reached=carrier is not None)
        self._verdicts.outcomes(letter, told, hop.name)
        self._recorder.record.letters.append(letter.id)
        self._recorder.soon()

    def _judged(self, task: Task, carried: Carried, carrier: Carrier | None) -> list[Outcome]:
        try:
            return self._judge(task, carried, carrier)
        except Exception as error:  # a bug must not keep a message in hand, neither sent nor tried
            loop.tell("what a server said could not be judged", error)
            return unjudged(task, carried)

    def _go_next(
        self, letter: Letter, told: list[tuple[Item, Outcome]], carrier: Carrier | None
    ) -> list[tuple[Item, Outcome]]:
        """Who was too many is due at once: that was no try. The others are given back."""
        rest = too_many(told, carrier)
        if not rest:
            return told
        # From the disk, for the command may have held them meanwhile.
        self._hands.difference_update([(letter.id, item.key) for item in rest])
        self._ready.append((letter.id, rest))
        self._load_soon()
        return [one for one in told if one[0] not in rest]

    def _go_round(
        self, hop: Hop, letter: Letter, told: list[tuple[Item, Outcome]], *, reached: bool
    ) -> list[tuple[Item, Outcome]]:
        """Take the hop that stands in, where this one is the trouble and not the mail.

        That is: nobody there could be reached, or it won't have us (login, account). What is left
        is given back.
        """
        spare = self._hops[hop.fallback]
        left: list[tuple[Item, Outcome]] = []
        going: list[tuple[Hop, Item]] = []
        for item, outcome in told:
            if outcome.result is Result.DEFERRED and (not reached or ours(outcome)):
                self._verdicts.rerouted(item, outcome, hop.name, spare.name)
                going.append((spare, item))
            else:
                left.append((item, outcome))
        for way, items in by_way(going):  # it is in memory as it is
            self._hand_over(way, letter, items)
        return left

    def _written(self, record: Record, items: Sequence[Item]) -> None:
        for one in record.settled:
            self._hands.discard((one.item.letter, one.item.key))
            if one.due is not None and not one.held:
                self._wait_for(one, record.due[one.item.letter, one.item.key])
        for letter in record.letters:
            self._room.let_go(letter)
        self._ready.extend(self._room.next())
        by_letter: dict[str, list[Item]] = {}
        for item in items:
            by_letter.setdefault(item.letter, []).append(item)
        for bounce in record.bounces:
            self.take(bounce, by_letter.get(bounce.id, []))
        for event in record.events:
            self._watch(event)
        self._load_soon()

    def _wait_for(self, one: Settled, due: float) -> None:
        item = one.item
        later = Item(
            item.key,
            item.letter,
            item.recipient,
            State.DEFERRED,
            item.attempts + 1,
            one.due or 0.0,
            one.outcome.last,
            one.outcome.cause,
            one.warned,
            item.released,
        )
        self._agenda.add(later, due)

    def _halt(self, error: BaseException) -> None:
        """The store fails: begin nothing."""
        self._halted = True
        self._say("delivery_stopped", {"error": str(error) or type(error).__name__})
        for pool in self.pools.values():
            pool.pause()

    # -- time

    async def _look(self) -> None:
        """Once a second, for as long as we live."""
        looks = 0
        while True:
            await asyncio.sleep(LOOK)
            looks += 1
            try:
                await self._look_around()
            except Exception as error:  # the queue can't be read now; the next look may go well
                loop.tell("the queue could not be read", error)
            if looks % QUIET == 0:
                await self._forget()

    async def _look_around(self) -> None:
        """What could not be recorded, what the command changed, what is due. Raises StoreError."""
        if self._recorder.stopped:
            await self._recorder.again()
        if self._recorder.stopped:
            return
        if self._queue.changed():
            back: list[Item] = []
            for way, pool in self.pools.items():
                pool.forgive()  # who asks for a try now means it
                back += self._taken_back(way, pool.withdraw())
            await self._reload(back)
        if self._halted:  # only now: what was held meanwhile is not in the pools any more
            self._go_on()
        self.look()
        async for events in self._queue.told():  # last: if it can't be read, mail goes on
            for event in events:
                self._watch(event)

    def _go_on(self) -> None:
        self._halted = False
        self._say("delivery_resumed", {})
        for pool in self.pools.values():
            pool.go_on()
        self._load_soon()

    def look(self) -> None:
        """Put what is due among the ready."""
        self._take_up()
        self._load_soon()

    def _take_up(self) -> bool:
        """Some of it, where there is need; whether anything is ready."""
        if not (self._ready or self._reading):
            ready = self._agenda.take(AHEAD)
            self._ready.extend((letter, tuple(items)) for letter, items in ready.items())
        return bool(self._ready)

    def _taken_back(self, way: Key, tasks: Sequence[Task]) -> list[Item]:
        """Out of our hands again, before anything was begun: it may be held or deleted by now."""
        for task in tasks:
            self._hands.difference_update([(task.letter.id, item.key) for item in task.items])
            self._room.leave(way, task.letter.id)
            self._room.let_go(task.letter.id)
        return [item for task in tasks for item in task.items]

    async def _reload(self, back: Sequence[Item] = ()) -> None:
        """The queue as it is now, but for what is on its way. ``back`` was due, and still is."""
        due = [*self._room.withdraw(), *self._ready]
        self._ready.clear()
        self._agenda.begin([*back, *(item for _, its in due for item in its)])
        self._reading = True
        try:
            async for items in self._queue.waiting():
                self._agenda.renew(
                    item
                    for item in items
                    if item.state is not State.HELD and (item.letter, item.key) not in self._hands
                )
            self._agenda.end()
        finally:
            self._reading = False

    def _load_soon(self) -> None:
        if self._ready and self._loading is None and not (self._recorder.stopped or self._closing):
            self._loading = asyncio.create_task(self._load())

    async def _load(self) -> None:
        """Bring letters from the queue while there is room for them."""
        turns = 0
        try:
            while (
                not (self._recorder.stopped or self._closing or self._room.full) and self._take_up()
            ):
                turns += 1
                if turns % TURN == 0:
                    await asyncio.sleep(0)
                    continue  # all may be otherwise by now
                name, items = self._ready.popleft()
                if (letter := await self._queue.load(name)) is not None:
                    self._take(letter, self._still_due(letter, items))
        except StoreError as error:  # behind the others: it may be the only one
            self._ready.append((name, items))
            if name not in self._unread:
                loop.tell(f"message {name} could not be read", error)
            self._unread.add(name)
        finally:
            self._loading = None

    def _still_due(self, letter: Letter, items: Iterable[Item]) -> list[Item]:
        """Without those that meanwhile are on their way, held, or over."""
        there = {recipient.address for recipient in letter.recipients}
        return [
            item
            for item in items
            if (letter.id, item.key) not in self._hands and item.recipient.address in there
        ]

    async def _forget(self) -> None:
        """Ways that nothing goes any more: a relay meets many domains."""
        for way in [way for way, pool in self.pools.items() if pool.quiet]:
            await self.pools.pop(way).close()
