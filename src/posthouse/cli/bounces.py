"""Bounces in a file or on standard input: each recipient's failure, explained.

Enters: the bytes of a message or an mbox. Leaves: the screen or one JSON object; the exit code is 1
where something failed or was delayed, 3 where no message in it is a bounce.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from posthouse import explain
from posthouse.cli.answer import print_json
from posthouse.cli.options import Session
from posthouse.cli.plain import Plain
from posthouse.explain.bounce import Bounce, Failed, looks_like_message, read_bounce, split_mbox


def is_message(raw: bytes) -> bool:
    """Whether this is mail (or a notification about mail), not a log or a reply."""
    return looks_like_message(raw) or raw.lstrip()[:1] == b"{"


def show(asked: Session, raw: bytes) -> int:
    """Explain all bounces in ``raw``."""
    messages = list(split_mbox(raw))
    bounces = [bounce for bounce in map(read_bounce, messages) if bounce is not None]
    if asked.json:
        rows = [bounce.to_dict(asked.lang) for bounce in bounces]
        print_json({"messages": len(messages), "bounces": rows})
    else:
        _print(Plain(asked), bounces, len(messages))
    if not bounces:
        return 3
    return 1 if any(bounce.kind != "delivered" for bounce in bounces) else 0


def _print(screen: Plain, bounces: Sequence[Bounce], messages: int) -> None:
    if not bounces:
        screen.say(screen.words.text("screen.bounce.none", messages=messages))
    for number, bounce in enumerate(bounces):
        if number:
            screen.blank()
        _head(screen, bounce)
        for one in bounce.recipients:
            _recipient(screen, one)


def _head(screen: Plain, bounce: Bounce) -> None:
    words = screen.words
    screen.say(words.text(f"screen.bounce.{bounce.kind}"), style="bold")
    rows = [
        (words.text(f"screen.bounce.row.{name}"), getattr(bounce, name))
        for name in ("reporter", "subject", "date", "message_id")
    ]
    screen.table([(name, value) for name, value in rows if value])


def _recipient(screen: Plain, one: Failed) -> None:
    lang = screen.session.lang
    screen.blank()
    screen.say(one.recipient or screen.words.text("screen.bounce.somebody"), style="bold")
    found = one.explanation
    if found is None:
        screen.say(screen.words.text(f"screen.bounce.action.{one.action}"), indent=2)
        return
    screen.say(f"{explain.title(found, lang)}  ({found.cause.id})", indent=2)
    label = "causes.word.label"
    rows: list[tuple[str, Any]] = [
        (screen.words.text("screen.bounce.row.said"), one.diagnostic),
        (screen.words.text("screen.bounce.row.remote"), one.remote),
        (screen.words.text(f"{label}.who"), explain.who(found.cause, lang)),
    ]
    screen.table([(name, str(value)) for name, value in rows if value], indent=4)
    for step in explain.remedy(found, lang).splitlines():
        if step.strip():
            screen.hanging("→", step, indent=4)
