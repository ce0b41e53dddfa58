"""scripts/netns: what a command finds inside, and that nothing of it reaches the outside."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import peers

NETNS = Path(__file__).parents[3] / "scripts" / "netns"


@pytest.mark.netns
@pytest.mark.parametrize(
    ("route", "error"),
    [
        (None, errno.ENETUNREACH),
        (["unreachable", "198.18.5.0/24"], errno.EHOSTUNREACH),
        (["prohibit", "198.18.5.0/24"], errno.EACCES),
        (["198.18.5.0/24", "dev", "lo"], None),  # silence
    ],
)
def test_an_address_outside_answers_as_its_route_says(
    ip_route: Callable[..., None], route: list[str] | None, error: int | None
) -> None:
    if route:
        ip_route(*route)
    with socket.socket() as client:
        client.settimeout(0.3)
        with pytest.raises(OSError) as failed:  # noqa: PT011  errno is looked at
            client.connect(("198.18.5.1", 587))
    assert failed.value.errno == error
    assert (error is None) == isinstance(failed.value, TimeoutError)


@pytest.mark.netns
def test_the_machine_outside_is_out_of_reach() -> None:
    interfaces = {name for _, name in socket.if_nameindex()}
    assert "lo" in interfaces
    assert not [n for n in interfaces if n.startswith(("eth", "en", "wl"))]
    assert Path("/etc/resolv.conf").read_text().startswith("nameserver 127.0.0.1\n")
    assert Path("/var/spool").is_mount()
    with pytest.raises(OSError, match="Read-only"):
        Path("/etc/posthouse-test").touch()


def test_the_exit_code_is_the_commands_and_nothing_outlives_it() -> None:
    """Also in a namespace inside a namespace. The sleeper would keep stdout open for a minute."""
    env = {name: value for name, value in os.environ.items() if name != "POSTHOUSE_NETNS"}
    script = 'setsid sleep 60 & echo "$POSTHOUSE_NETNS"; exit 7'
    command = [sys.executable, str(NETNS), "sh", "-c", script]
    try:
        done = subprocess.run(command, env=env, capture_output=True, timeout=20, check=False)
    except subprocess.TimeoutExpired as error:
        if b"no private network here" in (error.stderr or b""):
            pytest.skip(peers.NO_NETNS)
        raise
    assert (done.returncode, done.stdout, done.stderr) == (7, b"1\n", b"")
