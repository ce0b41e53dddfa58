"""What ``send`` shows at its end: one message, or the summary of many; as text and as JSON.

Enters: the counts, how the run ended. Leaves: the answer on stdout. Called by ``cli.sending``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from posthouse.cli.answer import json_line
from posthouse.cli.prose import printable
from posthouse.cli.screen import Screen
from posthouse.explain import catalogue, explain_reply, remedy, title
from posthouse.explain.explanation import Explanation
from posthouse.flow import Retry, Status
from posthouse.letter import Outcome, Result
from posthouse.send import client

SHOWN: Final = 20  # causes on the screen; --json has all
EXAMPLE: Final = 300  # characters of a server's reply


@dataclass(frozen=True, slots=True)
class Report:
    """One run."""

    place: client.Place
    tally: client.Tally
    end: client.End
    seconds: float
    journal: Path | None
    uncertain: int = 0  # messages that an earlier run left in the middle
    unheard: OSError | None = None  # why stdout took no more
    relay: str = ""  # the configuration of our own, where it goes there


# JSON


def line(screen: Screen, done: client.Done) -> None:
    """One message, as one line of JSON."""
    click.echo(json_line(_done(screen, done)))


def _done(screen: Screen, done: client.Done) -> dict[str, Any]:
    problem = done.problem
    return {
        "message": done.where,
        "status": done.status,
        "key": done.key,
        "message_id": done.message_id,
        "unsure": done.unsure,
        "problem": None
        if problem is None
        else {
            "id": problem.problem.value,
            **problem.params,
            "title": problem_text(screen, problem),
        },
        "recipients": [
            {
                "recipient": outcome.recipient,
                "result": outcome.result.value,
                "code": outcome.code,
                "enhanced": outcome.enhanced,
                "text": outcome.text,
                "host": outcome.host,
                "stage": outcome.stage.value,
                "cause": outcome.cause,
            }
            for outcome in done.outcomes
        ],
    }


def _answer(screen: Screen, report: Report) -> dict[str, Any]:
    tally, end, lang = report.tally, report.end, screen.session.lang
    stopped = None
    if end.stopped is not None:
        stopped = client.why(end.stopped, report.place.host).to_dict(lang)
    return {
        "ok": not (tally.bad or stopped or end.error or end.interrupted),
        "server": f"{report.place.host}:{report.place.port}",
        "security": report.place.security.value,
        "counts": {name: tally.counts[name] for name in client.STATUSES},
        "recipients": tally.recipients,
        "unsure": tally.unsure,
        "uncertain": report.uncertain,
        "remaining": _remaining(report),
        "interrupted": end.interrupted,
        "stopped": stopped,
        "error": _error(screen, report),
        "unnoted": end.unnoted,
        "causes": [
            {
                "id": group.id,
                "for_good": group.for_good,
                "count": group.count,
                "messages": group.where,
                "title": group_title(screen, group, report.place.host),
                "remedy": group_remedy(screen, group, report.place.host),
                "example": _example(group.outcome),
            }
            for group in tally.groups.values()
        ],
        "connections": end.connections,
        "seconds": round(report.seconds, 3),
        "journal": str(report.journal) if report.journal else None,
    }


def _error(screen: Screen, report: Report) -> str | None:
    """What went wrong on this side."""
    error, words = report.end.error, screen.words
    if isinstance(error, client.JournalError):
        key = "unkept" if error.reason == "sync" else "lost"
        return words.text(f"send.journal.{key}", path=str(report.journal), n=report.end.unnoted)
    if error is None or isinstance(error, BrokenPipeError):  # a reader that has gone: ``| head``
        return None
    return words.text("send.error.output" if error is report.unheard else "send.error.input")


def _remaining(report: Report) -> int | None:
    """Messages that this run did not get to."""
    if report.end.all_read and not report.end.untried:
        return 0
    return report.tally.remaining


# Words


def group_title(screen: Screen, group: client.Group, host: str) -> str:
    """One line: what happened."""
    if group.id == client.OTHER:
        return screen.words.text("send.summary.other")
    if group.problem is not None:
        return problem_text(screen, group.problem)
    return _titled(screen, group.outcome, host)


def _titled(screen: Screen, outcome: Outcome | None, host: str) -> str:
    if outcome is None:
        return screen.words.text("send.unknown")
    if outcome.code:
        return title(_explained(outcome, host), screen.session.lang)
    words = catalogue(screen.session.lang)
    return words.text(f"causes.{outcome.cause}.title", host=host)


def group_remedy(screen: Screen, group: client.Group, host: str) -> str:
    """What to do, one step a line."""
    if group.id == client.OTHER:
        return ""
    if group.problem is not None:
        return screen.words.text(f"send.remedy.{group.problem.problem}")
    outcome = group.outcome
    if outcome is not None and not group.for_good and _takes_time(outcome, host):
        return screen.words.text("send.remedy.later")
    return _remedied(screen, outcome, host)


def _remedied(screen: Screen, outcome: Outcome | None, host: str) -> str:
    if outcome is None:
        return ""
    if outcome.code:
        return remedy(_explained(outcome, host), screen.session.lang)
    return screen.words.text(f"causes.{outcome.cause}.remedy", host=host)


def _explained(outcome: Outcome, host: str) -> Explanation:
    return explain_reply(_example(outcome), stage=outcome.stage, host=host)


def problem_text(screen: Screen, problem: client.Unusable) -> str:
    """One line: why a message can't be handed in."""
    params = {
        name: printable(value) if isinstance(value, str) else value
        for name, value in problem.params.items()
    }
    return screen.words.text(f"send.problem.{problem.problem}", **params)


