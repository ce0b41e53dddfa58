"""``posthouse user``: who may send through this relay, and their app passwords.

Each subcommand changes or shows the one file of accounts in the data folder; the relay need not be
restarted. A secret is printed once, when it is made.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from posthouse.cli.command import Command, Group
from posthouse.cli.options import Session, common, session
from posthouse.explain import Catalogue

if TYPE_CHECKING:
    from posthouse.send.submit.accounts import Accounts, AppPassword, User

COMMANDS: Final = ("add", "list", "password", "revoke", "disable", "enable", "delete")
_DAYS: Final = re.compile(r"([1-9][0-9]{0,4})d")


def command(words: Catalogue) -> Group:
    """Build the group."""
    return Group("user", words, COMMANDS, lambda action: _subcommand(words, action))


def _subcommand(words: Catalogue, action: str) -> Command:
    def text(name: str) -> str:
        return words.text(f"cli.option.{name}")

    def run(**given: Any) -> int:
        return _run(session(words, given), action, given)

    named = click.Argument(["name"], metavar=words.text("cli.arg.login"))
    own: Mapping[str, list[click.Parameter]] = {
        "add": [
            named,
            click.Option(["--from", "senders"], multiple=True, metavar="PATTERN",
                         help=text("user_from")),
            click.Option(["--network", "networks"], multiple=True, metavar="CIDR",
                         help=text("user_network")),
        ],
        "list": [],
        "password": [
            named,
            click.Option(["--label"], metavar="LABEL", help=text("user_label")),
            click.Option(["--expires"], metavar="DATE|90d", help=text("user_expires")),
        ],
        "revoke": [
            named,
            click.Argument(["label"], required=False, metavar=words.text("cli.arg.label")),
        ],
    }  # fmt: skip
    return Command(
        action,
        words,
        key=f"cli.user_{action}",
        callback=run,
        params=[
            *own.get(action, [named]),
            click.Option(["--data"], metavar="FOLDER", help=text("data")),
            click.Option(["--config"], metavar="FILE", help=text("config")),
            *common(words, network=False),
        ],
    )


def _run(asked: Session, action: str, given: Mapping[str, Any]) -> int:
    from posthouse.cli.config import again, data_folder
    from posthouse.send.owner import as_owner
    from posthouse.send.submit.accounts import AccountError, Accounts, AccountsUnreadable

    folder = data_folder(asked.words, given)
    try:
        with as_owner(folder), closing(Accounts(folder, create=action == "add")) as accounts:
            return _ACTIONS[action](asked, accounts, given)
    except AccountError as error:
        raise click.ClickException(
            asked.words.text(
                f"submit.user.error.{error.reason}", **error.params, relay=again(given)
            )
        ) from None
    except AccountsUnreadable as error:
        missing = error.missing and action != "add"  # which would have made it
        key = "no_file" if missing else "unreadable"
        raise click.ClickException(
            asked.words.text(f"submit.user.error.{key}", folder=str(folder), reason=str(error))
        ) from None


# -- the commands


def _add(asked: Session, accounts: Accounts, given: Mapping[str, Any]) -> int:
    from posthouse.cli.config import again
    from posthouse.send.settings import SettingError
    from posthouse.send.submit.settings import read_networks

    words, name = asked.words, given["name"]
    try:
        networks = read_networks(list(given["networks"]), "--network")
    except SettingError as error:
        raise click.UsageError(error.told(words)) from None
    user = accounts.add(name, _senders(words, name, given["senders"]), networks, time.time())
    if asked.json:
        return _json({"user": user_dict(user, ())})
    click.echo(
        words.text(
            "submit.user.added",
            name=user.name,
            senders=", ".join(user.senders.patterns),
            networks=", ".join(map(str, user.networks)),
        )
    )
    click.echo(words.text("submit.user.next", name=shlex.quote(user.name), relay=again(given)))
    return 0


def _senders(words: Catalogue, name: str, patterns: Sequence[str]) -> list[str]:
    """As whom the user may send; a login that is an address may send as itself."""
    from posthouse.send.submit.senders import PatternError, canonical

    found = []
    for pattern in patterns or [name]:
        try:
            found.append(canonical(pattern))
        except PatternError:
            key = "pattern" if patterns else "from_needed"
            raise click.UsageError(words.text(f"submit.user.error.{key}", value=pattern)) from None
    return list(dict.fromkeys(found))


def _list(asked: Session, accounts: Accounts, given: Mapping[str, Any]) -> int:
    found = [(user, accounts.passwords(user.name)) for user in accounts.users()]
    if asked.json:
        return _json({"users": [user_dict(user, passwords) for user, passwords in found]})
    from posthouse.cli.config import again
    from posthouse.cli.screen import Screen

    screen, words, relay = Screen(asked), asked.words, again(given)
    for user, passwords in found:
        state = "" if user.enabled else words.text("submit.user.disabled_mark")
        screen.say(f"{user.name}{state}", style="bold")
        screen.hanging(words.text("submit.user.sends_as"), ", ".join(user.senders.patterns))
        if user.networks:
            screen.hanging(words.text("submit.user.from"), ", ".join(map(str, user.networks)))
        rows = [(one.label, _told(words, one)) for one in passwords if one.revoked is None]
        if rows:
            screen.table(rows)
        else:
            name = shlex.quote(user.name)
            screen.say(words.text("submit.user.no_password", name=name, relay=relay), indent=2)
    if not found:
        screen.say(words.text("submit.user.empty", relay=relay))
    return 0


def _told(words: Catalogue, one: AppPassword) -> str:
    """An app password in one line."""
    over = one.expires is not None and one.expires <= time.time()
    return words.text(
        f"submit.user.{'expired' if over else 'password'}",
        made=_day(one.made),
        used=_day(one.used) or words.text("submit.user.never"),
        expires=_day(one.expires),
    )


def _password(asked: Session, accounts: Accounts, given: Mapping[str, Any]) -> int:
    now = time.time()
    expires = _expiry(asked.words, given["expires"], now)
    label = given["label"] or _free_label(accounts, given["name"], _day(now))
    secret = accounts.make_password(given["name"], label, now, expires)
    if asked.json:
        return _json(
            {
                "user": given["name"],
                "label": label,
                "expires": _moment(expires),
                "secret": secret.reveal(),
            }
        )
    click.echo(asked.words.text("submit.user.secret", name=given["name"], label=label), err=True)
    click.echo(secret.reveal())
    return 0


def _free_label(accounts: Accounts, name: str, day: str) -> str:
    """Today's date, and a number where that is taken."""
    taken = {one.label for one in accounts.passwords(name) if one.revoked is None}
    labels = (day if number == 1 else f"{day}-{number}" for number in range(1, len(taken) + 2))
    return next(label for label in labels if label not in taken)


