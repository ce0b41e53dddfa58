"""DKIM: the keys of one's own, and what services that sign want published.

Enters: the draft, the keys of the store. Leaves: entries, findings. Called by ``plan``. Nothing
fails.
"""

from __future__ import annotations

from datetime import date

from posthouse.flow import Status
from posthouse.protocol import spf
from posthouse.protocol.dns import Query
from posthouse.protocol.taglist import TagListError, parse_tags, without_wsp
from posthouse.setup.domain import facts
from posthouse.setup.domain.records.draft import Draft
from posthouse.setup.domain.records.inventory import Selector, Service
from posthouse.setup.domain.records.model import Stage
from posthouse.setup.domain.records.services import Row, ServiceFacts, rows, services


def plan_dkim(draft: Draft, today: date) -> Query[None]:
    """All keys."""
    for selector in draft.inventory.selectors:
        yield from _own(draft, selector, today)
    signs = False
    for service in draft.inventory.services:
        yield from _service(draft, service)
        signs = signs or (yield from _signs(draft, services()[service.id]))
    signs = signs or any(one.section == "dkim" and one.wanted for one in draft.entries)
    if draft.inventory.sends and not signs:
        draft.say("dkim_none", Status.WARN)


def _own(draft: Draft, key: Selector, today: date) -> Query[None]:
    name = f"{key.selector}._domainkey.{draft.domain}"
    if key.gone is not None and key.gone <= today:
        live = yield from draft.ask(name, "TXT")
        for text in () if live.canonical else live.records:
            draft.remove("dkim", draft.record(name, "TXT", text), "dkim_gone")
        return
    if not (key.text or key.cname):
        return  # a retired key whose file is gone
    params = {"selector": key.selector}
    if key.cname:
        yield from draft.alias(
            "dkim", name, key.cname, why="dkim_alias", stage=Stage.SENDERS, params=params
        )
        return
    why = "dkim_old" if key.gone is not None else "dkim"
    until = {"until": key.gone.isoformat()} if key.gone is not None else {}
    yield from _key(draft, name, key.text, why, params | until)


def _key(draft: Draft, name: str, text: str, why: str, params: dict[str, str]) -> Query[None]:
    live = yield from draft.ask(name, "TXT")
    yield from draft.only(
        "dkim",
        draft.record(name, "TXT", text),
        live,
        lambda _: True,  # RFC 6376 section 3.6.2.2: one record stands there, and it is the key
        why=why,
        stage=Stage.SENDERS,
        same=_same,
        params=params,
    )


def _same(live: str, wanted: str) -> bool:
    """The same key under the same terms."""
    try:
        ours, theirs = _terms(wanted), _terms(live)
    except TagListError:
        return live == wanted
    return ours == theirs


def _terms(text: str) -> dict[str, str]:
    tags = {name: without_wsp(tag.value) for name, tag in parse_tags(text).items()}
    return {"v": "DKIM1", "k": "rsa", **tags}


def _service(draft: Draft, service: Service) -> Query[None]:
    """The records a service wants, and what it needs to be told first."""
    known = services()[service.id]
    lacking = known.lacking(service.params)
    if lacking and not (yield from _signs(draft, known)):
        params = ", ".join(lacking)
        draft.say(
            "service_needs", Status.WARN, service=service.id, params=params, source=known.source
        )
    for row in rows(known, draft.domain, service.params):
        yield from _row(draft, known, row)


def _signs(draft: Draft, known: ServiceFacts) -> Query[bool]:
    """Whether one of its usual keys stands there already: then it may be left as it is."""
    provider = facts.providers().get(known.id)
    for selector in provider.selectors if provider is not None else ():
        answer = yield from draft.ask(f"{selector}._domainkey.{draft.domain}", "TXT")
        if answer.records:
            return True
    return False


def _row(draft: Draft, known: ServiceFacts, row: Row) -> Query[None]:
    section = row.why if row.why == "dkim" else "service"
    why = {"dkim": "dkim_service"}.get(row.why, row.why)
    params = {"service": known.id}
    stage = Stage.SENDERS
    if row.type == "CNAME":
        target = row.value.removesuffix(".")
        yield from draft.alias(section, row.name, target, why=why, stage=stage, params=params)
        return
    live = yield from draft.ask(row.name, row.type)
    if row.type == "MX":
        values = [f"{row.value.removesuffix('.')}."]
        yield from draft.exactly(
            section, row.name, "MX", values, live, why=why, stage=stage, params=params
        )
        return
    if row.why == "dkim":
        yield from _key(draft, row.name, row.value, why, params)
        return
    wanted = draft.record(row.name, "TXT", row.value)
    kind = spf.is_record if spf.is_record(row.value) else row.value.__eq__
    yield from draft.only(section, wanted, live, kind, why=why, stage=stage, params=params)