def _example(outcome: Outcome | None) -> str:
    if outcome is None or not outcome.code:
        return ""
    text = " ".join(f"{outcome.code} {outcome.enhanced} {outcome.text}".split())
    return printable(text[:EXAMPLE])


def _steps(screen: Screen, text: str) -> None:
    for step in text.splitlines():
        if step.strip():
            screen.hanging("→", step.strip())


# One message


def show_one(screen: Screen, report: Report, done: client.Done | None) -> None:
    """What each recipient was answered."""
    if screen.session.json:
        messages = [] if done is None else [_done(screen, done)]
        screen.json({**_answer(screen, report), "messages": messages})
        return
    words, host = screen.words, report.place.host
    if report.end.interrupted and not (done and any(o.code for o in done.outcomes)):
        arrived = report.end.cut or (done and done.unsure)
        screen.mark(Status.WARN, words.text(f"send.one.{'cut' if arrived else 'unsent'}"))
        return
    if done is None:
        show_end(screen, report)
        return
    if done.problem is not None:
        screen.mark(Status.FAIL, problem_text(screen, done.problem), bold=True)
        _steps(screen, words.text(f"send.remedy.{done.problem.problem}"))
        return
    taken = [o for o in done.outcomes if o.result is Result.DELIVERED]
    if taken:
        names = words.text("causes.word.comma").join(o.recipient for o in taken)
        screen.mark(Status.OK, words.text("send.taken", host=host, names=names), bold=True)
        screen.hanging(" ", _example(taken[0]))
        screen.hanging(" ", words.text("send.message_id", id=printable(done.message_id)))
    elif done.before:
        screen.mark(Status.OK, words.text("send.before"))
    for outcome in done.outcomes:
        if outcome.result is not Result.DELIVERED:
            title = _titled(screen, outcome, host)
            text = screen.words.text("send.one.refused", recipient=outcome.recipient, title=title)
            screen.mark(Status.FAIL, text, bold=True)
            if outcome.code:
                screen.hanging(" ", words.text("send.said", text=_example(outcome)))
            _steps(screen, _remedied_alone(screen, outcome, host))
    if done.unsure:
        screen.mark(Status.WARN, words.text("send.unsure_one"))


