"""The plan of a domain, asked of a resolver: many questions at once.

Enters: an inventory, a resolver, the time. Leaves: ``Plan``. Called by the command line. Nothing
fails: what DNS does not answer is "unknown" in the plan.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from posthouse.net.resolver import Resolver, answer
from posthouse.protocol import mtasts, spf
from posthouse.protocol.dmarc.report import AggregateReport
from posthouse.protocol.dns import Ask
from posthouse.setup.domain.records.ask import Answers, key_of
from posthouse.setup.domain.records.inventory import Inventory
from posthouse.setup.domain.records.model import Plan
from posthouse.setup.domain.records.plan import includes, plan, questions
from posthouse.setup.domain.records.reports import Unread

DEPTH: Final = 6  # includes in includes asked for ahead; the survey goes on by itself
NAMES: Final = 40  # records asked for ahead


async def propose(
    inventory: Inventory,
    resolver: Resolver,
    now: datetime,
    *,
    reports: Sequence[AggregateReport] | None = None,
    unread: Sequence[Unread] = (),
    served: mtasts.Policy | None = None,
) -> Plan:
    """What to publish; the rest as ``plan`` has it."""
    known: Answers = {}
    await _ask(questions(inventory), resolver, known)
    await _includes(inventory, resolver, known)
    query = plan(inventory, now, reports=reports, unread=unread, served=served, known=known)
    return await answer(query, resolver)


async def _ask(asks: Iterable[Ask], resolver: Resolver, known: Answers) -> None:
    wanted = {key_of(one.name, one.type): one for one in asks}
    new = {key: one for key, one in wanted.items() if key not in known}
    answers = await asyncio.gather(*(resolver.ask(one.name, one.type) for one in new.values()))
    known.update(zip(new, answers, strict=True))


async def _includes(inventory: Inventory, resolver: Resolver, known: Answers) -> None:
    """What SPF records lead to, one layer after the other."""
    for _ in range(DEPTH):
        texts = [
            text
            for (_, type_), one in known.items()
            if type_ == "TXT"
            for text in one.records
            if spf.is_record(text)
        ]
        names = [name for name in includes(texts) if (name, "TXT") not in known][:NAMES]
        if not names:
            return
        await _ask([Ask(name, "TXT") for name in names], resolver, known)
