"""Every domain of the public directory leads to its servers, or to what overrides them."""

from __future__ import annotations

from collections import defaultdict

from posthouse import directory
from posthouse.flow import CredentialKind, Security

from .shared import rows

MODES = {"SSL": Security.TLS, "STARTTLS": Security.STARTTLS, "plain": Security.NONE}
FORMS = {
    "%EMAILADDRESS%": "ann@{}",
    "%EMAILLOCALPART%": "ann",
    "%EMAILLOCALPART%.%EMAILDOMAIN%": "ann.{}",
}
# Domains whose own row is overridden, and why.
OVERRIDDEN = {
    "daum.net": "the user name is the part before @, says the provider; the row says the address",
}


def table() -> dict[str, list[tuple[str, int, Security, str]]]:
    found = defaultdict(list)
    for row in rows("ispdb.tsv"):
        host = row["smtp_host"].replace("%EMAILDOMAIN%", row["domain"])
        mode = MODES[row["socketType"]]
        found[row["domain"]].append((host, int(row["port"]), mode, row["username"]))
    return found


def test_every_domain_is_known() -> None:
    domains = table()
    assert len(domains) > 950
    assert [d for d in domains if directory.by_domain(d) is None] == []


def test_the_first_server_is_one_of_its_rows() -> None:
    wrong = []
    for domain, known in table().items():
        provider = directory.by_domain(domain)
        assert provider is not None
        encrypted = {row[:3] for row in known if row[2] is not Security.NONE}
        offered = [
            (s.endpoint.host, s.endpoint.port, s.endpoint.security) for s in provider.offered
        ]
        if offered[:1] != [] and offered[0] not in encrypted:
            wrong.append((domain, offered[0]))
        if not offered and encrypted:
            wrong.append((domain, "nothing offered"))
    assert wrong == []


def test_plain_only_domains_are_recorded_and_nothing_is_offered() -> None:
    plain = [d for d, known in table().items() if {r[2] for r in known} == {Security.NONE}]
    assert len(plain) == 99
    for domain in plain:
        provider = directory.by_domain(domain)
        assert provider is not None
        assert provider.offered == (), domain
        assert provider.plain_only, domain


def test_user_names() -> None:
    wrong = []
    for domain, known in table().items():
        provider = directory.by_domain(domain)
        assert provider is not None
        wanted = {FORMS[row[3]].format(domain) for row in known if row[3]}
        if wanted and provider.username.for_address(f"ann@{domain}") not in wanted:
            wrong.append(domain)
    assert wrong == [*OVERRIDDEN]


def test_every_row_is_recorded_as_it_stands() -> None:
    """Host, port and mode of all rows, not of the first alone."""
    wrong = []
    for domain, known in table().items():
        provider = directory.by_domain(domain)
        assert provider is not None
        servers = {
            (s.endpoint.host, s.endpoint.port, s.endpoint.security) for s in provider.servers
        }
        wrong += [(domain, *row[:3]) for row in known if row[:3] not in servers]
    assert wrong == []


def test_oauth_is_offered_where_a_row_has_it() -> None:
    wrong = []
    for row in rows("ispdb.tsv"):
        provider = directory.by_domain(row["domain"])
        assert provider is not None
        kinds = provider.credential.kinds
        if "OAuth2" in row["auth"] and CredentialKind.OAUTH2 not in kinds:
            wrong.append((row["domain"], kinds))
        if row["auth"] == "OAuth2" and CredentialKind.PASSWORD in kinds[:1]:
            wrong.append((row["domain"], kinds))
    assert wrong == []


def test_rows_are_taken_from_where_they_say() -> None:
    """A provider known from the public directory names it, with its date, and is marked so."""
    for provider in {p.id: p for p in map(directory.by_domain, table()) if p}.values():
        assert all(s.trust in directory.Trust for s in provider.servers)
        covers = {part for s in provider.sources for part in s.covers}
        assert not provider.servers or "servers" in covers, provider.id
