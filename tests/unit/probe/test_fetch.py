"""Only a message that was fetched back is called delivered."""

from __future__ import annotations

from typing import Any

import pytest

from canaries import PASSWORD
from posthouse.flow import Failure, NetworkFailure, Secret, Stage
from posthouse.net.clock import FakeClock
from posthouse.net.dial import MemoryDialer
from posthouse.net.imap import Fetched
from posthouse.net.resolver import FixtureResolver
from posthouse.setup.probe import FetchBack, Net, Options, fetch

WISH = FetchBack("imap.mail.test", "alice@mail.test", Secret(PASSWORD), wait=30.0)


@pytest.mark.parametrize(
    ("outcome", "arrived", "id_"),
    [
        (Fetched("INBOX", b"Message-ID: <a@x>", 1.0), True, None),
        (Fetched("Junk", b"Message-ID: <a@x>", 1.0), True, "fetched_from_spam"),
        (
            NetworkFailure(Failure.SILENT, Stage.ANY, reason="not_arrived"),
            False,
            "not_fetched",
        ),
        (
            NetworkFailure(Failure.BAD_REPLY, Stage.AUTH, reason="login_refused"),
            False,
            "fetch_failed",
        ),
        (NetworkFailure(Failure.SILENT, Stage.ANY), False, "fetch_failed"),
        (NetworkFailure(Failure.REFUSED, Stage.CONNECT), False, "fetch_failed"),
    ],
    ids=["inbox", "spam", "late", "login", "mute", "refused"],
)
async def test_arrived(
    monkeypatch: pytest.MonkeyPatch, outcome: Any, arrived: bool, id_: str | None
) -> None:
    async def fetched(message_id: str, **asked: Any) -> Fetched:
        assert (message_id, asked["host"], asked["port"]) == ("<a@x>", "imap.mail.test", 993)
        if isinstance(outcome, NetworkFailure):
            raise outcome
        assert isinstance(outcome, Fetched)
        return outcome

    monkeypatch.setattr("posthouse.net.imap.fetch_by_message_id", fetched)
    net = Net(FixtureResolver({}), MemoryDialer({}), FakeClock())
    there, finding = await fetch.arrived(WISH, "<a@x>", net, Options())
    assert there is arrived
    assert (finding.id if finding else None) == id_
