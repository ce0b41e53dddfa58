"""What a transaction means for each recipient: delivered, to be tried again, or refused for good.

Enters: a task, its ``Carried``, the carrier (None: nobody was reached). Leaves: one ``Outcome`` for
each recipient, in their order. The dispatcher's ``Judge``. Nothing raises. What was delivered costs
next to nothing; causes, texts and waits are looked for only where something failed.

Unknown means temporary. A 4yz, a broken connection, a DNS that gave no answer are tried again; a
5yz is for good, except where it is about us and not about the recipient: our login, our TLS, our
place at a smart host. Bouncing everybody's mail because a password has run out helps nobody, so
that waits, and ``ours`` says that somebody has to be told. So does what a server lacks that only
stands in for a better one, and so does its 521: the better one, when it is back, may do it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from posthouse.explain import Explanation, explain_failure, explain_reply
from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.letter import Outcome, Result
from posthouse.net.smtp_carry import Carrier
from posthouse.net.smtp_open import Refused
from posthouse.net.smtp_work import Carried
from posthouse.protocol.smtp.reply import Reply
from posthouse.send.deliver.connect import Line
from posthouse.send.deliver.places import Place
from posthouse.send.deliver.transaction import Task
from posthouse.send.deliver.waits import read_wait

REMEMBERED: Final = 512  # replies explained and kept: a hop that fails says the same to all
TEXT_LIMIT: Final = 1_000  # characters of a reply that are kept; the queue keeps one an item

# A 5yz before any message is about us: the greeting (554: block lists come and go), EHLO, STARTTLS,
# the login. ``connect`` knows of 521.
_BEFORE: Final = frozenset({Stage.CONNECT, Stage.GREETING, Stage.EHLO, Stage.TLS, Stage.AUTH})
# A 5yz with such a cause at a server of our choice is our settings' fault or our account's.
_OURS: Final = frozenset(
    {
        *("auth.required", "auth.credentials", "auth.app_password", "auth.disabled"),
        *("auth.mechanism", "tls.required", "tls.failed", "tls.certificate", "relay.denied"),
        *("sender.account_blocked", "sender.quota"),
    }
)
# These pass by themselves, whatever the code: RFC 5321 section 4.5.3.1.10 says so of 552 for too
# many recipients, and providers say 550 of a quota that is free again tomorrow.
_PASSING: Final = frozenset(
    {"rate.recipients", "rate.limited", "rate.greylisted", "sender.quota", "auth.temporary"}
)
_SURE: Final = 0.5  # confidence from which a cause may overrule a code

# What the network did, as others say it in logs and reports.
_WORDS: Final = {
    Failure.NAME_NOT_FOUND: "Host not found",
    Failure.NO_ADDRESS: "Host found but no address record of it",
    Failure.DNS_FAILED: "Host not found, try again (server failure)",
    Failure.DNS_TIMEOUT: "Host not found, try again (DNS timed out)",
    Failure.REFUSED: "Connection refused",
    Failure.TIMEOUT: "Connection timed out",
    Failure.UNREACHABLE: "Network is unreachable",
    Failure.OFFLINE: "No route to host",
    Failure.EXHAUSTED: "Too many open files or sockets here",
    Failure.CLOSED: "Lost connection",
    Failure.RESET: "Connection reset by peer",
    Failure.SILENT: "Conversation timed out",
    Failure.NOT_SMTP: "Protocol error: not an SMTP server",
    Failure.TLS_EXPECTED: "TLS handshake failed: the port expects TLS",
    Failure.PLAIN_EXPECTED: "TLS handshake failed: the port does not speak TLS",
    Failure.TLS_NOT_OFFERED: "TLS is required, but was not offered",
    Failure.TLS_STRIPPED: "TLS is required, but STARTTLS was erased on the way",
    Failure.TLS_HANDSHAKE: "TLS handshake failed",
    Failure.CERTIFICATE: "Server certificate not trusted",
    Failure.AUTH_NOT_OFFERED: "No authentication mechanism was offered",
    Failure.NO_COMMON_MECHANISM: "No usable authentication mechanism",
    Failure.SMTPUTF8_NOT_OFFERED: "SMTPUTF8 is required, but was not offered",
    Failure.TOO_BIG_FOR_SIZE: "Message size exceeds fixed limit",
    Failure.BAD_REPLY: "Protocol error: unreadable reply",
}


def outcomes(task: Task, carried: Carried, carrier: Carrier | None) -> list[Outcome]:
    """See the module."""
    host = carried.host
    if carrier is not None:
        host = carrier.name if isinstance(carrier, Line) else carrier.peer
    chosen = _of_our_choice(carrier)
    spare = isinstance(carrier, Line) and carrier.place.spare
    replies = carried.replies
    made = []
    for item in task.items:
        address = item.recipient.address
        found = replies.get(address)
        if found is None:
            made.append(_without_reply(address, carried, host))
        elif found[1].is_success:
            made.append(_delivered(address, found[1], host, carrier))
        else:
            passing = spare and (not carried.heard or found[1].code == 521)
            refused = _refused(address, found[0], found[1], host, chosen, passing=passing)
            made.append(refused if carried.heard else refused._replace(heard=False))
    return made


def trouble(error: NetworkFailure | Refused, place: Place) -> Outcome:
    """Why a server of our choice takes no mail at all; an outcome without a recipient."""
    if isinstance(error, NetworkFailure):
        return _without_reply("", Carried(failure=error), place.host)
    return _refused("", error.stage, error.reply, place.host, chosen=True)


def unjudged(task: Task, carried: Carried) -> list[Outcome]:
    """What is certain without an opinion, where a bug keeps us from one: taken, or tried again."""
    made = []
    for address in task.recipients:
        found = carried.replies.get(address)
        if found is None:
            made.append(Outcome(address, Result.DEFERRED, host=carried.host))
            continue
        stage, reply = found
        result = Result.DELIVERED if reply.is_success else Result.DEFERRED
        made.append(Outcome(address, result, reply.code, host=carried.host, stage=stage))
    return made


def warm() -> None:
    """Read now what judging needs, once a process.

    The first server that fails may do so because no file can be opened any more; what could not be
    judged then would stay in hand, neither delivered nor tried again.
    """
    explain_failure(NetworkFailure(Failure.UNREACHABLE, Stage.CONNECT))
    explained(550, "5.1.1", "User unknown", Stage.RCPT, "mx.invalid")


def ours(outcome: Outcome) -> bool:
    """Whether it fails by our own doing (settings, account, no descriptor left): the one who runs
    us has to be told."""
    if outcome.result is not Result.DEFERRED or outcome.cause is None:
        return False
    full = outcome.failure is Failure.EXHAUSTED
    return outcome.stage is Stage.AUTH or outcome.cause in _OURS or full


def _of_our_choice(carrier: Carrier | None) -> bool:
    """Whether the server is one of our choice, not the recipient's MX."""
    return isinstance(carrier, Line) and not carrier.place.direct


