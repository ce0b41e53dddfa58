"""Rules for the envelope and the message: who may send, to whom, what, and how much."""

from __future__ import annotations

import re
from typing import Any, Final

from posthouse.flow import Failure, Stage, Status
from posthouse.setup.probe.facts import NO_DOMAIN, NULL_MX, Facts, Stop
from posthouse.setup.probe.verdict.rule import Hit, Rule, address_in, link_in, quote, submission

_FILE = re.compile(r"\.([A-Za-z0-9]{2,4})\b")
# Endings that servers refuse; anything else after a dot is a host name or the end of a sentence.
RISKY: Final = frozenset(
    """ade adp apk appx bat cab chm cmd com cpl dll docm exe hta htm html img iso jar js jse lib
    lnk mde msc msi ps1 pptm rar reg scr sct shb sys vb vbe vbs vhd vxd wsc wsf wsh xlsm zip
    7z""".split()  # noqa: SIM905  a list of 45 strings would fill a screen
)


def from_not_owned(facts: Facts, stop: Stop) -> Hit | None:
    if stop.cause != "sender.not_allowed":
        return None
    known = bool(facts.username) and facts.username != facts.delivery.sender
    params = {"login": facts.username, "sender": facts.delivery.sender}
    return Hit(params, variant="" if known else "alone")


def sender_domain(facts: Facts, stop: Stop) -> Hit | None:
    if stop.cause != "sender.invalid":
        return None
    params = {
        "sender": facts.delivery.sender,
        "domain": _domain(facts.delivery.sender),
        "missing": facts.names.missing_record,
        "reply": quote(stop),
    }
    return Hit(params, variant=_missing(facts))


def _missing(facts: Facts) -> str:
    return {"": "", NO_DOMAIN: "nxdomain", NULL_MX: "null_mx"}.get(
        facts.names.missing_record, "missing"
    )


def account_blocked(facts: Facts, stop: Stop) -> Hit | None:
    if stop.cause != "sender.account_blocked":
        return None
    return Hit({"username": facts.username or facts.delivery.sender, "link": link_in(stop.text)})


def too_big(facts: Facts, stop: Stop) -> Hit | None:
    """RFC 1870 section 6: SIZE tells the limit before anything is sent."""
    if stop.cause != "msg.too_big":
        return None
    told = facts.extensions.get("SIZE", "")
    limit = int(told) if told.isdecimal() and len(told) < 16 else 0
    params = {"size_bytes": facts.delivery.size, "raw_bytes": facts.delivery.raw_size}
    if not limit:
        return Hit(params, variant="unknown_limit")
    grown = facts.delivery.raw_size and facts.delivery.raw_size < facts.delivery.size
    return Hit({**params, "limit_bytes": limit}, variant="" if grown else "plain")


def smtputf8_missing(facts: Facts, stop: Stop) -> Hit | None:
    """RFC 6531 section 3.1: such an address may only be given to a server that offers it."""
    if stop.failure is not Failure.SMTPUTF8_NOT_OFFERED:
        return None
    addresses = (facts.delivery.sender, *facts.delivery.recipients)
    address = next((a for a in addresses if not a.isascii()), facts.delivery.sender)
    return Hit({"address": address})


def eight_bit_missing(facts: Facts, stop: Stop) -> Hit | None:
    """RFC 6152 section 3: without 8BITMIME no byte above 127 may be sent."""
    return Hit() if stop.detail.get("eight_bit") else None


def bare_lf(facts: Facts, stop: Stop) -> Hit | None:
    """RFC 5321 section 2.3.8: lines end with CRLF and nothing else."""
    words = stop.text.lower()
    bare = "bare" in words and ("lf" in words or "newline" in words or "cr" in words)
    return Hit({"reply": quote(stop)}) if stop.cause == "msg.malformed" and bare else None


def malformed(facts: Facts, stop: Stop) -> Hit | None:
    return Hit({"reply": quote(stop)}) if stop.cause == "msg.malformed" else None


def unknown_user(facts: Facts, stop: Stop) -> Hit | None:
    if stop.cause not in ("rcpt.unknown", "rcpt.syntax"):
        return None
    params = _recipient(facts)
    if params["meant"]:
        return Hit(params, variant="typo")
    return Hit(params, variant="syntax" if stop.cause == "rcpt.syntax" else "")


