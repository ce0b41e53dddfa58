"""From a reply, log line or error message to an Explanation.

Enters: a ``Reply``, text or bytes, and what the caller knows: the stage, the provider or the
host that spoke, the context (``rules/context.toml``). Leaves: an ``Explanation``. Called by the
command, by the probe, for every bounce. Nothing fails, whatever comes in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from posthouse.explain import engine, reading, store
from posthouse.explain.causes import cause
from posthouse.explain.explanation import Explanation
from posthouse.flow import Stage

if TYPE_CHECKING:
    from posthouse.protocol.smtp import Reply

_TEXT: Final = (str, bytes)  # a union, written in place, would be made for every line
_IPV6: Final = re.compile(r"(?<![\w:])(?=[0-9a-f]*:[0-9a-f]*:)[0-9a-f:]{4,39}(?![\w:.])", re.I)
IPV6_COLONS: Final = 7  # that an address without "::" has; most lines need not be searched
_URL: Final = re.compile(r"https?://[^\s<>\"'(){}\[\]]{3,300}")
_STAGES: Final = {stage.value: stage for stage in Stage}
_TRAILING: Final = ".,;:!?。，；"


def explain_reply(
    reply: Reply | str | bytes,
    *,
    stage: Stage | None = None,
    provider: str | None = None,
    host: str | None = None,
    context: Mapping[str, Any] | None = None,
) -> Explanation:
    """Explain one reply or error line.

    ``provider`` is a directory id; ``host`` the name of the server that spoke, which tells the
    provider where none is given. ``context`` values also fill gaps in the words.
    """
    line = reading.read(reply if isinstance(reply, _TEXT) else _plain(reply))
    known = provider or (_provider_of(host) if host else None)
    asked = None if stage is None or stage is Stage.ANY else stage.value
    verdict = engine.judge(line, asked, known)
    found = cause(verdict.cause)
    params = _params(line.text, found.id)
    if context:
        params |= context
    if host:
        params["host"] = host
    where = _STAGES[verdict.stage] if verdict.stage else found.stage
    return Explanation(
        found,
        where,
        verdict.confidence,
        verdict.rule,
        verdict.evidence,
        verdict.provider,
        verdict.variant or _variant(found.id, where, params),
        params,
    )


def _plain(reply: Reply) -> str:
    enhanced = f"{reply.enhanced} " if reply.enhanced else ""
    return f"{reply.code} {enhanced}{reply.text}"


def _provider_of(host: str) -> str | None:
    if host[-1:].isdigit() or ":" in host:  # an address is many's: 127.0.0.1 is not always a bridge
        return None
    from posthouse import directory

    try:
        found = directory.by_host(host.lower().rstrip("."))
    except OSError:  # a directory that can't be read costs the provider, not the explanation
        return None
    return found.id if found else None


def _variant(cause_id: str, stage: Stage, facts: Mapping[str, Any]) -> str | None:
    """The kind of the cause that shows in what is known beside the reply."""
    rows = _kinds().get(cause_id)
    if rows is None:
        return None
    known = {**facts, "stage": stage.value}.items()
    return next((str(row["variant"]) for row in rows if row["when"].items() <= known), None)


@cache
def _kinds() -> dict[str, list[dict[str, Any]]]:
    kinds: dict[str, list[dict[str, Any]]] = {}
    for row in store.rows("context"):
        kinds.setdefault(row["cause"], []).append(row)
    return kinds


def _params(text: str, cause_id: str) -> dict[str, Any]:
    """What the reply itself tells and the words may use: the page it names, the address it saw."""
    params: dict[str, Any] = {}
    if "://" in text and (url := _URL.search(text)):
        params["url"] = url[0].rstrip(_TRAILING)
    if cause_id.startswith("sender.") and (ip := reading.ipv4(text) or _ipv6(text)):
        params["ip"] = ip
    return params


def _ipv6(text: str) -> str | None:
    if "::" not in text and text.count(":") < IPV6_COLONS:
        return None
    found = _IPV6.search(text)
    return found[0] if found else None
