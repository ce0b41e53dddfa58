"""Many lines at once: a log, summed up by cause, the most frequent first.

Enters: the lines, what the caller knows. Leaves: the screen or one JSON object; the exit code, 1
where a failure was found. A line that shows neither a failing code nor words of failure is counted
and left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from posthouse import explain
from posthouse.cli.answer import print_json
from posthouse.cli.options import Session
from posthouse.cli.plain import Plain
from posthouse.explain import Explanation

SURE: Final = 0.3  # a log has many lines that report no failure
EXAMPLES: Final = 3
EXAMPLE_LIMIT: Final = 300  # characters


@dataclass(slots=True)
class Group:
    """The lines of one cause (and variant)."""

    found: Explanation  # of the clearest line
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, found: Explanation, line: str) -> None:
        """One more line."""
        self.count += 1
        if found.confidence > self.found.confidence:
            self.found = found
        if len(self.examples) < EXAMPLES and line not in self.examples:
            self.examples.append(line[:EXAMPLE_LIMIT])


def gather(lines: Sequence[bytes], hints: Mapping[str, Any]) -> list[Group]:
    """The groups, the largest first."""
    groups: dict[tuple[str, str | None], Group] = {}
    for raw in lines:
        found = explain.explain_reply(raw, **hints)
        if found.confidence < SURE:
            continue
        group = groups.setdefault((found.cause.id, found.variant), Group(found))
        group.add(found, explain.decode(raw).strip())
    return sorted(groups.values(), key=lambda group: -group.count)


def show(asked: Session, lines: Sequence[bytes], hints: Mapping[str, Any]) -> int:
    """Print the summary."""
    groups = gather(lines, hints)
    told = sum(group.count for group in groups)
    if asked.json:
        rows = [
            {**g.found.to_dict(asked.lang), "count": g.count, "examples": g.examples}
            for g in groups
        ]
        print_json({"lines": len(lines), "failures": told, "causes": rows})
        return 1 if groups else 0
    screen = Plain(asked)
    screen.say(asked.words.text("screen.explain.lines", lines=len(lines), failures=told))
    for group in groups:
        _group(screen, group)
    return 1 if groups else 0


def _group(screen: Plain, group: Group) -> None:
    lang = screen.session.lang
    screen.blank()
    title = explain.title(group.found, lang)
    screen.say(f"{group.count} × {title}  ({group.found.cause.id})", style="bold")
    for example in group.examples[:1]:
        screen.say(example, style="dim", indent=2)
    for step in explain.remedy(group.found, lang).splitlines():
        screen.hanging("→", step)