def recipient_closed(facts: Facts, stop: Stop) -> Hit | None:
    variants = {"rcpt.disabled": "", "rcpt.mailbox_full": "full", "rcpt.restricted": "restricted"}
    if stop.cause not in variants:
        return None
    return Hit({**_recipient(facts), "reply": quote(stop)}, variant=variants[stop.cause])


def recipient_domain(facts: Facts, stop: Stop) -> Hit | None:
    if stop.cause != "rcpt.domain":
        return None
    params = _recipient(facts)
    if params["meant"]:
        return Hit(params, variant="typo")
    return Hit({**params, "missing": facts.names.missing_record}, variant=_missing(facts))


def relay_denied(facts: Facts, stop: Stop) -> Hit | None:
    """Told apart by what was done before: no login, or the wrong server."""
    if stop.cause not in ("relay.denied", "auth.required"):
        return None
    target = submission(facts)
    params = {"recipient": facts.delivery.recipient, "use": str(target) if target else ""}
    if _POP_FIRST.search(stop.text):
        return Hit(params, target, "pop_first")
    if "auth" in facts.passed:
        return Hit(params, target, "wrong_server")
    if "AUTH" in facts.extensions:
        return Hit(params, variant="")
    return Hit(params, target, "no_login_here")


# Servers of before AUTH took mail from addresses that had just fetched theirs.
_POP_FIRST: Final = re.compile(
    r"pop3?[ -](?:before|b4|then)[ -]smtp|\b(?:check|fetch|receive|read|get|retrieve)\b[^.;]{0,40}"
    r"\bmail\b[^.;]{0,20}\b(?:first|before)\b|先(?:收|接收)(?:信|邮件|取)",
    re.IGNORECASE,
)


def greylisted(facts: Facts, stop: Stop) -> Hit | None:
    if stop.cause != "rate.greylisted":
        return None
    wait = wait_told(stop)
    params = {**_recipient(facts), "wait_seconds": wait, "waited_seconds": facts.delivery.waited}
    return Hit(params, variant="" if facts.delivery.waited == 0 else "still", status=Status.WARN)


def too_many_recipients(facts: Facts, stop: Stop) -> Hit | None:
    return Hit(_batches(facts)) if stop.cause == "rate.recipients" else None


def auth_failed(facts: Facts, stop: Stop) -> Hit | None:
    if stop.cause != "sender.auth_failed":
        return None
    params = {
        "domain": _domain(facts.delivery.sender),
        "ip": address_in(stop.text) or facts.names.ip,
        "record": facts.names.record,
        "reply": quote(stop),
    }
    return Hit(params, variant="record" if facts.names.record else "")


def ip_identity(facts: Facts, stop: Stop) -> Hit | None:
    if stop.cause != "sender.ip_identity":
        return None
    ip = address_in(stop.text) or facts.names.ip
    pointer = facts.names.pointer
    return Hit({"ip": ip or "?", "pointer": pointer}, submission(facts), "named" if pointer else "")


def attachment(facts: Facts, stop: Stop) -> Hit | None:
    if stop.cause != "msg.attachment":
        return None
    kinds = sorted({m.lower() for m in _FILE.findall(stop.text)} & RISKY)
    params = {"kinds": ["." + k for k in kinds], "link": link_in(stop.text), "reply": quote(stop)}
    return Hit(params, variant="kinds" if kinds else "")


def spam(facts: Facts, stop: Stop) -> Hit | None:
    if stop.cause != "msg.spam":
        return None
    return Hit({"reply": quote(stop), "link": link_in(stop.text)})


def lost_in_data(facts: Facts, stop: Stop) -> Hit | None:
    """The connection broke inside the message: the way swallows big packets, or something reads."""
    broken = (Failure.CLOSED, Failure.RESET, Failure.SILENT, Failure.TIMEOUT)
    if stop.stage is not Stage.DATA or stop.failure not in broken:
        return None
    params: dict[str, Any] = {"size_bytes": facts.delivery.size}
    if facts.delivery.small_passed:
        return Hit(params, variant="small_passed")
    return Hit(params, variant="after_end" if stop.detail.get("sent_all") else "")


