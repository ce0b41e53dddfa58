"""A small installation of the relay in a folder, and what its doctor says of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from posthouse.config import Config
from posthouse.daemon.doctor.look import Installation
from posthouse.explain.catalogue import entries
from posthouse.flow import Finding, Status

BASE = """
[server]
name = "relay.test"
data = "data"
workers = 1
[[listen]]
address = "127.0.0.1:{port}"
mode = "{mode}"
networks = ["127.0.0.0/8"]
"""
SMALL = """
[server]
name = "relay.test"
data = "data"
[[listen]]
address = "127.0.0.1:0"
mode = "tls"
[[route]]
action = "hold"
"""
GAP = re.compile(r"\{(\w+)")
OPTIONAL = re.compile(r"\[\[[^]]*?\{(\w+)")
HELD = '[[route]]\naction = "hold"\n'


def installed(
    folder: Path, more: str = HELD, *, port: int = 0, mode: str = "starttls"
) -> Installation:
    """Its configuration written and read; the data folder is there, and empty."""
    (folder / "data" / "queue").mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "data").chmod(0o700)
    path = folder / "posthouse.toml"
    path.write_text(BASE.format(port=port, mode=mode) + more)
    return Installation.at(path)


def config(folder: Path, more: str = HELD, **changes: object) -> Config:
    return installed(folder, more, **changes).config  # type: ignore[arg-type]


def said(findings: Iterable[Finding]) -> dict[str, Status]:
    """Each finding's id and status; both languages have words for it, and it fills their gaps."""
    made = list(findings)
    for one in made:
        area, _, key = one.id.partition(".")
        for lang in ("en", "zh") if area == "relay" else ():
            text = entries(lang, area)[key]
            gaps, optional = set(GAP.findall(text)), set(OPTIONAL.findall(text))
            assert gaps - optional <= set(one.params), one
    return {one.id: one.status for one in made}
