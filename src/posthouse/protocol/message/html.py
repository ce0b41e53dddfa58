"""What a person reads of an HTML text.

Enters: HTML, however broken. Leaves: its text, a line for each block, cell or row. Called by
``explain.bounce`` for reports that come as HTML alone. Nothing raises, and it takes linear time;
it is no sanitiser: the result is text and nothing else.
"""

from __future__ import annotations

import html
import re
from typing import Final

HTML_LIMIT: Final = 500_000  # characters of one text

_SPACE: Final = re.compile(r"[ \t\r\n\f]+")
_BREAK: Final = re.compile(
    r"</?(?:address|article|blockquote|br|center|dd|div|dl|dt|footer|h[1-6]|header|hr|li|ol|p|pre"
    r"|section|table|tbody|td|th|thead|tr|ul)\b[^<>]*>",
    re.IGNORECASE,
)
_TAG: Final = re.compile(r"<[/!?A-Za-z][^<>]*>")
_HIDDEN: Final = (
    ("<!--", "-->"),
    ("<style", "</style>"),
    ("<script", "</script>"),
    ("<head>", "</head>"),
)


def text_of_html(source: str) -> str:
    """The text; runs of white space are one blank, as a browser shows them."""
    source = source[:HTML_LIMIT]
    for start, end in _HIDDEN:
        source = _without(source, start, end)
    source = _SPACE.sub(" ", source)
    source = _TAG.sub("", _BREAK.sub("\n", source))
    lines = (line.strip() for line in html.unescape(source).replace("\xa0", " ").split("\n"))
    return "\n".join(line for line in lines if line)


def _without(source: str, start: str, end: str) -> str:
    """``source`` without what stands from each ``start`` to the next ``end``."""
    low, kept, position = source.lower(), [], 0
    if len(low) != len(source):  # a letter whose small form is longer
        return source
    while (begin := low.find(start, position)) >= 0:
        kept.append(source[position:begin])
        close = low.find(end, begin)
        if close < 0:
            return "".join(kept)
        position = close + len(end)
    return "".join(kept) + source[position:]
