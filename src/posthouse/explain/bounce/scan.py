"""Recipients and reasons in the text of a report, whoever wrote it.

Enters: the lines of a report, without the returned message. Leaves: ``Scanned``: each recipient
with the words said about it, and the words said about all. Called by ``read``. Nothing raises.

No program's layout is known here. A line is one of five: it names a recipient, gives a field
("收件人：..."), is a line of an SMTP transcript, ends the reason, or goes on with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from posthouse.explain.bounce.forms import ADDRESS, PLACE, forms
from posthouse.explain.bounce.quoted import unmarked

LINES_LIMIT: Final = 1_000  # lines of one report that are read
LINE_LIMIT: Final = 2_000  # characters of a line
RECIPIENTS_LIMIT: Final = 100
OWN_LIMIT: Final = 60  # lines kept about one recipient

_MAILTO: Final = re.compile(r"<?mailto:[^\s<>]{1,320}>?", re.IGNORECASE)
_GENERATED: Final = re.compile(
    rf"\(?\s*(?:ultimately )?(?:generated|expanded) (?:from|by)\s*<?({ADDRESS})>?\s*\)?"
)
# <a@b>: words / "a@b": words / * a@b / >>> a@b <a@b> / Name (a@b) / a@b on <date> / a@b [words]
_LEADING: Final = re.compile(
    rf"(?:[*•·>+-]{{1,3}}\s+)?(?:to\s*:\s*)?[<\"'（(]?({ADDRESS})[>\"')）]?(?:\s*[<(]{ADDRESS}[>)])?"
    rf"(?:\s*\((?:expanded|generated) from[^()]{{0,400}}\))?\s*([:：,;\[(]|\s|$)\s*(.*)$",
    re.IGNORECASE,
)
_NAMED: Final = re.compile(rf"[^<>@:()]{{1,80}}[<(]({ADDRESS})[>)]\s*:?$")
_FIELD: Final = re.compile(r"([^:：@<>]{1,40}?)\s*[:：]\s*(.*)$")
_RCPT: Final = re.compile(rf"RCPT TO:\s*<?({ADDRESS})", re.IGNORECASE)
_COMMAND: Final = re.compile(r"(?:\S{1,20} )?(?:>>>|<<<) ?(?:[A-Za-z]{4}\b)")
_ANSWER: Final = re.compile(r"(?:\S{1,20} )?(?:<<<|>>>)\s*([2-5])\d\d")
_REPLY_ABOUT: Final = re.compile(rf"[45]\d\d[ -](?:[45]\.\d+\.\d+ )?<?({ADDRESS})>?\.\.\. ?")
_RULE: Final = re.compile(r"\W{0,3}[-=_*+#]{5,}|[-=_*+#]{2,}.*[-=_*+#]{2,}$")
_ANY: Final = re.compile(ADDRESS)
_DATE: Final = re.compile(r"on \S{3,4}[, ]|on \d")


@dataclass(slots=True)
class Said:
    """One recipient, while its lines come in."""

    address: str
    original: str = ""
    own: list[str] = field(default_factory=list)
    weak: bool = False  # known from a transcript alone

    def add(self, line: str) -> None:
        """One more line of its reason."""
        if line and len(self.own) < OWN_LIMIT:
            self.own.append(line)


@dataclass(slots=True)
class Scanned:
    """What a report's text tells."""

    said: list[Said] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)  # "subject", "date", "id", "host"


def scan(text: str) -> Scanned:
    """Read a report's text."""
    scanner = _Scanner()
    for line in text.split("\n")[:LINES_LIMIT]:
        scanner.line(line[:LINE_LIMIT])
    return scanner.finish()


