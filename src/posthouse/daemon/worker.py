"""One worker: its listeners, its lanes of the queue, and the dispatchers that empty them.

Enters: a ``Post``: the configuration, the worker's number, the sockets. Leaves: an exit code. It
ends in good order at TERM, and by itself when its supervisor is gone: two supervisors must never
run over one queue. New letters go into the worker's own lane; lanes left over from when there were
more workers are emptied by those that remain.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from wsgiref.simple_server import WSGIServer

from posthouse.config import Config
from posthouse.daemon import metrics, numbers
from posthouse.daemon.lines import Queued, standard_error
from posthouse.daemon.log import Log
from posthouse.daemon.pruning import Pruning
from posthouse.daemon.supervisor import Post
from posthouse.daemon.wiring import Relay
from posthouse.letter import Event
from posthouse.net.loop import run
from posthouse.send.queue.files import file_of, lanes_in

LOOK: Final = 1.0  # seconds between looks at the supervisor, and between metrics
PATIENCE: Final = 10.0  # seconds for messages that are being handed in while we end
# Seconds after which a thread that waits for Python's lock is given it. The loop lets go of it
# after each callback, which wakes the queue's writer, and has it again before that one is awake:
# Python's own 0.005 is twice as many wake-ups, most of them in vain.
TURN: Final = 0.0002


def main(post: Post, watch: Callable[[Event], None] | None = None) -> int:
    """Work until told to end; the exit code. ``watch`` gets the events instead of the log."""
    sys.setswitchinterval(TURN)
    sys.unraisablehook = unraised
    lines = Queued(standard_error(), worker=post.number)
    log = Log(post.number, lines)
    try:
        run(Worker(post, log, watch).run())
    finally:
        log.flush()
        lines.close()
    return 0


def unraised(told: sys.UnraisableHookArgs) -> None:
    """What can be raised nowhere, as Python shows it; but not what a client has done.

    A server name in a client's hello (RFC 6066 section 3) that is no ASCII fails before our
    ``sni_callback`` is asked. The handshake is over then, and a traceback for each would stand
    between the lines of the log.
    """
    if not (isinstance(told.exc_value, UnicodeDecodeError) and isinstance(told.object, bytes)):
        sys.__unraisablehook__(told)


class Worker:
    """The owner of one process."""

    def __init__(self, post: Post, log: Log, watch: Callable[[Event], None] | None = None) -> None:
        self._post = post
        self._say = log.say
        self._counts = metrics.Counts(
            numbers.known(post.config.server.data, post.number, metrics.COUNTERS)
        )
        self._log = watch or log.event
        self._served: WSGIServer | None = None
        self.stop = asyncio.Event()

    async def run(self) -> None:
        """Open everything, serve, close everything."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop.set)
        loop.set_exception_handler(self._failed)
        relay = Relay(
            self._post.config,
            self._post.number,
            watch=self._event,
            say=self._said,
            common=self._post.common,
        )
        mine = lanes(self._post.config, self._post.number)
        await relay.open(mine)
        pruning = None
        try:
            await relay.listen(self._post.sockets)
            if error := self._serve_metrics():
                self._say("metrics_failed", listen=self._post.config.metrics, error=error)
            self._write_metrics(relay)
            self._post.ready()
            pruning = self._prune(mine)
            await self._until_stop(relay)
        finally:
            if pruning is not None:
                await asyncio.to_thread(pruning.close)
            closing = asyncio.create_task(relay.close(PATIENCE))
            while not closing.done():  # what comes of mail meanwhile counts, too
                await asyncio.wait([closing], timeout=LOOK)
                self._write_metrics(relay)
            await closing
            if self._served is not None:
                self._served.shutdown()

    def _prune(self, mine: Sequence[int]) -> Pruning | None:
        """Remove old events, where they are not to be kept for ever."""
        config = self._post.config
        if not config.keep_events:
            return None
        paths = [file_of(config.server.data, lane) for lane in mine]
        return Pruning(paths, config.keep_events, self._say)

    def _serve_metrics(self) -> str:
        """By the first worker alone; "" or what is in the way. Mail goes on without, where somebody
        else has the port, or the network is not there yet."""
        config = self._post.config
        if config.metrics is None or self._post.number != 0 or self._served is not None:
            return ""
        reader = metrics.Reader(config.server.data, config.server.workers)
        try:
            self._served = metrics.serve(*config.metrics, reader)
        except OSError as error:
            return str(error)
        return ""

    async def _until_stop(self, relay: Relay) -> None:
        while not self.stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self.stop.wait()
            if os.getppid() != self._post.supervisor:
                self._say("orphaned")
                return
            self._serve_metrics()  # where it was not to be had before
            self._write_metrics(relay)

    def _event(self, event: Event) -> None:
        self._counts.event(event)
        self._log(event)

    def _said(self, kind: str, facts: Mapping[str, Any]) -> None:
        """What is refused, who signs in, what goes wrong."""
        self._counts.said(kind, facts)
        self._say(kind, **facts)

    def _write_metrics(self, relay: Relay) -> None:
        for name, label, number in relay.counters():
            self._counts.since_start(name, label, number)
        data, number = self._post.config.server.data, self._post.number
        numbers.write(data, number, self._counts.values, relay.gauges(), relay.lost())

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self._say("error", message=context.get("message", ""), error=repr(error) if error else "")


def lanes(config: Config, worker: int) -> list[int]:
    """The worker's own lane first, then those without a worker that fall to it."""
    workers = config.server.workers
    there = lanes_in(config.server.data)
    return [worker, *(n for n in there if n >= workers and n % workers == worker)]
