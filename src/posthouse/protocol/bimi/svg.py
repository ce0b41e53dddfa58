"""Whether a logo keeps the profile SVG Tiny Portable/Secure. draft-svg-tiny-ps-abrotman.

Enters: the octets of an SVG or SVGZ file. Leaves: ``Logo``: findings, "bimi.svg_script" for
example. Nothing fails: what can't be read is a finding too. The document is read with entities,
document types and anything outside of it forbidden.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from posthouse.flow import Finding, Status
from posthouse.protocol.discovery.offer import DiscoveryError
from posthouse.protocol.discovery.xmltree import Node, parse_xml

ADVISED_SIZE: Final = 32 * 1024  # octets, not packed: what the BIMI group and mailbox providers ask
SIZE_LIMIT: Final = 256 * 1024  # octets that are looked at at all
TITLE_LENGTH: Final = 64  # characters of the title (draft, section 2)
SQUARE: Final = 0.01  # how far the sides may differ, as a share of the longer
SHOWN: Final = 10  # findings of one kind

NAMESPACE: Final = re.compile(
    rb"""xmlns(?::[A-Za-z][A-Za-z0-9_]{0,30})?[ \t\r\n]{0,9}=[ \t\r\n]{0,9}["']"""
    rb"""http://www\.w3\.org/2000/svg["']"""
)
STYLESHEET: Final = b"<?xml-stylesheet"
_GZIP: Final = b"\x1f\x8b"
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(?:[eE][+-]?[0-9])?")
_REFERENCE: Final = re.compile(r"url\([ \t\r\n]{0,9}[\"']?([^#\"' \t\r\n)][^)\"']{0,80})?", re.I)

# The elements of the profile's schema.
ALLOWED: Final = frozenset(
    (
        *("svg", "title", "desc", "metadata", "defs", "g", "use"),
        *("path", "rect", "circle", "ellipse", "line", "polyline", "polygon"),
        *("text", "tspan", "textArea", "tbreak"),
        *("linearGradient", "radialGradient", "stop", "solidColor"),
    )
)
_MOVING: Final = ("animate", "animateMotion", "animateColor", "animateTransform", "animation")
_KINDS: Final = {
    "svg_script": frozenset(("script", "handler", "listener")),
    "svg_animation": frozenset((*_MOVING, "set", "mpath", "discard")),
    "svg_raster": frozenset(("image", "video", "audio", "feImage")),
}


@dataclass(frozen=True, slots=True)
class Logo:
    """One logo, looked at. ``good``: nothing in it keeps it from being shown."""

    findings: tuple[Finding, ...]
    title: str = ""
    size: int = 0  # octets, not packed

    @property
    def good(self) -> bool:
        """Whether it keeps the profile."""
        return not any(finding.status is Status.FAIL for finding in self.findings)


def _finding(id_: str, status: Status = Status.FAIL, /, **params: Any) -> Finding:
    return Finding(f"bimi.{id_}", status, None, params)


def check_logo(data: bytes) -> Logo:
    """Everything that is wrong with a logo."""
    content = unpacked(data)
    if content is None or len(content) > SIZE_LIMIT:
        return Logo((_finding("svg_too_big", limit=SIZE_LIMIT),), "", len(content or data))
    try:
        root = parse_xml(content)
    except DiscoveryError as error:
        return Logo((_unreadable(error),), "", len(content))
    if root.name != "svg":
        return Logo((_finding("svg_root", element=root.name[:40]),), "", len(content))
    title = next((node.text for node in root.children if node.name == "title"), "")
    found = [*_root(root, content), *_title(title), *_shape(root), *_tree(root)]
    if len(content) > ADVISED_SIZE:
        found.append(_finding("svg_large", Status.WARN, size=len(content), limit=ADVISED_SIZE))
    return Logo(tuple(found), title[:TITLE_LENGTH], len(content))


def unpacked(data: bytes) -> bytes | None:
    """The SVG itself; SVGZ is the same under gzip (RFC 6170 section 5.2). None: it won't open."""
    if not data.startswith(_GZIP):
        return data
    opener = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        content = opener.decompress(data, SIZE_LIMIT + 1)
    except zlib.error:
        return None
    return content if opener.eof or len(content) > SIZE_LIMIT else None


def _unreadable(error: DiscoveryError) -> Finding:
    line = error.line or 0
    if error.reason == "forbidden_xml":
        return _finding("svg_doctype", line=line)
    return _finding("svg_xml", reason=error.reason, line=line)


def _root(root: Node, content: bytes) -> Iterator[Finding]:
    if not NAMESPACE.search(content):
        yield _finding("svg_namespace")
    profile, version = root.attributes.get("baseProfile"), root.attributes.get("version")
    if profile != "tiny-ps":
        yield _finding("svg_profile", profile=(profile or "")[:40])
    if version != "1.2":
        yield _finding("svg_version", version=(version or "")[:40])
    placed = [name for name in ("x", "y") if name in root.attributes]
    if placed:
        yield _finding("svg_position", names=placed)
    if STYLESHEET in content:
        yield _finding("svg_external", element="xml-stylesheet", line=1, value="")


def _title(title: str) -> Iterator[Finding]:
    if not title:
        yield _finding("svg_title")
    elif len(title) > TITLE_LENGTH:
        yield _finding("svg_title_long", Status.WARN, length=len(title), limit=TITLE_LENGTH)


def _shape(root: Node) -> Iterator[Finding]:
    """Shown in a circle or a square, whatever it is."""
    box = root.attributes.get("viewBox")
    if box is None:
        yield _finding("svg_view_box", Status.WARN, value="")
        return
    parts = box.replace(",", " ").split()
    if len(parts) != 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        yield _finding("svg_view_box", value=box[:40])
        return
    width, height = float(parts[2]), float(parts[3])
    if width <= 0 or height <= 0:
        yield _finding("svg_view_box", value=box[:40])
    elif abs(width - height) > SQUARE * max(width, height):
        yield _finding("svg_not_square", Status.WARN, width=width, height=height)


def _tree(root: Node) -> Iterator[Finding]:
    """What must not be in it, each kind at most SHOWN times."""
    counts: dict[str, int] = {}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        for found in (*_element(node, inner=node is not root), *_attributes(node)):
            counts[found.id] = counts.get(found.id, 0) + 1
            if counts[found.id] <= SHOWN:
                yield found
        if node.name != "metadata":  # anything may stand there, and none of it is drawn
            waiting.extend(reversed(node.children))


def _element(node: Node, *, inner: bool) -> Iterator[Finding]:
    known = {"element": node.name[:40], "line": node.line}
    for id_, names in _KINDS.items():
        if node.name in names:
            yield _finding(id_, **known)
            return
    if node.name not in ALLOWED or (inner and node.name == "svg"):
        yield _finding("svg_element", **known)


def _attributes(node: Node) -> Iterator[Finding]:
    known = {"element": node.name[:40], "line": node.line}
    for name, value in node.attributes.items():
        local = name.rpartition("}")[2]
        if local.lower().startswith("on"):  # onclick and the like: a script
            yield _finding("svg_script", element=local[:40], line=node.line)
        elif local == "style":  # SVG Tiny has attributes in place of styles
            yield _finding("svg_style", **known)
        elif _leaves(local, value):
            yield _finding("svg_external", value=value.strip()[:80], **known)


def _leaves(name: str, value: str) -> bool:
    """Whether an attribute names something outside of the document (data: URLs as well)."""
    if name in ("href", "src", "base"):
        return not value.strip().startswith("#")
    return any(target for target in _REFERENCE.findall(value))
