"""Did you mean ...? Both ways: what is corrected, and what must be left alone."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from posthouse import directory
from posthouse.directory.typo import edits

MEANT = """
gmial.com gmail.com
gamil.com gmail.com
gmai.com gmail.com
gmal.com gmail.com
gnail.com gmail.com
gmaill.com gmail.com
mgail.com gmail.com
gmail.con gmail.com
gmail.co gmail.com
gmail.cm gmail.com
gmail.comm gmail.com
gmial.con gmail.com
gmailcom gmail.com
gmail,com gmail.com
GMIAL.COM. gmail.com
hotmial.com hotmail.com
hotmai.com hotmail.com
otmail.com hotmail.com
hotmial.co.uk hotmail.co.uk
outlok.com outlook.com
outloook.com outlook.com
qq.con qq.com
qq.vom qq.com
163.co 163.com
163.con 163.com
126.con 126.com
yaho.com yahoo.com
yahooo.com yahoo.com
yaho.co.uk yahoo.co.uk
iclod.com icloud.com
icluod.com icloud.com
foxmial.com foxmail.com
protonmial.com protonmail.com
aliyun.con aliyun.com
naver.con naver.com
sohu.cm sohu.com
"""
FINE = [
    "gmail.com",
    "qq.com",
    "qq.cn",
    "gmx.com",
    "gmx.de",
    "mail.com",
    "ymail.com",
    "email.com",
    "aol.de",
    "live.nl",
    "me.com",
    "mac.com",
    "163.net",
    "162.com",
    "136.com",
    "193.com",
    "alo.com",
    "oal.com",
    "love.com",
    "line.com",
    "never.com",
    "google.com",
    "example.com",
    "company.cn",
    "jahoo.com",
    "tmail.com",
    "fmail.com",
    "cock.li",
    "icloud.com.cn",
    "yahoo.cn",
    "yahoo.com.cn",
    "hotmail.ru",
    "gmail.ru",
    "mail.co",
    "abc.com",
    "a.b",
    "localhost",
    "x",
    "10.10.10.10",
    "tuta.com",
    "proton.me",
    "hansen.dk",
    "email.dk",
]
HOSTS = """
smtp.gmial.com smtp.gmail.com
smtp.gmail.con smtp.gmail.com
smpt.gmail.com smtp.gmail.com
mail.gmail.com smtp.gmail.com
imap.gmail.com smtp.gmail.com
pop.qq.com smtp.qq.com
mx1.qq.com smtp.qq.com
stmp.qq.com smtp.qq.com
smpt.163.com smtp.163.com
smtp.163.con smtp.163.com
smtp.office356.com smtp.office365.com
outlook.office365.com smtp.office365.com
smtp-mail.outlok.com smtp-mail.outlook.com
imap-mail.outlook.com smtp-mail.outlook.com
pop3.live.com smtp-mail.outlook.com
imap.exmail.qq.com smtp.exmail.qq.com
smtp.exmial.qq.com smtp.exmail.qq.com
mxbiz1.qq.com smtp.exmail.qq.com
imap.mail.me.com smtp.mail.me.com
imap.mail.yahoo.com smtp.mail.yahoo.com
smtp.zoho.con smtp.zoho.com
smtp,gmail,com smtp.gmail.com
"""
FINE_HOSTS = [
    "smtp.gmail.com",
    "smtp.qq.com",
    "smtp.example.com",
    "smtp.example.net",
    "mail.company.com",
    "smtp.abc.com",
    "smtp.10.10.10.10",
    "smtp.aliyun.com",
    "email-smtp.eu-west-1.amazonaws.com",
    "localhost",
    "mail.wo.example",
]
OF_THE_ADDRESS = [
    ("smtp.example.net", "example.com", "smtp.example.com"),
    ("smtp.exmaple.com", "example.com", "smtp.example.com"),
    ("mail.example.con", "example.com", "mail.example.com"),
    ("smtp.example.com", "example.com", None),
    ("smtp.other.com", "example.com", None),
    ("smtp.example.net", "com", None),
    ("smtp.gmial.com", "example.com", "smtp.gmail.com"),
]


@pytest.mark.parametrize("row", MEANT.strip().splitlines())
def test_domain_meant(row: str) -> None:
    typed, meant = row.split()
    assert directory.suggest_domain(typed) == meant


@pytest.mark.parametrize("domain", FINE)
def test_domain_left_alone(domain: str) -> None:
    assert directory.suggest_domain(domain) is None


@pytest.mark.parametrize("row", HOSTS.strip().splitlines())
def test_host_meant(row: str) -> None:
    typed, meant = row.split()
    assert directory.suggest_host(typed) == meant


@pytest.mark.parametrize("host", FINE_HOSTS)
def test_host_left_alone(host: str) -> None:
    assert directory.suggest_host(host) is None


@pytest.mark.parametrize(("host", "domain", "meant"), OF_THE_ADDRESS)
def test_host_by_the_address(host: str, domain: str, meant: str | None) -> None:
    assert directory.suggest_host(host, domain=domain) == meant


def test_no_domain_of_the_directory_is_corrected() -> None:
    domains = [d for p in map(directory.load, directory.ids()) for d in p.domains]
    assert len(domains) > 1000
    assert [d for d in domains if directory.suggest_domain(d.removeprefix("*."))] == []


def test_no_outgoing_host_is_corrected() -> None:
    hosts = {s.endpoint.host for p in map(directory.load, directory.ids()) for s in p.servers}
    assert [host for host in sorted(hosts) if directory.suggest_host(host)] == []


@given(st.text(max_size=300))
@example("a" * 300 + ".com")
@example(".")
@example("..")
@example("gmail..com")
@example("@gmail.com")
def test_any_text_gives_a_known_name_or_none(typed: str) -> None:
    domain = directory.suggest_domain(typed)
    assert domain is None or directory.by_domain(domain) is not None
    host = directory.suggest_host(typed, domain=typed)
    assert host is None or "." in host


EDITS = [
    ("", "", 0),
    ("a", "", 1),
    ("gmial", "gmail", 1),
    ("gmal", "gmail", 1),
    ("gmaill", "gmail", 1),
    ("gnail", "gmail", 1),
    ("hotmial", "hotmail", 1),
    ("ab", "ba", 1),
    ("abcd", "badc", 2),
    ("kitten", "sitting", 3),
    ("abcdefgh", "", 3),
]


@pytest.mark.parametrize(("one", "other", "count"), EDITS)
def test_edits(one: str, other: str, count: int) -> None:
    assert edits(one, other, limit=2) == count


def plain_edits(one: str, other: str) -> int:
    """The same distance by its definition, without bounds or shortcuts."""
    if not one or not other:
        return len(one) + len(other)
    ways = [
        plain_edits(one[:-1], other) + 1,
        plain_edits(one, other[:-1]) + 1,
        plain_edits(one[:-1], other[:-1]) + (one[-1] != other[-1]),
    ]
    if len(one) > 1 and len(other) > 1 and one[-2:] == other[-1] + other[-2]:
        ways.append(plain_edits(one[:-2], other[:-2]) + 1)
    return min(ways)


SHORT = st.text(alphabet="abc", max_size=5)


@given(SHORT, SHORT)
def test_edits_by_definition(one: str, other: str) -> None:
    assert edits(one, other, limit=9) == plain_edits(one, other) == edits(other, one, limit=9)
    assert edits(one, other, limit=2) == min(plain_edits(one, other), 3)
