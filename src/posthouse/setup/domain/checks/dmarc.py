"""DMARC: the record that applies, its grade, its report addresses, by both standards."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from posthouse.flow import Finding
from posthouse.protocol import dmarc
from posthouse.protocol.dmarc.walk import targets
from posthouse.setup.domain import zone
from posthouse.setup.domain.checks.common import items
from posthouse.setup.domain.model import Checked
from posthouse.setup.domain.scene import Scene

# Findings that the record, written anew without what is wrong in it, mends.
_REWRITE: Final = frozenset(
    (
        *("dmarc.pct_removed", "dmarc.removed", "dmarc.uri_size", "dmarc.duplicate"),
        *("dmarc.unknown_tag", "dmarc.syntax", "dmarc.fo_without_ruf", "dmarc.uri_scheme"),
    )
)
_REPORTS: Final = frozenset(("dmarc.rua_missing", "dmarc.reject_blind"))


async def check_dmarc(scene: Scene) -> Checked:
    """The survey of the domain."""
    survey = await scene.dmarc_survey()
    record = survey.discovery.record
    name = f"_dmarc.{survey.discovery.domain or scene.domain}"

    def mend(each: Finding) -> list[str]:
        if each.id == "dmarc.none":
            return [zone.txt(f"_dmarc.{scene.domain}", first(scene.domain))]
        if each.id == "dmarc.rua_external":
            return [zone.txt(str(each.params["name"]), "v=DMARC1")]
        if record is None or survey.discovery.inherited or record.policy.p is None:
            return []
        policy = record.policy
        if each.id in _REPORTS:
            policy = replace(policy, rua=(dmarc.mailto(f"dmarc-reports@{scene.domain}"),))
        elif each.id == "dmarc.monitoring":
            policy = replace(policy, p=dmarc.Action.QUARANTINE)
        elif each.id not in _REWRITE:
            return []
        return [zone.txt(name, dmarc.build(policy))]

    found = survey.discovery
    shown = {
        "record": record.text if record is not None else "",
        "found_at": found.domain,
        "organizational": found.organizational,
        "grade": survey.grade.value,
        "policy": record.policy.p.value if record is not None and record.policy.p else "",
        "inherited": found.inherited,
        "walk": [one.domain for one in found.asked],
        "reports": [
            {"tag": p.tag, "uri": p.uri.uri, "reason": p.reason, "allowed": p.allowed}
            for p in survey.permissions
        ],
    }
    where = [(name, "TXT"), *((f"_dmarc.{n}", "TXT") for n in targets(scene.domain))]
    made = items("dmarc", survey.findings, scene, where=where[:3], types=("TXT",), mend=mend)
    return Checked("dmarc", made, shown)


def first(domain: str) -> str:
    """The record a domain begins with: it watches, and tells its owner."""
    address = dmarc.mailto(f"dmarc-reports@{domain}")
    return dmarc.build(dmarc.Policy(p=dmarc.Action.NONE, rua=(address,)))
