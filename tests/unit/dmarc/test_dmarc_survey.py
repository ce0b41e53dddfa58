"""What an owner is told: grade, findings, report addresses; and the way to p=reject."""

from __future__ import annotations

from dataclasses import replace

import pytest

from posthouse.flow import Status
from posthouse.protocol import dmarc, dns
from posthouse.protocol.dmarc import Action, Evidence, Grade, Policy, Step
from unit.dmarc.zone import Zone

RUA = "rua=mailto:r@example.com"


@pytest.mark.parametrize(
    ("record", "grade"),
    [
        ("p=none", Grade.WARN),
        ("p=quarantine", Grade.OK),
        ("p=reject", Grade.OK),
        ("p=reject; t=y", Grade.TEST),
        ("p=none; t=y", Grade.WARN),
        ("p=reject; pct=10", Grade.OK),
        ("p=bogus", Grade.MISSING),
        (f"p=bogus; {RUA}", Grade.WARN),
        ("", Grade.MISSING),
    ],
)
def test_grade(record: str, grade: Grade) -> None:
    assert dmarc.grade(dmarc.parse(f"v=DMARC1; {record}")) is grade


def test_no_record_has_no_grade() -> None:
    assert dmarc.grade(None) is Grade.MISSING


LINT = [
    (f"p=reject; {RUA}", ["enforced"]),
    (f"p=none; {RUA}", ["monitoring"]),
    (f"p=quarantine; t=y; {RUA}", ["testing"]),
    (f"p=none; t=y; {RUA}", ["monitoring", "testing_nothing"]),
    ("p=none", ["monitoring", "rua_missing"]),
    ("p=reject", ["enforced", "reject_blind"]),
    ("p=reject; rua=https://example.com/", ["enforced", "reject_blind", "uri_scheme"]),
    (f"p=reject; sp=none; np=quarantine; {RUA}", ["enforced", "sp_weaker", "np_weaker"]),
    (f"p=none; sp=reject; {RUA}", ["monitoring"]),
    (f"p=reject; pct=50; {RUA}", ["enforced", "pct_removed"]),
    (f"p=reject; ri=3600; rf=afrf; {RUA}", ["enforced", "removed", "removed"]),
    (f"p=reject; fo=1; {RUA}", ["enforced", "fo_without_ruf"]),
    (f"p=reject; psd=y; {RUA}", ["enforced", "psd_yes"]),
    (f"p=reject; p=none; {RUA}", ["enforced", "duplicate"]),
    (f"p=reject; zz=1; {RUA}", ["enforced", "unknown_tag"]),
    (f"p=reject; aspf=x; {RUA}", ["enforced", "syntax"]),
    (f"p=bogus; {RUA}", ["unusable", "monitoring", "syntax"]),
    ("p=bogus", ["unusable", "rua_missing", "syntax"]),
    ("sp=none", ["policy_missing", "rua_missing"]),
    ("p=none; rua=mailto:r@example.com!10m", ["monitoring", "uri_size"]),
]


@pytest.mark.parametrize(("record", "ids"), LINT)
def test_lint(record: str, ids: list[str]) -> None:
    found = dmarc.lint(dmarc.parse(f"v=DMARC1; {record}"))
    assert [one.id.removeprefix("dmarc.") for one in found] == ids
    for one in found:
        assert set(one.params) == set(dmarc.FINDING_IDS[one.id])


def survey(zone: Zone, domain: str = "example.com") -> dict[str, Status]:
    found = dns.run(dmarc.survey(domain, Suffixes()), zone)
    for one in found.findings:
        assert set(one.params) == set(dmarc.FINDING_IDS[one.id])
    return {one.id.removeprefix("dmarc."): one.status for one in found.findings}


class Suffixes:
    """One label is a suffix."""

    def organizational(self, name: str) -> str | None:
        labels = name.split(".")
        return ".".join(labels[-2:]) if len(labels) > 1 else None


