"""``posthouse send MESSAGE|-`` and ``send --many FILE``: hand in mail, once each, whatever happens.

What is sent and whom it is for is ``send.client``'s business; here are the arguments, the account,
where the server is, and what the exit code means.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from posthouse.cli.command import Command
from posthouse.cli.options import Session, common, session
from posthouse.explain import Catalogue

if TYPE_CHECKING:
    from posthouse.cli.account import Account
    from posthouse.cli.screen import Screen
    from posthouse.flow import Endpoint, Secret
    from posthouse.send import client

MODES: Final = ("tls", "starttls", "none")
MOST_CONNECTIONS: Final = 100  # what one program may ask of a server; more is a relay's work
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)(?:/(s|m|h))?")
_SECONDS: Final[Mapping[str | None, int]] = {None: 1, "s": 1, "m": 60, "h": 3600}


class RateType(click.ParamType[float]):
    """``10/s``, ``300/m``, ``1000/h``: messages a second."""

    name = "rate"

    def __init__(self, words: Catalogue) -> None:
        self.words = words

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Messages a second."""
        if isinstance(value, float):
            return value
        found = _RATE.fullmatch(value.strip().lower())
        if found is None or float(found[1]) == 0:
            self.fail(self.words.text("send.error.rate", value=value), param, ctx)
        return float(found[1]) / _SECONDS[found[2]]


def command(words: Catalogue) -> Command:
    """Build the command."""

    def run(message: str | None, **options: Any) -> int:
        return _run(session(words, options), message, options)

    argument = click.Argument(["message"], required=False, metavar=words.text("cli.arg.message"))
    # Of many dialogues at once no transcript is readable; ``probe -v`` shows one.
    shared = [option for option in common(words) if option.name != "verbose"]
    for option in shared:
        if isinstance(option, click.Option) and option.name == "timeout":
            option.help = words.text("send.option.timeout")
    params = [argument, *_message_options(words), *_server_options(words), *shared]
    return Command("send", words, callback=run, params=params)


def _message_options(words: Catalogue) -> list[click.Parameter]:
    def text(name: str) -> str:
        return words.text(f"send.option.{name}")

    connections = click.IntRange(1, MOST_CONNECTIONS)
    return [
        click.Option(["--many"], metavar="FILE", help=text("many")),
        click.Option(["--subject"], metavar="TEXT", help=text("subject")),
        click.Option(["--text"], metavar="TEXT", help=text("text")),
        click.Option(["--attach"], metavar="FILE", multiple=True, help=text("attach")),
        click.Option(["--from", "sender"], metavar="ADDRESS", help=text("from")),
        click.Option(["--to"], metavar="ADDRESS", multiple=True, help=text("to")),
        click.Option(["--connections"], type=connections, metavar="N", help=text("connections")),
        click.Option(["--rate"], type=RateType(words), metavar="N/s", help=text("rate")),
        click.Option(["--journal"], metavar="FILE", help=text("journal")),
        click.Option(["--jsonl"], is_flag=True, help=text("jsonl")),
    ]


def _server_options(words: Catalogue) -> list[click.Parameter]:
    def text(name: str) -> str:
        return words.text(f"send.option.{name}")

    def shared(name: str) -> str:
        return words.text(f"cli.option.{name}")

    modes = click.Choice(MODES)
    return [
        click.Option(["--server"], metavar="HOST[:PORT]", help=text("server")),
        click.Option(["--relay"], metavar="FILE", help=text("relay")),
        click.Option(["--security"], type=modes, metavar="|".join(MODES), help=text("security")),
        click.Option(["--user"], metavar="NAME", help=shared("user")),
        click.Option(["--password-file"], metavar="FILE", help=shared("password_file")),
        click.Option(["--password-stdin"], is_flag=True, help=text("password_stdin")),
        click.Option(["--password-env"], metavar="NAME", help=text("password_env")),
        click.Option(["--oauth"], is_flag=True, help=shared("oauth")),
    ]


