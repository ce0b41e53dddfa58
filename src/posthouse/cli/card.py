"""The settings card: what to enter into a mail program, and where to get what is entered.

Enters: a candidate. Leaves: ``Card``, shown as a grid of names and values. Words of the directory
and the catalogue; nothing can fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from rich.table import Table
from rich.text import Text

from posthouse import directory
from posthouse.cli.screen import Prose, Screen, padded
from posthouse.explain import Catalogue, catalogue
from posthouse.flow import Endpoint
from posthouse.setup.find import Candidate
from posthouse.setup.find import words as find_words
from posthouse.setup.find.render import notes


@dataclass(frozen=True, slots=True)
class Card:
    """Rows of (name, value), and the numbered steps to make the credential."""

    rows: tuple[tuple[str, str], ...]
    steps: tuple[str, ...] = ()


def of_candidate(candidate: Candidate, lang: str, *, endpoint: Endpoint | None = None) -> Card:
    """The card of a candidate; ``endpoint`` where another place of it was found to work."""
    words = catalogue(lang)
    provider = directory.load(candidate.provider) if candidate.provider else None
    steps = provider.credential.steps if provider else None
    rows = [
        *_server(candidate, endpoint or candidate.endpoint, words),
        *(_credential(provider, words) if provider else ()),
        *(_limits(provider, words) if provider else ()),
        *((words.text("screen.card.note"), note) for note in notes(candidate, lang)),
        (words.text("screen.card.source"), _evidence(candidate, lang)),
    ]
    return Card(tuple(rows), steps[lang] if steps else ())


def with_rows(card: Card, *rows: tuple[str, str]) -> Card:
    """The card with more rows below."""
    return replace(card, rows=(*card.rows, *rows))


def show(screen: Screen, card: Card) -> None:
    """Print the card, the steps below it."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column()
    for name, value in card.rows:
        grid.add_row(Text(name, style="dim"), Prose(value))
    screen.out.print(padded(grid, 2))
    if card.steps:
        screen.heading("screen.card.steps")
    for number, step in enumerate(card.steps, 1):
        screen.hanging(f"{number}.", step)


def _server(
    candidate: Candidate, endpoint: Endpoint, words: Catalogue
) -> Iterator[tuple[str, str]]:
    yield words.text("screen.card.server"), endpoint.host
    yield words.text("screen.card.port"), str(endpoint.port)
    yield words.text("screen.card.security"), words.text(f"screen.security.{endpoint.security}")
    if candidate.username:
        yield words.text("screen.card.username"), candidate.username
    password = find_words.credential_text(candidate.credential, words.lang)
    yield words.text("screen.card.password"), password


def _credential(provider: directory.Provider, words: Catalogue) -> Iterator[tuple[str, str]]:
    credential = provider.credential
    if credential.url:
        yield words.text("screen.card.made_at"), credential.url
    if credential.requires:
        yield words.text("screen.card.requires"), credential.requires[words.lang]
    for end in provider.ends:
        yield words.text("screen.card.end"), end.words[words.lang]


def _limits(provider: directory.Provider, words: Catalogue) -> Iterator[tuple[str, str]]:
    limits = provider.limits
    if limits is None:
        return
    counts = [
        words.text(f"screen.limit.{name}", n=value)
        for name in ("per_day", "per_hour", "per_minute", "recipients")
        if (value := getattr(limits, name)) is not None
    ]
    if limits.note:
        counts.append(limits.note[words.lang])
    if counts:
        yield words.text("screen.card.limits"), words.text("causes.word.comma").join(counts)


def _evidence(candidate: Candidate, lang: str) -> str:
    best = candidate.evidence[0]
    return catalogue(lang).text(
        "screen.card.evidence",
        source=find_words.source_name(best.source, lang),
        trust=find_words.trust_text(candidate.trust, lang),
        date=best.checked.date().isoformat(),
    )