def test_a_domain_without_a_record() -> None:
    assert survey(Zone()) == {"none": Status.FAIL}
    assert survey(Zone(failing=("_dmarc.example.com",))) == {"dns_failed": Status.UNKNOWN}
    two = ("v=DMARC1; p=none", "v=DMARC1; p=reject")
    assert survey(Zone({"_dmarc.example.com": two})) == {
        "none": Status.FAIL,
        "several": Status.FAIL,
    }


def test_a_subdomain() -> None:
    zone = Zone({"_dmarc.example.com": f"v=DMARC1; p=reject; sp=none; {RUA}"})
    found = survey(zone, "a.example.com")
    assert found["inherited"] is Status.WARN
    own = {"_dmarc.a.example.com": f"v=DMARC1; p=none; sp=reject; {RUA}"}
    found = survey(Zone({"_dmarc.example.com": "v=DMARC1; p=none"} | own), "a.example.com")
    assert found["subdomain_tags"] is Status.WARN
    assert "organizational_differs" not in found


def test_another_owner_by_the_list() -> None:
    zone = Zone({"_dmarc.a.example.com": f"v=DMARC1; p=none; {RUA}"})
    assert survey(zone, "a.example.com")["organizational_differs"] is Status.WARN


EXTERNAL = [
    # record at example.com._report._dmarc.reports.test, reason, where the reports go
    (None, "missing", []),
    ("v=DMARC1", "given", ["r@reports.test"]),
    ("v=DMARC1;", "given", ["r@reports.test"]),
    (("junk", "v=DMARC1;"), "given", ["r@reports.test"]),
    (("v=DMARC1;", "v=DMARC1; p=none"), "given", ["r@reports.test"]),
    ("v=spf1 -all", "missing", []),
    ("v=DMARC1; rua=mailto:other@reports.test", "replaced", ["other@reports.test"]),
    ("v=DMARC1; rua=mailto:other@victim.test", "elsewhere", []),
]


@pytest.mark.parametrize(("record", "reason", "addresses"), EXTERNAL)
def test_external_address(
    record: str | tuple[str, ...] | None, reason: str, addresses: list[str]
) -> None:
    """RFC 9990 section 4."""
    texts: dict[str, str | tuple[str, ...]] = {"_dmarc.example.com": "v=DMARC1; p=none"}
    if record is not None:
        texts["example.com._report._dmarc.reports.test"] = record
    zone = Zone(texts)
    found = dns.run(dmarc.permission("example.com", dmarc.mailto("r@reports.test")), zone)
    assert found.reason == reason
    assert [uri.address for uri in found.uris] == addresses
    assert found.allowed is bool(addresses)


@pytest.mark.parametrize("host", ["example.com", "mail.example.com", "a.b.example.com"])
def test_an_address_of_ones_own_needs_no_record(host: str) -> None:
    zone = Zone({"_dmarc.example.com": "v=DMARC1; p=none"})
    found = dns.run(dmarc.permission("example.com", dmarc.mailto(f"r@{host}")), zone)
    assert (found.reason, found.allowed) == ("own", True)
    assert not any("_report" in name for name in zone.names)


def test_dns_that_fails_gives_no_permission_for_now() -> None:
    zone = Zone(
        {"_dmarc.example.com": "v=DMARC1; p=none"}, failing=("example.com._report._dmarc.r.test",)
    )
    found = dns.run(dmarc.permission("example.com", dmarc.mailto("r@r.test")), zone)
    assert (found.reason, found.allowed) == ("failed", False)


def test_a_name_too_long_to_ask() -> None:
    long = ".".join(["a" * 60] * 3) + ".test"
    found = dns.run(dmarc.permission(long, dmarc.mailto(f"r@{'b' * 60}.test")), Zone())
    assert found.reason == "too_long"


def test_the_survey_tells_of_addresses() -> None:
    record = "v=DMARC1; p=reject; rua=mailto:r@reports.test; ruf=mailto:f@silent.test"
    zone = Zone({"_dmarc.example.com": record}, failing=("example.com._report._dmarc.silent.test",))
    found = survey(zone)
    assert found["rua_external"] is Status.FAIL
    assert found["rua_unsure"] is Status.UNKNOWN


