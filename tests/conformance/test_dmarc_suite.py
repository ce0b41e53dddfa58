"""Evaluation cases as data: zone, author's domain, and the policy or alignment that follows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from conformance.suites import SUITES, need
from posthouse.protocol import dmarc, dns
from posthouse.protocol.dns import Answer, AnswerStatus, Ask

FILE = SUITES / "dmarc-eval-mail-auth-rs" / "cases.json"


def rows(kind: str) -> Iterator[Any]:
    if not FILE.is_file():
        return
    for index, case in enumerate(json.loads(FILE.read_text("utf-8"))[kind]):
        yield pytest.param(case, id=f"{index}-{case['author'][:40]}")


class Zone:
    """TXT records by name, and the names that exist."""

    def __init__(self, case: Mapping[str, Any]) -> None:
        self._texts = case["zone"]
        self._exists = set(case.get("exists", ()))
        self.policies: list[str] = []

    def __call__(self, ask: Ask) -> Answer:
        if ask.type == "TXT":
            self.policies.append(ask.name)
            found = self._texts.get(ask.name)
            texts = (found,) if isinstance(found, str) else tuple(found or ())
            status = AnswerStatus.OK if texts else AnswerStatus.NXDOMAIN
            return Answer(ask.name, ask.type, status, texts)
        if ask.name in self._exists:
            return Answer(ask.name, ask.type, AnswerStatus.OK, ("10 mx.test.",))
        return Answer(ask.name, ask.type, AnswerStatus.NXDOMAIN)


def test_the_suite_is_here() -> None:
    need("dmarc-eval-mail-auth-rs")
    assert len(list(rows("policy"))) >= 6
    assert len(list(rows("align"))) >= 5


@pytest.mark.parametrize("case", list(rows("policy")))
def test_policy(case: Mapping[str, Any]) -> None:
    zone = Zone(case)
    verdict = dns.run(dmarc.policy_for(case["author"]), zone)
    assert verdict.policy == case["policy"]
    assert len(zone.policies) <= case.get("max_queries", 8)
    assert len(set(zone.policies)) == len(zone.policies)  # none is asked twice


@pytest.mark.parametrize("mechanism", ["spf", "dkim"])
@pytest.mark.parametrize("case", list(rows("align")))
def test_alignment(case: Mapping[str, Any], mechanism: str) -> None:
    spf = dmarc.Spf(case["ident"], "pass") if mechanism == "spf" else None
    dkim = [dmarc.Dkim(case["ident"], "pass")] if mechanism == "dkim" else []
    verdict = dns.run(dmarc.evaluate([case["author"]], spf, dkim), Zone(case))
    assert verdict.alignments[0].aligned is case["aligned"]
    assert verdict.code is (dmarc.Code.PASS if case["aligned"] else dmarc.Code.FAIL)
