"""The published SPF suites: all of RFC 7208's, and what of the older ones still holds.

They are read from $POSTHOUSE_SUITES (by default the folder ../shared/suites beside the project)
and skipped by name where they are not there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from conformance.spf_zone import Zone, scenarios
from posthouse.protocol import dns, spf

ROOT = Path(__file__).resolve().parents[2]
SUITES = Path(os.environ.get("POSTHOUSE_SUITES", ROOT.parent / "shared" / "suites"))
FOLDER = SUITES / "spf-rfc7208-pyspf"
SIZES = {"rfc7208-tests.yml": 203, "rfc4408-tests.yml": 191, "test.yml": 16}

# Cases of the older suites that RFC 7208 decides otherwise, and what each comes to now. All others
# of theirs still hold: where RFC 4408 left a choice they allow both.
SUPERSEDED: Mapping[tuple[str, str], str] = {
    # pyspf's lax mode obeys a default= modifier of drafts; unknown modifiers mean nothing (6/3)
    ("test.yml", "default-modifier"): "neutral",
    # its harsh mode has an eighth result, "ambiguous"; RFC 7208 has seven (2.6)
    ("test.yml", "default-modifier-harsh"): "neutral",
}


@cache
def cases(file: str) -> Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Every test of a file with its zone."""
    if not (FOLDER / file).is_file():
        return {}
    return {
        name: (test, scenario["zonedata"])
        for scenario in scenarios(FOLDER / file)
        for name, test in (scenario.get("tests") or {}).items()
    }


def rows() -> Iterator[Any]:
    for file, size in SIZES.items():
        names = list(cases(file)) or [f"all {size} (no {FOLDER / file})"]
        yield from (pytest.param(file, name, id=f"{file}-{name}") for name in names)


@pytest.mark.parametrize(("file", "name"), list(rows()))
def test_case(file: str, name: str) -> None:
    if name not in cases(file):
        pytest.skip(f"suite not found: {FOLDER / file}")
    test, data = cases(file)[name]
    zone = Zone(data)
    query = spf.check_mail(test["host"], test["mailfrom"], test["helo"])
    result = dns.run(query, zone)
    wanted = test["result"] if isinstance(test["result"], list) else [test["result"]]
    if (file, name) in SUPERSEDED:
        wanted = [SUPERSEDED[file, name]]
    told = "\n".join(str(note) for note in result.trace)
    assert result.code in wanted, told
    if "explanation" in test and result.code is spf.Code.FAIL:
        default = test["explanation"] == "DEFAULT"
        assert result.explanation == ("" if default else test["explanation"]), told
    assert {note.id for note in result.trace} <= set(spf.TRACE_IDS)
    for note in result.trace:
        assert set(note.params) == set(spf.TRACE_IDS[note.id]), note


@pytest.mark.parametrize("file", SIZES)
def test_all_cases_are_there(file: str) -> None:
    if not cases(file):
        pytest.skip(f"suite not found: {FOLDER / file}")
    assert len(cases(file)) == SIZES[file]


@pytest.mark.parametrize(
    ("ip", "sender", "code", "problem"),
    [
        ("72.81.252.18", "a@controlledmail.com", "pass", ""),
        ("2607:f0d0:3001:aa::2", "a@controlledmail.com", "pass", ""),
        ("72.81.252.20", "a@controlledmail.com", "fail", ""),
        ("66.39.138.46", "a@kitterman.com", "pass", ""),
        # long.kitterman.org is not in the zone
        ("66.39.138.46", "a@parallel.kitterman.org", "permerror", "include_none"),
        # a.example.org has its policy as type 99 alone, beside TXT records of other kinds
        ("192.0.2.225", "a@a.example.org", "none", "record_none"),
        ("192.0.2.225", "a@parallel.example.org", "permerror", "include_none"),
        ("209.68.5.9", "a@relay.pair.com", "pass", ""),
        ("192.0.2.131", "a@relay.pair.com", "pass", ""),
        ("66.39.3.7", "a@webmail.pair.com", "pass", ""),
        ("66.39.4.7", "a@webmail.pair.com", "neutral", ""),
    ],
)
def test_the_zone_of_the_documentation(ip: str, sender: str, code: str, problem: str) -> None:
    """doctest.yml is a zone without tests."""
    file = FOLDER / "doctest.yml"
    if not file.is_file():
        pytest.skip(f"suite not found: {file}")
    zone = Zone(scenarios(file)[0]["zonedata"])
    result = dns.run(spf.check_mail(ip, sender, "mail.test"), zone)
    assert (result.code, result.problem) == (code, problem)
