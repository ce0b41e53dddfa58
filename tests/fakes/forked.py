"""Processes made by fork, as the supervisor makes its workers: what each does, and its end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Forked:
    """Children that each do one thing and then wait to be let go, or are killed."""

    pids: list[int] = field(default_factory=list)

    def start(self, work: Callable[[], int]) -> int:
        """Run ``work`` in a child; its result (0 to 250) is its exit code. Gives the process id."""
        pid = os.fork()
        if pid == 0:
            code = 255
            try:
                code = work()
            finally:
                os._exit(code)
        self.pids.append(pid)
        return pid

    def kill(self, pid: int) -> None:
        """At once, whatever it does."""
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self.pids.remove(pid)

    def results(self) -> list[int]:
        """Wait for all of them."""
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in self.pids]
        self.pids.clear()
        return codes
