"""SPF: the record and all it leads to, and whether it covers the addresses that send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from posthouse.flow import Finding, Status
from posthouse.protocol import spf
from posthouse.setup.domain import facts, zone
from posthouse.setup.domain.checks.common import finding, items
from posthouse.setup.domain.model import Checked
from posthouse.setup.domain.scene import Scene
from posthouse.setup.domain.spf_record import checked, proposal, refused

RANGES_SHOWN: Final = 200
# Findings that the proposed record mends; all of them at once.
_MENDED: Final = frozenset(
    (
        *("spf.none", "spf.several", "spf.ptr", "spf.covered", "spf.name_missing"),
        *("spf.duplicate", "spf.after_all", "spf.all_pass", "spf.redirect_ignored"),
        *("domain.spf_uncovered", "domain.spf_known_mistake", "spf.include_none"),
    )
)
Results = Sequence[tuple[str, spf.Result]]


async def check_spf(scene: Scene) -> Checked:
    """The survey of the record; every given address put to the record as a receiver would."""
    survey, results, text = (
        await scene.spf_survey(),
        await checked(scene),
        await proposal(scene),
    )
    found = [*survey.findings, *_mistakes(survey), *_coverage(scene, results)]
    if not survey.findings and survey.record is not None:
        found.append(finding("spf_ok", Status.OK, domain=scene.domain, lookups=survey.lookups))

    def mend(each: Finding) -> list[str]:
        new = each.id in _MENDED and text not in ("", survey.text)
        return [zone.txt(scene.domain, text)] if new else []

    where = [(scene.domain, "TXT")]
    made = items("spf", found, scene, where=where, types=("TXT",), mend=mend)
    return Checked("spf", made, _shown(survey, results))


def _shown(survey: spf.Survey, results: Results) -> dict[str, Any]:
    return {
        "record": survey.text,
        "lookups": survey.lookups,
        "voids": survey.voids,
        "ranges": [str(network) for network in survey.ranges[:RANGES_SHOWN]],
        "terms": [
            {"term": one.term, "lookups": one.lookups, "networks": len(one.networks)}
            for one in survey.terms
        ],
        "egress": {ip: result.code.value for ip, result in results},
    }


def _coverage(scene: Scene, results: Results) -> list[Finding]:
    """Which of the addresses that send the record names."""
    found = []
    for ip, result in results:
        if refused(result):
            params = {"ip": ip, "result": result.code.value, "domain": scene.domain}
            found.append(finding("spf_uncovered", Status.FAIL, "sender.auth_failed", **params))
        elif result.code is spf.Code.TEMPERROR:
            found.append(finding("spf_unsure", Status.UNKNOWN, ip=ip, domain=scene.domain))
    passed = [ip for ip, result in results if result.code is spf.Code.PASS]
    if passed and len(passed) == len(results):
        all_: dict[str, Any] = {"count": len(passed), "ips": passed}
        found.append(finding("spf_covered", Status.OK, domain=scene.domain, **all_))
    return found


def _mistakes(survey: spf.Survey) -> list[Finding]:
    """Names that are known to be written wrongly."""
    named = facts.includes_in(survey.text)
    return [
        finding("spf_known_mistake", Status.FAIL, wrong=one.wrong, right=one.right)
        for one in facts.mistakes()
        if one.wrong in named
    ]
