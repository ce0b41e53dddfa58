"""The checks of an audit, in the order they are told. Each takes the scene and leaves ``Checked``.

They run side by side; what several need is worked out once, in ``scene``. A check never fails: what
DNS, servers or documents did wrong is a finding.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from posthouse.setup.domain.checks.addresses import check_dnsbl, check_fcrdns
from posthouse.setup.domain.checks.bimi import check_bimi
from posthouse.setup.domain.checks.discovery import check_discovery
from posthouse.setup.domain.checks.dkim import check_dkim
from posthouse.setup.domain.checks.dmarc import check_dmarc
from posthouse.setup.domain.checks.mail_servers import check_dnssec, check_mx
from posthouse.setup.domain.checks.provider import check_provider
from posthouse.setup.domain.checks.spf import check_spf
from posthouse.setup.domain.checks.transport import (
    check_dane,
    check_mtasts,
    check_smtp,
    check_tlsrpt,
)
from posthouse.setup.domain.model import Checked
from posthouse.setup.domain.scene import Scene

Check = Callable[[Scene], Awaitable[Checked]]

CHECKS: Final[Mapping[str, Check]] = {
    "mx": check_mx,
    "spf": check_spf,
    "dkim": check_dkim,
    "dmarc": check_dmarc,
    "fcrdns": check_fcrdns,
    "dnsbl": check_dnsbl,
    "smtp": check_smtp,
    "mtasts": check_mtasts,
    "tlsrpt": check_tlsrpt,
    "dane": check_dane,
    "dnssec": check_dnssec,
    "bimi": check_bimi,
    "provider": check_provider,
    "discovery": check_discovery,
}
