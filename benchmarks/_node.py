"""A peer of npm, run by Node.js: a script, the folder with its ``node_modules``, data both ways."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any


def run_node(script: str, folder: Path, data: dict[str, Any]) -> Any:
    """What ``script`` prints, as JSON. ``data`` is its input, the folder its one argument."""
    done = subprocess.run(
        ["node", "-e", script, str(folder.resolve())],
        input=json.dumps(data),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)
