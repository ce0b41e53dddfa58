"""XML from strangers as a small tree with line numbers.

Enters: bytes. Leaves: Node. Entities, external references and (but for property lists) document
types are forbidden; depth, size and number of elements are capped. Called by the parsers of this
package. Fails with DiscoveryError ``too_big``, ``not_xml``, ``forbidden_xml``, ``too_deep``,
``too_many``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from posthouse.protocol.discovery.offer import MAX_DEPTH, MAX_DOCUMENT, DiscoveryError

_MAX_NODES: Final = 10_000
# Characters of a namespace's name: expat writes it out before every name that belongs to it, so
# one of 120 KB costs seconds. Real ones have 40 to 90.
_MAX_NAMESPACE: Final = 400


@dataclass(slots=True)
class Node:
    """One element; its name without namespace."""

    name: str
    line: int
    attributes: dict[str, str]
    children: list[Node] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The element's own text, without blanks around it."""
        return "".join(self.parts).strip()

    def all(self, name: str) -> Iterator[Node]:
        """The children of that name, in any case, in order."""
        return (child for child in self.children if child.name.lower() == name.lower())

    def first(self, name: str) -> Node | None:
        """The first child of that name, or None."""
        return next(self.all(name), None)

    def value(self, name: str) -> str:
        """The text of the first child of that name, or ""."""
        child = self.first(name)
        return child.text if child else ""


class _Builder:
    """What the parser calls; ``line`` is asked of expat, which alone knows it."""

    def __init__(self) -> None:
        self.expat: Any = None
        self.root: Node | None = None
        self._open: list[Node] = []
        self._count = 0

    def doctype(self, _name: str, _system: object, _public: object, internal: int) -> None:
        """No property list declares anything: a default attribute of 100 KB in each of 10,000
        elements is as bad as an entity."""
        if internal:
            line = self.expat.CurrentLineNumber
            raise DiscoveryError("forbidden_xml", line, "internal subset")

    def namespace(self, _prefix: str | None, name: str | None) -> None:
        if len(name or "") > _MAX_NAMESPACE:
            raise DiscoveryError("too_big", self.expat.CurrentLineNumber, "namespace")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        line = self.expat.CurrentLineNumber
        self._count += 1
        if self._count > _MAX_NODES:
            raise DiscoveryError("too_many", line)
        if len(self._open) >= MAX_DEPTH:
            raise DiscoveryError("too_deep", line)
        node = Node(tag.rpartition("}")[2], line, attributes)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)

    def end(self, _tag: str) -> None:
        self._open.pop()

    def data(self, text: str) -> None:
        self._open[-1].parts.append(text)

    def close(self) -> Node | None:
        return self.root


def parse_xml(data: bytes, *, allow_doctype: bool = False) -> Node:
    """The root element. ``allow_doctype``: Apple's property lists begin with one."""
    if len(data) > MAX_DOCUMENT:
        raise DiscoveryError("too_big", None, f"{len(data)} bytes")
    # Loading the XML stack costs more than most commands need; only discovery pays for it.
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, XMLParser

    builder = _Builder()
    parser = XMLParser(target=builder, forbid_dtd=not allow_doctype)
    builder.expat = parser.parser
    builder.expat.StartNamespaceDeclHandler = builder.namespace
    if allow_doctype:
        builder.expat.StartDoctypeDeclHandler = builder.doctype
    try:
        parser.feed(data)
        root = parser.close()
    except DefusedXmlException as error:
        line = builder.expat.CurrentLineNumber
        raise DiscoveryError("forbidden_xml", line, type(error).__name__) from None
    except ParseError as error:
        detail = str(error).partition(": line")[0]
        raise DiscoveryError("not_xml", error.position[0], detail) from None
    except (ValueError, LookupError) as error:  # encodings that expat or Python do not know
        raise DiscoveryError("not_xml", 1, str(error)) from None
    if root is None:
        raise DiscoveryError("not_xml", 1)
    return root  # type: ignore[no-any-return]
