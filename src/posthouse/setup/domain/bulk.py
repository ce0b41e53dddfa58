"""What Google, Yahoo and Microsoft ask of senders, beside what the audit has seen.

Enters: the scene, once its checks have run. Leaves: ``Requirement``s. A mark is PASS only where
something proves it: a published record proves itself, never that mail is sent in its way. That
takes the sending addresses or one mail; without them the mark is UNKNOWN. Nothing fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from posthouse.flow import Status
from posthouse.protocol import dmarc, spf
from posthouse.setup.domain import facts
from posthouse.setup.domain.hop import receiving_hop
from posthouse.setup.domain.message_findings import ENCRYPTED
from posthouse.setup.domain.model import Checked, Item, Mark, Requirement
from posthouse.setup.domain.sample import Sample
from posthouse.setup.domain.scene import Scene

SPAM_RATE: Final = "0.3 %"  # above, Google and Yahoo take no more help requests (2024)


@dataclass(frozen=True, slots=True)
class Judged:
    """One rule, judged; ``why`` names its words."""

    mark: Mark
    why: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """All that the rules look at."""

    domain: str
    checks: Mapping[str, Checked]
    egress_given: bool
    spf: spf.Survey
    dmarc: dmarc.Survey
    sample: Sample | None

    def items(self, check: str) -> tuple[Item, ...]:
        """The findings of one check; none where it was not made."""
        return self.checks[check].items if check in self.checks else ()


async def requirements(scene: Scene, checks: Sequence[Checked]) -> tuple[Requirement, ...]:
    """The table, receiver by receiver."""
    seen = Seen(
        scene.domain,
        {one.name: one for one in checks},
        bool(scene.options.egress),
        await scene.spf_survey(),
        await scene.dmarc_survey(),
        await scene.sample(),
    )
    judged = {rule: judge(seen) for rule, judge in RULES.items()}
    return tuple(
        Requirement(
            row.receiver,
            row.rule,
            row.volume,
            judged[row.rule].mark,
            judged[row.rule].why,
            judged[row.rule].params,
            row.source,
            row.date,
        )
        for row in facts.rules()
    )


def _say(mark: Mark, why: str, /, **params: Any) -> Judged:
    return Judged(mark, why, params)


def _spf(seen: Seen) -> Judged:
    findings = seen.spf.findings
    if any(each.status is Status.UNKNOWN for each in findings):
        return _say(Mark.UNKNOWN, "dns")
    broken = [each.id for each in findings if each.status is Status.FAIL]
    if broken:
        return _say(Mark.FAIL, "spf_broken", ids=broken)
    if not seen.egress_given:
        return _say(Mark.UNKNOWN, "no_egress")
    uncovered = [i for i in seen.items("spf") if i.finding.id == "domain.spf_uncovered"]
    if uncovered:
        ips = [item.finding.params["ip"] for item in uncovered]
        return _say(Mark.FAIL, "spf_uncovered", ips=ips)
    covered = [i for i in seen.items("spf") if i.finding.id == "domain.spf_covered"]
    return _say(Mark.PASS, "spf_covered") if covered else _say(Mark.UNKNOWN, "no_egress")


def _dkim(seen: Seen) -> Judged:
    if seen.sample is not None:
        if seen.sample.dkim.passed:
            return _say(Mark.PASS, "dkim_signed")
        unsure = seen.sample.dkim.code.value == "temperror"
        return _say(Mark.UNKNOWN, "dns") if unsure else _say(Mark.FAIL, "dkim_bad")
    found = [item.finding for item in seen.items("dkim")]
    keys = seen.checks["dkim"].facts.get("keys", ()) if "dkim" in seen.checks else ()
    bad = [each.id for each in found if each.status is Status.FAIL]
    if bad and not any(key["usable"] for key in keys):
        return _say(Mark.FAIL, "dkim_keys", ids=bad)
    return _say(Mark.UNKNOWN, "dkim_published" if keys else "no_message")


def _either(seen: Seen) -> Judged:
    both = [_spf(seen), _dkim(seen)]
    marks = [one.mark for one in both]
    if Mark.PASS in marks:
        return both[marks.index(Mark.PASS)]
    if marks == [Mark.FAIL, Mark.FAIL]:
        return _say(Mark.FAIL, "neither")
    return both[marks.index(Mark.UNKNOWN)]


def _dmarc(seen: Seen) -> Judged:
    found = seen.dmarc.discovery
    if found.failed:
        return _say(Mark.UNKNOWN, "dns")
    if found.record is None or found.policy is None:
        return _say(Mark.FAIL, "dmarc_missing")
    return _say(Mark.PASS, "dmarc_there", domain=found.domain)


def _alignment(seen: Seen) -> Judged:
    """A good signature by the author's organization; SPF needs the envelope, which nobody knows."""
    if seen.sample is None:
        return _say(Mark.UNKNOWN, "no_message")
    owner = seen.dmarc.discovery.organizational or seen.domain
    authors = seen.sample.authors
    if not authors or not all(_within(author, owner) for author in authors):
        return _say(Mark.UNKNOWN, "other_author", authors=list(authors))
    policy = seen.dmarc.discovery.policy
    strict = policy is not None and policy.adkim is dmarc.Mode.STRICT
    signed = [one.alignment_domain for one in seen.sample.dkim.passed if one.alignment_domain]
    fits = [
        domain
        for domain in signed
        if (domain in authors if strict else _within(domain.lower(), owner))
    ]
    if fits:
        return _say(Mark.PASS, "aligned", domain=fits[0])
    return (
        _say(Mark.UNKNOWN, "spf_may_align")
        if not signed
        else _say(Mark.UNKNOWN, "dkim_elsewhere", domains=signed)
    )


