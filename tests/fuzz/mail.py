"""Targets of what stands in a message: headers, parts, trace lines, reports."""

from __future__ import annotations

from posthouse.protocol import message as m


def parts(data: bytes) -> None:
    found = m.parse_message(data)
    for part in m.walk(found, into_messages=True):
        part.content()
        part.media_type.encode("utf-8", "surrogateescape")
        for field in part.headers.fields:
            field.text.encode("utf-8")
    m.looks_like_message(data)
    assert all(isinstance(piece, bytes) for piece in m.split_mbox(data))


def report(data: bytes) -> None:
    found = m.parse_delivery_status(data)
    assert len(found.recipients) <= 100
    for one in found.recipients:
        f"{one.recipient} {one.action} {one.status} {one.diagnostic} {one.remote}".encode()


def pieces(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    m.parse_received(text)
    m.decode_words(text).encode("utf-8")
    m.text_of_html(text).encode("utf-8")
    for charset in ("", "utf-8", "gb18030", "x-unknown", text[:20]):
        m.decode_charset(data, charset).encode("utf-8")
