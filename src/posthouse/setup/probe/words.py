"""Words for what a probe found, in one language.

Enters: findings, steps, a result, and "en" or "zh". Leaves: sentences out of the catalogue
("probe.*"). The parameters of a finding are plain JSON values that never depend on a language;
here lists are joined, seconds become "3 years" and bytes "35 MB". Called by ``render`` and by the
command line. A missing text falls back as ``explain`` does; nothing fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from posthouse import directory, explain
from posthouse.explain import Explanation
from posthouse.flow import Finding, Step
from posthouse.setup.probe.facts import ProbeResult

SECONDS: Final = "_seconds"  # a parameter of this ending is a span of time
BYTES: Final = "_bytes"
PROVIDER: Final = "_provider"  # a provider's id, to be shown by its name

_YEAR: Final = 365.25 * 86_400
# unit, its length in seconds, and from how many seconds on it is used
_SPANS: Final = (
    ("year", _YEAR, 1.5 * _YEAR),
    ("day", 86_400.0, 2 * 86_400.0),
    ("hour", 3_600.0, 2 * 3_600.0),
    ("minute", 60.0, 100.0),
)
_KILO: Final = 1_000
_MEGA: Final = 1_000_000


def headline(result: ProbeResult, lang: str) -> str:
    """The verdict as one sentence."""
    return verdict_text(result.verdict, lang)


def verdict_text(verdict: Finding, lang: str) -> str:
    """The verdict as one sentence."""
    variant = str(verdict.params.get("variant") or "text")
    return _text(f"probe.verdict.{verdict.id}.{variant}", verdict.params, lang)


def remedy(result: ProbeResult, lang: str) -> str:
    """What to do, one step a line.

    The provider's own way where the directory knows it, after what this very probe has seen
    (a blank in the password); else the verdict's advice, else the cause's.
    """
    verdict, explained = result.verdict, result.explanation
    seen, advice = _advice(verdict, lang)
    theirs = _providers_way(explained, lang) if explained else ""
    if theirs:
        return "\n".join(part for part in (advice if seen else "", theirs) if part)
    if advice or explained is None:
        return advice
    return explain.remedy(explained, lang).strip()


def _advice(verdict: Finding, lang: str) -> tuple[bool, str]:
    """The verdict's advice, and whether it belongs to this variant alone."""
    prefix = f"probe.verdict.{verdict.id}"
    special = f"{prefix}.do_{verdict.params.get('variant') or ''}"
    own = explain.catalogue(lang).has(special)
    return own, _text(special if own else f"{prefix}.do", verdict.params, lang).strip()


def _providers_way(explained: Explanation, lang: str) -> str:
    if explained.provider is None or explained.provider not in directory.ids():
        return ""
    provider = directory.load(explained.provider)
    theirs = provider.remedy(explained.cause.id, lang, explained.variant)
    steps: tuple[str, ...] = ()
    if explained.cause.id == "auth.app_password" and provider.credential.steps:
        steps = provider.credential.steps[lang]  # where to make it, click by click
    return "\n".join(part.strip() for part in (theirs or "", *steps) if part.strip())


def finding_text(finding: Finding, lang: str) -> str:
    """One thing noticed, as a sentence."""
    params = dict(finding.params)
    problem = params.get("problem")
    if isinstance(problem, str):
        params["problem"] = _text(f"probe.problem.{problem}", {}, lang)
    meanings = params.get("meanings")
    if isinstance(meanings, list | tuple):
        words = explain.catalogue(lang)
        params["meanings"] = [words.text(f"dnsbl.meaning.{meaning}") for meaning in meanings]
    return _text(f"probe.finding.{finding.id}", params, lang)


def step_text(step: Step, lang: str) -> str:
    """What a step does, as a short phrase."""
    return _text(f"probe.step.{step.name}", {}, lang)


def state_text(state: str, lang: str) -> str:
    """How a neighbour answered."""
    return _text(f"probe.state.{state}", {}, lang)


def extension_text(keyword: str, lang: str) -> str:
    """What an EHLO keyword means; "" for one that is not known."""
    key = f"probe.extension.{keyword.upper()}"
    return _text(key, {}, lang) if explain.catalogue(lang).has(key) else ""


def message_text(part: str, lang: str, **params: Any) -> str:
    """Subject and body of the test message."""
    return _text(f"probe.message.{part}", params, lang)


def span(seconds: float, lang: str) -> str:
    """A length of time in its natural unit."""
    for unit, length, least in _SPANS:
        if seconds >= least:
            return _unit(unit, round(seconds / length), lang)
    number = round(seconds) if seconds >= 10 or seconds == int(seconds) else round(seconds, 1)
    return _unit("second", number, lang)


def size(octets: int, lang: str) -> str:
    """A size in bytes, KB or MB (of 1000)."""
    if octets >= _MEGA:
        tenths = round(octets / _MEGA, 1)
        return _unit("megabytes", int(tenths) if tenths == int(tenths) else tenths, lang)
    if octets >= 10 * _KILO:
        return _unit("kilobytes", round(octets / _KILO), lang)
    return _unit("bytes", octets, lang)


def _unit(unit: str, number: float, lang: str) -> str:
    one = f"probe.unit.{unit}_one"
    words = explain.catalogue(lang)
    if number == 1 and words.has(one):
        return words.text(one)
    return words.text(f"probe.unit.{unit}", n=number)


def _text(key: str, params: Mapping[str, Any], lang: str) -> str:
    return explain.catalogue(lang).text(key, **_spoken(params, lang))


def _spoken(params: Mapping[str, Any], lang: str) -> dict[str, Any]:
    spoken: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, list | tuple):
            spoken[name] = ("、" if lang == "zh" else ", ").join(str(v) for v in value)
        elif name.endswith(SECONDS) and isinstance(value, int | float):
            spoken[name.removesuffix(SECONDS)] = span(float(value), lang)
        elif name.endswith(BYTES) and isinstance(value, int | float):
            spoken[name.removesuffix(BYTES)] = size(int(value), lang)
        elif name.endswith(PROVIDER) and value in directory.ids():
            spoken[name] = directory.load(str(value)).name[lang]
        else:
            spoken[name] = value
    return spoken
