"""A certificate authority and real servers on loopback for the net tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from fakes.certs import Authority
from posthouse.net.stream import TcpStream, listen

Serve = Callable[..., Awaitable[int]]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder: Path = tmp_path_factory.mktemp("ca")
    return Authority(folder)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """``port = await serve(handler)``: a real server, gone after the test."""
    servers: list[asyncio.Server] = []

    async def start(
        handler: Callable[[TcpStream], Awaitable[None]], host: str = "127.0.0.1"
    ) -> int:
        server = await listen(handler, host)
        servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    yield start
    for server in servers:
        server.close()
