"""Judges a line: all the rules and codes that speak, and the cause they speak for.

Enters: a ``Reading``, the stage and provider where the caller knows them. Leaves: a ``Verdict``
with the cause, how sure it is, and the evidence. Called by ``reply`` for every line, so it is made
for speed: each word looks up the few terms that begin like it, each group of terms found looks
up the few rules that need it. Nothing can fail.

How evidence adds up: the clearest rule of a cause counts in full, further ones a little; then
come the codes. Words win over codes because a rule weighs 8 and more where a code weighs 1 to 4.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from posthouse.explain import store, words
from posthouse.explain.reading import Reading
from posthouse.explain.rules import Index, Rule, Term

SECOND_OPINION: Final = 0.25  # how much of its weight a further rule of the same cause adds
SURE: Final = 4.0  # a score at which a cause with no rival is believed to one half
RIVAL: Final = 3.0  # the lead in score at which a rival cause is no more than a doubt
UNSPOKEN: Final = "policy.other"  # where neither words nor codes say anything at all


class Verdict(NamedTuple):
    """What a line was judged to mean."""

    cause: str
    confidence: float  # 0..1
    rule: str  # "rcpt.unknown/phrases", or "code 550 5.1.1" where no rule spoke
    evidence: tuple[str, ...]  # "rcpt.unknown/phrases: user unknown", "550", "5.1.1"
    variant: str | None
    stage: str | None  # as given, or as the words show it
    provider: str | None


def judge(reading: Reading, stage: str | None, provider: str | None) -> Verdict:
    """The cause a line speaks for."""
    index = store.load()
    heard = _listen(index, reading.judged)
    found = 0
    for _, groups, _ in heard:
        found |= groups
    for group, kind, name in index.signs if found & index.all_signs else ():
        if found & group and kind == "stage":
            stage = stage or name
        elif found & group:
            provider = provider or name
    fired = [
        rule for rule in _started(index, heard, found) if _fits(rule, reading, stage, provider)
    ]
    scores = _by_code(index, reading, stage)
    best: dict[str, Rule] = {}
    for rule in fired:
        cause = rule[1]
        known = best.get(cause)
        if known is None:
            best[cause] = rule
            scores[cause] = scores.get(cause, 0.0) + rule[2]
        elif known[2] < rule[2] or (known[2] == rule[2] and known[0] > rule[0]):
            best[cause] = rule
            scores[cause] += rule[2] - known[2] + SECOND_OPINION * known[2]
        else:
            scores[cause] += SECOND_OPINION * rule[2]
    cause, confidence = _choose(scores)
    winner = best.get(cause)
    evidence = _evidence(winner, heard, reading)
    return Verdict(
        cause,
        confidence,
        winner[0] if winner else "code " + " ".join(evidence),
        evidence,
        (winner and winner[8]) or _variant(fired, cause),
        stage,
        provider,
    )


def _variant(fired: list[Rule], cause: str) -> str | None:
    """The kind that the clearest rule with a kind shows."""
    kinds = [(rule[2], rule[0], rule[8]) for rule in fired if rule[8] and rule[1] == cause]
    return max(kinds)[2] if kinds else None


def _listen(index: Index, said: str) -> list[Term]:
    """The terms that occur, each with its groups."""
    text, keys = words.split(said)
    terms, unfolded, unfold = index.terms, index.unfolded, index.unfold
    return [
        term
        for key in keys
        if key in terms
        for term in unfolded.get(key) or unfold(key)
        if term[0] in text
    ]


def _started(index: Index, heard: list[Term], found: int) -> list[Rule]:
    """The rules whose words hold. Read by position, which is faster than by name."""
    numbers: set[int] = set().union(*[started for _, _, started in heard])
    rules = index.rules
    fired = []
    for number in numbers:
        rule = rules[number]
        need = rule[3]
        if need & found == need and not rule[4] & found:
            fired.append(rule)
    return fired


def _fits(rule: Rule, reading: Reading, stage: str | None, provider: str | None) -> bool:
    """Whether a rule's conditions hold."""
    if rule.code is not None:
        codes = f" {reading.code} {reading.enhanced}" if reading.code or reading.enhanced else " -"
        if rule.code not in codes:
            return False
    if rule.stage is not None and rule.stage != stage:
        return False
    return rule.provider is None or (provider or "").startswith(rule.provider)


def _by_code(index: Index, reading: Reading, stage: str | None) -> dict[str, float]:
    """What the codes alone say."""
    code, enhanced = reading.code, reading.enhanced
    scores: dict[str, float] = {}
    keys = [code, (code or enhanced)[:1]]
    if stage:
        keys += (f"{code} {stage}", f"{code[:1]} {stage}")
    if enhanced:
        keys += (enhanced, f"x{enhanced[1:]}")
    for key in keys:
        for cause, weight in index.codes.get(key, ()):
            scores[cause] = scores.get(cause, 0.0) + weight
    return scores


def _choose(scores: dict[str, float]) -> tuple[str, float]:
    """The best cause, and how far to believe it: by its score, and by its lead."""
    cause, score, rival = UNSPOKEN, 0.0, 0.0
    for name, value in scores.items():
        if value > score or (value == score and name < cause):
            cause, score, rival = name, value, score
        elif value > rival:
            rival = value
    if score <= 0:
        return UNSPOKEN, 0.0
    lead = score - rival + 1
    return cause, round(score / (score + SURE) * lead / (lead + RIVAL * rival / score), 3)


def _evidence(rule: Rule | None, heard: list[Term], reading: Reading) -> tuple[str, ...]:
    """What a person may check: the words that made the rule speak, then the codes."""
    parts: list[str] = []
    if rule is not None:
        missing = rule.need
        for form, groups, _ in heard:
            if groups & missing:
                missing &= ~groups
                parts.append(form.strip())
    return (*parts, *filter(None, (reading.code, reading.enhanced)))
