"""``posthouse queue list`` and ``show``: what waits, and all that is known of one message.

A lane that can't be read hides no other from ``list``: it is told of, and the exit code is 3.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import click

from posthouse.cli.command import Command
from posthouse.cli.options import Session, common, session
from posthouse.cli.queue import choose
from posthouse.explain import Catalogue

if TYPE_CHECKING:
    from posthouse.send.queue.desk import Desk
    from posthouse.send.queue.query import Query

LIMIT: Final = 100  # messages listed unless told otherwise: some screens, not a flood


def subcommand(words: Catalogue, name: str) -> Command:
    """Build one of the two."""

    def text(key: str) -> str:
        return words.text(f"cli.option.queue_{key}")

    def run(**given: Any) -> int:
        asked = session(words, given)
        act = _list if name == "list" else _show
        whole = name != "list"
        return choose.at_desk(words, given, lambda desk: act(asked, desk, given), whole=whole)

    own: list[click.Parameter]
    if name == "list":
        own = [
            *choose.filters(words),
            click.Option(["--jsonl"], is_flag=True, help=text("jsonl")),
            click.Option(["--oldest"], is_flag=True, help=text("oldest")),
            click.Option(
                ["--limit"],
                type=click.IntRange(0, 1_000_000),
                default=LIMIT,
                metavar="N",
                help=text("limit"),
            ),
        ]
    else:
        own = [
            click.Argument(["id"], metavar=words.text("cli.arg.queue_id")),
            click.Option(["--content"], is_flag=True, help=text("content")),
        ]
    return Command(
        name,
        words,
        key=f"cli.queue_{name}",
        callback=run,
        params=[*own, *choose.where(words), *common(words, network=False)],
    )


def _list(asked: Session, desk: Desk, given: Mapping[str, Any]) -> int:
    from posthouse.cli.answer import print_json
    from posthouse.cli.queue import show

    now = time.time()
    query = choose.query(asked.words, given, now)
    if given["jsonl"]:
        return _lines(asked, desk, query, given)
    page = desk.list(query, limit=given["limit"], oldest=given["oldest"])
    if asked.json:
        messages = [show.entry_dict(entry) for entry in page.entries]
        lost = [show.lane_dict(error) for error in desk.unreadable]
        print_json({"total": page.total, "messages": messages, "unreadable": lost})
    elif page.entries or not desk.unreadable:  # who knows what waits in the others
        show.page(asked, page, now, filtered=choose.is_filtered(given))
    return _unreadable(asked, desk)


def _lines(asked: Session, desk: Desk, query: Query, given: Mapping[str, Any]) -> int:
    """As they are read: a queue of any length."""
    from posthouse.cli.answer import json_line
    from posthouse.cli.queue import show

    for entry in islice(desk.each(query, oldest=given["oldest"]), given["limit"] or None):
        sys.stdout.write(json_line(show.entry_dict(entry)) + "\n")
    return _unreadable(asked, desk)


def _unreadable(asked: Session, desk: Desk) -> int:
    """What is missing; the exit code."""
    for error in desk.unreadable:
        click.echo(f"posthouse: {choose.told(asked.words, error)}", err=True)
    return choose.UNDETERMINED if desk.unreadable else 0


def _show(asked: Session, desk: Desk, given: Mapping[str, Any]) -> int:
    from posthouse.cli.answer import print_json
    from posthouse.cli.queue import show

    if given["content"] and asked.json:
        raise click.UsageError(asked.words.text("queue.error.content_json"))
    if given["content"]:
        return _content(asked, desk, given["id"])
    shown = desk.show(given["id"])
    if shown is None:
        return _unknown(asked, given["id"])
    if asked.json:
        print_json(show.shown_dict(shown))
    else:
        show.letter(asked, shown, time.time())
    return 0


def _content(asked: Session, desk: Desk, letter: str) -> int:
    content = desk.content(letter)
    if content is None:
        return _unknown(asked, letter)
    click.echo(content, nl=False)
    return 0


def _unknown(asked: Session, letter: str) -> int:
    click.echo(f"posthouse: {asked.words.text('queue.error.unknown', id=letter)}", err=True)
    return 1
