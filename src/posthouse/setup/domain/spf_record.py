"""The one SPF record that mends all that the audit found, so that no fix undoes another.

Enters: the scene. Leaves: the text to publish, "" where nothing can be proposed. Called by the
checks of SPF and of providers. Nothing fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from posthouse.flow import Status
from posthouse.protocol import spf
from posthouse.protocol.host import parse_ip
from posthouse.protocol.spf import edit
from posthouse.setup.domain import facts
from posthouse.setup.domain.scene import Scene

NOBODY: Final = "v=spf1 -all"
# Terms that go, and mistakes that writing the record anew takes out.
_GO: Final = frozenset(("spf.ptr", "spf.covered", "spf.name_missing"))
_ANEW: Final = frozenset(("spf.duplicate", "spf.after_all", "spf.all_pass", "spf.redirect_ignored"))
_REFUSED: Final = (spf.Code.FAIL, spf.Code.SOFTFAIL, spf.Code.NEUTRAL)


async def checked(scene: Scene) -> tuple[tuple[str, spf.Result], ...]:
    """Every given address put to the record, as a receiver would."""

    async def make() -> tuple[tuple[str, spf.Result], ...]:
        await scene.spf_survey()  # its questions are answered then
        sender = f"postmaster@{scene.domain}"
        given = [ip for ip in scene.options.egress if parse_ip(ip)]
        queries = [(ip, spf.check_host(ip, scene.domain, sender)) for ip in given]
        return tuple([(ip, await scene.run(query)) for ip, query in queries])

    return await scene.once("spf checked", make)


def refused(result: spf.Result) -> bool:
    """The record, which can be read, does not let the address send."""
    return result.code in _REFUSED


async def proposal(scene: Scene) -> str:
    """The record to publish; the published one where nothing is to be changed."""
    return await scene.once("spf proposal", lambda: _proposal(scene))


async def _proposal(scene: Scene) -> str:
    survey = await scene.spf_survey()
    answer = await scene.budget.ask(scene.domain, "TXT")
    texts = [text for text in answer.records if spf.is_record(text)]
    if answer.failed:
        return ""
    try:
        if not texts:
            return await _new(scene)
        if len(texts) == 1 and survey.record is None:
            return ""  # what can't be read can't be mended by adding to it
        anew = len(texts) > 1 or any(each.id in _ANEW for each in survey.findings)
        text = corrected(edit.merge(texts) if anew else survey.text)
        for term in _gone(scene, survey):
            text = without(text, term)
        for include in await missing(scene):
            text = edit.add_include(text, include)
        for ip, result in await checked(scene):
            text = edit.add_ip(text, ip) if refused(result) else text
    except (edit.EditError, spf.RecordError):
        return ""
    return text


def _gone(scene: Scene, survey: spf.Survey) -> list[str]:
    """Terms of the domain's own record that are better not there."""
    return [
        str(each.params["term"])
        for each in survey.findings
        if each.id in _GO and each.params.get("domain", scene.domain) == scene.domain
    ]


def without(text: str, term: str) -> str:
    """The record without a term; as it is where it has no such term."""
    try:
        return edit.remove(text, term)
    except edit.EditError:
        return text


async def missing(scene: Scene) -> list[str]:
    """Includes that the domain's providers want, and that the record does not lead to."""
    survey, known = await scene.spf_survey(), facts.providers()
    if any(each.status is Status.UNKNOWN for each in survey.findings):
        return []  # DNS hides where the record leads
    theirs = [known[id_] for id_ in await scene.providers() if id_ in known]
    return [
        one.spf for one in theirs if one.spf and not reaches(scene, survey, {one.spf, *one.include})
    ]


def reaches(scene: Scene, survey: spf.Survey, wanted: set[str]) -> bool:
    """Whether the record, or one it includes, includes what is wanted."""
    return facts.reaches(survey.text, wanted, lambda name: scene.budget.known(name, "TXT"))


def corrected(text: str) -> str:
    """The record with the names that are known to be wrong put right."""
    named = facts.includes_in(text)
    for one in facts.mistakes():
        if one.wrong not in named:
            continue
        try:
            text = edit.add_include(edit.remove_include(text, one.wrong), one.right)
        except (edit.EditError, spf.RecordError):
            continue
    return text


async def _new(scene: Scene) -> str:
    """For a domain that has none: its providers, its own servers, the addresses given."""
    exchanges = await scene.exchanges()
    given: Sequence[str] = [ip for ip in scene.options.egress if parse_ip(ip)]
    includes = await missing(scene)
    if exchanges.null and not given and not includes:
        return NOBODY
    own = ["mx"] if exchanges.records and not includes and not exchanges.null else []
    text = " ".join(["v=spf1", *own, *(f"include:{one}" for one in includes), "~all"])
    for ip in given:
        text = edit.add_ip(text, ip)
    return text