def _revoke(asked: Session, accounts: Accounts, given: Mapping[str, Any]) -> int:
    count = accounts.revoke(given["name"], time.time(), given["label"])
    if asked.json:
        return _json({"user": given["name"], "revoked": count})
    click.echo(asked.words.text("submit.user.revoked", name=given["name"], count=count))
    return 0


def _disable(asked: Session, accounts: Accounts, given: Mapping[str, Any]) -> int:
    return _changed(asked, accounts.enable(given["name"], False), "disabled")


def _enable(asked: Session, accounts: Accounts, given: Mapping[str, Any]) -> int:
    return _changed(asked, accounts.enable(given["name"], True), "enabled")


def _changed(asked: Session, user: User, key: str) -> int:
    if asked.json:
        return _json({"user": user_dict(user, ())})
    click.echo(asked.words.text(f"submit.user.{key}", name=user.name))
    return 0


def _delete(asked: Session, accounts: Accounts, given: Mapping[str, Any]) -> int:
    accounts.delete(given["name"])
    if asked.json:
        return _json({"deleted": given["name"]})
    click.echo(asked.words.text("submit.user.deleted", name=given["name"]))
    return 0


_ACTIONS: Final[Mapping[str, Callable[[Session, Accounts, Mapping[str, Any]], int]]] = {
    "add": _add,
    "list": _list,
    "password": _password,
    "revoke": _revoke,
    "disable": _disable,
    "enable": _enable,
    "delete": _delete,
}


# -- helpers


def user_dict(user: User, passwords: Sequence[AppPassword]) -> dict[str, Any]:
    """An account for programs."""
    return {
        "name": user.name,
        "enabled": user.enabled,
        "from": list(user.senders.patterns),
        "networks": [str(network) for network in user.networks],
        "made": _moment(user.made),
        "passwords": [
            {
                "label": one.label,
                "made": _moment(one.made),
                "expires": _moment(one.expires),
                "used": _moment(one.used),
                "revoked": _moment(one.revoked),
            }
            for one in passwords
        ],
    }


def _expiry(words: Catalogue, text: str | None, now: float) -> float | None:
    """``90d``, or the last day it may be used (UTC)."""
    if not text:
        return None
    days = _DAYS.fullmatch(text)
    if days is not None:
        return now + int(days[1]) * 86_400.0
    try:
        last = date.fromisoformat(text)
        end = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    except (ValueError, OverflowError):
        end = None
    if end is None or end.timestamp() <= now:
        raise click.UsageError(words.text("submit.user.error.expires", value=text))
    return end.timestamp()


def _day(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).date().isoformat()


def _moment(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _json(answer: Mapping[str, Any]) -> int:
    from posthouse.cli.answer import print_json

    print_json(answer)
    return 0
