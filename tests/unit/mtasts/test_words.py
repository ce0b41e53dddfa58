"""Words of MTA-STS, DANE, BIMI, block lists, names and mail servers, in both languages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import pytest

from posthouse import explain
from posthouse.directory import blocklists
from posthouse.explain.catalogue import entries
from posthouse.protocol import bimi, dane, dnsbl, dnssec, fcrdns, mtasts, mx
from posthouse.protocol.dane.chain import Outcome

AREAS: dict[str, Mapping[str, tuple[str, ...]]] = {
    "mtasts": mtasts.FINDING_IDS,
    "dane": dane.FINDING_IDS,
    "bimi": bimi.FINDING_IDS,
    "dnsbl": dnsbl.FINDING_IDS,
    "fcrdns": fcrdns.FINDING_IDS,
    "mx": mx.FINDING_IDS,
    "dnssec": dnssec.FINDING_IDS,
}
# Nothing is wrong there, so nothing is to be done.
FINE = {
    *("mtasts.ok", "mtasts.mx_unused", "mtasts.id_changed", "dane.ok", "dane.stale", "bimi.ok"),
    *("bimi.declined", "bimi.mark_ok", "dnsbl.clear", "dnsbl.health_works", "fcrdns.ok"),
    *("fcrdns.helo_ok", "fcrdns.helo_differs", "mx.null", "mx.ok", "dnssec.signed"),
}


def reasons(error: type[Exception]) -> list[str]:
    """The ids an error's documentation lists."""
    return re.findall(r"``(\w+)``", (error.__doc__ or "").partition("Reasons:")[2])


def extra(area: str) -> Iterator[tuple[str, set[str]]]:
    """Keys beside those of findings."""
    meanings = {m for each in blocklists.blocklists() for m in each.codes.values()} | {"other"}
    errors = {m for each in blocklists.blocklists() for m in each.errors.values()}
    known = {
        "mtasts": {
            "record": reasons(mtasts.RecordError),
            "policy": reasons(mtasts.PolicyError),
            "problem": list(mtasts.Problem),
        },
        "dane": {
            "syntax": reasons(dane.TlsaError),
            "material": reasons(dane.KeyMaterialError),
            "outcome": list(Outcome),
            "mismatch": ["association", "name", "expired", "not_yet_valid", "path", "no_chain"],
            "rollover": ["publish", "wait", "switch", "remove"],
        },
        "bimi": {"syntax": reasons(bimi.RecordError), "mark": reasons(bimi.MarkError)},
        "dnsbl": {
            "meaning": sorted(meanings),
            "subject": reasons(dnsbl.SubjectError),
            "reason": sorted(
                errors
                | {"wrong_name", "public_resolver", "rate_limit", "refused", "servfail"}
                | {"not_the_list", "unproven"}
            ),
        },
    }
    for table, ids in known.get(area, {}).items():
        for id_ in ids:
            yield f"{table}.{id_}", {"seconds"}


def keys(area: str) -> Iterator[tuple[str, set[str]]]:
    for id_, params in AREAS[area].items():
        parts = ("text",) if id_ in FINE else ("text", "consequence", "fix")
        for part in parts:
            yield f"finding.{id_.partition('.')[2]}.{part}", set(params)
    yield from extra(area)


@pytest.mark.parametrize("area", AREAS)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_words(lang: str, area: str) -> None:
    known, listed = dict(keys(area)), entries(lang, area)
    assert set(listed) == set(known)
    words = explain.Catalogue(lang, strict=True)
    for key, text in listed.items():
        assert set(re.findall(r"\{(\w+)\}", text)) <= known[key], key
        assert words.text(f"{area}.{key}", **dict.fromkeys(known[key], "x")).strip()
        assert lang == "en" or re.search("[\u4e00-\u9fff]", text), key
