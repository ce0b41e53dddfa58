"""From what arrives to the document inside: mail, zip, gzip, or the document itself.

Enters: bytes from strangers. Leaves: ``Document``s, each the bytes of an XML or JSON document.
Called by ``read`` and by ``tlsrpt``. Fails with ReportError: ``empty``, ``too_big`` (as it came),
``bomb`` (too much comes out), ``too_deep`` (packed in packed), ``too_many`` (members), ``damaged``
(a gzip or zip that can't be unpacked), ``encrypted``, ``not_a_report`` (nothing inside that could
be one), and what its callers add.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from posthouse.protocol.message import Part, looks_like_message, parse_message, walk
from posthouse.protocol.message.headers import parse_parameters

_MAGIC_GZIP: Final = b"\x1f\x8b"
_MAGIC_ZIP: Final = b"PK\x03\x04"
_BLANKS: Final = b" \t\r\n\x00"
_BOMS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_ENCRYPTED: Final = 0x1
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_PACKED_TYPES: Final = re.compile(r"g-?zip|zip|tlsrpt|xml|json|octet-stream")


class ReportError(Exception):
    """What came is no report that can be read. ``reason`` is a stable id.

    Reasons: ``empty``, ``too_big``, ``bomb``, ``too_deep``, ``too_many``, ``damaged``,
    ``encrypted``, ``not_a_report``, ``forbidden_xml``, ``not_xml``, ``not_json``, ``no_record``,
    ``no_metadata``, ``no_policy``.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps on what strangers send. The largest reports seen have some 5 MB of XML."""

    size: int = 25_000_000  # bytes as they come: no server takes larger mails
    unpacked: int = 32_000_000  # bytes of all documents together: some 80,000 records
    members: int = 20  # of one zip: reports have one
    layers: int = 4  # mail, zip, gzip: three are in use
    documents: int = 20
    records: int = 50_000  # of one report
    elements: int = 1_250_000  # of one XML document: a record has some 25


DEFAULT_LIMITS: Final = Limits()


class Document(NamedTuple):
    """One document: its bytes, and its file's name where one is told."""

    data: bytes
    name: str = ""

    @property
    def is_json(self) -> bool:
        """It begins as JSON does."""
        return _start(self.data)[:1] in (b"{", b"[")


def unpack(raw: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[Document, ...]:
    """All documents inside, at least one. Raises ReportError."""
    if not raw.strip(_BLANKS):
        raise ReportError("empty")
    if len(raw) > limits.size:
        raise ReportError("too_big", str(len(raw)))
    unpacker = _Unpacker(limits)
    found: list[Document] = []
    for document in unpacker.documents(raw, "", limits.layers):
        found.append(document)
        if len(found) >= limits.documents:
            break
    if found:
        return tuple(found)
    raise unpacker.error or ReportError("not_a_report")


class _Unpacker:
    """One arrival: how many bytes may still come out, and the first error met."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._left = limits.unpacked
        self.error: ReportError | None = None

    def documents(self, raw: bytes, name: str, layers: int) -> Iterator[Document]:
        if layers <= 0:
            raise ReportError("too_deep")
        if raw.startswith(_MAGIC_GZIP):
            yield from self.documents(self._gzip(raw), name, layers - 1)
        elif raw.startswith(_MAGIC_ZIP):
            for member, content in self._zip(raw):
                yield from self.documents(content, member, layers - 1)
        elif _is_document(raw):
            yield Document(raw, name)
        elif looks_like_message(raw):
            yield from self._mail(raw, layers - 1)

    def _mail(self, raw: bytes, layers: int) -> Iterator[Document]:
        """Every part that may be a report. A broken one is no reason to miss the next."""
        for part in walk(parse_message(raw), into_messages=True):
            if part.parts or not _may_hold(part):
                continue
            content = part.content()
            if not _is_packed(content) and not _is_document(content):
                continue
            try:
                yield from self.documents(content, _file_name(part), layers)
            except ReportError as error:
                if error.reason in ("bomb", "too_deep", "too_many"):
                    raise
                self.error = self.error or error

    def _gzip(self, raw: bytes) -> bytes:
        """The first member; some senders let line ends or padding follow."""
        engine = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            data = engine.decompress(raw, self._left + 1)
        except zlib.error as error:
            raise ReportError("damaged", str(error)) from None
        self._take(len(data))
        if not engine.eof and not data:
            raise ReportError("damaged", "cut short")
        return data

    def _zip(self, raw: bytes) -> Iterator[tuple[str, bytes]]:
        try:
            archive = zipfile.ZipFile(io.BytesIO(raw))
            members = [one for one in archive.infolist() if not one.is_dir()]
        except Exception as error:  # zipfile documents none of what it raises on hostile bytes
            raise ReportError("damaged", type(error).__name__) from None
        if len(members) > self._limits.members:
            raise ReportError("too_many", str(len(members)))
        for member in members:
            if member.flag_bits & _ENCRYPTED:
                raise ReportError("encrypted", member.filename[:100])
            if member.compress_type not in _METHODS:
                raise ReportError("damaged", f"method {member.compress_type}")
            yield member.filename[:255], self._member(archive, member)

    def _member(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
        try:
            with archive.open(member) as stream:
                data = stream.read(self._left + 1)
        except Exception as error:  # as above
            raise ReportError("damaged", type(error).__name__) from None
        self._take(len(data))
        return data

    def _take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise ReportError("bomb", str(self._limits.unpacked))


def _start(data: bytes) -> bytes:
    head = data[:1024]
    for bom in _BOMS:
        head = head.removeprefix(bom)
    return head.lstrip(_BLANKS)


def _is_document(data: bytes) -> bool:
    return _start(data)[:1] in (b"<", b"{")


def _is_packed(data: bytes) -> bool:
    return data.startswith((_MAGIC_GZIP, _MAGIC_ZIP))


def _may_hold(part: Part) -> bool:
    """By its type or by a file's name; HTML is a document that begins with "<", too."""
    if part.media_type in ("text/html", "application/xhtml+xml"):
        return False
    kind = part.media_type
    return bool(_PACKED_TYPES.search(kind) or _file_name(part) or kind == "text/plain")


def _file_name(part: Part) -> str:
    _, params = parse_parameters(part.headers.get("content-disposition"))
    return (params.get("filename") or part.params.get("name", ""))[:255]
