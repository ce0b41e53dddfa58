"""The search as a whole: time, order of answers, cancelling, outcomes. On virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from posthouse.flow import CredentialKind
from posthouse.net.resolver import Answer, AnswerStatus
from posthouse.setup.find import FindResult, Net, Outcome, Source, State, Trust, find
from posthouse.setup.find.engine import BUDGET, WEB_LIMIT

from .doubles import NEVER, RTT, LoopClock, World, autoconfig, ids, run, where

MX = ("d.example", "MX")
SUBMISSIONS = ("_submissions._tcp.d.example", "SRV")
SUBMISSION = ("_submission._tcp.d.example", "SRV")
OWN = "https://autoconfig.d.example/mail/config-v1.1.xml"
PLAIN_MX = {MX: ["10 mx.d.example."]}
ADDRESS = "alice@d.example"


def states(result: FindResult) -> dict[str, str]:
    return {r.source.value: r.state.value for r in result.reports}


def first_at(world: World, address: str = ADDRESS) -> float:
    """When the first partial result with a candidate came, in seconds."""
    seen: list[float] = []
    world.find(address, observer=lambda r: seen.append(r.seconds) if r.candidates else None)
    return seen[0]


def test_the_directory_answers_at_once() -> None:
    assert first_at(World(slow={"*": NEVER}), "alice@qq.com") == 0.0


@pytest.mark.parametrize(
    ("dns", "pages", "trips"),
    [
        ({SUBMISSIONS: ["0 1 465 m.d.example."]}, {}, 1),
        ({MX: ["5 mxbiz1.qq.com."]}, {}, 1),
        ({MX: ["0 inbound-smtp.eu-west-1.amazonaws.com."]}, {}, 2),
        ({}, {OWN: autoconfig("m.d.example")}, 4),
        ({("smtp.d.example", "A"): ["192.0.2.1"]}, {}, 2),
    ],
)
def test_round_trips_to_an_answer(dns: Any, pages: Any, trips: int) -> None:
    assert first_at(World({**PLAIN_MX, **dns}, pages)) == pytest.approx(trips * RTT)


def test_a_known_answer_ends_the_search_after_one_more_round_trip() -> None:
    world = World(
        {("gmail.com", "MX"): ["5 gmail-smtp-in.l.google.com."]},
        {"https://gmail.com/.well-known/autoconfig/mail/config-v1.1.xml": 404},
    )
    result = world.find("alice@gmail.com")
    assert result.seconds == pytest.approx(2 * RTT)
    assert states(result)["autoconfig"] == "cancelled"
    assert [u for u in world.http.cancelled if "well-known" in u]


def test_a_conflict_within_the_grace_still_shows() -> None:
    world = World({("_submissions._tcp.gmail.com", "SRV"): ["0 1 465 evil.test."]})
    result = world.find("alice@gmail.com")
    assert result.best is not None
    assert result.best.endpoint.host == "smtp.gmail.com"
    assert [(c.field, c.chosen) for c in result.conflicts] == [("host", "smtp.gmail.com")]


def test_thorough_waits_for_all() -> None:
    page = "https://gmail.com/.well-known/autoconfig/mail/config-v1.1.xml"
    world = World(
        {("gmail.com", "MX"): ["5 gmail-smtp-in.l.google.com."]},
        {page: autoconfig("other.test")},
    )
    result = world.find("alice@gmail.com", thorough=True)
    assert State.CANCELLED not in {r.state for r in result.reports}
    assert [c.field for c in result.conflicts] == ["host"]


def test_a_source_that_may_still_win_is_waited_for() -> None:
    dns = {**PLAIN_MX, SUBMISSION: ["0 1 587 srv.d.example."]}
    result = World(dns, {OWN: autoconfig("auto.d.example")}).find(ADDRESS)
    assert where(result) == ["auto.d.example:465 tls", "srv.d.example:587 starttls"]
    assert result.seconds == pytest.approx(4 * RTT)


def test_a_tenant_gives_autoconfig_one_whole_answers_time() -> None:
    dns = {MX: ["5 mxbiz1.qq.com."]}
    result = World(dns, {OWN: autoconfig("stale.d.example")}).find(ADDRESS)
    assert where(result)[0] == "smtp.exmail.qq.com:465 tls"
    assert "autoconfig_contradicted" in ids(result)
    silent = World(dns, {OWN: 404}, slow={"autoconfig.d.example": NEVER}).find(ADDRESS)
    assert silent.seconds < 6 * RTT


@pytest.mark.parametrize("thorough", [True, False])
@pytest.mark.parametrize("address", [ADDRESS, "alice@qq.com", "alice@wo.cn"])
def test_silence_everywhere_ends_within_five_seconds(address: str, thorough: bool) -> None:
    result = World(slow={"*": NEVER}).find(address, thorough=thorough)
    assert result.seconds < 5.0
    assert result.seconds <= BUDGET
    timed_out = [r for r in result.reports if r.state is State.TIMED_OUT]
    assert timed_out or result.best is not None


def test_slow_drips_end_within_five_seconds_too() -> None:
    """The guess starts late; it gets what is left of the time, no more."""
    slow = {"d.example": 2.9, "smtp.d.example": NEVER, "mail.d.example": NEVER}
    result = World(PLAIN_MX, slow=slow).find(ADDRESS)
    assert result.seconds <= BUDGET
    assert states(result)["guess"] == "timed_out"


def test_each_source_has_its_own_time() -> None:
    dns = {**PLAIN_MX, SUBMISSION: ["0 1 587 m.d.example."]}
    world = World(dns, {OWN: 404}, slow={"autoconfig.d.example": NEVER})
    result = world.find(ADDRESS)
    assert result.seconds == pytest.approx(WEB_LIMIT)
    assert states(result)["autoconfig"] == "timed_out"
    assert where(result) == ["m.d.example:587 starttls"]


class Stubborn:
    """A resolver that has to be told twice to stop."""

    async def ask(self, name: str, type: str) -> Answer:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(NEVER)
        await asyncio.sleep(NEVER)
        return Answer(name, type, AnswerStatus.NODATA)


def test_work_that_resists_cancelling_does_not_hold_up_the_end() -> None:
    async def timed() -> float:
        await find(ADDRESS, Net(Stubborn(), World().http, LoopClock()))
        return asyncio.get_running_loop().time()

    assert run(timed()) < 5.0


def test_a_bug_in_a_source_is_not_swallowed() -> None:
    class Broken:
        async def ask(self, name: str, type: str) -> Answer:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(find(ADDRESS, Net(Broken(), World().http, LoopClock())))


def test_partial_results_are_whole_and_only_the_end_says_nothing() -> None:
    seen: list[FindResult] = []
    world = World(PLAIN_MX)
    result = world.find(ADDRESS, observer=seen.append)
    assert [len(r.reports) for r in seen] == sorted(len(r.reports) for r in seen)
    assert all("nothing" not in ids(r) for r in seen)
    assert ids(result) == ["nothing"]


def test_offline_asks_nobody() -> None:
    world = World()
    result = world.find("alice@qq.com", offline=True)
    assert where(result) == ["smtp.qq.com:465 tls", "smtp.qq.com:587 starttls"]
    assert (world.resolver.asked, world.http.asked) == ([], [])
    assert {r.state for r in result.reports} == {State.ANSWERED, State.SKIPPED}
    assert world.find(ADDRESS, offline=True).outcome is Outcome.COULD_NOT_DETERMINE


# outcomes


@pytest.mark.parametrize(
    ("dns", "outcome", "findings"),
    [
        ({SUBMISSIONS: ["0 1 465 m.d.example."]}, Outcome.FOUND, []),
        ({("mail.d.example", "A"): ["192.0.2.1"]}, Outcome.UNPROVEN, ["guessed"]),
        ({}, Outcome.NOTHING, ["nothing"]),
        ({MX: AnswerStatus.SERVFAIL}, Outcome.COULD_NOT_DETERMINE, ["dns_failed"]),
        ({SUBMISSION: AnswerStatus.TIMEOUT}, Outcome.COULD_NOT_DETERMINE, ["dns_failed"]),
        ({MX: ["0 ."]}, Outcome.NOTHING, ["null_mx", "nothing"]),
        ({SUBMISSIONS: ["0 0 0 ."]}, Outcome.NOTHING, ["srv_not_offered", "nothing"]),
        (
            {SUBMISSIONS: ["0 1 465 m.elsewhere.test."]},
            Outcome.FOUND,
            ["unsigned_elsewhere"],
        ),
    ],
)
def test_outcomes(dns: Any, outcome: Outcome, findings: list[str]) -> None:
    result = World({**PLAIN_MX, **dns}).find(ADDRESS)
    assert (result.outcome, ids(result)) == (outcome, findings)


def test_silent_dns_is_not_nothing() -> None:
    result = World(slow={"*": NEVER}).find(ADDRESS)
    assert (result.outcome, ids(result)) == (Outcome.COULD_NOT_DETERMINE, ["dns_silent"])


def test_where_dns_fails_nobody_is_said_to_have_answered_better() -> None:
    world = World(slow={"*": NEVER})
    guess = {r.source.value: r.detail for r in world.find(ADDRESS).reports}["guess"]
    assert guess == "no_dns"
    known = {
        r.source.value: r.detail for r in World(slow={"*": NEVER}).find("alice@qq.com").reports
    }
    assert known["guess"] == "not_needed"


def test_no_such_domain_ends_everything_at_once() -> None:
    world = World({}, {"https://d.example/x": 404}, slow={"autoconfig.d.example": NEVER})
    world.resolver.table.table = {}
    result = world.find(ADDRESS)
    assert (result.outcome, ids(result)) == (Outcome.NOTHING, ["domain_not_found"])
    assert result.seconds == pytest.approx(RTT)


def test_a_known_domain_that_dns_denies() -> None:
    result = World().find("alice@qq.com")
    assert result.outcome is Outcome.FOUND
    assert "domain_hidden" in ids(result)
    assert "domain_not_found" not in ids(result)


def test_a_typo_is_said_first_and_the_search_goes_on() -> None:
    dns = {("_submissions._tcp.gmial.com", "SRV"): ["0 1 465 smtp.gmial.com."]}
    result = World({("gmial.com", "MX"): ["5 mx.gmial.com."], **dns}).find("alice@gmial.com")
    assert ids(result)[0] == "domain_typo"
    assert result.findings[0].params["address"] == "alice@gmail.com"
    assert where(result) == ["smtp.gmial.com:465 tls"]


@pytest.mark.parametrize("text", ["alice", "alice@", "alice@[192.0.2.1]", "a@b@c.example"])
def test_bad_addresses_ask_nobody(text: str) -> None:
    world = World()
    result = world.find(text)
    assert result.outcome is Outcome.NOTHING
    assert result.findings[0].id.startswith("address.")
    assert world.resolver.asked == []


def test_idn_is_asked_in_a_labels() -> None:
    world = World()
    world.find("用户@例子.中国")
    assert ("xn--fsqu00a.xn--fiqs8s", "MX") in world.resolver.asked


def test_http_answers_are_marked() -> None:
    page = "http://autoconfig.d.example/mail/config-v1.1.xml"
    world = World(PLAIN_MX, {page: autoconfig("m.d.example")})
    assert world.find(ADDRESS).candidates == ()
    result = world.find(ADDRESS, allow_http=True)
    assert result.best is not None
    assert result.best.trust is Trust.UNTRUSTED
    assert (result.outcome, ids(result)) == (Outcome.UNPROVEN, ["untrusted"])


def test_evidence_says_who_where_when() -> None:
    dns = {**PLAIN_MX, SUBMISSIONS: ["0 1 465 m.d.example."]}
    result = World(dns, {OWN: autoconfig("m.d.example")}, authenticated=True).find(ADDRESS)
    assert result.best is not None
    assert result.best.trust is Trust.CONFIRMED
    told = [(e.source, e.where, e.dnssec, round(e.seconds / RTT)) for e in result.best.evidence]
    assert told == [
        (Source.AUTOCONFIG, OWN, None, 4),
        (Source.SRV, "_submissions._tcp.d.example SRV", True, 1),
    ]
    assert all(e.checked.tzinfo is not None for e in result.best.evidence)


def test_a_known_host_brings_its_providers_knowledge() -> None:
    dns = {**PLAIN_MX, SUBMISSIONS: ["0 1 465 smtp.exmail.qq.com."]}
    best = World(dns).find(ADDRESS).best
    assert best is not None
    assert (best.provider, best.credential) == ("exmail", CredentialKind.APP_PASSWORD)
