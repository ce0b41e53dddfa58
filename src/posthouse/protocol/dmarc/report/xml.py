"""XML of reports, read as it streams by: one section at a time, and no more in memory.

Enters: the bytes of a document. Leaves: ``Element``s, each a child of <feedback> with all below
it, as they end. Called by ``read``. Entities, external references and document types are
forbidden; depth, elements and the length of names are capped. Fails with ReportError
``forbidden_xml`` and ``not_xml``.

What is not well-formed is mended once: what looks like a tag and is none becomes text, and what
stands around <feedback> goes. Senders write <email><name@example.com></email>.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from posthouse.protocol.dmarc.report.unpack import ReportError
from posthouse.protocol.message import decode_charset

DEPTH: Final = 24  # below the root; reports have six levels, extensions a few more
SECTION: Final = 20_000  # elements of one record: with 100 signatures it has some 600
TAG: Final = 10_000  # characters of one tag: expat takes seconds for a million attributes
MENDED: Final = 8_000_000  # characters of a document that is mended; that costs more than reading
_CHUNK: Final = 1 << 16  # characters handed over at once: expat keeps a copy of what it is given
# expat writes a namespace out before each name in it, so a long one costs seconds.
NAMESPACE_LIMIT: Final = 400
ROOT: Final = "feedback"

_NAMES: Final = (
    "feedback|version|report_metadata|org_name|email|extra_contact_info|report_id|date_range"
    "|begin|end|error|generator|policy_published|domain|version_published|adkim|aspf|p|sp|np|pct"
    "|fo|testing|discovery_method|record|row|source_ip|count|policy_evaluated|disposition|dkim|spf"
    "|reason|type|comment|identifiers|envelope_to|envelope_from|header_from|auth_results|selector"
    "|result|human_result|scope|extensions?"
)
_STRAY: Final = re.compile(
    rf"<(?!/?(?:[\w.-]{{1,60}}:)?(?:{_NAMES})(?:\s[^<>]{{0,1000}})?/?>|!--|!\[CDATA\[)"
)
_AMPERSAND: Final = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});)")
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_FIRST: Final = re.compile(r"<(?:[\w.-]{1,60}:)?feedback(?=[\s/>])")
_LAST: Final = re.compile(r"</(?:[\w.-]{1,60}:)?feedback\s*>")
_LONG_TAG: Final = re.compile(rf"<[^<>]{{{TAG}}}")
_DECLARED: Final = re.compile(rb"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})")


@dataclass(slots=True)
class Element:
    """One element: its name, namespace and all that is in it."""

    name: str
    namespace: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its own text, without blanks around it."""
        return "".join(self.parts).strip()

    def all(self, name: str) -> Iterator[Element]:
        """The children of that name, whatever their namespace."""
        return (child for child in self.children if child.name == name)

    def first(self, name: str) -> Element | None:
        """The first child of that name."""
        return next(self.all(name), None)

    def value(self, name: str) -> str:
        """The text of the first child of that name, or ""."""
        child = self.first(name)
        return child.text if child is not None else ""


class Sections:
    """What the parser calls. ``take`` gets each section of <feedback> when it ends."""

    def __init__(self, take: Callable[[Element], None], elements: int) -> None:
        self.expat: Any = None
        self.namespace = ""
        self.complete = False
        self._take = take
        self._open: list[Element] = []
        self._inside = False
        self._left = elements
        self._section = 0

    def declared(self, _prefix: str | None, name: str | None) -> None:
        if len(name or "") > NAMESPACE_LIMIT:
            raise ReportError("forbidden_xml", "namespace")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._left -= 1
        self._section = self._section + 1 if self._open else 0
        if self._left < 0 or self._section > SECTION:
            raise ReportError("forbidden_xml", "elements")
        if len(self._open) > DEPTH:
            raise ReportError("forbidden_xml", "depth")
        namespace, _, name = tag.rpartition("}")
        element = Element(name, namespace.removeprefix("{"), attributes)
        if not self._inside:
            if name == ROOT and not self.complete:
                self._inside, self.namespace = True, element.namespace
            return
        if self._open:
            self._open[-1].children.append(element)
        self._open.append(element)

    def end(self, _tag: str) -> None:
        if self._open:
            element = self._open.pop()
            if not self._open:
                self._take(element)
        elif self._inside:
            self._inside, self.complete = False, True

    def data(self, text: str) -> None:
        if self._open:
            self._open[-1].parts.append(text)

    def close(self) -> None:
        """Nothing to hand over: all sections were taken."""


def decoded(data: bytes) -> tuple[str, str]:
    """The document's text, and the charset it should have been in where that is not true."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace"), ""
    data = data.removeprefix(b"\xef\xbb\xbf")
    found = _DECLARED.match(data.lstrip()[:400])
    charset = found[1].decode("ascii").lower() if found else "utf-8"
    if charset not in ("utf-8", "utf8"):
        return decode_charset(data, charset), ""
    try:
        return data.decode("utf-8"), ""
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace"), charset


def parse(text: str, sections: Sections) -> int | None:
    """Feed the text; None, or the line where it stops being well-formed. Raises ReportError."""
    # loading the XML stack costs more than most commands need
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, XMLParser

    if _LONG_TAG.search(text):
        raise ReportError("forbidden_xml", "tag")
    parser = XMLParser(target=sections, forbid_dtd=True)
    sections.expat = parser.parser
    sections.expat.StartNamespaceDeclHandler = sections.declared
    try:
        for at in range(0, len(text), _CHUNK):
            parser.feed(text[at : at + _CHUNK])
        parser.close()
    except DefusedXmlException as error:
        raise ReportError("forbidden_xml", type(error).__name__) from None
    except ParseError as error:
        return int(error.position[0])
    except (ValueError, LookupError):  # encodings Python does not know
        return 1
    return None


def mended(text: str) -> str:
    """The text with its usual mistakes taken out."""
    first = _FIRST.search(text)
    text = text[first.start() :] if first else text
    end = 0
    for found in _LAST.finditer(text):
        end = found.end()
    text = text[:end] if end else text
    text = _CONTROL.sub("\ufffd", text)
    return _AMPERSAND.sub("&amp;", _STRAY.sub("&lt;", text))
