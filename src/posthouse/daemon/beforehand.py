"""What workers need of the code and its data, read before the first is forked.

Enters nothing. Leaves modules loaded and files read. An upgrade replaces the files a while before
the restart: until then the relay goes on with what it has, and a worker that dies is started again.
Nor can a file be opened where no descriptor is left. What is read before the fork is memory that
the workers share. Called by ``supervisor``. Fails as an import does.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import Final

from posthouse.explain.catalogue import LANGUAGES, entries
from posthouse.send.deliver.outcome import warm

# Imported where they are used, so that other commands start without them.
MODULES: Final = (
    *("cryptography.x509", "idna", "tomllib"),
    *("dns.rdata", "dns.rdtypes.txtbase", "dns.resolver"),
    *("posthouse.net.dnswire", "posthouse.net.pump", "posthouse.send.submit.session"),
)
AREAS: Final = ("bounce", "causes", "relay", "serve")  # of reports to senders, and of the log


def load() -> None:
    """All of it. What is read twice is remembered by its owner."""
    with suppress(ImportError):  # as ``net.loop``
        import_module("uvloop")
    for name in MODULES:
        import_module(name)
    warm()
    for lang in LANGUAGES:
        for area in AREAS:
            entries(lang, area)
