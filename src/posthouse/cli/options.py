"""The options all commands share, and the Session they make.

Enters: a catalogue. Leaves: click options, and one frozen Session that a command reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import click

from posthouse.cli.language import LANGUAGES
from posthouse.explain import Catalogue

TIMEOUT: Final = 10.0  # seconds a network step may take unless told otherwise
TIMEOUT_MOST: Final = 600.0  # RFC 5321 section 4.5.3.2 knows no longer wait than 10 minutes


@dataclass(frozen=True, slots=True)
class Session:
    """What the user asked of every command alike."""

    words: Catalogue
    json: bool
    quiet: bool
    verbose: int
    offline: bool
    resolver: tuple[str, int] | None  # address and port of the DNS server to ask
    ca_file: str | None
    timeout: float  # seconds for each network step

    @property
    def lang(self) -> str:
        """The language of the words, "en" or "zh"."""
        return self.words.lang


class ResolverType(click.ParamType[tuple[str, int]]):
    """``ADDR[:PORT]`` of a DNS server; the address must be an IP address."""

    name = "resolver"

    def __init__(self, words: Catalogue) -> None:
        self.words = words

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """The (address, port) pair."""
        from posthouse.net.resolver import resolver_address

        if isinstance(value, tuple):
            return value
        try:
            return resolver_address(value)
        except ValueError:
            self.fail(self.words.text("cli.error.resolver", value=value), param, ctx)


def common(words: Catalogue, *, network: bool = True) -> list[click.Parameter]:
    """The shared options; those about the network only where a command uses it."""

    def text(name: str) -> str:
        return words.text(f"cli.option.{name}")

    options: list[click.Parameter] = [
        click.Option(["--json", "as_json"], is_flag=True, help=text("json")),
        click.Option(["--lang"], type=click.Choice(LANGUAGES), metavar="en|zh", help=text("lang")),
        click.Option(["-q", "--quiet"], is_flag=True, help=text("quiet")),
        click.Option(["-v", "--verbose"], count=True, help=text("verbose")),
    ]
    if network:
        options += [
            click.Option(["--offline"], is_flag=True, help=text("offline")),
            click.Option(
                ["--resolver"],
                type=ResolverType(words),
                metavar="ADDR[:PORT]",
                help=text("resolver"),
            ),
            click.Option(
                ["--ca-file"],
                type=click.Path(exists=True, dir_okay=False, readable=True),
                metavar="FILE",
                help=text("ca_file"),
            ),
            click.Option(
                ["--timeout"],
                type=click.FloatRange(0.1, TIMEOUT_MOST),
                default=TIMEOUT,
                metavar="SECONDS",
                help=text("timeout"),
            ),
        ]
    return options


def session(words: Catalogue, options: Mapping[str, Any]) -> Session:
    """Take the shared options out of what click parsed."""
    return Session(
        words=words,
        json=bool(options.get("as_json") or options.get("jsonl")),
        quiet=bool(options.get("quiet")),
        verbose=int(options.get("verbose") or 0),
        offline=bool(options.get("offline")),
        resolver=options.get("resolver"),
        ca_file=options.get("ca_file"),
        timeout=float(options.get("timeout") or TIMEOUT),
    )
