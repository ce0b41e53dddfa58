"""What every peer needs: a folder, a child process with a log, waiting, and stopping.

Enters: a command line. Leaves: a ``Daemon`` that runs, or ``PeerFailed`` with the end of its log.
Everything waits for a bounded time.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

START_SECONDS = 20.0  # far more than any of them takes, even on a busy machine
STOP_SECONDS = 5.0
LOG_TAIL = 8_000  # characters of a log shown with a failure
BASE = Path("/run/peers")  # inside the private namespace; short, because UNIX socket paths are

_numbers = itertools.count(1)
_running: list[Daemon] = []
_last_words: list[tuple[str, str]] = []  # of servers stopped because a test failed


class PeerFailed(Exception):
    """A peer did not do what the tests need; the words hold the end of its log."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a client program ended."""

    code: int
    output: str  # stdout and stderr together

    @property
    def ok(self) -> bool:
        return self.code == 0


@dataclass(eq=False)
class Daemon:
    """One server process (and its children), its folder and its logs."""

    name: str
    folder: Path
    process: subprocess.Popen[bytes]
    log_files: list[Path] = field(default_factory=list)

    def log(self) -> str:
        """All it has logged so far."""
        texts = [f.read_text("utf-8", "replace") for f in self.log_files if f.exists()]
        return "".join(texts)

    def wait_for(
        self, what: str, ready: Callable[[], bool], seconds: float = START_SECONDS
    ) -> None:
        """Poll ``ready``; PeerFailed if the process ends or the time is over."""
        end = time.monotonic() + seconds
        while not ready():
            if self.process.poll() is not None:
                raise PeerFailed(f"{self.name} ended ({self.process.returncode}):\n{self.tail()}")
            if time.monotonic() > end:
                raise PeerFailed(f"{self.name}: no {what} in {seconds:g} s:\n{self.tail()}")
            time.sleep(0.02)

    def tail(self) -> str:
        """The end of the log."""
        return self.log()[-LOG_TAIL:]


@contextmanager
def running(
    name: str,
    command: Sequence[str | Path],
    folder: Path,
    *,
    ports: Sequence[tuple[str, int]] = (),
    log_files: Sequence[Path] = (),
    env: Mapping[str, str] | None = None,
) -> Iterator[Daemon]:
    """Start a server that stays in the foreground, wait until all ``ports`` accept, stop it."""
    output = folder / "output.log"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **(env or {})},
            start_new_session=True,
        )
    daemon = Daemon(name, folder, process, [output, *log_files])
    _running.append(daemon)
    try:
        for host, port in ports:
            daemon.wait_for(f"answer on {host}:{port}", lambda h=host, p=port: accepts(h, p))
        yield daemon
    except BaseException:
        _last_words.append((name, daemon.tail()))
        raise
    finally:
        _running.remove(daemon)
        stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process asked politely, then its whole group."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_SECONDS)


def logs() -> list[tuple[str, str]]:
    """(name, end of log) of each server that runs now, or was stopped by a failure just before."""
    ended, _last_words[:] = _last_words[:], []
    return ended + [(daemon.name, daemon.tail()) for daemon in _running]


def new_folder(name: str) -> Path:
    """An empty folder that the users of the mail servers can reach."""
    folder = BASE / f"{name}-{next(_numbers)}"
    folder.mkdir(parents=True)
    BASE.chmod(0o755)
    folder.chmod(0o755)
    return folder


def own(path: Path, user: str, group: str | None = None, mode: int | None = None) -> Path:
    """Give a file or folder to a user of the namespace; folders are made."""
    if not path.exists():
        path.mkdir(parents=True)
    shutil.chown(path, user, group or user)
    if mode is not None:
        path.chmod(mode)
    return path


def accepts(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def run_client(
    command: Sequence[str | Path],
    *,
    stdin: bytes = b"",
    seconds: float = 30.0,
    env: Mapping[str, str] | None = None,
) -> Ran:
    """Run a client program to its end; one that hangs is killed and ends as code -1."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            env={**os.environ, **(env or {})},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return Ran(-1, (error.stdout or b"").decode("utf-8", "replace") + "\n(killed: too slow)")
    return Ran(done.returncode, done.stdout.decode("utf-8", "replace"))


def maildir(folder: Path) -> list[bytes]:
    """The messages of a Maildir, oldest first."""
    files = [f for part in ("new", "cur") for f in (folder / part).glob("*")]
    return [file.read_bytes() for file in sorted(files, key=lambda f: f.stat().st_mtime_ns)]


def wait_for_messages(read: Callable[[], list[bytes]], count: int) -> list[bytes]:
    """Wait until ``read`` gives at least so many messages."""
    wait_until(f"{count} message(s)", lambda: len(read()) >= count)
    return read()


def wait_until(what: str, ready: Callable[[], object], seconds: float = 15.0) -> None:
    """Poll for something no single server is to blame for."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise PeerFailed(f"{what}: not in {seconds:g} s")
        time.sleep(0.05)
