"""How each syntax writes a value: the one place where anything is quoted.

Enters: one printable line (``Settings`` lets nothing else in). Leaves: that line as the syntax
wants it, quotes included. Called by the makers. Nothing fails. ``tests/unit/profile`` holds each
against a real parser of its syntax.
"""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import quote as _percent
from xml.sax.saxutils import escape as _escape

_EXIM_SPECIAL: Final = re.compile(r"([\\$])")


def msmtp(value: str) -> str:
    """msmtp takes off one pair of double quotes and reads what is between them as it is."""
    return f'"{value}"'


def mutt(value: str) -> str:
    """In double quotes mutt gives ``\\``, ``"``, ``$`` and backquotes a meaning."""
    return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'


def git(value: str) -> str:
    """git-config: double quotes, in which only these two are escaped."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def shell(value: str) -> str:
    """POSIX shell, and everything that reads by its rules: nothing has a meaning between ``'``."""
    return "'" + value.replace("'", "'\"'\"'") + "'"


def environment_file(value: str) -> str:
    """systemd.exec's EnvironmentFile, which a shell can read as well."""
    return '"' + re.sub(r'(["\\$`])', r"\\\1", value) + '"'


def dotenv(value: str) -> str:
    """phpdotenv: like a shell's double quotes, but a backquote means nothing."""
    return '"' + re.sub(r'(["\\$])', r"\\\1", value) + '"'


def python(value: str) -> str:
    """A Python string, with the double quotes that formatters want where it can have them."""
    text = repr(value)
    plain = text.startswith("'") and '"' not in text and "\\" not in text
    return f'"{text[1:-1]}"' if plain else text


def ruby(value: str) -> str:
    """Ruby's single quotes: no interpolation."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def php(value: str) -> str:
    """PHP's single quotes: no interpolation."""
    return ruby(value)


def javascript(value: str) -> str:
    """A JSON string is a JavaScript string (ECMAScript 2019)."""
    return json.dumps(value, ensure_ascii=False)


def java_property(value: str) -> str:
    """java.util.Properties: Latin-1 by tradition, so all else is escaped, in UTF-16 units."""
    units = value.encode("utf-16-be")
    codes = [int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2)]
    text = "".join(_java_unit(code) for code in codes)
    return "\\" + text if text.startswith(" ") else text


def _java_unit(code: int) -> str:
    if code > 126:
        return f"\\u{code:04x}"
    return f"\\{chr(code)}" if chr(code) in "\\=:#!" else chr(code)


def grafana(value: str) -> str:
    """go-ini: three double quotes keep ``#``, ``;``, quotes and blanks as they are."""
    plain = re.fullmatch(r"[\w.@+-][\w.@+ -]*[\w.@+-]|[\w.@+-]", value) is not None
    return value if plain else f'"""{value}"""'


def exim(value: str) -> str:
    """A string that Exim will expand."""
    return _EXIM_SPECIAL.sub(r"\\\1", value)


def exim_login(value: str) -> str:
    """For ``client_send``: ``^`` stands for NUL there, and ``;`` parts the list."""
    return exim(value).replace("^", "^^").replace(";", ";;")


def smtpd(value: str) -> str:
    """OpenSMTPD's smtpd.conf."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def url(value: str) -> str:
    """One part of a URL."""
    return _percent(value, safe="")


def xml(value: str) -> str:
    """Text of an XML element or attribute."""
    return _escape(value, {'"': "&quot;"})
