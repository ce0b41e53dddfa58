"""Settings for these tests, and short ways to what a profile holds."""

from __future__ import annotations

from typing import Any

from posthouse.flow import CredentialKind, Endpoint, Security
from posthouse.protocol.discovery.offer import Incoming
from posthouse.setup.profile import Profile, Settings, make

ADDRESS = "alice@example.com"
STARTTLS = Endpoint("smtp.example.com", 587, Security.STARTTLS)
IMPLICIT = Endpoint("smtp.example.com", 465, Security.TLS)
IMAP = Incoming("imap", "imap.example.com", 993, Security.TLS)


def settings(**changes: Any) -> Settings:
    """alice@example.com at 587, with IMAP; anything may be changed."""
    fields: dict[str, Any] = {
        "address": ADDRESS,
        "outgoing": (STARTTLS,),
        "username": ADDRESS,
        "credential": CredentialKind.APP_PASSWORD,
        "incoming": IMAP,
        "display_name": "Alice Example",
    }
    return Settings(**(fields | changes))


def content(profile: Profile, name: str = "") -> str:
    """One file's text; by default the client's main file."""
    wanted = name or profile.client.file
    return next(f.content for f in profile.files if f.name == wanted).decode()


def made(client: str, name: str = "", **changes: Any) -> str:
    """The text of a client's file."""
    return content(make(client, settings(**changes)), name)


def note_ids(profile: Profile) -> set[str]:
    """The ids of its notes."""
    return {note.id for note in profile.notes}
