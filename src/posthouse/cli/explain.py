"""``posthouse explain REPLY|CAUSE|FILE|-``: what a reply means, who must act, and how.

Imports no network module: it is asked in a hurry, often from a script.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from io import BytesIO
from typing import Any, Final

import click

from posthouse import explain
from posthouse.cli.command import Command
from posthouse.cli.options import Session, common, session
from posthouse.cli.plain import Plain
from posthouse.explain import Catalogue, Explanation
from posthouse.flow import Stage

_ID: Final = re.compile(r"[a-z]+\.[a-z_]+")
_FIELD: Final = re.compile(rb"[A-Za-z][A-Za-z0-9-]*:")
FILE_LIMIT: Final = 50_000_000  # bytes read of a log; more is a case for --jsonl


def command(words: Catalogue) -> Command:
    """Build the command."""

    def text(name: str) -> str:
        return words.text(f"cli.option.{name}")

    def run(text: str | None, **options: Any) -> int:
        return _run(session(words, options), text, options)

    return Command(
        "explain",
        words,
        callback=run,
        params=[
            click.Argument(["text"], required=False, metavar=words.text("cli.arg.text")),
            click.Option(["--jsonl"], is_flag=True, help=text("jsonl")),
            click.Option(["--provider"], metavar="ID", help=text("provider")),
            click.Option(["--host"], metavar="HOST", help=text("host")),
            click.Option(
                ["--stage"],
                type=click.Choice([stage.value for stage in Stage]),
                metavar="STAGE",
                help=text("stage"),
            ),
            *common(words, network=False),
        ],
    )


def _run(asked: Session, text: str | None, options: Mapping[str, Any]) -> int:
    hints = _hints(options, asked.words)
    if options["jsonl"]:
        return _lines(asked, hints, text)
    if not text:
        raise click.UsageError(asked.words.text("cli.error.no_input"))
    if text in {cause.id for cause in explain.causes()}:
        return _page(asked, text)
    if _ID.fullmatch(text) and not os.path.exists(text):
        return _unknown_id(asked, text)
    said = _input(text, asked.words)
    if isinstance(said, bytes) and _may_be_mail(said):
        from posthouse.cli import bounces

        if bounces.is_message(said):
            return bounces.show(asked, said)
    several = [] if said is text else _several(said)
    if several:
        from posthouse.cli import digest

        return digest.show(asked, several, hints)
    return _one(asked, explain.explain_reply(said, **hints), said)


def _hints(options: Mapping[str, Any], words: Catalogue) -> dict[str, Any]:
    """What the caller knows beside the reply."""
    provider, stage = options.get("provider"), options.get("stage")
    if provider:
        from posthouse import directory

        if provider not in directory.ids():
            raise click.UsageError(words.text("cli.error.provider_unknown", provider=provider))
    return {
        "provider": provider,
        "host": options.get("host"),
        "stage": Stage(stage) if stage else None,
    }


def _input(text: str, words: Catalogue) -> str | bytes:
    """The argument itself, or what stands in the file or standard input it names."""
    if text == "-":
        return sys.stdin.buffer.read(FILE_LIMIT)
    if "\n" in text or len(text) > 1024 or not os.path.exists(text):
        return text
    try:
        with open(text, "rb") as file:
            return file.read(FILE_LIMIT)
    except OSError:
        raise click.ClickException(words.text("cli.error.read_file", path=text)) from None


def _may_be_mail(raw: bytes) -> bool:
    """A first look that needs no import: a header field, an mbox, JSON."""
    first = raw.lstrip()[:80].partition(b"\n")[0]
    return first[:1] == b"{" or first[:5] == b"From " or _FIELD.match(first) is not None


def _several(said: str | bytes) -> list[bytes]:
    """The lines of a log; [] where all is one reply (RFC 5321 section 4.2.1: one code on each)."""
    raw = said.encode() if isinstance(said, str) else said
    lines = [line for line in raw.splitlines() if line.strip()]
    code = lines[0].lstrip()[:3] if lines else b""
    one_reply = code.isdigit() and all(line.lstrip()[:3] == code for line in lines)
    return [] if one_reply or len(lines) < 2 else lines


def _lines(asked: Session, hints: dict[str, Any], text: str | None) -> int:
    """One object for each line of standard input, as it comes."""
    from posthouse.cli import jsonl

    given = sys.stdin.buffer if text in (None, "-") else BytesIO(str(text).encode())
    jsonl.show(given, hints, asked.lang)
    return 0


def _one(asked: Session, found: Explanation, said: str | bytes) -> int:
    if asked.json:
        from posthouse.cli.answer import print_json

        print_json(found.to_dict(asked.lang))
        return 0
    show(Plain(asked), found)
    return 0


def show(screen: Plain, found: Explanation) -> None:
    """One explanation for a person."""
    words, lang = screen.words, screen.session.lang
    screen.say(explain.title(found, lang), style="bold")
    screen.blank()
    label = "causes.word.label"
    rows = [
        (words.text(f"{label}.who"), explain.who(found.cause, lang)),
        (words.text(f"{label}.retry"), words.text(f"causes.word.retry.{found.cause.retry.value}")),
        (words.text(f"{label}.stage"), words.text(f"causes.word.stage.{found.stage.value}")),
    ]
    screen.table(rows)
    screen.heading(f"{label}.remedy")
    _steps(screen, explain.remedy(found, lang), indent=2)
    screen.blank()
    key = "screen.explain.sure" if found.confidence >= SURE else "screen.explain.unsure"
    evidence = words.text("causes.word.comma").join(found.evidence)
    screen.say(words.text(key, cause=found.cause.id, evidence=evidence), style="dim")


SURE: Final = 0.3  # below this the cause is a guess, and is called one


def _page(asked: Session, cause_id: str) -> int:
    page = explain.page(cause_id, asked.lang)
    if asked.json:
        from dataclasses import asdict

        from posthouse.cli.answer import print_json

        print_json(asdict(page))
        return 0
    screen = Plain(asked)
    words, label = asked.words, "causes.word.label"
    screen.say(f"{page.title}  ({page.id})", style="bold")
    for name in ("meaning", "recognise"):
        screen.heading(f"{label}.{name}")
        screen.say(getattr(page, name), indent=2)
    screen.blank()
    pairs = [
        (words.text(f"{label}.{name}"), getattr(page, name)) for name in ("who", "retry", "stage")
    ]
    screen.table(pairs, indent=0)
    screen.heading(f"{label}.remedy")
    _steps(screen, page.remedy, indent=2)
    for variant in page.variants:
        screen.blank()
        screen.say(f"{variant.title}  ({page.id}: {variant.id})", style="bold", indent=2)
        _steps(screen, variant.remedy, indent=4)
    screen.blank()
    last = [("codes", words.text("causes.word.comma").join(page.codes))]
    last += [("example", page.example), ("reference", page.reference)]
    screen.table([(words.text(f"{label}.{name}"), text) for name, text in last if text], indent=0)
    return 0


def _steps(screen: Plain, text: str, *, indent: int) -> None:
    lines = [line for line in text.splitlines() if line.strip()]
    for number, line in enumerate(lines, 1):
        screen.hanging(f"{number}." if len(lines) > 1 else "→", line, indent=indent)


def _unknown_id(asked: Session, text: str) -> int:
    from difflib import get_close_matches

    near = next(iter(get_close_matches(text, [c.id for c in explain.causes()], 1)), "")
    raise click.UsageError(asked.words.text("cli.error.cause_unknown", cause=text, near=near))
