"""A plan for people and programs: text, a fragment of a zone file, a diff, JSON (schema 1).

Enters: a ``Plan``, and a language where there are words. Leaves: text, or a dict that
``json.dumps`` takes; its keys and ids never change with the language. Called by the command line.
Never fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from posthouse.explain import catalogue
from posthouse.flow import Finding, Status
from posthouse.setup.domain.records.key_check import KeyCheck
from posthouse.setup.domain.records.key_store import Key
from posthouse.setup.domain.records.model import Change, Cover, Entry, Plan, Stage
from posthouse.setup.domain.records.plan import steps
from posthouse.setup.domain.records.trend import Trend
from posthouse.setup.domain.records.zonefile import line, lines

SCHEMA: Final = 1
_SIGNS: Final = {
    Change.ADD: "+",
    Change.REMOVE: "-",
    Change.SAME: " ",
    Change.UNKNOWN: "?",
}
# As on the screens of the other commands.
_MARKS: Final = {
    Status.OK: "✓",
    Status.WARN: "!",
    Status.FAIL: "✗",
    Status.UNKNOWN: "?",
    Status.SKIPPED: "·",
}


def zone(plan: Plan) -> str:
    """All records that shall stand, to be put into the zone; whole names, any name server."""
    return "".join(f"{one}\n" for one in lines(e.record for e in plan.entries if e.wanted))


def diff(plan: Plan) -> str:
    """One line a record: "+" add, "-" remove, "?" unknown, " " same; a change is both."""
    return "".join(f"{row}\n" for entry in plan.entries for row in _diff(entry))


def _diff(entry: Entry) -> Iterator[str]:
    record = entry.record
    if entry.change is Change.CHANGE:
        old = type(record)(record.name, record.type, entry.live[0], record.ttl)
        yield f"- {line(old)}"
        yield f"+ {line(record)}"
    else:
        yield f"{_SIGNS[entry.change]} {line(record)}"


def text(plan: Plan, lang: str = "en") -> str:
    """The plan step by step, with why."""
    words = catalogue(lang)
    made: list[str] = []
    files = [one for one in plan.files if any(e.section == "mta_sts" for e in plan.changes)]
    order: dict[Stage, tuple[Entry, ...]] = {Stage.HOSTS: ()} if files else {}
    for stage, entries in (order | dict(steps(plan))).items():
        made += ["", words.text(f"records.stage.{stage.name.lower()}")]
        if stage is Stage.HOSTS:
            made += [f"  {file.url}: {why_file(file.why, lang)}" for file in files]
        for entry in entries:
            made.append(f"  # {why(entry, lang)}")
            made += [f"  {row}" for row in _diff(entry)]
    if not plan.changes:
        made += ["", words.text("records.nothing")]
    if plan.elsewhere:
        made += ["", words.text("records.elsewhere")]
        for entry in plan.elsewhere:
            made += [f"  # {why(entry, lang)}", *(f"  {row}" for row in _diff(entry))]
    for one in plan.findings:
        made += ["", f"{_MARKS[one.status]} {finding_text(one, lang)}"]
        made += [f"  {what}"] if (what := finding_do(one, lang)) else []
    return "\n".join(made).strip("\n") + "\n"


def why(entry: Entry, lang: str) -> str:
    """What a record is for."""
    return catalogue(lang).text(f"records.why.{entry.why}", **entry.params)


def why_file(id_: str, lang: str) -> str:
    """What a file is for."""
    return catalogue(lang).text(f"records.why.{id_}")


def finding_text(one: Finding, lang: str) -> str:
    """What is the case."""
    return catalogue(lang).text(f"{_words(one)}.text", **_params(one, lang))


def finding_do(one: Finding, lang: str) -> str:
    """What to do; "" where nothing is."""
    key, words = f"{_words(one)}.do", catalogue(lang)
    return words.text(key, **_params(one, lang)) if words.has(key) else ""


def _words(one: Finding) -> str:
    area, _, rest = one.id.partition(".")
    return f"{area}.finding.{rest}"


def _params(one: Finding, lang: str) -> dict[str, Any]:
    """Blockers of a roll-out get their own words, and so does what DNS answered."""
    words = catalogue(lang)
    made = dict(one.params)
    if words.has(answer := f"domain.word.{made.get('status')}"):
        made["status"] = words.text(answer)
    if isinstance(made.get("reasons"), list):
        texts = (words.text(f"dmarc.blocker.{row['id']}", **row) for row in made["reasons"])
        made["reasons"] = " ".join(texts)
    return made


def trend_text(one: Trend, lang: str = "en") -> str:
    """How far it is to the target, in a sentence."""
    words = catalogue(lang)
    if not one.points:
        return words.text("records.trend.none")
    if one.reached is not None:
        day = one.reached.isoformat()
        return words.text("records.trend.reached", day=day, target=one.target, days=one.days)
    share = round(one.points[-1].share, 1)
    left = one.expected
    return words.text("records.trend.open", share=share, target=one.target, expected=left)


# JSON


def to_dict(plan: Plan, lang: str = "en") -> dict[str, Any]:
    """The whole plan."""
    rollout = plan.rollout
    return {
        "schema": SCHEMA,
        "domain": plan.domain,
        "sure": plan.sure,
        "changes": sum(one.change is not Change.SAME for one in plan.entries),
        "records": [_entry(one, lang) for one in plan.entries],
        "elsewhere": [_entry(one, lang) for one in plan.elsewhere],
        "files": [
            {
                "name": one.name,
                "url": one.url,
                "content": one.content.decode("utf-8"),
                "why": why_file(one.why, lang),
            }
            for one in plan.files
        ],
        "egress": [_cover(one) for one in plan.coverage],
        "uncovered": [one.address for one in plan.uncovered],
        "spf": {
            "lookups": plan.spf.lookups,
            "live_lookups": plan.spf.live_lookups,
            "limit": plan.spf.limit,
            "costs": dict(plan.spf.costs),
        },
        "rollout": None
        if rollout is None
        else {
            "stage": rollout.stage.value if rollout.stage else None,
            "step": rollout.step.value,
            "goal": rollout.goal.value,
            "blockers": [{"id": one.id, **one.params} for one in rollout.blockers],
        },
        "findings": [finding_dict(one, lang) for one in plan.findings],
    }


def _entry(one: Entry, lang: str) -> dict[str, Any]:
    return {
        "section": one.section,
        "name": one.record.name,
        "type": one.record.type,
        "value": one.record.value,
        "ttl": one.record.ttl,
        "zone": line(one.record),
        "change": one.change.value,
        "live": list(one.live),
        "stage": one.stage.value,
        "why": one.why,
        "text": why(one, lang),
    }


def _cover(one: Cover) -> dict[str, Any]:
    return {
        "address": one.address,
        "source": one.source,
        "live": one.live,
        "planned": one.planned,
    }


def finding_dict(one: Finding, lang: str) -> dict[str, Any]:
    """One finding."""
    return {
        "id": one.id,
        "status": one.status.value,
        "params": dict(one.params),
        "text": finding_text(one, lang),
        "do": finding_do(one, lang) or None,
    }


def keys_dict(checks: tuple[KeyCheck, ...], lang: str = "en") -> dict[str, Any]:
    """The keys of a store, checked. No private key is in it."""
    return {
        "schema": SCHEMA,
        "keys": [
            {
                **(key_dict(one.key) if one.key is not None else {}),
                "usable": one.usable,
                "findings": [finding_dict(each, lang) for each in one.findings],
            }
            for one in checks
        ],
    }


def key_dict(key: Key) -> Mapping[str, Any]:
    """One key of the index."""
    return {
        "domain": key.domain,
        "selector": key.selector,
        "algorithm": key.algorithm,
        "path": key.path,
        "created": key.created.isoformat(),
        "state": key.state.value,
        "retired": key.retired.isoformat() if key.retired else None,
        "remove_after": key.remove_after.isoformat() if key.remove_after else None,
    }


def exit_code(plan: Plan) -> int:
    """0 as it shall be; 1 something to publish or wrong; 3 where DNS did not say enough."""
    if not plan.sure:
        return 3
    wrong = any(one.status is Status.FAIL for one in plan.findings)
    return 1 if plan.changes or wrong else 0
