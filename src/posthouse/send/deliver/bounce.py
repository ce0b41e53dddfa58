"""Reports to the sender: not delivered, delayed, delivered. RFC 3461, RFC 3464, RFC 3834.

Enters: a letter, those of its recipients that came to the same end in the same moment, with their
outcomes. Leaves: the report as a ``Letter`` from the null path, or None where none is due: reports
are never answered by reports, and a sender may have asked for none (NOTIFY). A report of ours that
was too large, or of 8 bits, for where it went leaves once more, with the headers alone of what it
returned. The dispatcher's ``Bounce``. Nothing raises. ``protocol.message.report`` writes it, the
catalogue ``bounce`` and those of the causes have its words, in one language or in both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from posthouse.explain import Catalogue, Explanation, catalogue, cause, remedy, title
from posthouse.flow import Stage, Who
from posthouse.letter import Item, Letter, Outcome, Recipient, Result
from posthouse.protocol.message.headers import parse_headers
from posthouse.protocol.message.report import Report, Told, headers_alone, write_report
from posthouse.protocol.smtp.data import unstuff
from posthouse.protocol.smtp.extensions import decode_xtext
from posthouse.send.deliver.outcome import explained, ours
from posthouse.send.deliver.prepare import header_of, stuffed

SUBJECT_LIMIT: Final = 80  # characters of the original's subject that are repeated
SHOWN: Final = 50  # recipients named under one explanation in the text; the fields name all
_RULE: Final = "\n\n" + "-" * 60 + "\n\n"
_UNITEXT: Final = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_EXPIRED: Final = "4.4.7"  # RFC 3463 section 3.5: delivery time expired
_NETWORK: Final = ("conn.", "dns.")

Told_ = tuple[Item, Outcome]


class Bounces:
    """See the module. ``name`` is this relay's, ``new_id`` gives ids of letters."""

    def __init__(
        self,
        name: str,
        new_id: Callable[[], str],
        *,
        langs: Sequence[str] = ("en", "zh"),
        expire: float = 5 * 86_400.0,
    ) -> None:
        self._name = name
        self._new_id = new_id
        self._words = [catalogue(lang) for lang in langs]
        self._expire = expire

    def __call__(
        self, letter: Letter, told: Sequence[Told_], kind: str, now: float
    ) -> Letter | None:
        """A report of ``kind`` "failed", "delayed" or "delivered"."""
        if not letter.sender:  # RFC 5321 section 4.5.5: never to the null path
            return self._smaller(letter, told, kind, now)
        wanted = [(item, outcome) for item, outcome in told if _wants(item, outcome, kind)]
        return self._written(letter, wanted, kind, now) if wanted else None

    def _written(self, letter: Letter, told: Sequence[Told_], kind: str, now: float) -> Letter:
        id_ = self._new_id()
        original = unstuff(letter.content)
        report = Report(
            reporter=self._name,
            recipient=letter.sender,
            subject=self._subject(told, kind),
            text=self._text(letter, told, kind, now),
            told=tuple(self._told(item, outcome, letter, kind, now) for item, outcome in told),
            date=_date(now),
            id=id_,
            arrival=_date(letter.accepted),
            envelope_id=_decoded(letter.params.get("ENVID") or ""),
            references=letter.message_id,
            queue_id=letter.id,
            original=original,
            # RFC 3461 section 4.3: RET speaks of failures alone; headers are enough by default.
            full=kind == "failed" and (letter.params.get("RET") or "").upper() == "FULL",
        )
        own = f"<{id_}@{self._name}>"
        return _letter(id_, letter.sender, write_report(report), now, own)

    def _smaller(
        self, letter: Letter, told: Sequence[Told_], kind: str, now: float
    ) -> Letter | None:
        """Our own report with less in it, where it failed for what was in it."""
        if kind != "failed" or letter.client or not any(_is_content(one) for _, one in told):
            return None
        report = headers_alone(unstuff(letter.content))
        if report is None:
            return None
        to = told[0][0].recipient.address  # a report is for one
        return _letter(self._new_id(), to, report, now, letter.message_id)

    def _told(self, item: Item, outcome: Outcome, letter: Letter, kind: str, now: float) -> Told:
        until = letter.accepted + self._expire
        return Told(
            recipient=item.recipient.address,
            action=(outcome.action or "relayed") if kind == "delivered" else kind,
            status=_status(outcome, kind),
            original=_original(item.recipient.params.get("ORCPT") or ""),
            # RFC 3464 section 2.3.5: not where nothing but DNS was asked.
            remote="" if outcome.stage is Stage.DNS else outcome.host.partition(" ")[0],
            diagnostic=_said(outcome),
            replied=bool(outcome.code) and outcome.heard,
            last=_date(now),
            until=_date(until) if kind == "delayed" else None,
            cause=outcome.cause or "",
        )

    # The text

    def _subject(self, told: Sequence[Told_], kind: str) -> str:
        first = told[0][0].recipient.address
        more = len(told) - 1 or None
        if any(outcome.action == "relayed" for _, outcome in told):
            kind = "relayed"
        texts = [w.text(f"bounce.subject.{kind}", recipient=first, more=more) for w in self._words]
        return " / ".join(texts)

    def _text(self, letter: Letter, told: Sequence[Told_], kind: str, now: float) -> str:
        parts = [self._in(words, letter, told, kind, now) for words in self._words]
        return _RULE.join(parts) + "\n"

    def _in(
        self, words: Catalogue, letter: Letter, told: Sequence[Told_], kind: str, now: float
    ) -> str:
        facts = {
            "subject": _subject_of(letter),
            "date": _shown(letter.accepted),
            "until": _shown(letter.accepted + self._expire),
        }
        blocks = [words.text(f"bounce.intro.{kind}", **facts)]
        for outcome, addresses in _together(told):
            lines = [f"    {address}" for address in addresses[:SHOWN]]
            lines += ["    ..."] if len(addresses) > SHOWN else []
            blocks.append("\n".join(lines))
            blocks += self._about(words, outcome, letter, kind, now)
        end = [
            words.text("bounce.end.reporter", name=self._name),
            words.text("bounce.end.id", name=self._name, id=letter.id),
        ]
        return "\n\n".join([*blocks, "\n".join(end)])

    def _about(
        self, words: Catalogue, outcome: Outcome, letter: Letter, kind: str, now: float
    ) -> Iterable[str]:
        """What is to be said of one end."""
        host = outcome.host
        if kind == "delivered":
            yield words.text(f"bounce.line.{outcome.action or 'relayed'}", host=host)
            return
        if kind == "failed" and outcome.result is Result.DEFERRED:
            span = _span(words, now - letter.accepted)
            yield words.text("bounce.intro.expired", span=span)
        found = _explanation(outcome)
        if found is not None:
            yield words.text("bounce.line.why", title=title(found, words.lang))
            steps = self._remedy(words, found, outcome, kind).splitlines()
            todo = [words.text("bounce.line.remedy"), *(f"  - {step}" for step in steps if step)]
            if steps:
                yield "\n".join(todo)
        said = _said(outcome)
        if said:
            named = "said" if host else "said_unnamed"
            heard = outcome.code and outcome.heard
            lead = words.text(f"bounce.line.{named if heard else 'happened'}", host=host)
            yield f"{lead}\n  > {said}"
        if "may arrive twice" in outcome.text and not outcome.code:
            yield words.text("bounce.line.twice")

    def _remedy(self, words: Catalogue, found: Explanation, outcome: Outcome, kind: str) -> str:
        """Remedies speak to who can act: a sender can't mend our settings, or their server.

        Nor is there anything to do while we try: who then sends it again has it arrive twice.
        """
        if ours(outcome._replace(result=Result.DEFERRED)):
            return words.text("bounce.line.ours", name=self._name)
        waits = kind == "delayed"
        if _for_admin(found) and not waits:
            return (
                f"{words.text('bounce.line.admin', name=self._name)}\n{remedy(found, words.lang)}"
            )
        if found.cause.id.startswith(_NETWORK):
            return words.text("bounce.line.unreachable_yet" if waits else "bounce.line.unreachable")
        return "" if waits else remedy(found, words.lang)


