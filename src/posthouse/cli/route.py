"""``posthouse route test``: which way a message would go, and why, by the rules of a file.

Nothing is sent, no secret is looked for. Exit code 1 where a recipient would be held or discarded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from posthouse.cli.command import Command, Group
from posthouse.cli.options import Session, common, session
from posthouse.cli.prose import printable
from posthouse.explain import Catalogue

if TYPE_CHECKING:
    from posthouse.cli.screen import Screen
    from posthouse.send.hop import Hop
    from posthouse.send.route import Check, Checked, Facts, Routes

COMMANDS: Final = ("test",)
SHOWN: Final = 4  # patterns or values of one condition that are shown; --json has all
NULL: Final = "<>"  # how the null path is written


def command(words: Catalogue) -> Group:
    """Build the group; it has one command so far."""
    return Group("route", words, COMMANDS, lambda _: _test(words))


def _test(words: Catalogue) -> Command:
    def text(name: str) -> str:
        return words.text(f"cli.option.{name}")

    def run(message: str | None, **options: Any) -> int:
        return _run(session(words, options), message, options)

    return Command(
        "test",
        words,
        key="cli.route_test",
        callback=run,
        params=[
            click.Argument(["message"], required=False, metavar=words.text("cli.arg.message")),
            click.Option(["--config"], metavar="FILE", help=text("route_config")),
            click.Option(["--from", "sender"], metavar="ADDRESS", help=text("route_from")),
            click.Option(
                ["--to", "recipients"], multiple=True, metavar="ADDRESS", help=text("route_to")
            ),
            click.Option(["--user"], metavar="NAME", default="", help=text("route_user")),
            *common(words, network=False),
        ],
    )


def _run(asked: Session, message: str | None, given: Mapping[str, Any]) -> int:
    from posthouse.cli import config
    from posthouse.cli.screen import Screen
    from posthouse.send.hop import Action, with_fallbacks
    from posthouse.send.route import SettingError, read_hops, read_routes

    path = given["config"]
    if not path:
        raise click.UsageError(asked.words.text("cli.error.missing", name="--config"))
    document = config.load(asked.words, path)
    try:
        hops = read_hops(document, folder=Path(path).parent, environ=None)
        routes = read_routes(document, hops)
    except SettingError as error:
        raise config.setting_error(asked.words, path, error) from None
    facts, recipients = _letter(asked.words, message, given)
    told = {one: routes.explain(facts, one) for one in recipients}
    fine = all(one[-1].rule.choice.action is Action.DELIVER for one in told.values())
    used = with_fallbacks(hops, [one[-1].rule.choice.hop for one in told.values()])
    ways = [hop for hop in hops.values() if hop.name in used]
    screen = Screen(asked)
    if asked.json:
        screen.json(_json(facts, told, ways, routes, fine))
    else:
        _show(screen, told, ways, routes)
    return 0 if fine else 1


# -- the message


def _letter(
    words: Catalogue, path: str | None, given: Mapping[str, Any]
) -> tuple[Facts, tuple[str, ...]]:
    """What the rules are asked about; sender and recipients of the header where none are given."""
    from posthouse.cli.file import read
    from posthouse.protocol.smtp.data import normalize, stuff
    from posthouse.send.route import Facts, read_header

    raw = normalize(read(words, path)) if path is not None else b""
    header = read_header(raw)
    sender, recipients = given["sender"], tuple(given["recipients"])
    if sender is None:
        sender = next(iter(_addresses(words, header, "from")), None)
    if sender is None:
        raise click.UsageError(words.text("cli.error.missing", name="--from"))
    recipients = recipients or _addresses(words, header, "to", "cc", "bcc")
    if not recipients:
        raise click.UsageError(words.text("cli.error.missing", name="--to"))
    sender = "" if sender == NULL else _address(words, sender)
    unique = dict.fromkeys(_address(words, one) for one in recipients)
    # As the relay counts: the message in wire form, dots stuffed.
    return Facts(sender, given["user"], len(stuff(raw)), lambda: header), tuple(unique)


def _addresses(
    words: Catalogue, header: Mapping[str, Sequence[str]], *names: str
) -> tuple[str, ...]:
    from posthouse.protocol.mailboxes import MailboxError, read_mailboxes

    found: list[str] = []
    for value in chain.from_iterable(header.get(name, ()) for name in names):
        try:
            found += [one.address for one in read_mailboxes(value)]
        except MailboxError as error:
            text = words.text("route.test.no_address", value=error.piece or value)
            raise click.UsageError(text) from None
    return tuple(found)


def _address(words: Catalogue, text: str) -> str:
    from posthouse.protocol.address import AddressError, parse_address

    try:
        return parse_address(text).wire
    except AddressError:
        raise click.UsageError(words.text("route.test.no_address", value=text)) from None


# -- the answer for people


def _show(
    screen: Screen, told: Mapping[str, Sequence[Checked]], ways: Sequence[Hop], routes: Routes
) -> None:
    for number, (recipient, rules) in enumerate(told.items()):
        if number:
            screen.blank()
        _show_recipient(screen, recipient, rules)
    for hop in ways:
        screen.blank()
        screen.say(f"{screen.words.text('route.hop.name')} {hop.name}", style="bold")
        screen.table(list(_hop_rows(screen.words, hop)))
    for name in routes.unused:
        from posthouse.flow import Status

        screen.warn(Status.WARN, screen.words.text("route.test.unused", hop=name))


def _show_recipient(screen: Screen, recipient: str, rules: Sequence[Checked]) -> None:
    from posthouse.flow import Status
    from posthouse.send.hop import Action

    words, decided = screen.words, rules[-1].rule
    action = decided.choice.action
    key = "goes" if action is Action.DELIVER else action.value
    title = words.text(f"route.test.{key}", recipient=recipient, hop=decided.choice.hop)
    good = action is Action.DELIVER
    screen.mark(Status.OK if good else Status.WARN, title, bold=True)
    by = "by" if decided.name else "by_default"
    screen.say(words.text(f"route.test.{by}", rule=decided.name), indent=2)
    _show_checks(screen, rules[-1])
    if rules[:-1]:
        screen.say(words.text("route.test.before"), indent=2)
    for one in rules[:-1]:
        screen.say(words.text("route.test.rule", rule=one.rule.name), indent=4)
        _show_checks(screen, one, indent=6)


def _show_checks(screen: Screen, one: Checked, indent: int = 4) -> None:
    for check in one.checks:
        screen.hanging("✓" if check.holds else "✗", _check_text(screen.words, check), indent=indent)


def _check_text(words: Catalogue, check: Check) -> str:
    from posthouse.send import units
    from posthouse.send.route import Condition

    wanted, found = check.wanted, check.found
    if check.condition in (Condition.LARGER, Condition.SMALLER):
        wanted = tuple(units.size_text(int(one)) for one in wanted)
    return words.text(
        f"route.condition.{check.condition}",
        name=check.name,
        found=_few(words, found),
        wanted=_few(words, wanted),
    )


def _few(words: Catalogue, values: Sequence[str]) -> str:
    """Some of the values, no control characters: a header field is hostile text."""
    if not values:
        return words.text("route.test.none")
    shown = ", ".join([printable(one[:80]) for one in values[:SHOWN]])
    more = len(values) - SHOWN
    return words.text("route.test.more", values=shown, n=more) if more > 0 else shown


def _hop_rows(words: Catalogue, hop: Hop) -> list[tuple[str, str]]:
    from posthouse.flow import Endpoint
    from posthouse.send import units

    def text(key: str, **params: Any) -> str:
        return words.text(f"route.hop.{key}", **params)

    several = len(hop.targets) > 1
    servers = [
        text("priority", server=server, priority=one.priority, weight=one.weight)
        if several
        else server
        for one in hop.targets
        for server in [str(Endpoint(one.host, one.port, hop.security))]
    ]
    mode, tls = words.text(f"route.security.{hop.security}"), words.text(f"route.tls.{hop.tls}")
    interval = units.time_text(hop.interval)
    hour = int(3_600 / hop.interval) if 0 < hop.interval <= 3_600 else None
    rows = [
        (text("servers"), "\n".join(servers) or text("mx")),
        (text("security"), words.text("route.hop.protected", mode=mode, tls=tls)),
        (text("login"), hop.user or text("login_none")),
        (text("pool"), text("pool_text", pool=hop.pool, reuse=hop.reuse)),
        (
            text("pacing"),
            text("pacing_text", interval=interval, hour=hour)
            if hop.interval
            else text("pacing_none"),
        ),
    ]
    if hop.fallback:
        rows.append((text("fallback"), text("fallback_text", hop=hop.fallback)))
    return [(text("lmtp"), "LMTP"), *rows] if hop.lmtp else rows


# -- the answer for programs


def _json(
    facts: Facts,
    told: Mapping[str, Sequence[Checked]],
    ways: Sequence[Hop],
    routes: Routes,
    fine: bool,
) -> dict[str, Any]:
    return {
        "ok": fine,
        "sender": facts.sender,
        "user": facts.user,
        "size": facts.size,
        "recipients": [_recipient_dict(one, rules) for one, rules in told.items()],
        "hops": [_hop_dict(hop) for hop in ways],
        "unused_hops": list(routes.unused),
    }


def _recipient_dict(recipient: str, rules: Sequence[Checked]) -> dict[str, Any]:
    choice = rules[-1].rule.choice
    return {
        "recipient": recipient,
        "action": choice.action.value,
        "hop": choice.hop,
        "rule": choice.rule,
        "rules": [
            {
                "name": one.rule.name,
                "holds": one.holds,
                "conditions": [
                    {
                        "condition": check.condition.value,
                        "field": check.name,
                        "holds": check.holds,
                        "wanted": list(check.wanted),
                        "found": list(check.found),
                    }
                    for check in one.checks
                ],
            }
            for one in rules
        ],
    }


def _hop_dict(hop: Hop) -> dict[str, Any]:
    return {
        "name": hop.name,
        "mx": not hop.targets,
        "servers": [
            {"host": t.host, "port": t.port, "priority": t.priority, "weight": t.weight}
            for t in hop.targets
        ],
        "security": hop.security.value,
        "tls": hop.tls.value,
        "lmtp": hop.lmtp,
        "user": hop.user,
        "pool": hop.pool,
        "reuse": hop.reuse,
        "interval": hop.interval,
        "fallback": hop.fallback or None,
    }
