"""What becomes of a transaction says something of the server, too.

Enters: a task and its ``Carried``, or what kept a connection from being opened. Leaves: whether the
connection was over before or may go on, whether the server is in trouble, or takes no mail at all.
Called by ``pool`` and ``connect``. Nothing fails.
"""

from __future__ import annotations

from posthouse.explain import explain_reply
from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.net.smtp_carry import Carrier
from posthouse.net.smtp_open import Refused
from posthouse.net.smtp_work import Carried
from posthouse.protocol.smtp.extensions import session_limits
from posthouse.protocol.smtp.reply import Reply
from posthouse.send.deliver.transaction import Task
from posthouse.send.hop import Hop


def was_gone(carrier: Carrier, carried: Carried) -> bool:
    """Whether a connection that carried others was over before this one: closed, or 421 to MAIL.

    On a fresh one it is a failure, so that nothing goes round for ever.
    """
    if carrier.carried < 2 or carried.unsure:
        return False
    if carried.replies:
        said = carried.replies.values()
        return all(stage is Stage.MAIL and reply.code == 421 for stage, reply in said)
    failure = carried.failure
    return failure is not None and failure.failure in (Failure.CLOSED, Failure.RESET)


def is_ill(task: Task, carried: Carried) -> bool:
    """Whether the server is in trouble, so that another may do better: it broke, fell silent, says
    farewell, takes no sender now, or no mail at all. What it says of recipients and messages is no
    such sign."""
    replies = carried.replies
    if carried.failure is not None and len(replies) < len(task.items):
        return True
    return any(
        reply.code == 421
        or (stage is Stage.MAIL and (reply.is_transient or is_closed(stage, reply)))
        for stage, reply in replies.values()
    )


def is_closed(stage: Stage, reply: Reply) -> bool:
    """Whether a host takes no mail at all, nor ever will: 521 (RFC 7504 section 3).

    Not where it speaks of us: postscreen says 521 to whom a block list names, or who spoke too
    early. Such lists come and go, and so does a greeting of 554: Postfix goes on to the next server
    and tries again later.
    """
    if reply.code != 521 or (reply.enhanced is not None and reply.enhanced.subject == 7):
        return False
    return explain_reply(str(reply), stage=stage).cause.id == "rcpt.domain"


def closed(carried: Carried) -> Refused | None:
    """What a server said to MAIL that takes no mail at all."""
    stage, reply = next(iter(carried.replies.values()), (Stage.ANY, None))
    if reply is None or stage is not Stage.MAIL or not is_closed(stage, reply):
        return None
    return Refused(stage, reply)


def may_go_on(hop: Hop, carrier: Carrier, now: float) -> bool:
    """Whether a connection may carry one more; ``now`` in monotonic seconds."""
    most = hop.reuse
    if "LIMITS" in carrier.extensions:  # RFC 9422 section 4.1
        most = min(most, session_limits(carrier.extensions).mail_max or most)
    fresh = now - carrier.opened < hop.lifetime
    return carrier.failure is None and carrier.carried < most and fresh


def is_stale(hop: Hop, carrier: Carrier, now: float) -> bool:
    """Whether one that is idle is to be let go."""
    if carrier.failure is not None or now - carrier.opened > hop.lifetime:
        return True
    return now - carrier.used > hop.idle or carrier.vanished


def failed(task: Task, error: NetworkFailure | Refused) -> Carried:
    if isinstance(error, NetworkFailure):
        return Carried(failure=error)
    said = (error.stage, error.reply)
    replies = dict.fromkeys(task.recipients, said)
    return Carried(replies, host=error.host, heard=error.heard)
