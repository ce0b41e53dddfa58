"""What a worker knows, in a small file that it replaces each second.

Enters: counters, what there is at this moment, files that are lost. Leaves: the same, for whoever
serves it (``metrics``), for ``posthouse queue``, and for the worker's next start. Called by
``worker``. Nothing fails: a file that can't be written makes the worker look not ready, which is
what it is.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

FRESH: Final = 5.0  # seconds after which a worker that has written nothing is not ready


def write(
    folder: Path,
    worker: int,
    counts: Mapping[tuple[str, str], float],
    now: Mapping[tuple[str, str], float],
    lost: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """What one worker knows, for whoever serves it."""
    rows = [[name, label, value] for (name, label), value in (*counts.items(), *now.items())]
    text = json.dumps({"at": time.time(), "rows": rows, "lost": dict(lost)})
    path = _file(folder, worker)
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(text)
        os.replace(fresh, path)


def read(folder: Path, worker: int) -> dict[str, Any]:
    """What it wrote last. Raises OSError or ValueError where there is nothing to be read."""
    found: dict[str, Any] = json.loads(_file(folder, worker).read_text())
    return found


def is_fresh(one: Mapping[str, Any]) -> bool:
    """Whether the worker that wrote this still works."""
    fresh: bool = time.time() - one.get("at", 0) < FRESH
    return fresh


def known(folder: Path, worker: int, names: Collection[str]) -> dict[tuple[str, str], int]:
    """The counters of a worker that has ended, for the next one with its number."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        rows = read(folder, worker)["rows"]
        return {(name, label): value for name, label, value in rows if name in names}
    return {}


def lost(folder: Path) -> dict[str, str]:
    """Files of the queue that running workers have open, though they were deleted or replaced; and
    what is there instead."""
    found: dict[str, str] = {}
    for path in folder.glob("metrics/worker-*.json"):
        with contextlib.suppress(OSError, ValueError):
            one = json.loads(path.read_text())
            if is_fresh(one):
                found |= one.get("lost", {})
    return found


def _file(folder: Path, worker: int) -> Path:
    return folder / "metrics" / f"worker-{worker}.json"
