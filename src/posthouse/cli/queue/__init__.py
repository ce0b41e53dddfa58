"""``posthouse queue``: what waits in the relay's queue, and what a person does to it.

``look`` lists and shows, ``change`` holds, releases, retries and deletes, ``prune`` removes old
events, ``choose`` has the filters of all. A command's module is imported when it is called.
"""

from __future__ import annotations

from typing import Final

import click

from posthouse.cli.command import Group
from posthouse.explain import Catalogue

COMMANDS: Final = ("list", "show", "hold", "release", "retry", "delete", "prune")
_LOOKS: Final = ("list", "show")


def command(words: Catalogue) -> Group:
    """Build the group."""

    def build(name: str) -> click.Command:
        from posthouse.cli.queue import change, look, prune

        if name == "prune":
            return prune.subcommand(words)
        made = look.subcommand if name in _LOOKS else change.subcommand
        return made(words, name)

    return Group("queue", words, COMMANDS, build)