WATCHING = Policy(Action.NONE, rua=(dmarc.mailto("r@example.com"),))
GOOD = Evidence(days=31, reported=28, legitimate=10_000, failing=10)


@pytest.mark.parametrize(
    ("policy", "days", "evidence", "lists", "step", "blockers"),
    [
        (None, 0, Evidence(), None, Step.PUBLISH, []),
        (WATCHING, 30, GOOD, None, Step.QUARANTINE, []),
        (WATCHING, 29, GOOD, None, Step.WAIT, ["too_early"]),
        (Policy(), 90, GOOD, None, Step.WAIT, ["no_reports"]),
        (WATCHING, 90, replace(GOOD, reported=3), None, Step.WAIT, ["few_reports"]),
        (WATCHING, 90, replace(GOOD, legitimate=99, failing=0), None, Step.WAIT, ["few_messages"]),
        (WATCHING, 90, replace(GOOD, failing=51), None, Step.WAIT, ["failing"]),
        (WATCHING, 90, replace(GOOD, failing=50), None, Step.QUARANTINE, []),
        (WATCHING, 90, replace(GOOD, unknown=7, unreviewed=2), None, Step.WAIT, ["unreviewed"]),
        (WATCHING, 0, Evidence(), None, Step.WAIT, ["too_early", "few_reports", "few_messages"]),
        (replace(WATCHING, p=Action.QUARANTINE), 30, GOOD, None, Step.REJECT, []),
        (replace(WATCHING, p=Action.QUARANTINE), 29, GOOD, None, Step.WAIT, ["too_early"]),
        (replace(WATCHING, p=Action.QUARANTINE), 90, GOOD, True, Step.STAY, ["lists"]),
        (
            replace(WATCHING, p=Action.QUARANTINE),
            90,
            replace(GOOD, lists=5),
            None,
            Step.STAY,
            ["lists"],
        ),
        (
            replace(WATCHING, p=Action.QUARANTINE),
            90,
            replace(GOOD, lists=5),
            False,
            Step.REJECT,
            [],
        ),
        (replace(WATCHING, p=Action.REJECT), 1, GOOD, None, Step.DONE, []),
        (replace(WATCHING, p=Action.REJECT), 1, GOOD, True, Step.STAY, ["lists"]),
        (replace(WATCHING, p=Action.REJECT, testing=True), 30, GOOD, None, Step.REJECT, []),
        (replace(WATCHING, testing=True), 30, GOOD, None, Step.QUARANTINE, []),
    ],
)
def test_roll_out(
    policy: Policy | None,
    days: int,
    evidence: Evidence,
    lists: bool | None,
    step: Step,
    blockers: list[str],
) -> None:
    plan = dmarc.plan(policy, days, evidence, uses_lists=lists)
    assert (plan.step, [one.id for one in plan.blockers]) == (step, blockers)
    for one in plan.blockers:
        assert set(one.params) == set(dmarc.BLOCKER_IDS[one.id])
    if step in (Step.QUARANTINE, Step.REJECT):
        published = dmarc.parse(plan.record).policy
        assert (published.p, published.testing) == (step.value, False)
        assert policy is not None
        assert published.rua == policy.rua


def test_a_domain_with_lists_is_told_to_step_back() -> None:
    plan = dmarc.plan(replace(WATCHING, p=Action.REJECT), 400, GOOD, uses_lists=True)
    assert plan.record.startswith("v=DMARC1; p=quarantine")


@pytest.mark.parametrize(
    ("evidence", "strict", "blockers"),
    [
        (GOOD, True, []),
        (replace(GOOD, days=30), True, []),
        (replace(GOOD, days=29), False, ["too_early"]),
        (replace(GOOD, spf_failing=1), False, ["spf_failing"]),
        (replace(GOOD, legitimate=5), False, ["few_messages"]),
        (Evidence(), False, ["too_early", "few_reports", "few_messages"]),
    ],
)
def test_spf_may_become_strict(evidence: Evidence, strict: bool, blockers: list[str]) -> None:
    advice = dmarc.spf_advice(evidence)
    assert (advice.strict, [one.id for one in advice.blockers]) == (strict, blockers)