def _within(name: str, owner: str) -> bool:
    return name == owner or name.endswith(f".{owner}")


def _fcrdns(seen: Seen) -> Judged:
    if not seen.egress_given:
        return _say(Mark.UNKNOWN, "no_egress")
    found = [item.finding for item in seen.items("fcrdns")]
    bad = [str(f.params.get("ip")) for f in found if f.status is Status.FAIL]
    if bad:
        return _say(Mark.FAIL, "fcrdns_bad", ips=bad)
    unsure = not found or any(each.status is Status.UNKNOWN for each in found)
    return _say(Mark.UNKNOWN, "dns") if unsure else _say(Mark.PASS, "fcrdns_good")


def _tls(seen: Seen) -> Judged:
    if seen.sample is None:
        return _say(Mark.UNKNOWN, "no_message")
    protocol = receiving_hop(seen.sample.headers).protocol.upper()
    if protocol in ENCRYPTED:
        return _say(Mark.PASS, "encrypted", protocol=protocol)
    return _say(Mark.UNKNOWN, "not_told", protocol=protocol)


def _unsubscribe(seen: Seen) -> Judged:
    if seen.sample is None:
        return _say(Mark.UNKNOWN, "no_message")
    given = seen.sample.unsubscribe
    if given.one_click and given.signed:
        return _say(Mark.PASS, "one_click")
    if given.one_click:
        return _say(Mark.FAIL, "one_click_unsigned")
    # It is asked of marketing mail alone, and nobody can tell that from the outside.
    return _say(Mark.UNKNOWN, "no_one_click" if not given.uris else "not_one_click")


def _format(seen: Seen) -> Judged:
    if seen.sample is None:
        return _say(Mark.UNKNOWN, "no_message")
    if seen.sample.wrong:
        return _say(Mark.FAIL, "fields", names=list(seen.sample.wrong))
    return _say(Mark.PASS, "fields_good")


def _from_domain(seen: Seen) -> Judged:
    found = [item.finding for item in seen.items("mx")]
    if not found or any(each.id == "mx.dns_failed" for each in found):
        return _say(Mark.UNKNOWN, "dns")
    if any(each.id == "mx.null" for each in found):
        return _say(Mark.FAIL, "no_replies")
    bad = {"mx.domain_missing", "mx.missing"}
    if any(each.id in bad for each in found):
        return _say(Mark.FAIL, "no_replies")
    addresses = seen.checks["mx"].facts["addresses"]
    if any(addresses.values()):
        return _say(Mark.PASS, "can_reply")
    return _say(Mark.FAIL, "no_replies")


def _spam_rate(_: Seen) -> Judged:
    return _say(Mark.UNKNOWN, "spam_rate", limit=SPAM_RATE)


RULES: Final = {
    "spf_or_dkim": _either,
    "spf": _spf,
    "dkim": _dkim,
    "dmarc": _dmarc,
    "alignment": _alignment,
    "fcrdns": _fcrdns,
    "tls": _tls,
    "unsubscribe": _unsubscribe,
    "format": _format,
    "from_domain": _from_domain,
    "spam_rate": _spam_rate,
}