def _letter(id_: str, to: str, report: bytes, now: float, message_id: str) -> Letter:
    content = stuffed(report)
    params: dict[str, str | None] = {} if content.isascii() else {"BODY": "8BITMIME"}
    if not to.isascii():
        params["SMTPUTF8"] = None
    return Letter(id_, "", (Recipient(to),), content, now, params, message_id=message_id)


def _is_content(outcome: Outcome) -> bool:
    """Whether it failed for its size or its encoding (RFC 3463 sections 3.4 and 3.7)."""
    return outcome.cause == "msg.too_big" or outcome.enhanced in ("5.3.4", "5.6.1", "5.6.3")


def _wants(item: Item, outcome: Outcome, kind: str) -> bool:
    """RFC 3461 section 4.1; without NOTIFY failures and delays are told."""
    notify = (item.recipient.params.get("NOTIFY") or "FAILURE,DELAY").upper().split(",")
    if kind == "delivered":  # and not where the server has taken that over
        return "SUCCESS" in notify and outcome.action != ""
    return ("DELAY" if kind == "delayed" else "FAILURE") in notify


def _together(told: Sequence[Told_]) -> list[tuple[Outcome, list[str]]]:
    """Recipients that came to the same end, under one explanation.

    Many a server says each one's address in its reply: the words to the first stand for all.
    """
    groups: dict[Outcome, tuple[Outcome, list[str]]] = {}
    for item, outcome in told:
        address = item.recipient.address
        text = outcome.text.replace(address, "")
        same = outcome._replace(recipient="", wait=None, text=text)
        groups.setdefault(same, (outcome, []))[1].append(address)
    return list(groups.values())