class _Scanner:
    """Goes through the lines once."""

    def __init__(self) -> None:
        self.result = Scanned()
        self.current: Said | None = None
        self.advice = False  # past the reason, in what to do about it
        self.pending = ""  # the kind of field whose value is on the next line
        self.before = ""  # the last line that said something
        self.rcpt = ""  # the address of the last RCPT of a transcript

    def line(self, raw: str) -> None:
        """One line."""
        line = _MAILTO.sub("", raw).replace(PLACE, " ").strip()
        if not line:
            return
        if not (
            self._transcript(line)
            or self._alias(line)
            or self._value(line)
            or self._recipient(line)
            or self._stops(line)
            or self._field(line)
            or self._sentence(line)
        ):
            self._reason(line)
        self.before = line

    def finish(self) -> Scanned:
        """The result: a list of recipients before one reason share it."""
        said = self.result.said
        if any(not one.weak for one in said):
            said = [one for one in said if not one.weak]
        following: list[str] = []
        for one in reversed(said):
            if not one.own:
                one.own = list(following)
            following = one.own
        self.result.said = said
        return self.result

    # The kinds of lines

    def _transcript(self, line: str) -> bool:
        if found := _ANSWER.match(line):
            if found[1] in "45":
                self._answer(unmarked(line))
            return True
        if _COMMAND.match(line):
            rcpt = _RCPT.search(line)
            self.rcpt = rcpt[1] if rcpt else ""
            return True
        if found := _REPLY_ABOUT.match(line):
            self._start(found[1], weak=True).add(line)
            return True
        return False

    def _answer(self, reply: str) -> None:
        known = {one.address.lower() for one in self.result.said}
        named = [a for a in _ANY.findall(reply) if a.lower() in known or a == self.rcpt]
        address = named[0] if named else self.rcpt
        if address:
            self._start(address, weak=True).add(reply)
        elif self.current:
            self.current.add(reply)
        else:
            self.result.shared.append(reply)

    def _alias(self, line: str) -> bool:
        found = _GENERATED.match(line)
        if found is None:
            return False
        if self.current is None or "@" not in self.current.address:
            self._start(found[1])
        elif self.current:
            self.current.original = found[1]
        return True

    def _value(self, line: str) -> bool:
        """The value of a field whose name stood alone on the line before."""
        kind, self.pending = self.pending, ""
        return bool(kind) and self._take(kind, line)

    def _recipient(self, line: str) -> bool:
        if "@" not in line:
            return False
        if found := _LEADING.match(line):
            address, mark, rest = found[1], found[2], found[3]
            if forms_not_after(self.before) or (mark == " " and not rest):
                return False
        elif named := _NAMED.match(line):
            address, mark, rest = named[1], "", ""
            if forms_not_after(self.before):
                return False
        else:
            return False
        one = self._start(address)
        if alias := _GENERATED.search(line):
            one.original = alias[1]
        if rest and not _DATE.match(rest) and not _GENERATED.match(rest):
            one.add(rest.rstrip("])") if mark in "[(" and mark else rest)
        return True

    def _stops(self, line: str) -> bool:
        bare = line.strip(" -=*#.:：").lower()
        if forms().stop.match(bare):
            self.current, self.advice = None, True
            return True
        if _RULE.match(line):  # "----- Transcript of session follows -----"
            self.current, self.advice = None, False
            return True
        return False

    def _field(self, line: str) -> bool:
        found = _FIELD.match(line)
        name, value = (found[1], found[2]) if found else (line, "")
        kind = forms().labels.get(_label(name))
        if kind is None:
            return False
        if not value:
            if found is None and name.isascii():  # a word on a line is a name where it says so
                return False
            self.pending = kind
            return True
        return self._take(kind, value)

    def _take(self, kind: str, value: str) -> bool:
        if kind == "recipient":
            addresses = _ANY.findall(value)
            for address in addresses:
                self._start(address)
            return bool(addresses)
        if kind == "reason":
            self.advice = False
            self._reason(value)
            return True
        self.result.facts.setdefault(kind, value)
        return True

    def _sentence(self, line: str) -> bool:
        if "@" not in line:
            return False
        marked = _ANY.sub(PLACE, line)
        found = forms().sentences.search(marked)
        if found is None:
            return False
        address = _ANY.findall(line)[marked.count(PLACE, 0, found.end()) - 1]
        self._start(address).add(line)
        return True

    def _reason(self, line: str) -> None:
        if self.advice:
            return
        if self.current:
            self.current.add(line)
        else:
            self.result.shared.append(line)

    def _start(self, address: str, *, weak: bool = False) -> Said:
        """Make the recipient the current one; named again, it is the same one."""
        address = address.strip("'\".")
        for one in self.result.said:
            if one.address.lower() == address.lower():
                one.weak = one.weak and weak
                break
        else:
            one = Said(address, weak=weak)
            if len(self.result.said) < RECIPIENTS_LIMIT:
                self.result.said.append(one)
        self.current, self.advice = one, False
        return one


def forms_not_after(line: str) -> bool:
    """Whether the line before says that the next address is the sender's."""
    bare = line.strip(" :：,").lower()
    return any(
        bare == words or bare.endswith((f" {words}", f":{words}"))
        for words in forms().lists["labels.not_after"]
    )


def _label(name: str) -> str:
    """A field's name as the table has it: "收 件 人" and "Recipient " too."""
    low = " ".join(name.strip(" *•·-.|【】[]").lower().split())
    return low if low.isascii() else low.replace(" ", "").replace("\u3000", "")
