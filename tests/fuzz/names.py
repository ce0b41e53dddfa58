"""Targets of what people type and what peers begin with: addresses, hosts, servers, hellos."""

# ruff: noqa: PT017  a target looks at an error where it catches it

from __future__ import annotations

import contextlib

from fuzz.smtp import text_of
from posthouse.net.tls import a_label
from posthouse.protocol.address import MAX_ADDRESS, AddressError, parse_address
from posthouse.protocol.first_bytes import is_tls, protocol_of
from posthouse.protocol.host import MAX_NAME, HostError, parse_host, parse_ip, to_ascii, to_unicode
from posthouse.protocol.server_input import ServerError, parse_server
from posthouse.protocol.tls_hello import AnswerKind, read_answer
from posthouse.send.route.pattern import Kind, parents, parse, parts

PROTOCOLS = {"smtp", "imap", "pop3", "http", "ssh", "ftp", "sieve", "tls", "unknown"}


def address(data: bytes) -> None:
    text = text_of(data)
    try:
        found = parse_address(text)
    except AddressError as error:
        assert 0 <= error.position <= max(len(text), 1)
        return
    assert len(found.wire.encode("utf-8")) <= MAX_ADDRESS
    assert not any(char in found.wire for char in "\r\n\0")
    again = parse_address(found.wire)
    assert (again.local, again.ascii_domain) == (found.local, found.ascii_domain)
    shown = parse_address(str(found))
    assert shown.wire == found.wire


def route_address(data: bytes) -> None:
    """An envelope's address as rules compare it: always the same, and never an error."""
    text = text_of(data)
    found = parts(text)
    assert parts(text) == found
    assert found.address.endswith(found.domain)
    assert all(found.domain.endswith(parent) for parent in parents(found.domain))
    with contextlib.suppress(ValueError):
        pattern = parse(text)
        if pattern.kind is Kind.ADDRESS:
            assert parts(pattern.value).address == pattern.value


def host(data: bytes) -> None:
    text = text_of(data)
    a_label(text[:300])  # never raises, whatever name a server tells us
    try:
        found = parse_host(text)
    except HostError as error:
        assert 0 <= error.position <= max(len(text), 1)
        return
    assert found.isascii()
    assert parse_host(found) == found
    if parse_ip(found) is None:
        assert len(found) <= MAX_NAME
        assert found == found.lower()
        assert to_ascii(to_unicode(found)) == found


def server(data: bytes) -> None:
    text = text_of(data)
    try:
        found = parse_server(text)
    except ServerError as error:
        assert 0 <= error.position <= max(len(text), 1)
        return
    assert parse_host(found.host) == found.host
    assert found.port is None or 1 <= found.port <= 65_535
    bare = f"[{found.host}]" if ":" in found.host else found.host
    again = parse_server(bare if found.port is None else f"{bare}:{found.port}")
    assert (again.host, again.port) == (found.host, found.port)


def first_bytes(data: bytes) -> None:
    name = protocol_of(data)
    assert name in PROTOCOLS
    assert len(data) < 3 or is_tls(data) == (name == "tls")


def tls_answer(data: bytes) -> None:
    """What is known after some octets does not change with more of them."""
    whole = read_answer(data)
    for size in range(min(len(data), 300)):
        early = read_answer(data[:size])
        assert early is None or early == whole
    if whole is not None and whole.kind is AnswerKind.HELLO:
        assert whole.suite is not None
        assert whole.suite.name
