"""The verdict: from everything seen, one sentence. Pure, and read from the first rule down.

Enters: ``Facts``. Leaves: ``Verdict``: one Finding whose ``id`` names its words
("probe.verdict.<id>"), whose ``cause`` is one of the vocabulary's, and the endpoint to use
instead. Called at the end of ``probe``. Never fails: where no rule fits, ``step_failed`` says
what the step's cause says.
"""

from __future__ import annotations

from typing import Any, Final

from posthouse.flow import Finding, Security, Status
from posthouse.setup.probe.facts import Facts, Stop, Verdict
from posthouse.setup.probe.verdict import encryption, login, message, reach
from posthouse.setup.probe.verdict.rule import Hit, Rule

# The order is the meaning: what lies deeper in the way comes first, the special before the general.
RULES: Final[tuple[Rule, ...]] = (
    *reach.NAME_RULES,
    *reach.CONNECT_RULES,
    *reach.GREETING_RULES,
    *encryption.RULES,
    *login.RULES,
    *message.RULES,
    message.FALLBACK,
)
# What all went well may still have to say, by the same order of importance.
REMARKS: Final = (
    ("greylisted", "rate.greylisted", message.greylist_passed),
    ("too_many_recipients", "rate.recipients", message.recipients_split),
    ("ipv6_broken", "conn.timeout", reach.ipv6_broken),
)


def decide(facts: Facts) -> Verdict:
    """The one verdict. Equal facts give equal verdicts."""
    if facts.stop is None:
        return _well(facts)
    for rule in RULES:
        hit = rule.when(facts, facts.stop)
        if hit is not None:
            return _verdict(facts, rule.id, rule.cause or facts.stop.cause, hit, facts.stop)
    raise AssertionError("the last rule fits everything")


def _well(facts: Facts) -> Verdict:
    for id_, cause, when in REMARKS:
        hit = when(facts)
        if hit is not None:
            return _verdict(facts, id_, cause, hit, None)
    steps = ("fetch", "message", "rcpt", "auth")
    variant = next((step for step in steps if step in facts.passed), "")
    if facts.endpoint.security is Security.NONE:
        return _verdict(facts, "ok", None, Hit(variant="plain", status=Status.WARN), None)
    return _verdict(facts, "ok", None, Hit(variant=variant, status=Status.OK), None)


def _verdict(facts: Facts, id_: str, cause: str | None, hit: Hit, stop: Stop | None) -> Verdict:
    params: dict[str, Any] = {
        "host": facts.endpoint.host,
        "port": facts.endpoint.port,
        "server": str(facts.endpoint),
        "security": facts.endpoint.security.value,
        **hit.params,
    }
    if stop is not None:
        params["stage"] = stop.stage.value
        params["code"] = stop.code or 0
    if hit.variant:
        params["variant"] = hit.variant
    return Verdict(Finding(id_, hit.status, cause, params), hit.suggestion)