def _run(asked: Session, message: str | None, given: Mapping[str, Any]) -> int:
    from posthouse.cli import drafting, sending
    from posthouse.cli.screen import Screen
    from posthouse.send import client

    words, many = asked.words, given.get("many")
    if asked.offline:
        raise click.UsageError(words.text("send.error.offline"))
    _check(words, message, given)
    screen = Screen(asked)
    said = client.Envelope((given.get("sender") or "").strip(), tuple(given.get("to") or ()))
    source = _source(words, many) if many else None
    if source is None:
        drafts: list[client.Draft] = [drafting.one(words, message, given)]
        sender = _sender(iter(drafts), said)
    else:
        drafts = []
        sender = _sender(source.drafts(), said)
    ours = _relay(words, given["relay"]) if given.get("relay") else None
    if not (ours or sender or given.get("server")):
        raise _no_sender(screen, drafts, said)
    endpoint = ours.endpoint if ours else _place(screen, given, sender)
    if isinstance(endpoint, int):
        return endpoint
    who = _account(screen, given, sender, endpoint)
    place = client.Place(
        endpoint.host,
        endpoint.port,
        endpoint.security,
        client.Account(who.username, who.secret, given["oauth"]) if who and who.secret else None,
        ca_file=asked.ca_file or (ours.ca_file if ours else None),
        timeout=asked.timeout,
        address=ours.address if ours else "",
    )
    journal = _journal_path(source, given)
    job = sending.Job(
        place, said, source, tuple(drafts), journal, bool(given["jsonl"]), given["relay"] or ""
    )
    terms = _terms(given, many=source is not None)
    return sending.run(screen, job, terms)


def _check(words: Catalogue, message: str | None, given: Mapping[str, Any]) -> None:
    """What contradicts itself is said before anything is read."""
    quick = bool(given.get("attach")) or any(
        given.get(name) is not None for name in ("text", "subject")
    )
    ways = sum((message is not None, given.get("many") is not None, quick))
    if ways != 1:
        raise click.UsageError(words.text("send.error.what" if ways == 0 else "send.error.one"))
    if given.get("sender"):
        _one_mailbox(words, given["sender"].strip())
    if quick and not (given.get("sender") and given.get("to")):
        raise click.UsageError(words.text("send.error.quick"))
    stdin = given["password_stdin"] or given.get("password_file") == "-"
    if stdin and "-" in (message, given.get("many"), given.get("text")):
        raise click.UsageError(words.text("send.error.stdin_twice"))
    secrets = (given.get("password_file"), given.get("password_env"), given["password_stdin"])
    if sum(map(bool, secrets)) > 1:
        raise click.UsageError(words.text("send.error.secrets"))
    if given.get("relay") and (given.get("server") or given.get("security")):
        raise click.UsageError(words.text("send.error.server_or_relay"))
    if given.get("security") == "none" and (any(secrets) or given.get("user")):
        raise click.UsageError(words.text("send.error.no_tls"))


def _one_mailbox(words: Catalogue, text: str) -> None:
    from posthouse.send import client

    try:
        client.mailbox(text)
    except client.Unusable:
        raise click.UsageError(words.text("send.error.sender", sender=text)) from None


# What is to be sent


def _source(words: Catalogue, path: str) -> client.Source:
    from posthouse.send import client

    try:
        return client.open_source(path)
    except client.SourceError as error:
        raise click.UsageError(words.text(f"send.source.{error.reason}", path=path)) from None
    except OSError:
        raise click.ClickException(words.text("cli.error.read_file", path=path)) from None


def _sender(drafts: Iterator[client.Draft], said: client.Envelope) -> str:
    """Whose account it is: as told, else of the first message that tells it."""
    from datetime import UTC, datetime

    from posthouse.send import client

    if said.sender:
        return client.mailbox(said.sender)[1].wire
    for draft, _ in zip(drafts, range(100), strict=False):
        try:
            return client.compose(draft, said, datetime.now(UTC)).sender
        except client.Unusable:
            continue
    return ""


def _no_sender(
    screen: Screen, drafts: Sequence[client.Draft], said: client.Envelope
) -> click.UsageError:
    """What is wrong with the one message, if that is why no message tells the sender."""
    from datetime import UTC, datetime

    from posthouse.cli import results
    from posthouse.send import client

    for draft in drafts:
        try:
            client.compose(draft, said, datetime.now(UTC))
        except client.Unusable as error:
            if error.problem is not client.Problem.NO_SENDER:
                return click.UsageError(results.problem_text(screen, error))
    return click.UsageError(screen.words.text("send.error.server_needed"))


def _journal_path(source: client.Source | None, given: Mapping[str, Any]) -> Path | None:
    if given.get("journal"):
        return Path(given["journal"])
    if source is None or source.piped is not None:
        return None
    place = source.path.resolve()
    return place.with_name(f"{place.name}.journal")


def _terms(given: Mapping[str, Any], *, many: bool) -> client.Terms:
    from posthouse.send import client

    if not many:
        return client.Terms(connections=1, pauses=(), reopen=())
    rate, wanted = given.get("rate"), given.get("connections")
    return client.Terms(wanted, rate, first=wanted) if wanted else client.Terms(rate=rate)


# Where, and as whom


