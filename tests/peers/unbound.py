"""unbound: the resolver of the namespace (127.0.0.1:53), which asks NSD and nobody else.

All names outside the given zones do not exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from peers import nsd, process

HOST = "127.0.0.1"  # what the namespace's resolv.conf names


@contextmanager
def running(zones: Sequence[str], authority: str, *, host: str = HOST) -> Iterator[process.Daemon]:
    """Start unbound on ``host``:53; ``zones`` are asked at the name server ``authority``:53."""
    folder = process.new_folder("unbound")
    # A local zone wins over a stub zone unless it is transparent; "." static answers all the rest.
    # test. is among unbound's built-in refusals (RFC 6761), which nodefault takes away.
    lines = ['local-zone: "." static', 'local-zone: "test." nodefault']
    lines += [f'local-zone: "{zone}." transparent' for zone in zones]
    lines += [f'domain-insecure: "{zone}."' for zone in zones]
    local = "\n  ".join(lines)
    stubs = "".join(
        f'stub-zone:\n  name: "{zone}."\n  stub-addr: {authority}@53\n' for zone in zones
    )
    (folder / "unbound.conf").write_text(f"""
server:
  interface: {host}@53
  access-control: 127.0.0.0/8 allow
  access-control: ::1/128 allow
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: "{folder}/unbound.pid"
  use-syslog: no
  verbosity: 1
  do-daemonize: no
  do-not-query-localhost: no
  module-config: "iterator"
  cache-max-negative-ttl: 1
  {local}
remote-control:
  control-enable: no
{stubs}""")
    command = ["/usr/sbin/unbound", "-d", "-p", "-c", folder / "unbound.conf"]
    with process.running("unbound", command, folder, ports=[(host, 53)]) as daemon:
        yield daemon


@contextmanager
def with_nsd(zones: nsd.Zones, *, authority: str = "127.0.0.2") -> Iterator[process.Daemon]:
    """NSD with these zones behind a resolver at 127.0.0.1:53: a small Internet of names."""
    with nsd.running(authority, zones), running(list(zones), authority) as daemon:
        yield daemon
