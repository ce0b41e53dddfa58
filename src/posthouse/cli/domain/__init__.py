"""``posthouse domain``: the owner's side: audit, one message, the records to publish, the keys.

``posthouse domain NAME`` is the audit; ``posthouse domain spf NAME`` one check of it; the other
words name commands of their own. Each module here has ``command(words)``, as in ``cli``.
"""

from __future__ import annotations

import importlib
from typing import Final

import click

from posthouse.cli.command import Group
from posthouse.explain import Catalogue

COMMANDS: Final = ("audit", "check", "records", "keys")
# The single checks, named here so that help needs no import of the audit.
CHECKS: Final = (
    "mx",
    "spf",
    "dkim",
    "dmarc",
    "fcrdns",
    "dnsbl",
    "smtp",
    "mtasts",
    "tlsrpt",
    "dane",
    "dnssec",
    "bimi",
    "provider",
    "discovery",
)


class Domain(Group):
    """A group whose first word may also be a domain, or the name of a check."""

    def __init__(self, words: Catalogue) -> None:
        super().__init__("domain", words, COMMANDS, lambda name: _imported(words, name))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """``NAME`` means ``audit NAME``, ``spf NAME`` means ``audit --only spf NAME``."""
        options, words = _leading(args)
        first = words[0] if words else ""
        if not first and not {"-h", "--help"} & set(options):
            raise click.UsageError(self.words.text("cli.error.domain_needed"), ctx)
        if first in CHECKS:
            args = ["audit", "--only", *words[:1], *options, *words[1:]]
        elif first:
            name = [] if first in COMMANDS else ["audit"]
            args = [*name, *words[: 1 - len(name)], *options, *words[1 - len(name) :]]
        return super().parse_args(ctx, args)


def _imported(words: Catalogue, name: str) -> click.Command:
    """Import one command's module."""
    module = importlib.import_module(f"posthouse.cli.domain.{name}")
    command: click.Command = module.command(words)
    return command


def _leading(args: list[str]) -> tuple[list[str], list[str]]:
    """Options that stand before the first word, and the rest: they belong to the command."""
    count = 0
    while count < len(args) and args[count].startswith("-"):
        count += 2 if args[count] == "--lang" else 1
    return args[:count], args[count:]


def command(words: Catalogue) -> Domain:
    """Build the group."""
    return Domain(words)
