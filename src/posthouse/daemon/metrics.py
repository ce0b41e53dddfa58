"""Numbers for Prometheus, and whether the relay is ready: what each worker counts, added up.

Enters: events, and numbers that a worker knows of itself. Leaves: ``/metrics`` and ``/ready`` on an
address of its own, served by worker 0 in threads, from the files of all (``numbers``). Called by
``worker``. Nothing fails.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from types import MappingProxyType
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from posthouse.daemon import numbers
from posthouse.letter import Event

PATIENCE: Final = 2.0  # seconds for a question to come and its answer to go
AT_ONCE: Final = 16  # questions that are being answered; a watcher or two ask
SERVER: Final = "posthouse"  # not which Python and what of it answers
TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"

# name -> (help, label); what a worker counts up, and what it has at this moment
COUNTERS: Final[Mapping[str, tuple[str, str]]] = {
    "events": ("What happened to messages", "kind"),
    "failures": ("Failed tries to deliver", "cause"),
    "refusals": ("What was refused to clients", "reason"),
    "logins": ("Logins", "result"),
    "dns_questions": ("Questions to DNS, by whether the cache knew", "cache"),
    "saved_octets": ("Octets that undone base64 spared the network", ""),
    "commits": ("Transactions of the queue", ""),
}
GAUGES: Final[Mapping[str, tuple[str, str]]] = {
    "queue_messages": ("Messages in the queue", ""),
    "queue_waiting": ("Recipients that wait for their next try", ""),
    "sessions": ("Clients connected", ""),
    "connections": ("Connections to next hops", "hop"),
    "tasks": ("Messages that wait for a connection", "hop"),
    "stopped": ("1 while nothing can be recorded and delivery stands still", ""),
}


# What is counted of what is said: the counter, and the fact that is its label.
_SAID: Final = {
    "rejected": ("refusals", "reason"),
    "login": ("logins", "result"),
    "passed_over": ("failures", "cause"),
}


class Counts:
    """The owner of one worker's counters. ``known``: what they were when the last one ended.

    All workers are added up, and of a sum that gets smaller nobody can say how much was added.
    """

    def __init__(self, known: Mapping[tuple[str, str], int] = MappingProxyType({})) -> None:
        self.values: Counter[tuple[str, str]] = Counter(known)
        self._known = known

    def since_start(self, name: str, label: str, number: int) -> None:
        """What somebody else counts, from 0 in each process."""
        self.values[name, label] = self._known.get((name, label), 0) + number

    def event(self, event: Event) -> None:
        """Count one event of a letter."""
        self.values["events", event.kind] += 1
        cause = event.data.get("cause")
        if cause:
            self.values["failures", str(cause)] += 1

    def said(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Count what is no letter's event: a refusal, a login, a server that is passed over."""
        if kind in _SAID:
            name, label = _SAID[kind]
            self.values[name, str(facts.get(label, ""))] += facts.get("times", 1)


class Reader:
    """Adds up what the workers wrote: a collector of ``prometheus_client``."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._folder = folder
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        """All metrics."""
        totals: Counter[tuple[str, str]] = Counter()
        for _, content in self._contents():
            for name, label, value in content.get("rows", []):
                totals[name, label] += value
        for names, kind in ((COUNTERS, CounterMetricFamily), (GAUGES, GaugeMetricFamily)):
            for name, (text, label) in names.items():
                metric = kind(f"posthouse_{name}", text, labels=[label] if label else [])
                for (other, value_label), value in sorted(totals.items()):
                    if other == name:
                        metric.add_metric([value_label] if label else [], value)
                yield metric
        yield GaugeMetricFamily("posthouse_ready", "1 where all workers work", float(self.ready()))

    def ready(self) -> bool:
        """Whether all workers work."""
        return not self.wrong()

    def wrong(self) -> list[str]:
        """Who has not written within the last seconds, or stands still, or has no file any more."""
        alive, found = self.alive(), []
        for worker in range(self._workers):
            one = alive.get(worker)
            if one is None:
                found.append(f"worker {worker} does not work")
                continue
            if any(row[0] == "stopped" and row[2] for row in one.get("rows", [])):
                found.append(f"worker {worker} can record nothing, delivery stands still")
            found += [f"{path}: {why}" for path, why in one.get("lost", {}).items()]
        return found

    def alive(self) -> dict[int, dict[str, Any]]:
        """The workers that wrote within the last seconds, and what."""
        return {n: one for n, one in self._contents() if numbers.is_fresh(one)}

    def _contents(self) -> Iterable[tuple[int, dict[str, Any]]]:
        for worker in range(self._workers):
            with contextlib.suppress(OSError, ValueError):
                yield worker, numbers.read(self._folder, worker)


class _Quiet(WSGIRequestHandler):
    def handle(self) -> None:
        """There are some turns, no more: who is silent, or slow, must not stop the rest."""
        over = threading.Timer(PATIENCE, self._cut)
        over.daemon = True
        over.start()
        try:
            super().handle()
        finally:
            over.cancel()

    def _cut(self) -> None:
        """A time-out of the socket would begin anew with each octet."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def version_string(self) -> str:
        """In the header of what is refused before we are asked."""
        return SERVER

    def log_message(self, format: str, *args: Any) -> None:
        """Who asks for metrics every few seconds is no news."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own: a watcher of the relay has not the time for those before him."""
        self._turns.acquire()
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread is to be had
            self._turns.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """All of it, in that thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._turns.release()

    def server_bind(self) -> None:
        """Without the look-up of our own name in DNS that comes with it otherwise."""
        self._turns = threading.Semaphore(AT_ONCE)
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who hangs up or says nothing is no news either, and standard error is the log."""


class _Server6(_Server):
    address_family = socket.AF_INET6


def serve(address: str, port: int, reader: Reader) -> WSGIServer:
    """Answer ``/metrics`` and ``/ready`` in a thread. Raises OSError where it can't listen."""
    registry = CollectorRegistry()
    registry.register(reader)

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        method, path = environ.get("REQUEST_METHOD"), environ.get("PATH_INFO")
        about = [("Server", SERVER), ("Content-Type", TEXT)]
        if method not in ("GET", "HEAD"):  # RFC 9110 section 15.5.6
            start("405 Method Not Allowed", [*about, ("Allow", "GET, HEAD")])
            return [b"GET or HEAD\n"]
        status, body = "404 Not Found", b"/metrics or /ready\n"
        if path == "/metrics":
            status, body = "200 OK", generate_latest(registry)
        elif path == "/ready":
            wrong = reader.wrong()
            status = "503 Service Unavailable" if wrong else "200 OK"
            body = "\n".join(["not ready", *wrong, ""]).encode() if wrong else b"ready\n"
        start(status, [*about, ("Content-Length", str(len(body)))])
        return [] if method == "HEAD" else [body]  # RFC 9110 section 9.3.2

    family = _Server6 if ":" in address else _Server
    server = make_server(address, port, answer, server_class=family, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
