"""A machine of one's own: /etc, a home and a working folder, for programs with fixed places.

``Machine.install`` puts a profile's files where it says, as its reader would; ``Machine.command``
makes a command that sees them. Everything else is the namespace's.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from peers import process

SCRIPT = """
mount --bind "$1/etc" /etc && mount -t tmpfs tmpfs /var/log || exit 99
mkdir -p /var/log/exim4 && chown Debian-exim:Debian-exim /var/log/exim4
cd "$1/app" && export HOME="$1/home"
shift
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """Its three folders are ``etc``, ``home`` and ``app`` (where a program runs)."""

    folder: Path

    def path(self, place: str) -> Path:
        """Where a place of the machine is outside of it."""
        if place.startswith("/etc/"):
            return self.folder / place[1:]
        if place.startswith("~/"):
            return self.folder / "home" / place[2:]
        if place.startswith("/"):
            raise ValueError(f"nothing of a test is written to {place}")
        return self.folder / "app" / place

    def write(self, place: str, content: bytes | str, mode: int = 0o644, group: str = "") -> None:
        """One file, its folders made."""
        path = self.path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        if group:
            shutil.chown(path, "root", group)

    def append(self, place: str, content: bytes) -> None:
        """Add to a file that may be there."""
        path = self.path(place)
        before = path.read_bytes() if path.exists() else b""
        self.write(place, before + content)

    def command(self, *words: str | Path) -> list[str]:
        """A command line that runs on this machine."""
        wrapper = ["unshare", "--mount", "--", "sh", "-c", SCRIPT, "sh"]
        return [*wrapper, str(self.folder), *(str(word) for word in words)]

    def run(
        self,
        *words: str | Path,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        seconds: float = 60.0,
    ) -> process.Ran:
        """Run a command to its end."""
        return process.run_client(self.command(*words), stdin=stdin, env=env, seconds=seconds)


@contextmanager
def machine(folders: Sequence[str] = ()) -> Iterator[Machine]:
    """A fresh one; ``folders`` below /var/spool are made for its mail server."""
    folder = process.new_folder("machine")
    shutil.copytree("/etc", folder / "etc", symlinks=True, ignore_dangling_symlinks=True)
    for part in ("home", "app"):
        (folder / part).mkdir()
    for spool in folders:
        shutil.rmtree(spool, ignore_errors=True)
        Path(spool).mkdir(parents=True)
    try:
        yield Machine(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
