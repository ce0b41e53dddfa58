"""apt-get with lists, sources and cache of our own: as any user, never locking the system's.

Called by scripts/peers. Enters: a folder to keep everything in. Leaves: ``run`` for apt-get's
commands, where a package may be written "name/bookworm-backports". Nothing is ever installed.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

SYSTEM = Path("/etc/apt")


class Apt:
    """A private apt; its package lists are those of the system's sources plus their backports."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.downloads = folder / "downloads"
        for part in ("lists/partial", "cache/archives/partial", "sources", "downloads"):
            (folder / part).mkdir(parents=True, exist_ok=True)

    def update(self) -> bool:
        """Fetch the lists; whether there are any.

        The exit code is no help: one unreachable foreign source fails it, and old lists may do.
        """
        self._write_sources()
        self.run("update")
        return any((self._folder / "lists").glob("*Packages*"))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run apt-get; downloads land in ``downloads``."""
        options = {
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": self._folder / "sources",
            "Dir::State::lists": self._folder / "lists",
            "Dir::Cache": self._folder / "cache",
            "APT::Sandbox::User": "",
            "Acquire::Retries": 2,
            "Acquire::http::Timeout": 30,
            "Acquire::https::Timeout": 30,
        }
        return subprocess.run(
            ["apt-get", *(f"-o{key}={value}" for key, value in options.items()), *arguments],
            cwd=self.downloads,
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
        )

    def _write_sources(self) -> None:
        release = codename()
        for source in [SYSTEM / "sources.list", *(SYSTEM / "sources.list.d").glob("*")]:
            if source.suffix in (".list", ".sources") and source.is_file():
                text = source.read_text()
                (self._folder / "sources" / source.name).write_text(text)
                if f"{release}-backports" not in text:
                    backports = "\n\n".join(_backports(text, source.suffix, release))
                    name = f"backports-{source.name}"
                    (self._folder / "sources" / name).write_text(backports + "\n")


def _backports(text: str, style: str, release: str) -> Iterator[str]:
    """The entries of a sources file that name ``release`` itself, changed to its backports."""
    if style == ".sources":
        for stanza in re.split(r"\n\s*\n", text):
            if re.search(rf"(?m)^Suites:.*\b{release}(?![\w-])", stanza):
                yield re.sub(r"(?m)^Suites:.*", f"Suites: {release}-backports", stanza)
    else:
        for line in text.splitlines():
            if re.match(rf"deb\s.*\s{release}\s", line):
                yield re.sub(rf"\s{release}\s", f" {release}-backports ", line, count=1)


def codename() -> str:
    """The system's release, such as bookworm."""
    found = re.search(r"VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text())
    return found[1] if found else "none"
