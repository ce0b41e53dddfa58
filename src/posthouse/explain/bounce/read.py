"""From a message to a ``Bounce``.

Enters: the bytes of a message, or of a notification of Amazon SES. Leaves: ``Bounce``, or None
where it is no report. Nothing raises, whatever comes in.

A report has up to three voices: fields (RFC 3464), a text for people, and the returned message.
Fields name the recipients where there are any; the text fills in what they leave vague; where
there are no fields, the text names the recipients too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from posthouse.explain.bounce.forms import ADDRESS, forms
from posthouse.explain.bounce.judge import Evidence, judge
from posthouse.explain.bounce.model import DONE, Bounce, Failed
from posthouse.explain.bounce.report import (
    Report,
    failed_header,
    is_delayed,
    is_report,
    take_apart,
)
from posthouse.explain.bounce.scan import Said, Scanned, scan
from posthouse.explain.bounce.ses import Notification, read_notification
from posthouse.explain.causes import cause
from posthouse.explain.explanation import Explanation
from posthouse.protocol.message import (
    DeliveryStatus,
    Headers,
    Part,
    RecipientStatus,
    parse_delivery_status,
    parse_message,
    walk,
)

RECIPIENTS_LIMIT: Final = 100  # recipients of one bounce that are explained
FIELDS_LIMIT: Final = 64_000  # bytes of a text searched for fields
MENTIONS_LIMIT: Final = 8_000  # characters searched for any address, where nothing names one

_STATUS_TYPES: Final = frozenset({"message/delivery-status", "message/global-delivery-status"})
_ACTIONS: Final = DONE | {"failed", "delayed"}
_ADDRESS: Final = re.compile(ADDRESS)
_ID: Final = re.compile(r"<[^<>\s]{1,500}>")


def read_bounce(raw: bytes) -> Bounce | None:
    """The bounce, or None where ``raw`` is none."""
    if raw.lstrip()[:1] == b"{":
        notification = read_notification(raw.decode("utf-8", "replace"))
        return _by_ses(notification) if notification else None
    message = parse_message(raw)
    reports = take_apart(message)
    if status := _status(message):
        return _by_fields(message, status, reports)
    for report in reports:
        if notification := read_notification(report.text):
            return _by_ses(notification)
    return _by_text(message, reports)


def _status(message: Part) -> DeliveryStatus | None:
    """The fields, where they name a recipient; some stand in a part that calls itself text."""
    parts = sorted(walk(message), key=lambda part: part.media_type not in _STATUS_TYPES)
    for part in parts:
        if part.media_type in _STATUS_TYPES or _holds_fields(part):
            found = parse_delivery_status(part.content())
            if found.recipients:
                return found
    return None


def _holds_fields(part: Part) -> bool:
    if not part.media_type.startswith("text/") or part.media_type.endswith("-headers"):
        return False
    text = part.content()[:FIELDS_LIMIT].lower()
    return b"\nfinal-recipient:" in text and b"\naction:" in text


# With fields


def _by_fields(message: Part, status: DeliveryStatus, reports: list[Report]) -> Bounce:
    scanned = [scan(report.text) for report in reports]
    original = reports[0].original if reports[0].original.fields else _returned(message)
    reporter = status.reporter or reports[0].reporter
    failed = tuple(
        _by_field(one, scanned, reporter, len(status.recipients) == 1)
        for one in status.recipients[:RECIPIENTS_LIMIT]
    )
    return _bounce("dsn", reporter, failed, original, _facts(scanned))


def _by_field(one: RecipientStatus, scanned: list[Scanned], reporter: str, alone: bool) -> Failed:
    action = one.action if one.action in _ACTIONS else _action_of(one.status)
    address, original = _named(one), _other(one)
    if action in DONE:
        return Failed(address, action, one.status, one.diagnostic, one.remote, None, original)
    own, shared = _words(one, scanned, alone, action)
    verdict = judge(
        Evidence(one.diagnostic, one.diagnostic_type, one.status, own, shared, one.remote, reporter)
    )
    remote = one.remote or verdict.host
    explanation = _as_told(one, verdict.explanation)
    return Failed(address, action, verdict.status, verdict.words, remote, explanation, original)


def _as_told(one: RecipientStatus, found: Explanation) -> Explanation:
    """Our own relay names the cause in a field (``protocol.message.report``): it was there."""
    told = one.fields.get("x-posthouse-cause", "")
    if told in ("", found.cause.id):
        return found
    try:
        known = cause(told)
    except KeyError:
        return found
    return found._replace(cause=known, stage=known.stage, variant=None, rule="told", confidence=1.0)


def _named(one: RecipientStatus) -> str:
    """The recipient; where its field has but a domain, the address its reply is about."""
    if "@" in one.recipient.strip("@"):
        return one.recipient
    if "@" in one.original.strip("@"):
        return one.original
    return next(iter(_addresses(one.diagnostic)), one.recipient)


def _other(one: RecipientStatus) -> str:
    return "" if one.original.lower() == one.recipient.lower() else one.original


def _action_of(status: str) -> str:
    return {"2": "delivered", "4": "delayed"}.get(status[:1], "failed")


def _words(
    one: RecipientStatus, scanned: list[Scanned], alone: bool, action: str
) -> tuple[str, str]:
    """What the text says of a recipient, by either of its addresses, and what of all."""
    names = {one.recipient.lower(), one.original.lower()} - {""}
    for text in scanned:
        own = [said.own for said in text.said if said.address.lower() in names and said.own]
        if own:
            return _joined(own[0], action), _joined(text.shared, action)
    if not scanned:
        return "", ""
    shared = list(scanned[0].shared)
    if alone:  # whomever the text names, it can only mean this one
        shared += [line for said in scanned[0].said for line in said.own]
    return "", _joined(shared, action)


# Without


def _by_text(message: Part, reports: list[Report]) -> Bounce | None:
    for report in reports:
        if not is_report(report):
            continue
        scanned = scan(report.text)
        said = _recipients(report, scanned)
        if said:
            action = "delayed" if is_delayed(report) else "failed"
            failed = tuple(_by_words(one, scanned, report, action) for one in said)
            original = report.original if report.original.fields else _returned(message)
            return _bounce("text", report.reporter, failed, original, _facts([scanned]))
    return None


def _recipients(report: Report, scanned: Scanned) -> list[Said]:
    """Those the text names, else the header, else those the returned message was for."""
    sender = _addresses(report.original.get("from"))[:1]
    said = [one for one in scanned.said if [one.address] != sender] or scanned.said
    said = [one for one in said if not _is_daemon(one.address)] or said
    if not report.original.fields:  # "your mailbox is nearly full" names but its reader
        reader = {address.lower() for address in _addresses(report.message.headers.get("to"))}
        said = [one for one in said if one.address.lower() not in reader]
    named = list(dict.fromkeys(failed_header(report.message)))
    if named:
        known = {one.address.lower(): one for one in said}
        known |= {one.original.lower(): one for one in said if one.original}
        if not said or not any(name.lower() in known for name in named):
            return [Said(name) for name in named[:RECIPIENTS_LIMIT]]
    if said:
        return said[:RECIPIENTS_LIMIT]
    ours = {*sender, *_addresses(report.message.headers.get("to"))}
    mentioned = [a for a in _addresses(report.text) if a not in ours and not _is_daemon(a)]
    return [Said(address) for address in (*mentioned, *_addresses(report.original.get("to")))][:1]


def _joined(lines: list[str], action: str) -> str:
    """As one text; of a delay without what the server promises to do."""
    if action == "delayed":
        data = forms()
        lines = [one for one in lines if not data.says("phrases.delayed", one.lower())]
    return " ".join(lines)


def _is_daemon(address: str) -> bool:
    return address.lower().startswith(("mailer-daemon@", "postmaster@"))


def _by_words(one: Said, scanned: Scanned, report: Report, action: str) -> Failed:
    told = scanned.facts.get("host", "")
    evidence = Evidence(
        own=_joined(one.own, action),
        shared=_joined(scanned.shared, action),
        delayed=action == "delayed",
        remote=told if re.fullmatch(r"[\w.-]{3,255}", told) else "",
        reporter=report.reporter,
    )
    verdict = judge(evidence)
    address = one.address if one.address.count("@") == 1 else one.original or one.address
    return Failed(
        address,
        action,
        verdict.status,
        verdict.words,
        verdict.host,
        verdict.explanation,
        one.original if one.original != address else "",
    )


# By SES


def _by_ses(found: Notification) -> Bounce:
    failed = tuple(_by_field(one, [], found.reporter, False) for one in found.recipients)
    return _bounce("ses", found.reporter, failed, found.headers, {})


# The message that bounced


def _returned(message: Part) -> Headers:
    """The headers of the message returned, wherever it is attached."""
    for part in walk(message):
        if part.parts and part.media_type.startswith("message/"):
            return part.parts[0].headers
    return Headers()


def _facts(scanned: Iterable[Scanned]) -> dict[str, str]:
    facts: dict[str, str] = {}
    for text in scanned:
        facts = text.facts | facts
    return facts


def _bounce(
    form: str,
    reporter: str,
    failed: tuple[Failed, ...],
    original: Headers | Mapping[str, str],
    facts: Mapping[str, str],
) -> Bounce:
    def told(name: str, fact: str = "") -> str:
        return (original.get(name) or "") or facts.get(fact or name, "")

    found = _ID.search(told("message-id", "id"))
    return Bounce(
        message_id=found[0] if found else told("message-id", "id"),
        reporter=reporter,
        recipients=failed,
        form=form,
        subject=told("subject"),
        to=told("to"),
        date=told("date"),
    )


def _addresses(value: str) -> list[str]:
    return _ADDRESS.findall(value[:MENTIONS_LIMIT]) if "@" in value else []
