"""The table of checked facts itself, read cell by cell and held against the files.

``test_facts`` names what was understood from the table; here the table is read anew, so that a row
that changes, or a new one, is not missed: domains, MX, hosts, ports with their modes, and marks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from posthouse import directory
from posthouse.directory import Trust, UsernameForm
from posthouse.flow import CredentialKind, Security

from .shared import path

# Row of the table -> the provider files it became.
FILES = {
    "Gmail": ("gmail", "workspace", "workspace-relay"),
    "Outlook.com": ("outlook",),
    "Microsoft 365": ("m365", "m365-21vianet"),
    "QQ": ("qq",),
    "Tencent exmail": ("exmail",),
    "NetEase personal": (
        "netease-163",
        "netease-126",
        "netease-yeah",
        "netease-vip-163",
        "netease-188",
    ),
    "NetEase enterprise": ("qiye163",),
    "iCloud": ("icloud", "icloud-domain"),
    "Yahoo": ("yahoo", "yahoo-jp"),
    "Zoho": ("zoho", "zoho-eu", "zoho-in", "zoho-au", "zoho-jp", "zoho-ca"),
    "Fastmail": ("fastmail", "fastmail-domain"),
    "Proton": ("proton", "proton-domain"),
    "AWS SES": ("ses",),
    "Aliyun personal": ("aliyun",),
    "Aliyun enterprise": ("aliyun-qiye",),
    "Aliyun DirectMail": ("aliyun-directmail",),
    "China Mobile": ("139",),
    "China Telecom": ("189",),
    "China Unicom": ("wo",),
    "Sina": ("sina", "sina-cn", "sina-vip"),
    "Sohu": ("sohu",),
    "263": ("263",),
    "88.com, 111.com": ("88",),
    "Feishu mail": ("feishu",),
    "SendGrid": ("sendgrid",),
    "Mailgun": ("mailgun",),
    "Postmark": ("postmark",),
    "Brevo": ("brevo",),
    "Mailjet": ("mailjet",),
    "SparkPost": ("sparkpost",),
    "Resend": ("resend",),
}
# Rows whose ports stand in no cell of their own, and what the words say instead.
SPOKEN = {
    "Proton": "the Bridge has its own port, on this computer",
    "China Unicom": "unverified: a probe decides",
    "Zoho": "the ports stand behind all its hosts",
}
MODES = {"T": Security.TLS, "S": Security.STARTTLS}
MARKS = {"o": Trust.OFFICIAL, "2": Trust.SECONDARY}
KINDS = (
    ("OAuth2 only", CredentialKind.OAUTH2),
    ("授权码", CredentialKind.AUTH_CODE),
    ("app password", CredentialKind.APP_PASSWORD),
    ("SMTP key", CredentialKind.KEY),
    ("server token", CredentialKind.TOKEN),
)
GROUP = re.compile(r"((?:\d{2,4}[/ ]?)+)([TS])(?![\w.])(?:\s*\[(o|2)\])?")
HOST = re.compile(r"[a-z0-9<>{},-]+(?:\.[a-z0-9<>{},-]+)+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    domains: tuple[str, ...]
    mx: tuple[str, ...]
    hosts: str
    notes: str


def rows() -> Iterator[Row]:
    for line in path("providers.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| ") or len(cells) != 3 or cells[0].startswith("provider ("):
            continue
        name, _, inside = cells[0].partition(" (")
        names = [n.strip() for n in inside.rstrip(")").split(",") if n.strip()]
        mx = [n.removeprefix("MX ") for n in names] if inside.startswith("MX ") else []
        yield Row(name, tuple(names if not mx else ()), tuple(mx), cells[1], cells[2])


def by_name() -> dict[str, Row]:
    return {row.name: row for row in rows()}


def ports_of(cell: str) -> dict[tuple[int, Security], Trust]:
    """Ports of a cell with mode and mark: [2] is about its own group, [o] about all before it."""
    found: dict[tuple[int, Security], Trust] = {}
    for numbers, mode, mark in GROUP.findall(HOST.sub("", cell)):
        trust = MARKS.get(mark, Trust.DIRECTORY)
        group = {(int(n), MODES[mode]): trust for n in re.findall(r"\d+", numbers)}
        if mark == "o":
            found = {port: MARKS["o"] if t is Trust.DIRECTORY else t for port, t in found.items()}
        found |= group
    return found


def test_all_rows_are_here() -> None:
    assert set(by_name()) == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_the_domains_and_incoming_hosts_lead_there(name: str) -> None:
    row = by_name()[name]
    for domain in row.domains:
        if "*" in domain:
            continue
        provider = directory.by_domain(domain)
        assert provider is not None, domain
        assert provider.id in FILES[name]
    for pattern in row.mx:
        label = "mx.eu" if pattern.startswith("*.") else "3"
        for sample in (pattern.replace("*", "1"), pattern.replace("*", label)):
            match = directory.by_mx(sample)
            assert match is not None, sample
            assert match.provider.id in FILES[name]


@pytest.mark.parametrize("name", sorted(set(FILES) - set(SPOKEN)))
def test_ports_and_modes_are_those_of_the_cell(name: str) -> None:
    told = ports_of(by_name()[name].hosts)
    assert told or name in ("263",), by_name()[name].hosts
    for provider_id in FILES[name][:1]:
        provider = directory.load(provider_id)
        main = provider.offered[0].endpoint.host
        known = {
            (s.endpoint.port, s.endpoint.security): s.trust
            for s in provider.servers
            if s.endpoint.host == main
        }
        assert set(told) <= set(known), provider_id
        own_page = any(
            s.trust is Trust.OFFICIAL and s.url and "servers" in s.covers for s in provider.sources
        )
        for port, trust in told.items():
            better = trust is Trust.DIRECTORY and known[port] is Trust.OFFICIAL and own_page
            assert known[port] is trust or better, (provider_id, port)


@pytest.mark.parametrize("name", FILES)
def test_the_credential_is_that_of_the_row(name: str) -> None:
    notes = by_name()[name].notes
    wanted = [kind for words, kind in KINDS if words in notes]
    kinds = directory.load(FILES[name][0]).credential.kinds
    if wanted:
        assert kinds[0] in wanted, (notes, kinds)


@pytest.mark.parametrize(
    ("name", "form", "value"),
    [
        ("SendGrid", UsernameForm.FIXED, "apikey"),
        ("SparkPost", UsernameForm.FIXED, "SMTP_Injection"),
        ("Resend", UsernameForm.FIXED, "resend"),
    ],
)
def test_literal_user_names(name: str, form: UsernameForm, value: str) -> None:
    assert f"`{value}`" in by_name()[name].notes
    rule = directory.load(FILES[name][0]).username
    assert (rule.form, rule.value) == (form, value)


PREFERENCE = ((465, Security.TLS), (587, Security.STARTTLS))


def test_the_order_of_ports_is_that_of_rfc_8314() -> None:
    """Section 3.3: implicit TLS first; port 25 never before another one of its host."""
    for provider in map(directory.load, directory.ids()):
        by_host: dict[str, list[tuple[int, Security]]] = {}
        for s in provider.offered:
            by_host.setdefault(s.endpoint.host, []).append((s.endpoint.port, s.endpoint.security))
        for host, ports in by_host.items():
            here = [p for p in PREFERENCE if p in ports]
            assert [p for p in ports if p in PREFERENCE] == here, (provider.id, host)
            relay = [i for i, (port, _) in enumerate(ports) if port == 25]
            assert not relay or relay[0] == len(ports) - 1, (provider.id, host)
