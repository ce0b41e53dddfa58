"""The configuration of the relay: one TOML file, read whole or not at all.

Enters: a path. Leaves: a frozen ``Config``; each part's tables are read by the part itself. Called
by the command and, for a new one, by the supervisor. Fails with ``ConfigError`` alone: what is
wrong, at which key, and what would be right; nothing is started on half a configuration.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from posthouse.protocol.host import HostError, parse_host
from posthouse.protocol.smtp.limits import RECIPIENTS
from posthouse.send.deliver.keys import Keys, read_dkim
from posthouse.send.deliver.retry import Retry, read_retry
from posthouse.send.document import ConfigError, load, mistake
from posthouse.send.hop import Hop
from posthouse.send.queue.ids import LANES
from posthouse.send.queue.places import CAPACITY
from posthouse.send.route import Routes, read_hops, read_routes
from posthouse.send.settings import SettingError, Table, tables
from posthouse.send.submit.settings import (
    SIZE,
    Limits,
    Listening,
    read_limits,
    read_listen,
)
from posthouse.send.submit.tls import CertificateError, Lasting, lasting, loaded

__all__ = ["Config", "ConfigError", "Server", "default_workers", "of", "read"]

LEAST_SIZE: Final = 64 * 1024  # RFC 5321 section 4.5.3.1.7
MOST_RECIPIENTS: Final = 10_000
DAY: Final = 86_400.0
# A complaint about a message comes within weeks; addresses are personal data, and files must end.
KEEP_EVENTS: Final = 90 * DAY
MOST_EVENTS: Final = 3_650 * DAY
TABLES: Final = (
    "server", "listen", "tls", "limits", "hop", "route", "dkim", "retry", "queue", "metrics",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Server:
    """What holds for the whole relay."""

    name: str  # in greetings, EHLO and Received
    data: Path
    workers: int = 1  # lanes of the queue, and processes
    size: int = SIZE
    recipients: int = RECIPIENTS
    capacity: int = CAPACITY
    lang: str = "both"  # of reports to senders: "en", "zh", "both"


@dataclass(frozen=True, slots=True)
class Config:
    """Everything."""

    server: Server
    listen: tuple[Listening, ...]
    hops: Mapping[str, Hop]
    routes: Routes
    limits: Limits = field(default_factory=Limits)
    certificate: Path | None = None  # None: a self-made one in the data folder
    key: Path | None = None
    lasting: Lasting | None = None  # of the certificate, as it was read
    signing: Keys = field(default_factory=lambda: Keys([]))
    retry: Retry = field(default_factory=Retry)
    keep_events: float = KEEP_EVENTS  # seconds, of letters that have left; 0 is for ever
    metrics: tuple[str, int] | None = None


def read(path: Path) -> Config:
    """Read a file. Raises ConfigError."""
    document = load(path)
    try:
        return of(document, path.parent)
    except SettingError as error:
        raise mistake(path, error) from None


def _check_twice(document: Mapping[str, Any], listen: Sequence[Listening]) -> None:
    """One port has one mode: of two sockets on it the kernel would choose, or take one alone."""
    for place, (where, row) in enumerate(tables(document, "listen")):
        own, port = ip_address(listen[place].address), listen[place].port
        for before in listen[:place]:
            other = ip_address(before.address)
            if not port or (port, own.version) != (before.port, other.version):
                continue
            if own == other:
                raise SettingError("listen_twice", f"{where}.address", row["address"])
            if own.is_unspecified or other.is_unspecified:
                params = {"other": f"{before.address}:{port}"}
                raise SettingError("listen_within", f"{where}.address", row["address"], **params)


def of(document: Mapping[str, Any], folder: Path) -> Config:
    """The configuration of a parsed file; ``folder`` is where relative paths begin.

    Raises SettingError.
    """
    Table(document, "", TABLES)
    hops = read_hops(document, folder=folder)
    tls = Table(document.get("tls", {}), "tls", ("certificate", "key"))
    if ("certificate" in tls) != ("key" in tls):
        raise tls.wrong("pair", "key" if "certificate" in tls else "certificate")
    certificate, key = _path(tls, "certificate", folder), _path(tls, "key", folder)
    if certificate is not None and key is not None:
        _check(tls, certificate, key)
    listen = tuple(read_listen(row, where) for where, row in tables(document, "listen"))
    if not listen:
        raise SettingError("no_listen", "listen")
    _check_twice(document, listen)
    return Config(
        _server(document.get("server", {}), folder),
        listen,
        hops,
        read_routes(document, hops),
        read_limits(document.get("limits", {})),
        certificate,
        key,
        None if certificate is None else lasting(certificate),
        _signing(document, folder),
        read_retry(document.get("retry", {})),
        _keep_events(document.get("queue", {})),
        _metrics(document.get("metrics")),
    )


def _check(table: Table, certificate: Path, key: Path) -> None:
    """Said now: each worker would die of it, those of a relay that only reads it again too."""
    try:
        loaded(certificate, key)
    except CertificateError as error:
        if error.encrypted:
            raise table.wrong("key_encrypted", "key") from None
        if error.strangers:
            raise table.wrong("strangers", "key", certificate=str(certificate)) from None
        raise table.wrong("certificate", "certificate", why=str(error)) from None


def _signing(document: Mapping[str, Any], folder: Path) -> Keys:
    return read_dkim(tables(document, "dkim"), lambda name: (folder / name).read_bytes())


def _path(table: Table, name: str, folder: Path) -> Path | None:
    text = table.place(name)
    return folder / text if text else None


def _server(raw: object, folder: Path) -> Server:
    table = Table(
        raw, "server", ("name", "data", "workers", "size", "recipients", "capacity", "lang")
    )
    data = table.place("data")
    if not data:
        raise table.wrong("missing", "data")
    lang = table.text("lang", "both")
    if lang not in ("en", "zh", "both"):
        raise table.wrong("choice", "lang", choices="en, zh, both")
    size = table.octets("size")
    if size is not None and size < LEAST_SIZE:
        raise table.wrong("range", "size", least="64K", most="1T")
    return Server(
        table.host_name("name", "server_name")
        or socket.getfqdn(),  # which asks DNS, and may take its time
        folder / data,
        table.whole("workers", default_workers(), least=1, most=LANES),
        SIZE if size is None else size,
        table.whole("recipients", RECIPIENTS, least=1, most=MOST_RECIPIENTS),
        table.whole("capacity", CAPACITY, least=1, most=10_000_000),
        lang,
    )


def _keep_events(raw: object) -> float:
    table = Table(raw, "queue", ("keep_events",))
    return table.seconds("keep_events", KEEP_EVENTS, most=MOST_EVENTS)


def default_workers() -> int:
    """One for each core but one: the kernel and other programs want theirs."""
    return max(1, min(LANES, (os.cpu_count() or 1) - 1))


def _metrics(raw: object) -> tuple[str, int] | None:
    if raw is None:
        return None
    table = Table(raw, "metrics", ("listen",))
    host, _, port = table.text("listen", "127.0.0.1:9125").rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise table.wrong("address", "listen")
    try:  # never "" for all addresses, which Python makes of none: there is no login
        return parse_host(host), int(port)
    except HostError:
        raise table.wrong("address", "listen") from None
