"""The supervisor: opens the sockets, starts the workers, starts again those that die.

Enters: a ``Config`` and a way to read it again. Leaves: worker processes, forked, that share the
sockets, so that no client is turned away while one is replaced; an exit code. Signals: TERM and INT
end in good order, HUP reads the configuration again and replaces the workers one by one, each with
the lanes it had. It has no event loop and no threads, for it forks.

What can fail: a socket that can't be opened, or a data folder in use, before anything is started
(``StartError``). A worker that dies at once is started again with growing pauses.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, Any, Final

from posthouse.config import Config, ConfigError
from posthouse.daemon import beforehand
from posthouse.daemon.common import Common
from posthouse.daemon.lock import PATIENCE, lock
from posthouse.daemon.ports import StartError, bound, shared
from posthouse.explain import catalogue
from posthouse.send.submit.tls import worse

CALM: Final = 30.0  # seconds after which a worker counts as healthy
LONGEST: Final = 30.0  # seconds at most between two starts of a worker that dies at once
WAKE: Final = 1.0  # seconds between looks, where no signal comes
READY: Final = 20.0  # seconds a worker may take to open a long queue before the next is replaced
HEARD: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


@dataclass(frozen=True, slots=True)
class Post:
    """What a worker is given: which one it is, where it listens, whom to tell, whose it is.

    ``common`` is what it shares with the others.
    """

    config: Config
    number: int
    sockets: Sequence[socket.socket]
    ready: Callable[[], None]
    supervisor: int  # its process id, taken before the fork: a parent may be gone before we look
    common: Common


Main = Callable[[Post], int]


@dataclass(slots=True)
class _Worker:
    """One worker and its history."""

    number: int
    pid: int = 0
    started: float = 0.0
    deaths: int = 0  # in a row, each soon after its start
    again: float = 0.0  # when it may be started again
    ready: bool = False
    config: Config | None = None  # what it was started with
    pipe: int = -1  # it writes one octet when it is ready

    def deafen(self) -> None:
        """Nothing is expected from it any more."""
        if self.pipe >= 0:
            os.close(self.pipe)
            self.pipe = -1


@dataclass(slots=True)
class Supervisor:
    """The owner of the sockets and the workers. ``main`` is what a worker does."""

    config: Config
    main: Main
    read_again: Callable[[], Config]
    say: Callable[..., None]  # (kind, **facts): the log
    begin: Callable[[], None] = lambda: None  # folder and ports are ours, no worker runs yet
    terminal: bool = False  # HUP is no wish for a reload but a window that was closed
    _workers: list[_Worker] = field(default_factory=list)
    _sockets: list[socket.socket] = field(default_factory=list)
    _lock: IO[str] | None = None
    _common: Common = field(default_factory=lambda: Common(forks=True))
    _signals: set[int] = field(default_factory=set)
    _told_ready: bool = False

    def run(self) -> int:
        """Serve until told to end. Raises StartError."""
        self._lock = lock(self.config, self.say)
        beforehand.load()
        self._sockets = [bound(one.address, one.port) for one in self.config.listen]
        self._workers = [_Worker(n) for n in range(self.config.server.workers)]
        self._common.begin(self.config.server.data)
        with self._heard():
            self.begin()
            while not self._told_to_end:
                if signal.SIGHUP in self._signals:
                    self._signals.discard(signal.SIGHUP)
                    self._reload()
                self._start_missing()
                self._wait()
            notify("STOPPING=1")
            for sock in self._sockets:  # who comes now must not wait in a queue for nobody
                sock.close()
            self._end(self._workers)
        return 0

    @property
    def _told_to_end(self) -> bool:
        ends = {signal.SIGTERM, signal.SIGINT}
        return bool(self._signals & (ends | {signal.SIGHUP} if self.terminal else ends))

    # -- workers

    def _start_missing(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            if worker.pid == 0 and now >= worker.again:
                self._start(worker)

    def _start(self, worker: _Worker) -> None:
        try:
            self._fork(worker)
        except OSError as error:  # no process or pipe to be had now: the others go on
            self.say("worker_failed", worker=worker.number, error=str(error))
            self._died(worker, 1)

    def _fork(self, worker: _Worker) -> None:
        receive, send = os.pipe()
        supervisor = os.getpid()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # as with ``2>&-``
                stream.flush()
        # A signal meant for the child must not meet our handlers there and be lost.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        try:
            worker.pid, worker.pipe = os.fork(), receive
            if worker.pid == 0:
                os.close(receive)
                self._be_worker(worker, send, supervisor, mask)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(send)
            if worker.pipe < 0:
                os.close(receive)
        worker.started, worker.ready, worker.config = time.monotonic(), False, self.config

    def _be_worker(self, worker: _Worker, pipe: int, supervisor: int, mask: set[Any]) -> None:
        """In the child; never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            # Ctrl-C, and HUP to the whole group, are the supervisor's to answer.
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

            def ready() -> None:
                os.write(pipe, b"1")
                os.close(pipe)

            post = Post(self.config, worker.number, self._sockets, ready, supervisor, self._common)
            code = self.main(post)
        except BaseException as error:
            self.say(
                "worker_failed", worker=worker.number, error=f"{type(error).__name__}: {error}"
            )
        finally:
            os._exit(code)

    def _wait(self) -> None:
        """Until a worker says something or dies, a signal comes, or a second has gone."""
        pipes = [worker.pipe for worker in self._workers if worker.pipe >= 0]
        with contextlib.suppress(InterruptedError):
            heard, _, _ = select.select([*pipes, self._wakeup], [], [], WAKE)
            for worker in self._workers:
                if worker.pipe in heard:
                    self._hear(worker)
            if self._wakeup in heard:
                os.read(self._wakeup, 512)
        self._bury()

    def _hear(self, worker: _Worker) -> None:
        worker.ready = os.read(worker.pipe, 1) == b"1"
        worker.deafen()
        if not self._told_ready and all(one.ready for one in self._workers):
            self._told_ready = True
            notify("READY=1")
            self.say("ready", workers=len(self._workers))

    def _bury(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for worker in self._workers:
                if worker.pid == pid:
                    self._died(worker, os.waitstatus_to_exitcode(status))

    def _died(self, worker: _Worker, code: int) -> None:
        now = time.monotonic()
        worker.pid = 0
        worker.deafen()
        self._common.gone(worker.number)
        worker.deaths = 0 if now - worker.started > CALM else worker.deaths + 1
        pause = 0.0 if worker.deaths <= 1 else min(LONGEST, 2.0 ** (worker.deaths - 2))
        worker.again = now + pause
        self.say("worker_ended", worker=worker.number, code=code, again=pause)

    def _end(self, workers: Sequence[_Worker]) -> None:
        """Ask to end, wait, then insist."""
        for worker in workers:
            _kill(worker.pid, signal.SIGTERM)
        until = time.monotonic() + PATIENCE
        for worker in workers:
            while worker.pid and _alive(worker.pid):
                if time.monotonic() > until:
                    _kill(worker.pid, signal.SIGKILL)
                time.sleep(0.02)
            worker.pid = 0
            worker.deafen()
            self._common.gone(worker.number)

    def _gets_ready(self, worker: _Worker) -> bool:
        """Wait for one that was just started."""
        until = time.monotonic() + READY
        while worker.pid and not worker.ready and not self._told_to_end:
            if time.monotonic() > until:
                return False
            self._wait()
        return worker.ready or self._told_to_end

    # -- a new configuration

    def _reload(self) -> None:
        """Take the new configuration if it is good, else go on with the old one."""
        try:
            fresh = self.read_again()
            if fresh.server.data != self.config.server.data:  # the lock is on the old one
                error = "another data folder needs a restart"
                raise StartError("data", data=str(fresh.server.data), error=error)
            if why := worse(fresh.lasting, self.config.lasting, datetime.now(UTC)):
                raise StartError("certificate", path=str(fresh.certificate), why=why)
            sockets = self._sockets_of(fresh)
        except (ConfigError, StartError) as error:
            self.say("reload_failed", error=error.told(catalogue("en")))  # as all of the log
            return
        except Exception as error:  # a bug of ours in reading it must not end a relay that works
            self.say("reload_failed", error=f"{type(error).__name__}: {error}")
            return
        notify("RELOADING=1")
        old = self.config
        if self._work_with(fresh, sockets):
            self.say("reloaded", workers=fresh.server.workers)
        else:
            self.say(
                "reload_failed", error="a worker does not get ready with the new configuration"
            )
            try:
                self._work_with(old, self._sockets_of(old))
            except StartError as error:  # somebody else has taken a port of ours meanwhile
                self.say("reload_failed", error=error.told(catalogue("en")))
        notify("READY=1")

    def _work_with(self, config: Config, sockets: list[socket.socket]) -> bool:
        """Replace the workers; whether all that were started got ready."""
        for sock in self._sockets:
            if sock not in sockets:  # before a worker is forked, which would hold it for ever
                sock.close()
        moved = config.server.workers != len(self._workers)
        self.config, self._sockets = config, sockets
        return self._replace_all() if moved else self._replace_each()

    def _replace_each(self) -> bool:
        """One after the other, each only when the last one works: the rest go on as they are."""
        for worker in [one for one in self._workers if one.config is not self.config]:
            if self._told_to_end:
                break
            self._end([worker])
            self._start(worker)
            if not self._gets_ready(worker):
                return False
        return True

    def _replace_all(self) -> bool:
        """For another number: lanes change hands, and two must never empty one lane."""
        self._end(self._workers)
        self._common.begin(self.config.server.data)
        self._workers = [_Worker(n) for n in range(self.config.server.workers)]
        for worker in self._workers:
            self._start(worker)
        ready = [self._gets_ready(worker) for worker in self._workers]
        return all(ready)

    def _sockets_of(self, fresh: Config) -> list[socket.socket]:
        kept = {
            (one.address, one.port): sock
            for one, sock in zip(self.config.listen, self._sockets, strict=True)
        }
        moved = {port for _, port in kept.keys() - {(o.address, o.port) for o in fresh.listen}}
        with shared(self._sockets if moved else ()):
            return [
                kept.get((one.address, one.port))
                or bound(one.address, one.port, beside=one.port in moved)
                for one in fresh.listen
            ]

    # -- signals

    @contextlib.contextmanager
    def _heard(self) -> Iterator[None]:
        """Signals wake the ``select``."""
        self._wakeup, write = os.pipe()
        os.set_blocking(write, False)
        before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)  # a full pipe wakes too
        handlers = {number: signal.signal(number, self._signalled) for number in HEARD}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # held back until now
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(before)
            os.close(self._wakeup)
            os.close(write)

    def _signalled(self, number: int, _frame: Any) -> None:
        self._signals.add(number)

    _wakeup: int = -1


def notify(state: str) -> None:
    """Tell systemd (``Type=notify``), where it has asked to be told."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(state.encode(), address)


def _kill(pid: int, number: int) -> None:
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _alive(pid: int) -> bool:
    """Whether it runs; a child that has ended is buried."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == 0
    except ChildProcessError:
        return False
