"""Judges a line: all the rules and codes that speak, and the cause they speak for.

Enters: a ``Reading``, the stage and provider where the caller knows them. Leaves: a ``Verdict``
with the cause, how sure it is, and the evidence. Called by ``reply`` for every line, so it is made
for speed: each word looks up the few terms that begin like it, each group of terms found looks
up the few rules that need it. Nothing can fail.

How evidence adds up: the clearest rule of a cause counts in full, further ones a little; then
come the codes. Words win over codes because a rule weighs 8 and more where a code weighs 1 to 4.
Where all that leaves doubt, likeness to the examples has a say.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain, repeat, zip_longest
from typing import Final, NamedTuple

from posthouse.explain import store, words
from posthouse.explain.reading import Reading
from posthouse.explain.rules import Index, Rule, Term
from posthouse.explain.words import Words

SECOND_OPINION: Final = 0.25  # how much of its weight a further rule of the same cause adds
SURE: Final = 4.0  # a score at which a cause with no rival is believed to one half
RIVAL: Final = 3.0  # the lead in score at which a rival cause is no more than a doubt
CLEAR: Final = 6.0  # a score below which no rule has spoken clearly, and likeness has a say
LIKENESS: Final = 0.5  # the most confidence that likeness may give
REMEMBERED: Final = 4_096  # pairs of codes: more than servers use
MANY_WORDS: Final = 150  # of one line: more than any reply has, so repeats are looked for
SHOWN: Final = 3  # like words shown as evidence
UNSPOKEN: Final = "policy.other"  # where neither words nor codes say anything at all


class Verdict(NamedTuple):
    """What a line was judged to mean."""

    cause: str
    confidence: float  # 0..1
    rule: str  # "rcpt.unknown/phrases"; "code 550 5.1.1" or "likeness" where no rule spoke
    evidence: tuple[str, ...]  # "rcpt.unknown/phrases: user unknown", "550", "5.1.1"
    variant: str | None
    stage: str | None  # as given, or as the words show it
    provider: str | None


def judge(reading: Reading, stage: str | None, provider: str | None) -> Verdict:
    """The cause a line speaks for."""
    index = store.load()
    said = words.split(reading.judged)
    found, started, heard = _listen(index, said)
    if found & index.all_signs:
        stage, provider = _signs(index, found, stage, provider)
    fired = [
        rule
        for need, veto, bound, rule in map(index.checks.__getitem__, started)
        if need & found == need
        and not veto & found
        and (not bound or _fits(rule, reading, stage, provider))
    ]
    scores = dict(_by_code(reading[2], reading[3], stage))
    best = _add_up(fired, scores)
    cause, confidence = _choose(scores)
    like: list[str] = []
    if scores.get(cause, 0.0) < CLEAR:
        keys = set(said.keys)
        store.likeness().add(keys, scores)
        cause, confidence = _choose(scores)
        confidence = min(confidence, LIKENESS)
        like = store.likeness().telling(keys, cause)[:SHOWN]
    winner = best.get(cause)
    evidence = _evidence(winner, heard, like, reading)
    return Verdict(
        cause,
        confidence,
        winner[0] if winner else "likeness" if like else "code " + " ".join(evidence),
        evidence,
        (winner and winner[8]) or _variant(fired, cause),
        stage,
        provider,
    )


def _signs(
    index: Index, found: int, stage: str | None, provider: str | None
) -> tuple[str | None, str | None]:
    """Stage and provider as the words show them, where the caller knows none."""
    signs = index.signs
    hits = found & index.all_signs
    seen = []
    while hits:
        group = hits.bit_length() - 1
        hits ^= 1 << group
        seen.append(signs[group])
    for _, kind, name in sorted(seen):
        if kind == "stage":
            stage = stage or name
        else:
            provider = provider or name
    return stage, provider


def _add_up(fired: list[Rule], scores: dict[str, float]) -> dict[str, Rule]:
    """Put the rules' weights on the scores; the clearest rule of each cause."""
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
    return best


def _variant(fired: list[Rule], cause: str) -> str | None:
    """The kind that the clearest rule with a kind shows."""
    kinds = [(rule[2], rule[0], rule[8]) for rule in fired if rule[8] and rule[1] == cause]
    return max(kinds)[2] if kinds else None


def _listen(index: Index, said: Words) -> tuple[int, set[int], list[Term]]:
    """What occurs: the groups, the rules that those may set off, and the terms."""
    text, spoken, wide = said
    followers = spoken[1:]
    if len(spoken) > MANY_WORDS:
        spoken, followers = _once(spoken, followers)
    found = 0
    started: set[int] = set()
    heard: list[Term] = []
    entries = map(index.opened.__getitem__, spoken + wide)
    for entry, follower in zip(entries, chain(followers, repeat("")), strict=False):
        if entry is None:
            continue
        own, pairs = entry
        groups, rules, proved, possible = pairs.get(follower, own)
        if groups:
            found |= groups
            heard += proved
            if rules:
                started.update(rules)
        for term in possible:
            if term[0] in text:
                heard.append(term)
                found |= term[1]
                started.update(term[2])
    return found, started, heard


def _once(spoken: list[str], followers: list[str]) -> tuple[list[str], list[str]]:
    """Each word with each follower once, where somebody says one word 800 times."""
    pairs = dict.fromkeys(zip_longest(spoken, followers, fillvalue=""))
    return [word for word, _ in pairs], [follower for _, follower in pairs]


def _fits(rule: Rule, reading: Reading, stage: str | None, provider: str | None) -> bool:
    """Whether a rule's conditions hold."""
    if rule.code is not None:
        codes = f" {reading.code} {reading.enhanced}" if reading.code or reading.enhanced else " -"
        if rule.code not in codes:
            return False
    if rule.stage is not None and rule.stage != stage:
        return False
    return rule.provider is None or (provider or "").startswith(rule.provider)


@lru_cache(maxsize=REMEMBERED)
def _by_code(code: str, enhanced: str, stage: str | None) -> dict[str, float]:
    """What the codes alone say."""
    scores: dict[str, float] = {}
    keys = [code, (code or enhanced)[:1]]
    if stage:
        keys += (f"{code} {stage}", f"{code[:1]} {stage}")
    if enhanced:
        keys += (enhanced, f"x{enhanced[1:]}")
    codes = store.load().codes
    for key in keys:
        for cause, weight in codes.get(key, ()):
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


def _evidence(
    rule: Rule | None,
    heard: list[Term],
    like: list[str],
    reading: Reading,
) -> tuple[str, ...]:
    """What a person may check: the words that made the rule speak, then the codes."""
    parts: list[str] = []
    if rule is not None:
        missing = rule[3]
        for form, groups, _ in heard:
            if groups & missing:
                missing &= ~groups
                parts.append(form.strip())
                if not missing:
                    break
    else:
        parts += like
    if reading[2]:
        parts.append(reading[2])
    if reading[3]:
        parts.append(reading[3])
    return tuple(parts)
