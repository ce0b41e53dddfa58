"""One page a client: all its files, steps in both languages, notes. Read them as a user would.

After a change that is meant: POSTHOUSE_WRITE_GOLDEN=1, run this file once, read the difference.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.flow import CredentialKind
from posthouse.setup.profile import clients, make

from .shared import IMPLICIT, STARTTLS, settings

GOLDEN = Path(__file__).parent / "golden"
PICTURES = (".svg", ".png")


def page(client: str) -> str:
    return "\n".join(_lines(client)) + "\n"


def _lines(client: str) -> Iterator[str]:
    chosen = settings(
        outgoing=(STARTTLS, IMPLICIT),
        username="o'brien",
        credential=CredentialKind.AUTH_CODE,
        auth=("PLAIN", "LOGIN"),
        display_name='爱丽丝 "A"',
    )
    english, chinese = make(client, chosen, "en"), make(client, chosen, "zh")
    for file in english.files:
        yield f"==== {file.name} -> {file.place or '-'} {file.mode:o}{' append' * file.append}"
        if not file.name.endswith(PICTURES):
            yield file.content.decode().rstrip("\n")
    for profile in (english, chinese):
        yield f"==== {profile.client.name(profile.lang)}"
        yield from (f"{number}. {step}" for number, step in enumerate(profile.steps, 1))
        yield from (f"{note.level}: {note.text}" for note in profile.notes)
        if client == "text":
            yield profile.text


@pytest.mark.parametrize("client", [client.id for client in clients()])
def test_the_page_is_as_it_was(client: str) -> None:
    path = GOLDEN / f"{client}.txt"
    if os.environ.get("POSTHOUSE_WRITE_GOLDEN") == "1":
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(page(client), "utf-8")
    assert path.read_text("utf-8") == page(client)


def test_no_page_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {client.id for client in clients()}
