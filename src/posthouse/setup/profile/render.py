"""A profile as plain JSON values, schema 1. Keys and ids never change with the language.

Enters: a Profile. Leaves: a dict that ``json.dumps`` takes. Called by the command line. Nothing
fails.
"""

from __future__ import annotations

import base64
from typing import Any, Final

from posthouse.setup.profile.model import File, Profile

SCHEMA: Final = 1


def to_dict(profile: Profile) -> dict[str, Any]:
    """The whole profile. A file's bytes are ``text``, or ``base64`` where they are no UTF-8."""
    return {
        "schema": SCHEMA,
        "client": profile.client.id,
        "name": profile.client.name(profile.lang),
        "usable": profile.usable,
        "server": {
            "host": profile.endpoint.host,
            "port": profile.endpoint.port,
            "security": profile.endpoint.security.value,
        },
        "files": [_file(file) for file in profile.files],
        "steps": list(profile.steps),
        "notes": [
            {
                "id": note.id,
                "level": note.level.value,
                "text": note.text,
                "params": dict(note.params),
            }
            for note in profile.notes
        ],
        "text": profile.text or None,
    }


def _file(file: File) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": file.name,
        "place": file.place or None,
        "mode": f"{file.mode:04o}",
        "append": file.append,
    }
    try:
        found["text"] = file.content.decode()
    except UnicodeDecodeError:
        found["base64"] = base64.b64encode(file.content).decode()
    return found
