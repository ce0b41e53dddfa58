"""What a receiver with Google's published rules does with mails, before and after the records."""

from __future__ import annotations

from typing import Any

import pytest

from posthouse.setup.domain import Fate, Known, simulate
from unit.domain.letters import RECEIVED, letter, signed
from unit.domain.test_dkim_check import NAME, key, record
from unit.domain.world import GOOD, TIMEOUT, net

# Half of the mails come from the domain's own server, half by a service that signs as itself.
OWN = RECEIVED + letter()
SERVICE = RECEIVED.replace(b"<ann@good.test>", b"<b@esp.test>", 1) + signed(
    key(), domain="esp.test"
)
HUNDRED = [OWN] * 50 + [SERVICE] * 50
BARE = {
    **{
        k: v
        for k, v in GOOD.items()
        if k not in (("good.test", "TXT"), ("_dmarc.good.test", "TXT"))
    },
    ("s1._domainkey.esp.test", "TXT"): [record()],
}


async def test_half_of_a_hundred_is_refused_before_the_record_and_none_after() -> None:
    before = await simulate(HUNDRED, net(BARE))
    assert (before.count(Fate.REFUSED), before.count(Fate.ACCEPTED)) == (50, 50)
    assert before.rules == {"spf_or_dkim": 50}
    assert {one.cause for one in before.mails if one.fate is Fate.REFUSED} == {"sender.auth_failed"}
    after = await simulate(HUNDRED, net({**BARE, ("good.test", "TXT"): ["v=spf1 mx -all"]}))
    assert after.count(Fate.ACCEPTED) == 100


async def test_more_is_asked_of_those_who_send_more() -> None:
    table = {**BARE, ("good.test", "TXT"): ["v=spf1 mx -all"]}
    many = await simulate([OWN, SERVICE], net(table), volume=5_000)
    assert [one.rule for one in many.mails] == ["dkim", "spf"]


@pytest.mark.parametrize(
    ("policy", "fate"),
    [("none", Fate.ACCEPTED), ("quarantine", Fate.JUNK), ("reject", Fate.REFUSED)],
)
async def test_the_domains_own_policy_counts(policy: str, fate: Fate) -> None:
    table = {**BARE, ("_dmarc.good.test", "TXT"): [f"v=DMARC1; p={policy}"]}
    assert [one.fate for one in (await simulate([SERVICE], net(table))).mails] == [fate]


@pytest.mark.parametrize("name", [NAME, "s1._domainkey.esp.test"])
async def test_silent_dns_refuses_nobody(name: str) -> None:
    table: dict[Any, Any] = {**BARE, (name, "TXT"): TIMEOUT, ("good.test", "TXT"): TIMEOUT}
    found = await simulate([OWN, SERVICE], net(table), known=Known(mail_from="ann@good.test"))
    assert found.count(Fate.REFUSED) == 0


async def test_a_receiver_nobody_knows() -> None:
    with pytest.raises(KeyError):
        await simulate([], net({}), receiver="nobody")
