"""The same records read by us and by checkdmarc.

Where the two differ by design: it raises at the first mistake, we go on with defaults, as RFC 9989
section 4.7 has it. So what it accepts must be the same here, and what it refuses must be a problem
here as well. Its rules beyond the RFC (pct and fo of RFC 7489) are kept out of the records.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from posthouse.protocol import dmarc

theirs = pytest.importorskip("checkdmarc.dmarc")

actions = st.sampled_from(["none", "quarantine", "reject", "Reject", "", "bogus", "none none"])
modes = st.sampled_from(["r", "s", "S", "x", ""])
uris = st.lists(
    st.sampled_from(
        ["mailto:a@example.com", "mailto:b@example.com", "a@example.com", "mailto:", "mailto:a"]
    ),
    max_size=3,
).map(",".join)
tags = st.one_of(
    st.tuples(st.sampled_from(["sp", "np"]), actions),
    st.tuples(st.sampled_from(["adkim", "aspf"]), modes),
    st.tuples(st.just("psd"), st.sampled_from(["y", "n", "u", "x"])),
    st.tuples(st.just("t"), st.sampled_from(["y", "n", "x"])),
    st.tuples(st.just("fo"), st.sampled_from(["0", "1", "d", "s", "d:s", "s:d", "x"])),
    st.tuples(st.sampled_from(["rua", "ruf"]), uris),
)
EACH = ("p", "adkim", "aspf", "psd", "t")
joints = st.sampled_from([";", "; ", " ; ", ";  "])


@st.composite
def records(draw: st.DrawFn) -> str:
    parts = [("p", draw(actions)), *draw(st.lists(tags, max_size=4, unique_by=lambda tag: tag[0]))]
    text = "v=DMARC1"
    for name, value in parts:
        text += f"{draw(joints)}{name}{draw(st.sampled_from(['=', ' = ']))}{value}"
    return text + draw(st.sampled_from(["", ";", " ;"]))


def read(text: str) -> dict[str, Any] | None:
    """The tags as checkdmarc reads them, None where it refuses the record."""
    try:
        found = theirs.parse_dmarc_record(text, "example.com")
    except theirs.DMARCError:
        return None
    return {name: tag["value"] for name, tag in found["tags"].items()}


def ours(text: str) -> dict[str, Any]:
    policy = dmarc.parse(text).policy
    return {
        "p": str(policy.p or "none"),
        "adkim": str(policy.adkim),
        "aspf": str(policy.aspf),
        "psd": str(policy.psd),
        "t": "y" if policy.testing else "n",
        "fo": set(policy.fo),
        "rua": [uri.address for uri in policy.rua],
        "ruf": [uri.address for uri in policy.ruf],
        **{name: str(value) for name in ("sp", "np") if (value := getattr(policy, name))},
    }


@pytest.fixture(autouse=True, scope="module")
def no_network() -> Iterator[None]:
    """checkdmarc looks up the mail servers of every address; nobody is asked here."""
    with mock.patch.object(theirs, "get_mx_records", return_value=[{"hostname": "mx"}]):
        yield


@settings(max_examples=300, deadline=None)
@given(records())
def test_the_same_record(text: str) -> None:
    found = read(text)
    record = dmarc.parse(text)
    if found is None:
        event("refused there")
        assert record.problems
        return
    event("read there")
    mine = ours(text)
    assert {name: mine[name] for name in EACH} == {name: found[name] for name in EACH}
    assert mine["fo"] == set(
        found["fo"].split(":") if isinstance(found["fo"], str) else found["fo"]
    )
    for name in ("rua", "ruf"):
        assert mine[name] == [uri["address"] for uri in found.get(name, [])]
    for name in ("sp", "np"):
        if record.has(name):
            assert mine[name] == found[name]