def _delivered(address: str, reply: Reply, host: str, carrier: Carrier | None) -> Outcome:
    action = ""
    if isinstance(carrier, Line):
        # RFC 3461 section 5.2.2: a server that offers DSN reports itself, and the sender is to be
        # told once; LMTP is the mailbox.
        action = "delivered" if carrier.hop.lmtp else "relayed"
        if "DSN" in carrier.extensions:
            action = ""
    enhanced = str(reply.enhanced) if reply.enhanced else ""
    return Outcome(
        address,
        Result.DELIVERED,
        reply.code,
        enhanced,
        reply.text[:TEXT_LIMIT],
        host,
        Stage.DATA,
        action=action,
    )


def _refused(
    address: str, stage: Stage, reply: Reply, host: str, chosen: bool, *, passing: bool = False
) -> Outcome:
    text = reply.text[:TEXT_LIMIT]
    enhanced = str(reply.enhanced) if reply.enhanced else ""
    found = explained(reply.code, enhanced, text, stage, host.partition(" ")[0])
    passing = passing or _passes(stage, reply, found, chosen)
    return Outcome(
        address,
        Result.DEFERRED if passing else Result.REFUSED,
        reply.code,
        enhanced,
        text,
        host,
        stage,
        found.cause.id,
        read_wait(text) if passing else None,
    )


def _passes(stage: Stage, reply: Reply, found: Explanation, chosen: bool) -> bool:
    """Whether another try may help."""
    if not reply.is_permanent or stage in _BEFORE:
        return True
    sure = found.confidence >= _SURE
    if sure and found.cause.id in _PASSING:
        return True
    if reply.code in (530, 538):  # RFC 4954 section 6: the login, the encryption; nobody's mailbox
        return True
    return sure and chosen and found.cause.id in _OURS


@lru_cache(maxsize=REMEMBERED)
def explained(code: int, enhanced: str, text: str, stage: Stage, host: str) -> Explanation:
    """A reply explained, once for all recipients that got it."""
    line = " ".join(part for part in (str(code), enhanced, text) if part)
    return explain_reply(line, stage=stage, host=host or None)


def _without_reply(address: str, carried: Carried, host: str) -> Outcome:
    failure = carried.failure or NetworkFailure(Failure.BAD_REPLY, Stage.ANY)
    detail = failure.detail
    place = host or str(detail.get("host") or "")
    stage, text = failure.stage, words(failure)
    cause = explain_failure(failure).cause.id
    if cause == "dns.server_name" and detail.get("direct"):
        cause = (
            "rcpt.domain"  # their DNS names a server that is not there; ours has no typing error
        )
    if carried.unsure:
        stage, cause = Stage.DATA, "conn.lost"
        text += " after the end of the message: it may arrive twice"
    return Outcome(
        address,
        Result.DEFERRED,
        text=text,
        host=place,
        stage=stage,
        cause=cause,
        failure=failure.failure,
    )


def words(failure: NetworkFailure) -> str:
    """What happened, as a log line says it: "mx.example.org:25: Connection refused"."""
    host, port = str(failure.detail.get("host") or ""), failure.detail.get("port")
    place = f"{host}:{port}: " if host and port else f"{host}: " if host else ""
    reason = str(failure.detail.get("text") or failure.detail.get("reason") or "")
    return (place + _WORDS[failure.failure] + (f" ({reason})" if reason else ""))[:TEXT_LIMIT]
