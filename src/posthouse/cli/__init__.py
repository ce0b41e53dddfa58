"""cli: the command ``posthouse``.

Enters: arguments, environment, a terminal or a pipe. Leaves: answers on stdout, progress and
errors on stderr, an exit code (0 fine, 1 a problem was found, 2 usage, 3 could not be determined,
4 sign-in refused, 130 interrupted). Each command is one module with ``command(words)``; it is
imported only when it is called, so that the command starts quickly. Words come from the
catalogues; a bug ends in a short report without secrets, never in a traceback.
"""

from __future__ import annotations

import os
import sys

from posthouse.cli.language import detect


def main() -> None:
    """Run the command line; the console script's entry point."""
    from posthouse.cli import root

    lang = detect(sys.argv[1:], os.environ)
    raise SystemExit(root.run(sys.argv[1:], lang))
