"""What looks odd about an account, before it is used."""

from __future__ import annotations

import pytest

from canaries import APP_PASSWORD, PASSWORD, UNICODE_PASSWORD, find_leaks
from posthouse.flow import CredentialKind, Secret
from posthouse.setup.probe import hints
from posthouse.setup.probe.facts import Login


@pytest.mark.parametrize(
    ("username", "password", "expected"),
    [
        ("alice@x.test", PASSWORD, ()),
        ("alice@x.test", APP_PASSWORD, ()),  # blanks inside are how Google shows it
        ("alice@x.test", PASSWORD + " ", ("blanks",)),
        ("alice@x.test", "\t" + PASSWORD, ("blanks",)),
        ("alice", PASSWORD, ("local_part",)),
        ("alice%40x.test", PASSWORD, ("percent_at",)),
        ("alice@x.test", UNICODE_PASSWORD, ("non_ascii",)),
        ("alice@x.test:" + PASSWORD, PASSWORD, ("colon",)),
    ],
    ids=["fine", "inner", "end", "start", "local", "percent", "wide", "colon"],
)
def test_odd(username: str, password: str, expected: tuple[str, ...]) -> None:
    found = hints.odd(Login(username, Secret(password)), "smtp.x.test")
    assert hints.short(found) == expected
    assert not find_leaks(str(found))


def test_a_token_may_hold_anything() -> None:
    login = Login("alice@x.test", Secret("ä"), CredentialKind.OAUTH2)
    assert hints.odd(login, "smtp.x.test") == ()


@pytest.mark.parametrize(
    ("username", "host", "warned"),
    [
        ("user@outlook.com", "smtp.gmail.com", True),
        ("user@gmail.com", "smtp.gmail.com", False),
        ("user@company.test", "smtp.gmail.com", False),  # a Workspace domain
        ("user@gmail.com", "smtp.sendgrid.net", False),  # a service takes any account
        ("apikey", "smtp.gmail.com", False),
    ],
)
def test_pairing(username: str, host: str, warned: bool) -> None:
    found = hints.pairing(Login(username, Secret(PASSWORD)), host)
    assert (found is not None) is warned
    if found is not None:
        assert found.params["account_provider"] != found.params["server_provider"]
