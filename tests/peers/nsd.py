"""NSD: the authoritative name server of the tests' domains.

Zones are ``{"example.test": ["@ MX 10 mx", "mx A 127.0.0.20"]}``: zone-file lines; SOA and NS are
added.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from peers import process

Zones = Mapping[str, Sequence[str]]
HEAD = """\
$ORIGIN {zone}.
$TTL 60
@ SOA ns hostmaster 1 3600 600 86400 5
@ NS ns
ns A {host}
"""


@contextmanager
def running(host: str, zones: Zones) -> Iterator[process.Daemon]:
    """Start NSD on ``host``:53 with these zones."""
    folder = process.new_folder("nsd")
    config = f"""
server:
  ip-address: {host}@53
  username: ""
  chroot: ""
  zonesdir: "{folder}"
  database: ""
  pidfile: "{folder}/nsd.pid"
  xfrdfile: "{folder}/xfrd.state"
  zonelistfile: "{folder}/zone.list"
  xfrdir: "{folder}"
  server-count: 1
  verbosity: 1
remote-control:
  control-enable: no
"""
    for number, (zone, lines) in enumerate(zones.items()):
        text = HEAD.format(zone=zone, host=host) + "\n".join(lines) + "\n"
        (folder / f"{number}.zone").write_text(text)
        config += f'zone:\n  name: "{zone}"\n  zonefile: "{number}.zone"\n'
    (folder / "nsd.conf").write_text(config)
    command = ["/usr/sbin/nsd", "-d", "-c", folder / "nsd.conf"]
    with process.running("nsd", command, folder, ports=[(host, 53)]) as daemon:
        yield daemon
