"""A short text with everything to type in, and QR codes that hold such a text.

Enters: a Job, or any text. Leaves: Made, SVG, PNG, or characters for a terminal. Called by
``making`` and ``android``. Never holds a password: a QR code is photographed and passed on.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from posthouse.explain import catalogue
from posthouse.flow import Security
from posthouse.setup.profile.model import File, Job, Made

if TYPE_CHECKING:
    import segno

_WORDS: Final = {Security.TLS: "SSL/TLS", Security.STARTTLS: "STARTTLS"}
_QUIET: Final = 2  # modules around the code; readers want at least so many
_HALVES: Final = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}  # light on dark terminals


def text(job: Job) -> Made:
    """The text alone."""
    return Made(steps=(), text=setup_text(job))


def qr(job: Job) -> Made:
    """The same as a code: to be shown in a terminal, printed, or put on a page."""
    # The longest address, names and hosts that there are make 2,200 octets: less than a code holds.
    words = setup_text(job)
    return Made(code_files(words, "mail-setup"), text=terminal(words))


def setup_text(job: Job) -> str:
    """One fact a line, in the user's language."""
    words, own, incoming = catalogue(job.lang), job.settings, job.settings.incoming
    kind = "none" if own.anonymous else own.credential.value
    rows = [
        ("address", own.email),
        ("outgoing", job.endpoint.host),
        ("port", str(job.endpoint.port)),
        ("security", _WORDS[job.endpoint.security]),
        ("username", "" if own.anonymous else own.login),
        ("password", words.text(f"profile.credential.{kind}")),
    ]
    if incoming:
        rows += [
            ("incoming", f"{incoming.host} ({incoming.protocol.upper()})"),
            ("port", str(incoming.port)),
            ("security", _WORDS[incoming.security]),
        ]
    lines = [words.text(f"profile.row.{name}", value=value) for name, value in rows if value]
    return "\n".join(lines)


def code_files(content: str, stem: str) -> tuple[File, ...]:
    """The code as SVG and PNG; nothing where the text is too long for a code."""
    code = _code(content)
    if code is None:
        return ()
    files = []
    for kind, scale in (("svg", 4), ("png", 6)):
        buffer = io.BytesIO()
        code.save(buffer, kind=kind, scale=scale, border=4)
        files.append(File(f"{stem}.{kind}", buffer.getvalue()))
    return tuple(files)


def terminal(content: str) -> str:
    """Two rows of the code in one line of characters, light where the code is light."""
    code = _code(content)
    if code is None:
        return ""
    rows = [list(row) for row in code.matrix_iter(border=_QUIET)]
    if len(rows) % 2:
        rows.append([0] * len(rows[0]))
    return "\n".join(
        "".join(_HALVES[int(a), int(b)] for a, b in zip(upper, lower, strict=True))
        for upper, lower in zip(rows[::2], rows[1::2], strict=True)
    )


def _code(content: str) -> segno.QRCode | None:
    import segno  # only when a code is wanted: it takes 20 ms

    # UTF-8 said in the code itself only where it is needed: some readers stumble over it.
    encoding = None if content.isascii() else "utf-8"
    try:
        return segno.make_qr(content, error="m", eci=False, encoding=encoding)
    except segno.DataOverflowError:  # past 2,331 octets
        return None
