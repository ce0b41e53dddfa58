"""explain: from a reply, a failure or a finding to one Cause and its words.

Enters: what a server, a program or ``net`` said. Leaves: an ``Explanation`` with its Cause
(``causes.toml``), evidence and confidence, and words in English and 简体中文 out of the catalogues
in ``text/``. ``setup`` and ``cli`` call it. Rules, causes and words are data: a new one touches no
code. No socket, no clock, no network. Only ``cause`` and ``page`` fail: KeyError for an unknown id.
"""

from __future__ import annotations

from posthouse.explain.catalogue import LANGUAGES, Catalogue, catalogue
from posthouse.explain.causes import cause, causes
from posthouse.explain.explanation import Explanation, remedy, title, who
from posthouse.explain.failure import explain_failure
from posthouse.explain.page import Page, Variant, page
from posthouse.explain.reading import decode
from posthouse.explain.reply import explain_reply

__all__ = [
    "LANGUAGES",
    "Catalogue",
    "Explanation",
    "Page",
    "Variant",
    "catalogue",
    "cause",
    "causes",
    "decode",
    "explain_failure",
    "explain_reply",
    "page",
    "remedy",
    "title",
    "who",
]
