"""``posthouse queue hold|release|retry|delete``: by ids, by filters, or all.

Exit code 1 where an id is not in the queue; what could be done is done.
"""

from __future__ import annotations

import getpass
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from posthouse.cli import asking
from posthouse.cli.command import Command
from posthouse.cli.options import Session, common, session
from posthouse.cli.queue import choose
from posthouse.explain import Catalogue

if TYPE_CHECKING:
    from posthouse.send.queue.desk import Desk, Picked


def subcommand(words: Catalogue, name: str) -> Command:
    """Build one of the four."""

    def text(key: str) -> str:
        return words.text(f"cli.option.queue_{key}")

    def run(**given: Any) -> int:
        asked = session(words, given)
        if not given["ids"] and not given["all"] and not choose.is_filtered(given):
            raise click.UsageError(words.text("cli.error.queue_select"))
        return choose.at_desk(words, given, lambda desk: _change(asked, desk, name, given))

    yes = [click.Option(["--yes"], is_flag=True, help=text("yes"))]
    return Command(
        name,
        words,
        key=f"cli.queue_{name}",
        callback=run,
        params=[
            click.Argument(["ids"], nargs=-1, metavar=words.text("cli.arg.queue_ids")),
            *choose.filters(words),
            click.Option(["--all"], is_flag=True, help=text("all")),
            *(yes if name == "delete" else ()),
            *choose.where(words),
            *common(words, network=False),
        ],
    )


def _change(asked: Session, desk: Desk, name: str, given: Mapping[str, Any]) -> int:
    from posthouse.send.queue.desk import Act

    now = time.time()
    picked = desk.pick(choose.query(asked.words, given, now), Act(name))
    unknown = [one for one in given["ids"] if not desk.has(one)]
    none = "nothing"
    if picked.act is Act.DELETE and picked.letters and not _may_delete(asked, picked, given):
        picked, none = replace(picked, keys=()), "spared"
    done = desk.do(picked, now, _who())
    if asked.json:
        _json(done, unknown)
    else:
        key = "done" if done.letters else none
        letters, recipients = len(done.letters), done.recipients
        click.echo(asked.words.text(f"queue.{name}.{key}", letters=letters, recipients=recipients))
        for one in unknown:
            said = asked.words.text("queue.error.unknown", id=one)
            click.echo(f"posthouse: {said}", err=True)
    return 1 if unknown else 0


def _may_delete(asked: Session, picked: Picked, given: Mapping[str, Any]) -> bool:
    """What is deleted comes back from nowhere, so a person says yes."""
    if given["yes"]:
        return True
    if not asking.may_ask(given):
        raise click.UsageError(asked.words.text("cli.error.queue_yes"))
    question = asked.words.text(
        "queue.delete.question", letters=len(picked.letters), recipients=picked.recipients
    )
    return asking.confirm(question, default=False)


def _who() -> str:
    """Who did it, for the events."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name
        return ""


def _json(done: Picked, unknown: list[str]) -> None:
    from posthouse.cli.answer import print_json

    print_json(
        {
            "act": done.act.value,
            "messages": sorted(done.letters),
            "recipients": done.recipients,
            "unknown": unknown,
        }
    )
