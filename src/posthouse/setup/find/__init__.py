"""find: from one address to ranked outgoing-server candidates, each with its evidence.

Enters: what somebody typed (``read_input``), then an address and ``Net`` (``find``), or a
provider's name (``find_provider``). Leaves: ``FindResult``: candidates in the order to try them,
who says so and how far that is to be believed, where sources contradict each other, and what to
know beforehand. ``trust.RANKING`` is the order of belief; ``sources`` has one module for each
source; ``engine`` asks them; ``merge`` puts their answers together; ``render`` writes them down.

Called by the command line. Needs no SMTP: whether a candidate works is for ``setup.probe`` to say.
Can fail: ``ProfileError``, ``ProviderError``. RFC 6186, RFC 8314, and the drafts that ``sources``
names.
"""

from __future__ import annotations

from posthouse.setup.find.engine import Observer
from posthouse.setup.find.inputs import (
    Entry,
    check_port,
    check_server,
    read_address,
    read_input,
    read_server,
)
from posthouse.setup.find.model import (
    Candidate,
    Conflict,
    Evidence,
    FindResult,
    Net,
    Outcome,
    Source,
    SourceReport,
    State,
    Trust,
)
from posthouse.setup.find.render import to_dict
from posthouse.setup.find.search import ProviderError, find, find_provider
from posthouse.setup.find.sources.profile import ProfileError

__all__ = [
    "Candidate",
    "Conflict",
    "Entry",
    "Evidence",
    "FindResult",
    "Net",
    "Observer",
    "Outcome",
    "ProfileError",
    "ProviderError",
    "Source",
    "SourceReport",
    "State",
    "Trust",
    "check_port",
    "check_server",
    "find",
    "find_provider",
    "read_address",
    "read_input",
    "read_server",
    "to_dict",
]
