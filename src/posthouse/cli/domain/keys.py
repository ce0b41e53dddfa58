"""``posthouse domain keys list|make|rotate|activate NAME``: the signing keys on disk."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from posthouse.cli.command import Command
from posthouse.cli.options import Session, common, session
from posthouse.explain import Catalogue

ACTIONS: Final = ("list", "make", "rotate", "activate")
KINDS: Final = ("rsa", "ed25519")


def command(words: Catalogue) -> Command:
    """Build the command."""

    def text(name: str) -> str:
        return words.text(f"cli.option.{name}")

    def run(action: str, name: str | None, **options: Any) -> int:
        return _run(session(words, options), action, name or "", options)

    return Command(
        "keys",
        words,
        key="cli.domain_keys",
        callback=run,
        params=[
            click.Argument(["action"], type=click.Choice(ACTIONS), metavar="|".join(ACTIONS)),
            click.Argument(["name"], required=False, metavar=words.text("cli.arg.domain")),
            click.Option(["--folder"], metavar="FOLDER", default="keys", help=text("key_folder")),
            click.Option(
                ["--kind"], type=click.Choice(KINDS), default="rsa", metavar="|".join(KINDS),
                help=text("key_kind"),
            ),
            click.Option(["--selector"], metavar="NAME", default="", help=text("key_selector")),
            *common(words),
        ],
    )  # fmt: skip


def _run(asked: Session, action: str, name: str, given: Mapping[str, Any]) -> int:
    from posthouse.cli.domain.records import key_error
    from posthouse.setup.domain.keys import KeyStore, KeyStoreError

    store = KeyStore(Path(given["folder"]))
    if action != "list" and not name:
        missing = asked.words.text("cli.arg.domain")
        raise click.UsageError(asked.words.text("cli.error.missing", name=missing))
    try:
        if action == "list":
            return _list(asked, store, name)
        return _change(asked, store, action, name, given)
    except KeyStoreError as error:
        raise click.ClickException(key_error(asked.words, error)) from None


def _change(asked: Session, store: Any, action: str, name: str, given: Mapping[str, Any]) -> int:
    from posthouse.cli.answer import print_json
    from posthouse.setup.domain.keys import key_dict

    now = datetime.now(UTC)
    words = asked.words
    if action == "activate":
        if not given["selector"]:
            raise click.UsageError(words.text("cli.error.missing", name="--selector"))
        key, *retired = store.activate(name, given["selector"], now)
        if asked.json:
            print_json({"key": key_dict(key), "retired": [key_dict(one) for one in retired]})
            return 0
        click.echo(words.text("screen.domain.key_active", name=key.name))
        for old in retired:
            until = old.remove_after.date().isoformat()
            click.echo(words.text("screen.domain.key_retired", name=old.name, date=until))
        return 0
    maker = store.make if action == "make" else store.rotate
    made = maker(name, now, kind=given["kind"], selector=given["selector"])
    if asked.json:
        print_json(
            {"key": key_dict(made.key), "record": {"name": made.key.name, "text": made.text}}
        )
        return 0
    click.echo(words.text("screen.domain.key_made", path=store.folder / made.key.path))
    click.echo(words.text("screen.domain.key_publish"))
    from posthouse.protocol.txt import quoted

    click.echo(f"{made.key.name}. IN TXT {quoted(made.text)}")
    _next(words, made.key, store.folder)
    return 0


def _next(words: Catalogue, key: Any, folder: Path) -> None:
    """What is left to do, to be copied. The first key of a domain is in use as it is."""
    from posthouse.setup.domain.keys import State

    if key.state is State.NEXT:
        told = ["posthouse", "domain", "keys", "activate", key.domain, "--selector", key.selector]
        command = shlex.join([*told, "--folder", str(folder)])
        click.echo(words.text("screen.domain.key_next", command=command))
    facts = {"domain": key.domain, "selector": key.selector, "path": (folder / key.path).absolute()}
    click.echo(words.text("screen.domain.key_relay", table="[[dkim]]", **facts))


def _list(asked: Session, store: Any, name: str) -> int:
    from posthouse.cli.domain.audit import net_of
    from posthouse.cli.screen import Screen
    from posthouse.net.resolver import answer
    from posthouse.setup.domain import words as domain_words
    from posthouse.setup.domain.keys import check, keys_dict

    net = net_of(asked)
    checks = asyncio.run(answer(check(store, datetime.now(UTC), name), net.resolver))
    screen = Screen(asked)
    if asked.json:
        screen.json(keys_dict(checks, asked.lang))
    for one in () if asked.json else checks:
        title = one.key.name if one.key else asked.words.text("screen.domain.key_none")
        screen.say(title, style="bold")
        for finding in one.findings:
            screen.mark(finding.status, domain_words.finding_text(finding, asked.lang), indent=2)
            fix = domain_words.fix(finding, asked.lang)
            if fix:
                screen.hanging("→", fix, indent=4)
    if not checks and not asked.json:
        screen.say(asked.words.text("screen.domain.key_empty", folder=str(store.folder)))
    return 0 if all(one.usable for one in checks) else 1
