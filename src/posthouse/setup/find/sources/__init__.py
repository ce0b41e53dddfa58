"""sources: who can tell an address's outgoing server, one module each.

``profile`` and ``listed`` answer at once and without a network; ``NETWORK`` are asked over it, all
at the same time; ``guess`` only where all of them know nothing. Each takes a ``Query`` and gives a
``Found``; none raises for what networks, servers and documents do.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from posthouse.setup.find.model import Found, Net, Query, Source
from posthouse.setup.find.sources import autoconfig, autodiscover, mx, ns, pacc, srv

NETWORK: Final[Mapping[Source, Callable[[Query, Net], Coroutine[Any, Any, Found]]]] = {
    Source.SRV: srv.ask,
    Source.MX: mx.ask,
    Source.NS: ns.ask,
    Source.PACC: pacc.ask,
    Source.AUTOCONFIG: autoconfig.ask,
    Source.AUTODISCOVER: autodiscover.ask,
    Source.AUTODISCOVER_V2: autodiscover.ask_v2,
}
