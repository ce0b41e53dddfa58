"""What follows from an outcome: the next try or the end, a report to the sender, an event.

Enters: outcomes of one letter's recipients (``dispatch``). Leaves: what is to be written, in the
recorder's record; nothing is written here. ``retry`` says when to try again and when to warn,
``bounce`` makes the reports. Nothing fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from posthouse.letter import Event, Item, Letter, Outcome, Result, Settled
from posthouse.send.deliver.parts import Bounce, Schedule
from posthouse.send.deliver.recorder import Recorder
from posthouse.send.deliver.steady import Steady
from posthouse.send.hop import Action, Choice


class Verdicts:
    """See the module. ``now`` is the wall clock; ``alarm`` gets what failed, and the hop's name."""

    def __init__(
        self,
        recorder: Recorder,
        steady: Steady,
        *,
        schedule: Schedule,
        bounce: Bounce,
        now: Callable[[], float],
        alarm: Callable[[Outcome, str], None],
    ) -> None:
        self._recorder = recorder
        self._steady = steady
        self._schedule = schedule
        self._bounce = bounce
        self._now = now
        self._alarm = alarm

    def outcomes(self, letter: Letter, told: Sequence[tuple[Item, Outcome]], hop: str) -> None:
        """What a server of ``hop``, or nobody, said of some recipients."""
        others: list[tuple[Item, Outcome]] = []
        done: list[tuple[Item, Outcome]] = []
        for item, outcome in told:
            if outcome.result is not Result.DELIVERED:
                others.append((item, outcome))
                continue
            self._settle(item, outcome, "delivered")
            if item.recipient.params:  # who wants to be told of it has said so there (RFC 3461)
                done.append((item, outcome))
        if others:
            self._not_delivered(letter, others, hop)
        if done:
            self._report(letter, done, "delivered", self._steady.accepted(letter))

    def put_aside(self, item: Item, choice: Choice) -> None:
        """A rule discards or holds it."""
        held = choice.action is Action.HOLD
        kind = "held" if held else "discarded"
        result = Result.DEFERRED if held else Result.REFUSED
        outcome = Outcome(item.recipient.address, result, text=f"{kind} by a rule: {choice.rule}")
        settled = Settled(item, outcome, self._now() if held else None, held=held)
        self._recorder.record.settled.append(settled)
        self._tell(kind, item, {"rule": choice.rule})

    def rerouted(self, item: Item, outcome: Outcome, hop: str, spare: str) -> None:
        """It goes by ``spare`` at once, because of this at ``hop``."""
        self._alarm(outcome, hop)
        self._tell("rerouted", item, {"hop": spare, **_facts(outcome)})

    def _not_delivered(
        self, letter: Letter, outcomes: Sequence[tuple[Item, Outcome]], hop: str
    ) -> None:
        now, accepted = self._steady(), self._steady.accepted(letter)
        failed: list[tuple[Item, Outcome]] = []
        delayed: list[tuple[Item, Outcome]] = []
        dues: dict[tuple[object, ...], float | None] = {}  # what failed alike comes back together
        for item, outcome in outcomes:
            self._alarm(outcome, hop)
            due = None
            if outcome.result is Result.DEFERRED:
                alike = (item.attempts, outcome.wait, outcome.cause)
                if alike not in dues:
                    dues[alike] = self._schedule.next_try(item, outcome, accepted, now)
                due = dues[alike]
            if due is None:
                kind = "refused" if outcome.result is Result.REFUSED else "expired"
                self._settle(item, outcome, kind)
                failed.append((item, outcome))
                continue
            warned = item.warned or self._schedule.warn_due(item, accepted, now)
            if warned and not item.warned:
                delayed.append((item, outcome))
            self._settle(item, outcome, "deferred", due=due, warned=warned)
        for kind, told in (("failed", failed), ("delayed", delayed)):
            if told:
                self._report(letter, told, kind, accepted)

    def _settle(
        self,
        item: Item,
        outcome: Outcome,
        kind: str,
        *,
        due: float | None = None,
        warned: bool = False,
    ) -> None:
        if due is not None:
            self._recorder.record.due[item.letter, item.key] = due
            due = self._steady.wall(due)
        self._recorder.record.settled.append(Settled(item, outcome, due, warned))
        data = _facts(outcome)
        if due is not None:
            data["due"] = round(due, 3)
        self._tell(kind, item, data)

    def _tell(self, kind: str, item: Item, data: Mapping[str, object]) -> None:
        event = Event(self._now(), kind, item.letter, item.recipient.address, data)
        self._recorder.record.events.append(event)

    def _report(
        self, letter: Letter, told: Sequence[tuple[Item, Outcome]], kind: str, accepted: float
    ) -> None:
        now, accepted = self._now(), self._steady.wall(accepted)
        if accepted != letter.accepted:
            letter = letter._replace(accepted=accepted)  # as the clock has it that dates the report
        bounce = self._bounce(letter, told, kind, now)
        if bounce is not None:
            self._recorder.record.bounces.append(bounce)
            to = bounce.recipients[0].address
            data = {"report": kind, "of": letter.id}
            self._recorder.record.events.append(Event(now, "bounced", bounce.id, to, data))


def _facts(outcome: Outcome) -> dict[str, object]:
    """What an event tells of it."""
    data: dict[str, object] = {"host": outcome.host}
    if outcome.code:
        data["reply"] = f"{outcome.code} {outcome.enhanced} {outcome.text}".strip()
    elif outcome.text:
        data["text"] = outcome.text
    if outcome.cause:
        data["cause"] = outcome.cause
    return data