def _explanation(outcome: Outcome) -> Explanation | None:
    """By the reply, for its kind of the cause and its provider; else by the cause alone."""
    if outcome.cause is None:
        return None
    host = outcome.host.partition(" ")[0]
    if outcome.code:
        found = explained(outcome.code, outcome.enhanced, outcome.text, outcome.stage, host)
        if found.cause.id == outcome.cause:
            return found
    one = cause(outcome.cause)
    return Explanation(one, one.stage, 1.0, "cause", (), None, None, {"host": host})


def _status(outcome: Outcome, kind: str) -> str:
    """RFC 3463: of the class that the action has; the reply's own where it fits."""
    classes = {"failed": "54", "delayed": "4", "delivered": "2"}[kind]
    if kind == "failed" and outcome.result is Result.DEFERRED:
        return _EXPIRED
    if outcome.enhanced[:1] in tuple(classes):
        return outcome.enhanced
    codes = cause(outcome.cause).codes if outcome.cause else ()
    wanted = classes[0]
    typical = (found[0] for code in codes if (found := re.search(r"[45](\.\d{1,3}){2}$", code)))
    return next((code for code in typical if code[0] == wanted), f"{wanted}.0.0")


def _for_admin(found: Explanation) -> bool:
    """Whether who wrote the message can only hand it on: our address, name, records and pace."""
    return found.cause.who[0] is Who.YOUR_ADMIN or found.cause.id == "rate.limited"


def _said(outcome: Outcome) -> str:
    parts = (str(outcome.code or ""), outcome.enhanced, outcome.text)
    return " ".join(" ".join(part for part in parts if part).split())


def _original(orcpt: str) -> str:
    """ORCPT decoded: "type;address" (RFC 3461 section 4.2, RFC 6533 section 3)."""
    kind, _, address = orcpt.partition(";")
    address = _decoded(address)
    if kind.lower() == "utf-8":
        address = _UNITEXT.sub(_character, address)
    return f"{kind};{address}" if address else ""


def _character(code: re.Match[str]) -> str:
    number = int(code[1], 16)
    return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"


def _decoded(xtext: str) -> str:
    try:
        return decode_xtext(xtext)
    except ValueError:
        return xtext


def _subject_of(letter: Letter) -> str:
    subject = parse_headers(header_of(letter.content)).get("subject")
    return " ".join(subject.split())[:SUBJECT_LIMIT]


def _date(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=0)


def _shown(seconds: float) -> str:
    """The same in both languages; by this machine's clock, which is most senders' own."""
    local = _date(seconds).astimezone()
    zone = f"{local:%z}"
    east = "" if zone == "+0000" else f"{zone[:3]}:{zone[3:5]}"
    return f"{local:%Y-%m-%d %H:%M} UTC{east}"


def _span(words: Catalogue, seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3_600)):
        if seconds >= 2 * size:
            return words.text(f"bounce.span.{unit}", n=round(seconds / size))
    return words.text("bounce.span.minutes", n=max(1, round(seconds / 60)))
