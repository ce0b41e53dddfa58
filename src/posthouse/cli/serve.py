"""``posthouse serve [--config FILE]``: the relay, or a try of it that nothing leaves.

The words of what keeps it from starting are in the catalogue (``serve``); once it runs, the log is
one JSON object a line on standard error, and a try shows each message on standard output.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from posthouse.cli.answer import json_line
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
    from posthouse.cli.root import PROBLEM
    from posthouse.config import ConfigError
    from posthouse.daemon.ports import StartError

    if config is None and check:
        raise click.UsageError(asked.words.text("serve.error.check_what"))
    if config is not None and data is not None:
        raise click.UsageError(asked.words.text("serve.error.data_of_try"))
    try:
        if config is None:
            return _try(asked, data)
        if check:
            return _check(asked, Path(config))
        return _serve(Path(config))
    except ConfigError as error:
        raise click.UsageError(error.told(asked.words)) from None
    except StartError as error:  # it may pass: systemd tries again, which it does not after USAGE
        click.echo(f"posthouse: {error.told(asked.words)}", err=True)
        return PROBLEM


def _check(asked: Session, path: Path) -> int:
    """Read it and say whether it is good; for programs on standard output, whatever it is."""
    from posthouse.cli.answer import print_json
    from posthouse.cli.root import USAGE
    from posthouse.config import ConfigError, read

    answer: dict[str, Any] = {"path": str(path), "good": True, "reason": "", "key": "", "error": ""}
    try:
        read(path)
    except ConfigError as error:
        if not asked.json:
            raise
        answer |= {"good": False, "error": error.told(asked.words)}
        answer |= {"reason": error.problem, "key": error.key}
    if asked.json:
        print_json(answer)
    else:
        click.echo(asked.words.text("serve.good", path=str(path)))
    return 0 if answer["good"] else USAGE


def _serve(path: Path) -> int:
    # A reload may be asked for while the file is read, or another relay's end is waited for: kept
    # by the kernel until the supervisor can hear it, for HUP unheard ends a process.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    from posthouse.config import read
    from posthouse.daemon.worker import main

    return _supervise(read(path), main, lambda: read(path))


def _supervise(
    config: Config,
    main: Callable[..., int],
    again: Callable[[], Config],
    begin: Callable[[], None] = lambda: None,
    *,
    terminal: bool = False,
) -> int:
    from posthouse.daemon.lines import Direct, standard_error
    from posthouse.daemon.log import say_to
    from posthouse.daemon.supervisor import Supervisor

    os.umask(0o077)  # whatever we were started with: nothing that we write is for others
    say = say_to(Direct(standard_error()))
    return Supervisor(config, main, again, say, begin, terminal).run()


# -- a try


def _try(asked: Session, data: str | None) -> int:
    from posthouse.daemon import tryout
    from posthouse.daemon.ports import StartError
    from posthouse.send.submit.accounts import AccountsUnreadable

    folder = Path(data) if data else tryout.folder()
    config = tryout.config(folder)

    def begin() -> None:  # not before: the user of one that runs in this folder is its own
        try:
            password, certificate = tryout.user(folder), tryout.certificate(config)
        except (OSError, AccountsUnreadable) as error:
            raise StartError("data", data=str(folder), error=str(error)) from None
        _greet(asked, config, password, certificate)

    def main(post: Post) -> int:
        from posthouse.daemon import worker
        from posthouse.daemon.lines import Queued

        lines = Queued(sys.stdout.fileno())  # a pager that stands still stops no mail
        try:
            return worker.main(post, watch=_shown(asked, lines.put))
        finally:
            lines.close()

    # Nobody would end it, nor learn why the next one finds its folder in use; nohup ignores HUP.
    terminal = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    return _supervise(config, main, lambda: config, begin, terminal=terminal)


def _greet(asked: Session, config: Config, password: Secret, certificate: Path) -> None:
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
        "certificate": str(certificate),
        "data": str(config.server.data),
    }
    if asked.json:  # a try goes on and on: one object a line
        click.echo(json_line(facts))
    else:
        click.echo(words.text("serve.try", **facts))
    sys.stdout.flush()


def _shown(asked: Session, put: Callable[[bytes], None]) -> Callable[[Event], None]:
    """Each message that was accepted, as one line for people (or JSON)."""

    def show(event: Event) -> None:
        if event.kind != "accepted":
            return
        if asked.json:
            line = json_line({"id": event.letter, **event.data})
        else:
            recipients = ", ".join(event.data["recipients"])
            facts = {**event.data, "recipients": recipients, "id": event.letter}
            line = asked.words.text("serve.accepted", **facts)
        put(f"{line}\n".encode(sys.stdout.encoding, "replace"))

    return show
