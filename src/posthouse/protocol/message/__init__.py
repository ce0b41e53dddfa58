"""message: what stands in a message: headers, parts, trace lines, delivery reports.

Enters: bytes, of any kind. Leaves: frozen facts: ``Part`` (a message or a part of one) with its
``Headers``, ``Received`` lines, ``DeliveryStatus``. Called by ``explain.bounce``. Read leniently
and within caps: nothing here raises, whatever comes in; what can't be read is empty. Line ends
become LF, so this is for reading, not for signatures.

``report`` writes delivery reports and ``recode`` changes transfer encodings octet by octet; the
relay takes them from their modules.

RFC 5322 (headers), RFC 2045-2047 and 2231 (MIME), RFC 3464, 3462, 6522 and 6533 (reports).
"""

from __future__ import annotations

from posthouse.protocol.message.dsn import DeliveryStatus, RecipientStatus, parse_delivery_status
from posthouse.protocol.message.headers import Field, Headers, parse_headers, split_headers
from posthouse.protocol.message.html import text_of_html
from posthouse.protocol.message.mbox import looks_like_message, split_mbox
from posthouse.protocol.message.mime import Part, parse_message, walk
from posthouse.protocol.message.received import Received, parse_received
from posthouse.protocol.message.text import decode_charset, decode_words

__all__ = [
    "DeliveryStatus",
    "Field",
    "Headers",
    "Part",
    "Received",
    "RecipientStatus",
    "decode_charset",
    "decode_words",
    "looks_like_message",
    "parse_delivery_status",
    "parse_headers",
    "parse_message",
    "parse_received",
    "split_headers",
    "split_mbox",
    "text_of_html",
    "walk",
]
