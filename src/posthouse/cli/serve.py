"""``posthouse serve [--config FILE]``: the relay, or a try of it that nothing leaves.

The words of what keeps it from starting are in the catalogue (``serve``); once it runs, the log is
one JSON object a line on standard error, and a try shows each message on standard output.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from posthouse.cli.command import Command
from posthouse.cli.options import Session, common, session
from posthouse.explain import Catalogue

if TYPE_CHECKING:
    from posthouse.config import Config
    from posthouse.daemon.supervisor import Post
    from posthouse.flow import Secret
    from posthouse.letter import Event


def command(words: Catalogue) -> Command:
    """Build the command."""

    def text(name: str) -> str:
        return words.text(f"cli.option.{name}")

    def run(**options: Any) -> int:
        return _run(session(words, options), **options)

    return Command(
        "serve",
        words,
        callback=run,
        params=[
            click.Option(["--config"], metavar="FILE", help=text("config")),
            click.Option(["--data"], metavar="FOLDER", help=text("serve_data")),
            click.Option(["--check"], is_flag=True, help=text("serve_check")),
            *common(words, network=False),
        ],
    )


def _run(asked: Session, config: str | None, data: str | None, check: bool, **_: Any) -> int:
    from posthouse.config import ConfigError
    from posthouse.daemon.ports import StartError

    try:
        if config is None:
            return _try(asked, data)
        return _serve(asked, Path(config), check=check)
    except ConfigError as error:
        raise click.UsageError(error.told(asked.words)) from None
    except StartError as error:
        text = asked.words.text(f"serve.error.{error.reason}", **error.detail)
        raise click.ClickException(text) from None


def _serve(asked: Session, path: Path, *, check: bool) -> int:
    from posthouse.config import read

    config = read(path)
    if check:
        click.echo(asked.words.text("serve.good", path=str(path)))
        return 0
    from posthouse.daemon.worker import main

    return _supervise(config, main, lambda: read(path))


def _supervise(config: Config, main: Callable[..., int], again: Callable[[], Config]) -> int:
    from posthouse.daemon.lines import Direct, standard_error
    from posthouse.daemon.log import say_to
    from posthouse.daemon.supervisor import Supervisor

    return Supervisor(config, main, again, say_to(Direct(standard_error()))).run()


# -- a try


def _try(asked: Session, data: str | None) -> int:
    from posthouse.daemon import tryout

    folder = Path(data) if data else tryout.folder()
    config = tryout.config(folder)
    _greet(asked, config, tryout.user(folder))

    def main(post: Post) -> int:
        from posthouse.daemon import worker

        return worker.main(post, watch=_shown(asked))

    return _supervise(config, main, lambda: config)


def _greet(asked: Session, config: Config, password: Secret) -> None:
    """What to put into a mail program, the password among it: shown this once."""
    from posthouse.daemon import tryout

    words = asked.words
    tls, starttls = config.listen
    facts = {
        "host": tls.address,
        "tls": tls.port,
        "starttls": starttls.port,
        "user": tryout.USER,
        "password": password.reveal(),
        "certificate": str(config.server.data / "self-made.pem"),
        "data": str(config.server.data),
    }
    if asked.json:
        from posthouse.cli.answer import print_json

        print_json(facts)
    else:
        click.echo(words.text("serve.try", **facts))
    sys.stdout.flush()


def _shown(asked: Session) -> Callable[[Event], None]:
    """Each message that was accepted, as one line for people (or JSON)."""

    def show(event: Event) -> None:
        if event.kind != "accepted":
            return
        if asked.json:
            from json import dumps

            click.echo(dumps({"id": event.letter, **event.data}, ensure_ascii=False))
        else:
            recipients = ", ".join(event.data["recipients"])
            facts = {**event.data, "recipients": recipients, "id": event.letter}
            click.echo(asked.words.text("serve.accepted", **facts))
        sys.stdout.flush()

    return show