def _remedied_alone(screen: Screen, outcome: Outcome, host: str) -> str:
    """Nobody tries a single message again but whoever has sent it."""
    usual = _remedied(screen, outcome, host)
    if outcome.result is not Result.DEFERRED or not outcome.code:
        return usual
    later = screen.words.text("send.one.later", recipient=outcome.recipient)
    return later if _takes_time(outcome, host) else f"{usual}\n{later}"


def _takes_time(outcome: Outcome, host: str) -> bool:
    """Whether it takes that and no more: to do nothing helps a relay, but nobody tries here."""
    return bool(outcome.code) and _explained(outcome, host).cause.retry is Retry.YES


def show_end(screen: Screen, report: Report) -> None:
    """Why it ended before its end."""
    end, lang = report.end, screen.session.lang
    if end.interrupted:
        key = "send.cut" if end.cut else "send.interrupted"
        screen.mark(Status.WARN, screen.words.text(key, n=end.cut))
    if text := _error(screen, report):
        screen.mark(Status.FAIL, text, bold=True)
    if end.stopped is None:
        return
    found = client.why(end.stopped, report.place.host)
    screen.mark(Status.FAIL, title(found, lang), bold=True)
    if isinstance(end.stopped, client.Refused):
        text = printable(str(end.stopped.reply)[:EXAMPLE])
        screen.hanging(" ", screen.words.text("send.said", text=text))
    if report.relay and found.cause.id in ("auth.credentials", "auth.app_password"):
        _steps(screen, screen.words.text("send.remedy.own_login", config=report.relay))
    else:
        _steps(screen, remedy(found, lang))


# Many


def show_many(screen: Screen, report: Report) -> None:
    """The summary."""
    if screen.session.json:
        screen.json(_answer(screen, report))
        return
    words, tally = screen.words, report.tally
    end = report.end
    status = Status.FAIL if tally.bad or end.stopped or end.error else Status.OK
    sent = tally.counts["sent"]
    rate = sent / max(report.seconds, 0.001) if sent else ""
    screen.mark(
        Status.WARN if report.end.interrupted and status is Status.OK else status,
        words.text(
            "send.summary.sent",
            n=sent,
            host=report.place.host,
            seconds=report.seconds,
            rate=rate,
        ),
        bold=True,
    )
    rows = [
        (words.text(f"send.summary.{name}"), str(tally.counts[name]))
        for name in client.STATUSES[1:]
        if tally.counts[name]
    ]
    rest = _remaining(report)
    if rest:
        rows.append((words.text("send.summary.remaining"), str(rest)))
    if rows:
        screen.table(rows)
    show_end(screen, report)
    _causes(screen, report)
    if tally.unsure:
        screen.mark(Status.WARN, words.text("send.unsure", n=tally.unsure))
    unknown = rest is None and report.end.interrupted  # before the messages were counted
    later = any(not group.for_good for group in tally.groups.values())
    if report.journal is not None and (later or rest or unknown or end.stopped or end.error):
        screen.blank()
        screen.say(words.text("send.journal.again", path=str(report.journal)))


def _causes(screen: Screen, report: Report) -> None:
    groups = sorted(report.tally.groups.values(), key=lambda group: -group.count)
    end, host = report.end, report.place.host
    stopped = None if end.stopped is None else client.why(end.stopped, host).cause.id
    if groups:
        screen.heading("send.summary.causes")
    for group in groups[:SHOWN]:
        head = screen.words.text(
            "send.summary.cause",
            n=group.count,
            title=group_title(screen, group, report.place.host),
        )
        screen.mark(Status.FAIL if group.for_good else Status.WARN, head)
        names = screen.words.text("causes.word.comma").join(map(printable, group.where))
        screen.hanging(" ", screen.words.text("send.summary.example", names=names))
        if text := _example(group.outcome):
            screen.hanging(" ", screen.words.text("send.said", text=text))
        if group.id != stopped:  # that stands above
            _steps(screen, group_remedy(screen, group, report.place.host))
