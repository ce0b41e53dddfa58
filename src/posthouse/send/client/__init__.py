"""client: handing in messages, one or very many, as the command ``send`` does.

Enters: messages (files, an mbox, lines of JSON), a server, an account. Leaves: each message handed
in once, what every recipient was answered, and a journal that a second run goes on from. ``source``
reads, ``compose`` makes a message ready, ``door`` opens connections, ``desk`` has the messages,
``crew`` hands them in over many connections, ``journal`` remembers, ``run`` does it all.

Called by the command line; knows no terminal and no words. Can fail: ``SourceError``,
``JournalError``; what the server or the network does is in ``End`` and in each ``Done``. RFC 5321,
RFC 6409; pipelining by RFC 2920.
"""

from __future__ import annotations

from posthouse.net.smtp_open import Refused
from posthouse.send.client.addresses import mailbox
from posthouse.send.client.compose import compose
from posthouse.send.client.crew import Terms
from posthouse.send.client.door import Account, Door, Place
from posthouse.send.client.facts import (
    STATUSES,
    Done,
    Draft,
    Envelope,
    Kind,
    Message,
    Problem,
    Unusable,
)
from posthouse.send.client.journal import Book, Journal, JournalError, NoJournal
from posthouse.send.client.outcomes import why
from posthouse.send.client.run import End, hand_in
from posthouse.send.client.source import (
    MESSAGE_LIMIT,
    Source,
    SourceError,
    one_message,
    open_source,
)
from posthouse.send.client.tally import OTHER, Group, Tally

__all__ = [
    "MESSAGE_LIMIT",
    "OTHER",
    "STATUSES",
    "Account",
    "Book",
    "Done",
    "Door",
    "Draft",
    "End",
    "Envelope",
    "Group",
    "Journal",
    "JournalError",
    "Kind",
    "Message",
    "NoJournal",
    "Place",
    "Problem",
    "Refused",
    "Source",
    "SourceError",
    "Tally",
    "Terms",
    "Unusable",
    "compose",
    "hand_in",
    "mailbox",
    "one_message",
    "open_source",
    "why",
]
