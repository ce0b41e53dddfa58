"""The published ARC suite: 171 chains to judge, 17 messages to seal byte for byte.

It is read from $POSTHOUSE_SUITES (by default the folder ../shared/suites beside the project) and
skipped by name where it is not there. By its README, every case is canonicalized relaxed/relaxed,
tags are compared by name, white space in values does not count; a case without a result is one of
a chain whose last seal says cv=fail: RFC 8617 section 5.2 makes that "fail".
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from posthouse.protocol import arc, authres, dkim
from posthouse.protocol.dns import Answer, AnswerStatus, Ask, run

ROOT = Path(__file__).resolve().parents[2]
SUITES = Path(os.environ.get("POSTHOUSE_SUITES", ROOT.parent / "shared" / "suites"))
FOLDER = SUITES / "arc-valimail"
SIZES = {"validation": 171, "sign": 17}


@cache
def cases(kind: str) -> Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Every test of a kind with its scenario."""
    file = FOLDER / f"arc-draft-{kind}-tests.json"
    if not file.is_file():
        return {}
    return {
        name: (test, scenario)
        for scenario in json.loads(file.read_text("utf-8"))
        for name, test in scenario["tests"].items()
    }


def rows(kind: str) -> Iterator[Any]:
    names = list(cases(kind)) or [f"all {SIZES[kind]} (no {FOLDER})"]
    yield from (pytest.param(name, id=name) for name in names)


def case(kind: str, name: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    if name not in cases(kind):
        pytest.skip(f"no {FOLDER}")
    return cases(kind)[name]


def lookup(scenario: Mapping[str, Any]):
    def answer(ask: Ask) -> Answer:
        text = scenario["txt-records"].get(ask.name)
        if text is None:
            return Answer(ask.name, ask.type, AnswerStatus.NXDOMAIN)
        return Answer(ask.name, ask.type, AnswerStatus.OK, (text.replace("\n", ""),))

    return answer


@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("name", list(rows("validation")))
def test_validation(name: str, ends: str) -> None:
    test, scenario = case("validation", name)
    message = test["message"].replace("\n", ends).encode()
    result = run(arc.verify(message), lookup(scenario))
    assert result.code == (test["cv"].lower() or "fail"), result.reason


@pytest.mark.parametrize("name", list(rows("sign")))
def test_sign(name: str) -> None:
    test, scenario = case("sign", name)
    private = dkim.read_private_key(scenario["privatekey"].encode())
    key = dkim.SigningKey(scenario["domain"], scenario["sel"], private)
    sealer = arc.Sealer(key, names=test["sig-headers"].encode().split(b":"), short_lines=False)
    message = test["message"].encode()
    chain = run(arc.verify(message), lookup(scenario))
    results = authres.merged(dkim.split(message)[0], test["srv-id"])
    header = dkim.parse_header(sealer.seal(message, chain, results, at=test["t"]))
    for field, wanted in (
        (b"arc-seal", test["AS"]),
        (b"arc-message-signature", test["AMS"]),
    ):
        (value,) = [one.value.decode() for one in header.named(field)] or [""]
        assert tags(value) == tags(wanted)
    (value,) = [one.value.decode() for one in header.named(b"arc-authentication-results")] or [""]
    assert " ".join(value.split()) == " ".join(test["AAR"].split())


def tags(text: str) -> dict[str, str]:
    pairs = (tag.partition("=") for tag in text.split(";") if tag.strip())
    return {name.strip(): "".join(value.split()) for name, _, value in pairs}


@pytest.mark.parametrize("kind", SIZES)
def test_all_are_there(kind: str) -> None:
    if not cases(kind):
        pytest.skip(f"no {FOLDER}")
    assert len(cases(kind)) == SIZES[kind]
