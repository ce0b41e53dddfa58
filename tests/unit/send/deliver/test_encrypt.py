"""A session is fetched no more often than it must be: some Pythons lose memory each time."""

from __future__ import annotations

import ssl
from contextlib import suppress

import pytest

from fakes.certs import Authority, Kind
from posthouse.send.deliver import encrypt
from posthouse.send.deliver.encrypt import Contexts, Sessions
from posthouse.send.hop import TlsPolicy


class Counted(ssl.SSLObject):
    """How often sessions were fetched from any."""

    fetched = 0

    @property
    def session(self) -> ssl.SSLSession | None:
        Counted.fetched += 1
        return super().session

    @session.setter
    def session(self, session: ssl.SSLSession) -> None:
        self._sslobj.session = session


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    return Authority(tmp_path_factory.mktemp("certs")).context(Kind.SELF_SIGNED)


@pytest.fixture
def context() -> Sessions:
    context = Contexts(lambda: 0.0).get(TlsPolicy.OPPORTUNISTIC, None)
    context.sslobject_class = Counted
    Counted.fetched = 0
    return context


def resumes(context: Sessions, server: ssl.SSLContext, host: str) -> bool:
    """One connection and its first answer, in memory."""
    down, up = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = context.wrap_bio(down, up, server_hostname=host)
    far = server.wrap_bio(up, down, server_side=True)
    for side in (near, far, near, far):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    far.write(b"250 ok\r\n")
    assert near.read() == b"250 ok\r\n"
    context.keep(host, near)
    return near.session_reused is True


def test_what_was_resumed_is_not_fetched_again(context: Sessions, server: ssl.SSLContext) -> None:
    assert [resumes(context, server, "mx.test") for _ in range(5)] == [False, *[True] * 4]
    assert Counted.fetched == 1


@pytest.mark.parametrize(("leaks", "fetched"), [(True, 3), (False, 20)])
def test_ever_new_servers_where_python_leaks(
    context: Sessions,
    server: ssl.SSLContext,
    leaks: bool,
    fetched: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encrypt, "LEAKS", leaks)
    monkeypatch.setattr(encrypt, "LEAKED_LIMIT", 3)
    assert not any(resumes(context, server, f"mx{n}.test") for n in range(20))
    assert Counted.fetched == fetched
    assert resumes(context, server, "mx2.test")
    assert resumes(context, server, "mx19.test") is not leaks