def _place(screen: Screen, given: Mapping[str, Any], sender: str) -> Endpoint | int:
    """The server as told, or the best one for the sender."""
    if given.get("server"):
        return _told(screen.words, given)
    from posthouse.cli import search

    found = search.run(screen, sender, {})
    if isinstance(found, int):
        return found
    if found.best is None:
        from posthouse.cli import find as find_command

        if screen.session.json and not given["jsonl"]:
            from posthouse.setup import find

            screen.json({"ok": False, "search": find.to_dict(found, screen.session.lang)})
        else:
            find_command.show(screen.aside(), found)
        return search.exit_code(found)
    return found.best.endpoint


def _told(words: Catalogue, given: Mapping[str, Any]) -> Endpoint:
    from posthouse.flow import Endpoint, Security
    from posthouse.protocol.ports import usual_security
    from posthouse.protocol.server_input import ServerError, parse_server

    try:
        server = parse_server(given["server"])
    except ServerError:
        text = words.text("send.error.server_form", server=given["server"])
        raise click.UsageError(text) from None
    mode = Security(given["security"]) if given.get("security") else server.security
    usual = {Security.STARTTLS: 587, Security.NONE: 25}
    port = server.port or (usual.get(mode, 465) if mode else 465)  # RFC 8314 section 3.3
    return Endpoint(server.host, port, mode or usual_security(port) or Security.STARTTLS)


class _Ours(NamedTuple):
    """The relay of this machine: where it listens, whatever DNS says, and what it shows."""

    endpoint: Endpoint
    address: str = ""
    ca_file: str | None = None


def _relay(words: Catalogue, path: str) -> _Ours:
    """The first of the relay's own ports: one that takes logins before one that takes networks."""
    import socket

    from posthouse.cli import config
    from posthouse.flow import Endpoint, Security
    from posthouse.send.settings import SettingError, tables
    from posthouse.send.submit.settings import Mode, read_listen
    from posthouse.send.submit.tls import SELF_MADE

    table = config.load(words, path)
    try:
        listens = [read_listen(row, where) for where, row in tables(table, "listen")]
        if not listens:
            raise SettingError("missing", "listen")
        listening = min(listens, key=lambda one: list(Mode).index(one.mode))
        name = config.server_table(table).text("name") or socket.getfqdn()  # as the relay does
    except SettingError as error:
        raise config.setting_error(words, path, error) from None
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listening.address, listening.address)  # noqa: S104
    if listening.mode is Mode.RELAY:
        return _Ours(Endpoint(host, listening.port, Security.NONE))
    security = Security.TLS if listening.mode is Mode.TLS else Security.STARTTLS
    endpoint = Endpoint(name, listening.port, security)
    if "tls" in table:
        return _Ours(endpoint, host)
    made = config.data_folder(words, {"config": path}) / SELF_MADE
    return _Ours(endpoint, host, str(made) if os.access(made, os.R_OK) else None)


def _account(
    screen: Screen, given: Mapping[str, Any], sender: str, place: Endpoint
) -> Account | None:
    """Who signs in; None where nobody does: a server that was named and no account was."""
    from posthouse.cli import asking
    from posthouse.flow import Security

    words = screen.words
    secret = _secret(words, given)
    if place.security is Security.NONE:
        named = ("user", "password_file", "password_env", "password_stdin")
        if any(given.get(name) for name in named):  # only a relay's listener: see _check
            raise click.UsageError(words.text("send.error.no_login"))
        return None
    if secret is None and not given.get("user") and given.get("server"):
        return None
    from posthouse.cli import account

    name = account.username_for(sender, place.host, given.get("user"))
    if not name:
        raise click.UsageError(words.text("send.error.user_needed"))
    if secret is None:
        secret = asking.asked_secret(words, _question(words, name, place.host))
    return account.account(sender, name, secret, place.host, given["oauth"])


def _question(words: Catalogue, user: str, host: str) -> str:
    """What is asked for, by its name: the password of the mailbox is refused by many providers."""
    from posthouse import directory
    from posthouse.flow import CredentialKind
    from posthouse.setup.find import words as find_words

    provider = directory.by_host(host)
    kind = provider.credential.kinds[0] if provider else CredentialKind.PASSWORD
    if kind in (CredentialKind.PASSWORD, CredentialKind.OAUTH2, CredentialKind.UNKNOWN):
        return words.text("screen.ask.password", user=user)
    named = find_words.credential_text(kind, words.lang)
    return words.text("screen.ask.credential", kind=named, user=user)


def _secret(words: Catalogue, given: Mapping[str, Any]) -> Secret | None:
    from posthouse.cli import asking
    from posthouse.flow import Secret

    name = given.get("password_env")
    if name:
        value = os.environ.get(name)
        if not value:
            raise click.UsageError(words.text("send.error.env_empty", name=name))
        return Secret(value)
    file = "-" if given["password_stdin"] else given.get("password_file")
    return asking.given_secret(words, file)