def quota(facts: Facts, stop: Stop) -> Hit | None:
    if stop.cause != "sender.quota":
        return None
    wait = wait_told(stop)
    params = {"wait_seconds": wait, "reply": quote(stop), "username": facts.username}
    return Hit(params, variant="wait" if wait else "")


def cause_named(facts: Facts, stop: Stop) -> Hit | None:
    """Nothing more to say than what the cause's own page says."""
    return Hit({"reply": quote(stop)}, variant="" if stop.text else "silent")


def recipients_split(facts: Facts) -> Hit | None:
    """All went well, in several transactions (RFC 5321 section 4.5.3.1.10)."""
    split = len(facts.delivery.batches) > 1
    return Hit(_batches(facts), variant="split", status=Status.WARN) if split else None


def greylist_passed(facts: Facts) -> Hit | None:
    """All went well at the second try."""
    if not facts.delivery.waited:
        return None
    params = {**_recipient(facts), "waited_seconds": facts.delivery.waited, "wait_seconds": 0}
    return Hit(params, variant="passed", status=Status.OK)


def _batches(facts: Facts) -> dict[str, Any]:
    batches = facts.delivery.batches
    return {
        "recipients": len(facts.delivery.recipients),
        "most": max(batches, default=0),
        "parts": len(batches),
    }


def _recipient(facts: Facts) -> dict[str, Any]:
    recipient = facts.delivery.recipient or (facts.delivery.recipients or ("",))[0]
    local, _, domain = recipient.rpartition("@")
    meant = facts.names.domain_suggestion
    return {
        "recipient": recipient,
        "domain": domain,
        "meant": f"{local}@{meant}" if meant and meant != domain else "",
        "meant_domain": meant,
    }


_SPAN = re.compile(
    r"(\d{1,6})\s*(seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|秒|分钟?|小时|天)(?![a-z])",
    re.IGNORECASE,
)
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "秒": 1, "分": 60, "小": 3600, "天": 86400}
DAY: Final = 86_400


def wait_told(stop: Stop) -> int:
    """Seconds the server asks to wait, 0 where it does not say; more than a week is no answer."""
    told = stop.params.get("wait_seconds")
    if isinstance(told, int):
        return told
    clock = re.search(r"\b(\d{2}):(\d{2}):(\d{2})\b", stop.text)  # Postgrey and milter-greylist
    if clock:
        hours, minutes, seconds = (int(part) for part in clock.groups())
        return hours * 3600 + minutes * 60 + seconds
    found = _SPAN.search(stop.text)
    seconds = int(found.group(1)) * _UNITS[found.group(2)[0].lower()] if found else 0
    return seconds if seconds <= 7 * DAY else 0


def _domain(address: str) -> str:
    return address.rpartition("@")[2]


RULES: Final = (
    Rule("from_not_owned", from_not_owned, "sender.not_allowed"),
    Rule("sender_domain", sender_domain, "sender.invalid"),
    Rule("account_blocked", account_blocked, "sender.account_blocked"),
    Rule("too_big", too_big, "msg.too_big"),
    Rule("smtputf8_missing", smtputf8_missing, "protocol.error"),
    Rule("eight_bit_missing", eight_bit_missing, "protocol.error"),
    Rule("bare_lf", bare_lf, "msg.malformed"),
    Rule("malformed", malformed, "msg.malformed"),
    Rule("rcpt_domain", recipient_domain, "rcpt.domain"),
    Rule("unknown_user", unknown_user),
    Rule("recipient_closed", recipient_closed),
    Rule("relay_denied", relay_denied),
    Rule("greylisted", greylisted, "rate.greylisted"),
    Rule("too_many_recipients", too_many_recipients, "rate.recipients"),
    Rule("auth_failed", auth_failed, "sender.auth_failed"),
    Rule("no_ptr", ip_identity, "sender.ip_identity"),
    Rule("attachment", attachment, "msg.attachment"),
    Rule("spam", spam, "msg.spam"),
    Rule("lost_in_data", lost_in_data, "conn.lost"),
    Rule("quota", quota, "sender.quota"),
)
FALLBACK: Final = Rule("step_failed", cause_named)
