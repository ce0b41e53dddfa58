"""The settings file and QR code of Thunderbird for Android, by what its own import demands."""

from __future__ import annotations

import json
import uuid
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from posthouse.flow import CredentialKind, Endpoint, Security
from posthouse.protocol.discovery.offer import Incoming
from posthouse.setup.profile import make
from posthouse.setup.profile.android import qr_payload
from posthouse.setup.profile.clients import find_client
from posthouse.setup.profile.model import Job

from .shared import ADDRESS, IMPLICIT, settings

# The values that the import accepts at content version 99.
SECURITIES = {"NONE", "STARTTLS_REQUIRED", "SSL_TLS_REQUIRED"}
AUTHENTICATIONS = {"PLAIN", "CRAM_MD5", "EXTERNAL", "XOAUTH2", "NONE"}


def root(**changes: Any) -> ElementTree.Element:
    return ElementTree.fromstring(make("k9", settings(**changes)).files[0].content)


def server(tree: ElementTree.Element, element: str) -> dict[str, str]:
    found = tree.find(f"accounts/account/{element}")
    assert found is not None
    return {"type": found.attrib["type"], **{e.tag: e.text or "" for e in found}}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"outgoing": (IMPLICIT,)},
        {"auth": ("CRAM-MD5",)},
        {"credential": CredentialKind.NONE, "username": ""},
        {"credential": CredentialKind.OAUTH2},
        {"incoming": Incoming("pop3", "pop.example.com", 995, Security.TLS)},
    ],
)
def test_the_file_keeps_to_the_imports_rules(changes: dict[str, Any]) -> None:
    tree = root(**changes)
    assert tree.tag == "k9settings"
    assert tree.attrib == {"version": "99", "format": "1"}
    (account,) = tree.findall("accounts/account")
    uuid.UUID(account.attrib["uuid"])
    for element in ("incoming-server", "outgoing-server"):
        values = server(tree, element)
        assert values["connection-security"] in SECURITIES - {"NONE"}
        assert values["authentication-type"] in AUTHENTICATIONS
        assert 1 <= int(values["port"]) <= 65_535
        assert "password" not in values
    assert server(tree, "outgoing-server")["type"] == "SMTP"
    assert server(tree, "incoming-server")["type"] in {"IMAP", "POP3"}
    assert account.findtext("identities/identity/email") == ADDRESS


def test_587_is_starttls_and_465_is_tls() -> None:
    assert server(root(), "outgoing-server")["connection-security"] == "STARTTLS_REQUIRED"
    implicit = root(outgoing=(IMPLICIT,))
    assert server(implicit, "outgoing-server")["connection-security"] == "SSL_TLS_REQUIRED"


def payload(**changes: Any) -> Any:
    chosen = settings(**changes)
    job = Job(find_client("k9"), chosen, "en", chosen.outgoing[0], "PLAIN")
    return json.loads(qr_payload(job))


def test_the_qr_code_is_thunderbirds_own_format() -> None:
    reading = [0, "imap.example.com", 993, 3, 1, ADDRESS]
    sending = [0, "smtp.example.com", 587, 2, 1, ADDRESS]
    whole = [1, [1, 1], reading, [[sending, [ADDRESS, "Alice Example"]]]]
    assert payload() == whole


@pytest.mark.parametrize(
    ("changes", "security", "auth"),
    [
        ({"outgoing": (IMPLICIT,)}, 3, 1),
        ({"credential": CredentialKind.OAUTH2}, 2, 6),
        ({"credential": CredentialKind.NONE, "username": ""}, 2, 0),
        ({"outgoing": (Endpoint("smtp.example.com", 2525, Security.STARTTLS),)}, 2, 1),
    ],
)
def test_its_numbers(changes: dict[str, Any], security: int, auth: int) -> None:
    sending = payload(**changes)[3][0][0]
    assert sending[3:5] == [security, auth]


def test_the_codes_are_pictures() -> None:
    profile = make("k9", settings())
    svg, png = (
        next(f.content for f in profile.files if f.name.endswith(e)) for e in ("svg", "png")
    )
    ElementTree.fromstring(svg)
    assert png.startswith(b"\x89PNG")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_short_text_and_its_code(lang: str) -> None:
    text = make("text", settings(), lang).text
    for value in (ADDRESS, "smtp.example.com", "587", "STARTTLS", "imap.example.com", "993"):
        assert value in text
    terminal = make("qr", settings(), lang).text.splitlines()
    assert len({len(line) for line in terminal}) == 1
    assert set("".join(terminal)) <= set("█▀▄ ")


def test_the_terminal_shows_the_same_squares_as_the_code() -> None:
    import segno

    text = make("text", settings()).text
    rows = [list(r) for r in segno.make_qr(text, error="m", eci=False).matrix_iter(border=2)]
    shown = make("qr", settings()).text.splitlines()
    dark = {"█": (0, 0), "▀": (0, 1), "▄": (1, 0), " ": (1, 1)}
    read = [[dark[char][half] for char in line] for line in shown for half in (0, 1)]
    assert read[: len(rows)] == [[int(square) for square in row] for row in rows]


def test_the_longest_settings_that_there_are() -> None:
    """They fit into the short text's code, but not into Thunderbird's, which is then left out."""
    long, host = "𠮷" * 320, ".".join(["a" * 60] * 4)
    changes: dict[str, Any] = {"username": long, "incoming_username": long, "display_name": long}
    changes["outgoing"] = (Endpoint(host, 465, Security.TLS),)
    changes["incoming"] = Incoming("imap", host, 993, Security.TLS)
    changes["address"] = f"{'a' * 60}@{'b' * 60}.{'c' * 60}.{'d' * 60}"
    short = make("qr", settings(**changes), "zh")
    assert len(short.files) == 2
    assert short.text
    phone = make("k9", settings(**changes))
    assert [file.name for file in phone.files] == ["thunderbird.k9s"]
    assert "QR" not in "".join(phone.steps)
