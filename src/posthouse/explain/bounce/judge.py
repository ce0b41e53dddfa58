"""From all that is known about one recipient to one Explanation.

Enters: ``Evidence``: the report's diagnostic, its status, what its text says. Leaves: the
explanation of the clearest of them, with the words and the host it is of. Called by ``read``.
Nothing raises.

The order of trust: the reply quoted innermost, the whole diagnostic around it, the text for
people, and the bare status last; a later one counts only where all before it are vague.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from posthouse.explain.bounce import quoted
from posthouse.explain.bounce.forms import forms
from posthouse.explain.causes import cause
from posthouse.explain.explanation import Explanation
from posthouse.explain.reply import explain_reply

CLEAR: Final = 0.3  # confidence from which an explanation by words is taken without looking on

# Causes that say little: any other that the same report also speaks for is nearer to the point.
_VAGUE: Final = frozenset({"policy.other", "server.error", "queue.expired", "protocol.error"})
# "Given up after 5 days; the last answer was ..." is about the days where the answer is such.
_PASSING: Final = re.compile(r"conn\.|dns\.|rate\.|server\.error|policy\.other|queue\.")
_EXACT: Final = re.compile(r"(?:[45]\d\d[ -]#?)?[45]\.\d{1,3}\.[1-9]")
_ENHANCED: Final = re.compile(r"(?<![\d.])([45]\.\d{1,3}\.\d{1,3})(?!\.?\d)")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a report tells about one recipient."""

    diagnostic: str = ""  # Diagnostic-Code, without its type
    kind: str = ""  # its type: "smtp", "x-unix"
    status: str = ""  # Status
    own: str = ""  # what its text says of this recipient
    shared: str = ""  # what it says of all
    remote: str = ""  # Remote-MTA
    reporter: str = ""
    delayed: bool = False  # the server still tries


@dataclass(frozen=True, slots=True)
class Verdict:
    """The explanation, and what it is of."""

    explanation: Explanation
    words: str
    host: str
    status: str


def judge(evidence: Evidence) -> Verdict:
    """The clearest explanation."""
    best: tuple[float, str, Explanation] | None = None
    host = ""
    for words, text in _candidates(evidence):
        host = quoted.speaker(words) or evidence.remote or evidence.reporter
        found = _explain(text, host)
        clarity = _clarity(found, text)
        if best is None or clarity > best[0]:
            best = clarity, text, found
        if best[0] >= CLEAR:
            break
    if best is None:
        best = 0.0, "", _explain(evidence.status, evidence.remote)
    found = _recast(_expired(evidence, best[2], host))
    words = evidence.diagnostic or best[1]
    return Verdict(found, words, host, _status(evidence.status, best[1]))


def _candidates(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """(the words around, the words to explain), the most trusted first."""
    diagnostic = evidence.diagnostic
    if evidence.kind.startswith("x-") and re.fullmatch(r"\d{1,3}\D?", diagnostic):
        diagnostic = ""  # an exit code; its words stand in the text
    for words in (diagnostic, evidence.own, evidence.shared):
        if not words:
            continue
        reply = quoted.innermost(words)
        if reply:
            yield words, reply
            if _refinable(reply, evidence.status):
                yield words, f"{reply[:3]} {evidence.status} {reply[3:].lstrip(' -')}"
        if meant := _meant(words):
            yield words, meant
        if reply != words:
            yield words, words
    if exit_words := forms().exits.get(evidence.diagnostic.rstrip(". ")):
        yield "", exit_words
    if evidence.status:
        yield "", evidence.status


def _refinable(reply: str, status: str) -> bool:
    """The report's status says more than a reply that has none."""
    return bool(status) and not status.endswith(".0.0") and not _ENHANCED.search(reply)


def _meant(words: str) -> str:
    """A reply that means the same as a program's own words."""
    low = " ".join(words.lower().split())
    return next((reply for phrase, reply in forms().means.items() if phrase in low), "")


@lru_cache(maxsize=512)
def _explain(text: str, host: str) -> Explanation:
    """Reports on lists repeat one reply for many recipients."""
    return explain_reply(text, provider=_provider(host), host=host or None)


@lru_cache(maxsize=128)
def _provider(host: str) -> str | None:
    """The provider whose mail exchanger or outgoing server that is."""
    if not host:
        return None
    from posthouse import directory

    try:
        tenant = directory.by_mx(host.lower())
    except (OSError, ValueError):
        return None
    return tenant.provider.id if tenant else None


def _clarity(found: Explanation, text: str) -> float:
    """How much an explanation says, 0 to 1."""
    if not _spoken(found):
        if found.cause.id in _VAGUE:
            return found.confidence * CLEAR * 0.3
        # "550 5.1.1 whatever": more words around it would only be other people's
        exact = _EXACT.match(text) and found.confidence >= CLEAR
        return CLEAR if exact else found.confidence * CLEAR
    return found.confidence * (CLEAR * 0.9 if found.cause.id in _VAGUE else 1)


def _spoken(found: Explanation) -> bool:
    """Whether a rule knew the words, and not a mere code or a likeness to other lines."""
    return "/" in found.rule


def _expired(evidence: Evidence, found: Explanation, host: str) -> Explanation:
    """Given up after a long time, for no better reason than those that pass."""
    if evidence.delayed or not _PASSING.match(found.cause.id):
        return found
    for words in (evidence.diagnostic, evidence.own, evidence.shared):
        reply = quoted.innermost(words)
        if not words or (reply and words.startswith(reply)):
            continue  # nobody's words but the reply's
        whole = _explain(_meant(words) or words, host)
        if whole.cause.id == "queue.expired" and _spoken(whole):
            return whole
    # RFC 3463 section 3.5: X.4.7 is "delivery time expired"
    return _explain(evidence.status, host) if evidence.status.endswith(".4.7") else found


def _recast(found: Explanation) -> Explanation:
    """The same words mean another cause in a report."""
    other = forms().recast.get(found.cause.id)
    if other is None:
        return found
    return found._replace(cause=cause(other), stage=cause(other).stage, variant=None)


def _status(told: str, words: str) -> str:
    """The report's status, or the reply's where the report's is a mere class."""
    if told and not told.endswith(".0.0"):
        return told
    found = _ENHANCED.search(words)
    return found[1] if found else told
