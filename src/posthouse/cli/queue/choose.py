"""Which queue, which messages: the options of ``posthouse queue``, and what they mean.

Enters: what click parsed. Leaves: an open ``Desk``, a ``Query``. A desk that can't be opened or
used ends the command in one line: exit code 2 where the folder is wrong, 3 where the queue can't be
read now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from posthouse.explain import Catalogue

if TYPE_CHECKING:
    from posthouse.send.queue.desk import Desk
    from posthouse.send.queue.files import LaneError
    from posthouse.send.queue.query import Query

STATES: Final = ("ready", "deferred", "held")
FILTERS: Final = ("sender", "recipient", "domain", "message_id", "state", "cause", "older")
UNDETERMINED: Final = 3  # exit code: there is a queue, but it can't be read or written now


def where(words: Catalogue) -> list[click.Parameter]:
    """Options that say which queue."""
    return [
        click.Option(["--data"], metavar="FOLDER", help=words.text("cli.option.data")),
        click.Option(["--config"], metavar="FILE", help=words.text("cli.option.config")),
    ]


def filters(words: Catalogue) -> list[click.Parameter]:
    """Options that say which messages."""

    def option(name: str, metavar: str, *names: str, **more: Any) -> click.Option:
        help_text = words.text(f"cli.option.queue_{name.replace('-', '_')}")
        return click.Option([f"--{name}", *names], metavar=metavar, help=help_text, **more)

    return [
        option("from", "ADDRESS", "sender"),
        option("to", "ADDRESS", "recipient"),
        option("domain", "DOMAIN"),
        option("message-id", "ID"),
        option("state", "|".join(STATES), type=click.Choice(STATES)),
        option("cause", "CAUSE"),
        option("older", "TIME"),
    ]


def query(words: Catalogue, given: Mapping[str, Any], now: float) -> Query:
    """What the ids and filters mean at this time."""
    from posthouse.letter import State
    from posthouse.send import units
    from posthouse.send.queue.query import Query

    before = None
    if given.get("older"):
        try:
            before = now - units.seconds(given["older"])
        except ValueError:
            said = words.text("settings.error.time", key="--older", value=given["older"])
            raise click.UsageError(said) from None
    return Query(
        ids=tuple(given.get("ids") or ()),
        sender=given.get("sender") or "",
        recipient=given.get("recipient") or "",
        domain=given.get("domain") or "",
        message_id=given.get("message_id") or "",
        state=State(given["state"]) if given.get("state") else None,
        cause=given.get("cause") or "",
        before=before,
    )


def is_filtered(given: Mapping[str, Any]) -> bool:
    """Whether any filter is given."""
    return any(given.get(name) for name in FILTERS)


def at_desk(
    words: Catalogue, given: Mapping[str, Any], use: Callable[[Desk], int], *, whole: bool = True
) -> int:
    """Open the queue (``whole``: see ``Desk``), use it, let go; the exit code."""
    from posthouse.cli.config import data_folder
    from posthouse.daemon.numbers import lost
    from posthouse.send.owner import as_owner
    from posthouse.send.queue.desk import Desk
    from posthouse.send.queue.files import LaneError

    folder = data_folder(words, given)
    gone: list[LaneError] = []
    try:
        with as_owner(folder):
            gone += [LaneError("gone", Path(path), why) for path, why in lost(folder).items()]
            if gone and whole:
                raise gone[0]
            with Desk(folder, whole=whole) as desk:
                desk.unreadable += gone
                return use(desk)
    except LaneError as error:
        if error.reason == "no_queue" and gone:
            error = gone[0]
        if error.reason == "no_queue":
            raise click.ClickException(f"posthouse: {told(words, error)}") from None
        click.echo(f"posthouse: {told(words, error)}", err=True)
        return UNDETERMINED


def told(words: Catalogue, error: LaneError) -> str:
    """What is wrong with a lane, and what to do."""
    return words.text(f"queue.error.{error.reason}", path=str(error.path), why=error.why)
