"""Filters, forwarders, throw-away domains and roles: facts beside the providers."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse import directory
from posthouse.directory import beside

FACTS = tomllib.loads(Path(beside.__file__).with_name("beside.toml").read_text("utf-8"))
PATTERN = re.compile(r"(?:\*\.)?(?:[a-z0-9_-]*\*?[a-z0-9_-]*\.)+[a-z]{2,}")


@pytest.mark.parametrize("part", FACTS)
def test_every_part_has_its_source_and_date(part: str) -> None:
    assert FACTS[part]["source"]
    assert re.fullmatch(r"\d{4}-\d\d(?:-\d\d)?", FACTS[part]["date"])


@pytest.mark.parametrize("part", ["filter", "forwarder"])
def test_a_filter_is_no_provider_s_incoming_host(part: str) -> None:
    for who, rules in FACTS[part]["names"].items():
        for rule in rules:
            assert PATTERN.fullmatch(rule), rule
            sample = rule.replace("*", "x1")
            assert directory.by_mx(sample) is None, (who, sample)
            named = beside.filter_of(sample) if part == "filter" else beside.forwarder_of(sample)
            assert named is not None


def test_no_provider_s_incoming_host_is_a_filter() -> None:
    for provider in map(directory.load, directory.ids()):
        for rule in provider.mx:
            host = rule.pattern.replace("*", "x1")
            assert beside.filter_of(host) is None, (provider.id, host)
            assert beside.forwarder_of(host) is None, (provider.id, host)


def test_no_domain_of_a_mailbox_provider_is_thrown_away() -> None:
    for provider in map(directory.load, directory.ids()):
        assert not [d for d in provider.domains if beside.is_disposable(d)], provider.id


@pytest.mark.parametrize(
    ("local", "role"),
    [("info", True), ("Postmaster", True), ("abuse+x", True), ("alice", False), ("", False)],
)
def test_roles(local: str, role: bool) -> None:
    assert beside.is_role(local) is role


@pytest.mark.parametrize(
    ("domain", "gone"),
    [
        ("mailinator.com", True),
        ("x.mailinator.com", True),
        ("MAILINATOR.COM.", True),
        ("notmailinator.com", False),
        ("gmail.com", False),
    ],
)
def test_throw_away_domains(domain: str, gone: bool) -> None:
    assert beside.is_disposable(domain) is gone


@given(st.text())
def test_any_text_is_answered(text: str) -> None:
    for ask in (beside.filter_of, beside.forwarder_of):
        assert ask(text) is None or "." in text
    assert beside.is_disposable(text) in (True, False)
    assert beside.is_role(text) in (True, False)
