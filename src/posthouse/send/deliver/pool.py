"""The connections one way: opened as needed, used again, never more than allowed.

Enters: tasks (a letter and those of its recipients that go this way). Leaves: each task with its
``Carried``, by ``report``. The owner of the way's connections and its waiting tasks. ``slots`` says
how many it may have beside those of other workers, ``speed`` how many go at once: fewer after a
sign of overload (421, 4yz to MAIL, a connection refused or broken); one message each ``interval``
where pacing is asked for. A message given to a connection that the server had closed meanwhile, or
closes with 421 to MAIL, goes by another: that was no try.

Called by ``dispatch``. Nothing raises; where nobody can be reached, or the login is refused, what
waits fails at once, and so does what comes within ``SORE`` seconds: the queue's own schedule
decides when to try again, and a wrong password is not tried once for each message.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.net import loop
from posthouse.net.smtp_carry import Carrier
from posthouse.net.smtp_open import Refused
from posthouse.net.smtp_work import Carried
from posthouse.send.deliver.divide import divided
from posthouse.send.deliver.equals import Equals
from posthouse.send.deliver.pace import Pace, Turns
from posthouse.send.deliver.parts import Connector, Prepare
from posthouse.send.deliver.shares import Shares
from posthouse.send.deliver.signs import closed, failed, is_ill, is_stale, may_go_on, was_gone
from posthouse.send.deliver.slots import AGAIN, Slots
from posthouse.send.deliver.speed import Speed
from posthouse.send.deliver.transaction import Task, Transaction, Way, as_it_is
from posthouse.send.deliver.tried import kept
from posthouse.send.deliver.tries import LOGIN_SORE, Login, Replies, Tries, is_login
from posthouse.send.hop import Target

SWEEP: Final = 1.0  # seconds between looks for connections that are over their time
SORE: Final = 15.0  # seconds nothing is tried after nobody could be reached
FEW: Final = 2  # connections that are opened at once: a handshake costs more than some messages
LATE: Final = 0.5  # seconds that mail has to wait for them before there are more
TURN: Final = 50  # tasks that fail before whatever else there is to do has its turn
ENDING: Final = 5.0  # seconds for what is under way when we end: cut off, it may arrive twice


Report = Callable[[Task, Carried, Carrier | None], None]


class Pool:
    """See the module. ``now`` gives monotonic seconds."""

    def __init__(
        self,
        way: Way,
        connect: Connector,
        report: Report,
        *,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        divided: Callable[[Task], None] = lambda _task: None,
        prepare: Prepare = as_it_is,
        turns: Turns | None = None,
        tries: Tries | None = None,
        replies: Replies | None = None,
        slots: Slots | None = None,
    ) -> None:
        self.way = way
        self.hop = way.hop
        self._connect = connect
        self._report = report
        self._divided = divided  # told of a task that became two
        self._prepare = prepare
        self._sore: tuple[float, NetworkFailure | Refused] | None = None  # until then, and why
        self._paused = False
        self._login = Login(way.hop, tries, replies, now=now, sleep=sleep)
        self._now = now
        self._waiting: deque[Task] = deque()
        self._failing: deque[tuple[Task, NetworkFailure | Refused]] = deque()  # not yet told so
        self._idle: list[Carrier] = []
        self._busy: dict[Carrier, Task] = {}
        self._opening: dict[asyncio.Task[None], Target | None] = {}  # and where to
        self._speed = Speed(way.hop.pool, now)
        self._slots = slots or Slots(way.hop.name, way.hop.pool, 1, now=now)
        self._asking: asyncio.TimerHandle | None = None  # for a slot, once more
        self._behind: float | None = None  # since when something waits
        self._look: asyncio.TimerHandle | None = None  # whether it still does
        self._shares = Shares(way.hop, now)
        self._equals = Equals(way.hop)
        self._pace = Pace(turns or Turns(), way.hop, way.domain, now=now, sleep=sleep)
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP, self._sweep)
        self.opened = 0

    @property
    def open(self) -> int:
        """Connections there are, and those being opened."""
        return len(self._idle) + len(self._busy) + len(self._opening)

    @property
    def waiting(self) -> int:
        """Tasks without a connection yet."""
        return len(self._waiting) + len(self._failing)

    @property
    def quiet(self) -> bool:
        """Whether there is nothing here any more."""
        waits = self.waiting or self._equals.tasks or self._pace.waits
        return not (waits or self.open) and not self._is_sore()

    def add(self, task: Task) -> None:
        """Carry this."""
        if self._sore is not None and self._is_sore():
            self._report(task, failed(task, self._sore[1]), None)
            return
        self._waiting.append(task)
        self._fill()

    def pause(self) -> None:
        """Begin nothing new: what is delivered can't be recorded now."""
        self._paused = True

    def go_on(self) -> None:
        """The end of a pause."""
        self._paused = False
        self._fill()

    def forgive(self) -> None:
        """Somebody asks for a try: nobody could be reached a moment ago, but may be now.

        Not after a refused login: one try for each message is what locks an account.
        """
        if self._sore is not None and not is_login(self._sore[1]):
            self._sore = None

    def withdraw(self) -> list[Task]:
        """Give back what waits for a connection, or for its turn: nothing of it was begun."""
        failing = [task for task, _ in self._failing]
        tasks = [*failing, *self._waiting, *self._equals.withdraw()]
        self._failing.clear()
        self._waiting.clear()
        return tasks

    def _is_sore(self) -> bool:
        return self._sore is not None and self._now() < self._sore[0]

    async def close(self) -> None:
        """Let go of all connections. Tasks that wait stay in the queue, on the disk."""
        self.withdraw()
        self._paused = True
        for handle in (self._sweeper, self._asking, self._look):
            if handle is not None:
                handle.cancel()
        for opening in list(self._opening):
            opening.cancel()
        time = asyncio.get_running_loop().time
        until = time() + ENDING
        while self._busy and time() < until:  # noqa: ASYNC110  many to wait for
            await asyncio.sleep(0.02)
        for carrier in [*self._idle, *self._busy]:
            carrier.quit()
        self._idle.clear()
        self._slots.claim(0)
        self._slots.have(0)

    # -- who carries what

    def _fill(self) -> None:
        """Give waiting tasks to idle connections, and open more where that is not enough."""
        if self._paused or (self.hop.interval and not self._may_go()):
            return
        if self._equals.tasks and not self._try_equals():
            return
        while self._waiting and len(self._busy) < self._speed.allowed:
            carrier = self._free()
            if carrier is None:
                break
            self._start(carrier, self._waiting.popleft())
            if self.hop.interval and not self._may_go():
                return
        wanted = min(len(self._waiting) - len(self._opening), self._speed.allowed - self.open)
        if not self._is_late():
            wanted = min(wanted, FEW - self.open)
        if self.hop.interval or not self._login.taken:
            wanted = min(wanted, 1 - self.open)
        elif self._shares.any and wanted <= 0 and self.open < self._speed.allowed:
            wanted = int(self._shares.lacking(self._ends()))
        if not self._login.fresh:  # it may be refused by now: one finds out for all
            wanted = min(wanted, 1 - len(self._opening))
        if wanted > 0 or self._slots.waits:
            self._open_more(wanted)

    def _may_go(self) -> bool:
        return self._pace.may_go(self._fill, busy=bool(self._busy))

    def _try_equals(self) -> bool:
        """What a server lacks something for goes to one that is as good. Whether others may go."""
        most = 1 if self.hop.interval else self._speed.allowed
        while len(self._busy) < most:
            found = self._equals.take(self._idle)
            if found is None:
                break
            self._start(*found)
        else:
            return False
        target = self._equals.next()
        if target is None:
            return True
        if self.open < most and self._open_more(1, target):
            self._equals.asks(target)
        elif self._idle:  # to make room: it goes on when that has left
            self._let_go(self._idle.pop(0))
            return False
        return True

    def _lack(self, tasks: Sequence[Task]) -> None:
        """Nobody is left who may have what they need; for others there may be."""
        for task in tasks:
            if task.lack is not None:
                self._report(task, failed(task, task.lack.error), task.lack.carrier)
        if self._equals.tasks:
            asyncio.get_running_loop().call_soon(self._fill)

    def _is_late(self) -> bool:
        """Whether mail has waited for long enough that more connections are worth it."""
        if not self._waiting:
            self._behind = None
            return False
        now = self._now()
        if self._behind is None:
            self._behind = now
        if self._look is None and now - self._behind < LATE:
            self._look = asyncio.get_running_loop().call_later(LATE, self._look_again)
        return now - self._behind >= LATE

    def _look_again(self) -> None:
        self._look = None
        self._fill()

    def _open_more(self, wanted: int, to: Target | None = None) -> int:
        """As many of those as other workers leave us."""
        self._slots.have(self.open)
        granted = self._slots.claim(wanted)
        for _ in range(granted):
            target = to or self._shares.next(self._ends())
            self._opening[asyncio.create_task(self._open(target))] = target
        if self._slots.waits and self._asking is None:
            self._asking = asyncio.get_running_loop().call_later(AGAIN, self._ask_again)
        return granted

    def _ask_again(self) -> None:
        self._asking = None
        self._fill()

    def _ends(self) -> list[Target | None]:
        """Where our connections lead, and those being opened."""
        there = [self._shares.target_of(carrier) for carrier in (*self._idle, *self._busy)]
        return [*there, *self._opening.values()]

    def _free(self) -> Carrier | None:
        """An idle connection that still stands; the others are let go."""
        while self._idle:
            carrier = self._shares.pick(self._idle)
            if carrier.failure is None:
                return carrier
            carrier.quit()
        return None

    def _start(self, carrier: Carrier, task: Task) -> None:
        if len(task.items) > 1:
            task, rest = divided(carrier, task)
            if rest is not None:
                self._waiting.appendleft(rest)
                self._divided(task)
        try:
            ready = self._prepared(carrier, task)
        except (NetworkFailure, Refused) as error:
            self._idle.append(carrier)
            if isinstance(error, Refused):
                self._lack(self._equals.lacks(carrier, task, error))
            else:
                self._report(task, failed(task, error), carrier)
            return
        if self.hop.interval and not self._pace.is_our_turn():
            self._idle.append(carrier)
            self._waiting.appendleft(task)
            return
        self._busy[carrier] = task
        self._shares.given(carrier)
        done = carrier.carry(ready.mail, ready.recipients, ready.content)
        done.add_done_callback(partial(self._done, carrier, task))

    def _prepared(self, carrier: Carrier, task: Task) -> Transaction:
        try:
            return self._prepare(task, carrier.extensions, binary=self.hop.binary)
        except Refused:
            raise
        except Exception as error:  # a bug of ours: this one waits, and the log has it
            loop.tell("a message could not be prepared", error)
            raise NetworkFailure(Failure.BAD_REPLY, Stage.ANY) from error

    def _done(self, carrier: Carrier, task: Task, done: asyncio.Future[Carried]) -> None:
        carried = done.result()
        self._busy.pop(carrier, None)
        if self.hop.interval:
            self._pace.over()
        if was_gone(carrier, carried):
            carrier.quit()
            self._waiting.appendleft(task)
            self._fill()
            return
        ill = is_ill(task, carried)
        self._speed.went(well=carried.failure is None and not ill)
        if ill or carrier.carried == 1:
            self._shares.went(carrier, well=not ill)
        if not ill and may_go_on(self.hop, carrier, self._now()) and not self._slots.gives_up():
            self._idle.append(carrier)
        else:
            self._let_go(carrier)
        error = closed(carried) if ill else None
        if error is not None:
            self._lack(self._equals.closed(carrier, task, error))
        else:
            self._report(task, carried, carrier)
        self._fill()

    def _let_go(self, carrier: Carrier) -> None:
        """Say QUIT; what is written in this turn of the loop is out in the next one."""
        carrier.quit()
        self._slots.leaves()
        asyncio.get_running_loop().call_soon(self._gone)

    def _gone(self) -> None:
        self._slots.left()
        self._slots.have(self.open)
        self._fill()

    async def _open(self, target: Target | None) -> None:
        """One more connection; where it fails, the tasks that wait fail with it."""
        me = asyncio.current_task()
        try:
            await self._login.turn()
            carrier = await self._connect(self.hop, self.way.domain, target)
            if carrier.failure is not None:  # closed on the heels of its yes to EHLO: no way in
                carrier.quit()
                raise carrier.failure
        except (NetworkFailure, Refused) as error:
            self._forget(me)
            self._shares.reached(target, None)
            self._speed.went(well=False)
            self._login.failed(error)
            if self.open == 0:
                # Told by another worker, it is as old as that one's try: who asks is told again.
                long = is_login(error) and error.heard
                self._sore = (self._now() + (LOGIN_SORE if long else SORE), kept(error))
                self._fail(error)
            self._lack(self._equals.reached(target, None))
            return
        except asyncio.CancelledError:
            self._forget(me)
            self._login.failed(None)
            raise
        except Exception as error:  # a bug of ours: the mail waits, and the log has it
            self._forget(me)
            self._login.failed(None)
            loop.tell("a connection could not be opened", error)
            if self.open == 0:
                self._fail(NetworkFailure(Failure.BAD_REPLY, Stage.ANY))
            self._lack(self._equals.reached(target, None))
            return
        self._forget(me)
        self._shares.reached(target, carrier)
        self.opened += 1
        self._login.worked()
        self._idle.append(carrier)
        self._lack(self._equals.reached(target, carrier))
        self._fill()

    def _forget(self, opening: asyncio.Task[None] | None) -> None:
        if opening is not None:
            self._opening.pop(opening, None)

    def _fail(self, error: NetworkFailure | Refused) -> None:
        """Nobody can be reached: everything that waits goes back to the queue's schedule."""
        began = bool(self._failing)
        tasks = [*self._waiting, *self._equals.withdraw()]
        self._waiting.clear()
        self._failing.extend([(task, error) for task in tasks])
        if not began:
            self._fail_some()

    def _fail_some(self) -> None:
        """A few at a time: tens of thousands may wait, and to judge each of them takes a while."""
        for _ in range(min(TURN, len(self._failing))):
            task, error = self._failing.popleft()
            self._report(task, failed(task, error), None)
        if self._failing:
            asyncio.get_running_loop().call_soon(self._fail_some)

    # -- time

    def _sweep(self) -> None:
        """Idle connections are let go, those that hang are ended."""
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP, self._sweep)
        loop_time, now = asyncio.get_running_loop().time(), self._now()
        for carrier in [k for k in self._busy if k.deadline < loop_time or k.vanished]:
            carrier.abort(NetworkFailure(Failure.SILENT, Stage.ANY))
        for carrier in [k for k in self._idle if is_stale(self.hop, k, now)]:
            self._idle.remove(carrier)
            carrier.quit()
        self._slots.have(self.open)
        while self._idle and self._slots.gives_up():
            self._let_go(self._idle.pop(0))
