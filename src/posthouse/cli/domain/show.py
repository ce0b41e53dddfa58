"""The screens of ``posthouse domain``: worst first where it matters, the fix beside the finding.

Enters: an Audit, a Comparison, a Propagation, a MessageReport. Leaves: lines on stdout. Nothing can
fail. What is fine takes one line; what is not has its consequence, its fix and the record to
publish; ``-v`` shows the answers of DNS behind each.
"""

from __future__ import annotations

from typing import Final

from posthouse.cli.screen import Screen
from posthouse.flow import Status
from posthouse.protocol.host import to_unicode
from posthouse.setup.domain import (
    Audit,
    Checked,
    Comparison,
    Item,
    Mark,
    MessageReport,
    Propagation,
    Verdict,
    render,
    words,
)

STATUS: Final = {
    Verdict.OK: Status.OK,
    Verdict.INFO: Status.SKIPPED,
    Verdict.UNKNOWN: Status.UNKNOWN,
    Verdict.WARN: Status.WARN,
    Verdict.FAIL: Status.FAIL,
}
MARKS: Final = {Mark.PASS: Status.OK, Mark.FAIL: Status.FAIL, Mark.UNKNOWN: Status.UNKNOWN}


def audit(screen: Screen, found: Audit) -> None:
    """The whole audit."""
    counts = {v: sum(i.verdict is v for i in found.items) for v in (Verdict.FAIL, Verdict.WARN)}
    text = screen.words.text(
        "screen.domain.heading",
        domain=to_unicode(found.domain),
        ascii=found.domain if "xn--" in found.domain else "",
        fails=counts[Verdict.FAIL],
        warns=counts[Verdict.WARN],
    )
    screen.mark(STATUS[found.verdict], text, bold=True)
    for check in found.checks:
        _check(screen, check)
    _requirements(screen, found)
    screen.blank()
    screen.say(
        screen.words.text(
            "screen.domain.cost", asked=found.usage.asked, seconds=f"{found.seconds:.1f}"
        ),
        style="dim",
    )


def _check(screen: Screen, check: Checked) -> None:
    if not check.items:
        return
    screen.blank()
    screen.say(words.title(check.name, screen.session.lang), style="bold")
    for item in check.items:
        _item(screen, item)


def _item(screen: Screen, item: Item) -> None:
    lang = screen.session.lang
    screen.mark(STATUS[item.verdict], words.finding_text(item.finding, lang), indent=2)
    for part in (words.consequence(item.finding, lang), words.fix(item.finding, lang)):
        for line in part.splitlines():
            screen.hanging("→", line, indent=4)
    for record in item.publish:
        screen.verbatim(f"      {record}")
    if screen.session.verbose:
        for one in item.evidence:
            said = " | ".join(one.records) or one.status
            screen.say(f"{one.name} {one.type}: {said}", style="dim", indent=6)


def _requirements(screen: Screen, found: Audit) -> None:
    """What Google, Yahoo and Microsoft ask of senders, one line each."""
    lang = screen.session.lang
    if not found.requirements:
        return
    screen.heading("screen.domain.requirements")
    for receiver in dict.fromkeys(one.receiver for one in found.requirements):
        screen.say(words.receiver_text(receiver, lang), indent=2)
        for one in found.requirements:
            if one.receiver != receiver:
                continue
            text = words.rule_text(one, lang)
            if one.mark is not Mark.PASS:
                why = words.why_text(one, lang)
                text = screen.words.text("screen.domain.requirement", rule=text, why=why)
            screen.mark(MARKS[one.mark], text, indent=4)


def comparison(screen: Screen, found: Comparison) -> None:
    """What became better, worse or other since the earlier audit."""
    screen.heading("screen.domain.changes")
    changes = render.comparison_dict(found, screen.session.lang)["changes"]
    if not changes:
        screen.say(screen.words.text("screen.domain.no_changes"), indent=2)
    for change in changes:
        screen.hanging("·", f"{change['text']} {change['detail'] or ''}".strip())


def propagation(screen: Screen, found: Propagation) -> None:
    """One table a question."""
    answer = render.propagation_dict(found, screen.session.lang)
    for question in answer["questions"]:
        screen.blank()
        screen.say(f"{question['name']} {question['type']}", style="bold")
        rows = [
            (
                row["resolver"],
                row["text"],
                " | ".join(row["records"]) or row["status"],
                f"TTL {row['ttl']}" if row["records"] else "",
            )
            for row in question["rows"]
        ]
        screen.table(rows)
    screen.blank()
    key = "agreed" if found.agreed else "stale"
    names = ", ".join(found.stale)
    screen.say(screen.words.text(f"screen.domain.{key}", resolvers=names), style="bold")


def message(screen: Screen, report: MessageReport) -> None:
    """One received message."""
    answer = render.message_dict(report, screen.session.lang)
    label = "screen.domain.row"
    hop, results = answer["hop"], answer["results"]
    rows = [
        ("from", ", ".join(answer["from"])),
        ("ip", " ".join(filter(None, (hop["ip"], hop["helo"] and f"({hop['helo']})")))),
        ("mail_from", hop["mail_from"] or ""),
        *((name, results[name] or "") for name in ("spf", "dkim", "arc", "dmarc")),
    ]
    screen.table([(screen.words.text(f"{label}.{name}"), value) for name, value in rows if value])
    if answer["alignment"]:
        screen.heading("screen.domain.alignment")
        screen.table(
            [
                (
                    row["mechanism"].upper(),
                    row["domain"],
                    row["result"],
                    screen.words.text(f"screen.domain.aligned.{str(row['aligned']).lower()}"),
                )
                for row in answer["alignment"]
            ]
        )
    screen.blank()
    for item in report.items:
        _item(screen, item)
