"""Whether the test message arrived: the mailbox is asked for its Message-ID, until it is there.

Enters: where to look and the id. Leaves: whether it arrived, and a finding where it did not, or
came to the spam folder. Called by ``run`` after the server accepted the message. Never fails.
"""

from __future__ import annotations

from posthouse.flow import Failure, Finding, NetworkFailure, Status
from posthouse.net import imap
from posthouse.setup.probe.facts import FetchBack, Net, Options


async def arrived(
    wish: FetchBack, message_id: str, net: Net, options: Options
) -> tuple[bool, Finding | None]:
    """(True, None) where all is well. Waits up to ``wish.wait`` seconds."""
    try:
        found = await imap.fetch_by_message_id(
            message_id,
            host=wish.host,
            port=wish.port,
            username=wish.username,
            secret=wish.secret,
            dialer=net.dialer,
            clock=net.clock,
            wait=wish.wait,
            ca_file=options.ca_file,
        )
    except NetworkFailure as failure:
        return False, _missing(failure, wish)
    if found.in_spam:
        params = {"folder": found.folder}
        return True, Finding("fetched_from_spam", Status.WARN, "msg.spam", params)
    return True, None


def _missing(failure: NetworkFailure, wish: FetchBack) -> Finding:
    reason = str(failure.detail.get("reason") or failure.failure)
    if failure.failure is Failure.SILENT and reason == "not_arrived":
        return Finding("not_fetched", Status.WARN, None, {"wait_seconds": wish.wait})
    return Finding("fetch_failed", Status.WARN, None, {"reason": reason.replace("_", " ")})
