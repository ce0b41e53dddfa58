"""What many TLS reports say together: sessions, failures by kind, by MX and by sender.

Enters: ``TlsReport``s. Leaves: ``Summary``. A pure function; nothing fails. A report that comes
twice counts once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from posthouse.protocol.tlsrpt.model import TlsReport


@dataclass(frozen=True, slots=True)
class Summary:
    """The whole. The mappings count failed sessions, the largest first."""

    reports: int
    successes: int
    failures: int
    by_type: Mapping[str, int]
    by_mx: Mapping[str, int]
    by_sender: Mapping[str, int]  # organizations
    by_policy: Mapping[str, tuple[int, int]]  # policy type: successes, failures

    @property
    def share(self) -> float:
        """Sessions that failed, of a hundred."""
        total = self.successes + self.failures
        return 100 * self.failures / total if total else 0.0


def summary(reports: Iterable[TlsReport]) -> Summary:
    """The reports together."""
    unique = {(one.organization, one.report_id, one.start): one for one in reports}
    kinds: Counter[str] = Counter()
    hosts: Counter[str] = Counter()
    senders: Counter[str] = Counter()
    policies: dict[str, tuple[int, int]] = {}
    for report in unique.values():
        for policy in report.policies:
            good, bad = policies.get(policy.policy_type, (0, 0))
            policies[policy.policy_type] = good + policy.successes, bad + policy.failures
            senders[report.organization] += policy.failures
            for detail in policy.details:
                kinds[detail.result_type] += detail.count
                hosts[detail.receiving_mx_hostname] += detail.count
    return Summary(
        len(unique),
        sum(good for good, _ in policies.values()),
        sum(bad for _, bad in policies.values()),
        dict(kinds.most_common()),
        dict(hosts.most_common()),
        dict((+senders).most_common()),
        policies,
    )
