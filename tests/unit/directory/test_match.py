"""MX, NS and SMTP hosts to providers: by rule, never by base domain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse import directory
from posthouse.directory import pattern
from posthouse.directory.index import build, parse

MX = """
mxbiz1.qq.com exmail
mxbiz2.qq.com exmail
MXBIZ1.QQ.COM. exmail
mx1.exmail.qq.com exmail
mx-biz.mail.am0.yahoodns.net turbify
mx1.biz.mail.yahoo.com turbify
mta5.am0.yahoodns.net -
mx.zoho.com.cn zoho-pro-cn
mx2.zoho.sa zoho-pro-sa
eu-smtp-inbound-1.mimecast.com -
mx0a-00112233.pphosted.com -
route1.mx.cloudflare.net -
mx1.qq.com -
mx3.qq.com -
qq.com -
evil-mxbiz1.qq.com -
mxbiz1.qq.com.example.net -
mx.qiye.163.com qiye163
hzmx01.qiye.163.com qiye163
qiye163mx01.mxmail.netease.com qiye163
163mx01.mxmail.netease.com -
mxn.mxhichina.com aliyun-qiye
mxw.mxhichina.com aliyun-qiye
mx1.qiye.aliyun.com aliyun-qiye
mx2.mail.aliyun.com -
contoso-com.mail.protection.outlook.com m365
mail.protection.outlook.com -
contoso-com.o-v1.mx.microsoft m365
outlook-com.olc.protection.outlook.com outlook
contoso-cn.mail.protection.partner.outlook.cn m365-21vianet
aspmx.l.google.com workspace
alt4.aspmx.l.google.com workspace
aspmx3.googlemail.com workspace
smtp.google.com workspace
gmail-smtp-in.l.google.com -
mx.zoho.com zoho-pro
mx3.zoho.com zoho-pro
mx.zoho.eu zoho-pro-eu
mx2.zoho.in zoho-pro-in
mx.zoho.com.au zoho-pro-au
mx.zoho.jp zoho-pro-jp
mx.zohocloud.ca zoho-pro-ca
in1-smtp.messagingengine.com fastmail-domain
in2-smtp.messagingengine.com fastmail-domain
mail.protonmail.ch proton-domain
mailsec.protonmail.ch proton-domain
mx.yandex.net yandex-360
emx.mail.ru mailru-biz
mxs.mail.ru -
mx01.mail.icloud.com icloud-domain
mx2.feishu.cn feishu
mx1.larksuite.com lark
mx.263.net 263
smtp.secureserver.net godaddy
mailstore1.secureserver.net godaddy
mx1.titan.email titan
mx00.ionos.de ionos-de
mx01.ionos.com ionos
mx1.mail.ovh.net ovh
spool.mail.gandi.net gandi
mta-gw.infomaniak.ch infomaniak
mxext1.mailbox.org mailbox-org
aspmx1.migadu.com migadu
mx1.emailsrvr.com rackspace
mx1.hostinger.com hostinger
mx1.privateemail.com privateemail
mx.example.com -
"""


@pytest.mark.parametrize("row", MX.strip().splitlines())
def test_mx(row: str) -> None:
    host, wanted = row.split()
    match = directory.by_mx(host)
    assert (match.provider.id if match else "-") == wanted
    assert match is None or match.pattern in {rule.pattern for rule in match.provider.mx}


NS = """
dns1.hichina.com aliyun-qiye
ns1.alidns.com aliyun-qiye
f1g1ns1.dnspod.net exmail
dns1.registrar-servers.com privateemail
ns37.domaincontrol.com godaddy
ns1.example.com -
"""


@pytest.mark.parametrize("row", NS.strip().splitlines())
def test_ns(row: str) -> None:
    host, wanted = row.split()
    provider = directory.by_ns(host)
    assert (provider.id if provider else "-") == wanted


HOSTS = """
smtp.gmail.com gmail
SMTP.GMAIL.COM. gmail
smtp.office365.com m365
smtp-mail.outlook.com outlook
smtp.aol.com aol
smtp.mail.me.com icloud
email-smtp.eu-west-1.amazonaws.com ses
email-smtp.amazonaws.com -
smtp.mxhichina.com aliyun-qiye
smtp.mail.ru mailru
smtp.zoho.eu zoho-eu
gmail.com -
mail.example.com -
"""


@pytest.mark.parametrize("row", HOSTS.strip().splitlines())
def test_host(row: str) -> None:
    host, wanted = row.split()
    provider = directory.by_host(host)
    assert (provider.id if provider else "-") == wanted


PATTERNS = [
    ("*.qiye.163.com", "a.qiye.163.com", True),
    ("*.qiye.163.com", "a.b.qiye.163.com", True),
    ("*.qiye.163.com", "qiye.163.com", False),
    ("mx*.zoho.com", "mx.zoho.com", True),
    ("mx*.zoho.com", "mx20.zoho.com", True),
    ("mx*.zoho.com", "a.mx.zoho.com", False),
    ("mx*.zoho.com", "amx.zoho.com", False),
    ("a*a.example.com", "a.example.com", False),  # the star's ends may not overlap
    ("smtp.*.example.com", "smtp.x.example.com", True),
    ("smtp.*.example.com", "smtp.x.y.example.com", False),
    ("example.com", "example.com", True),
    ("example.com", "x.example.com", False),
]


@pytest.mark.parametrize(("rule", "host", "fits"), PATTERNS)
def test_pattern(rule: str, host: str, fits: bool) -> None:
    assert pattern.matches(rule, host) is fits


def test_the_most_specific_rule_wins() -> None:
    rules = ["*.example.com", "mx*.example.com", "mx*.eu.example.com", "mx1.eu.example.com"]
    assert pattern.best(rules, "mx1.eu.example.com") == "mx1.eu.example.com"
    assert pattern.best(rules, "mx2.eu.example.com") == "mx*.eu.example.com"
    assert pattern.best(rules, "mx2.example.com") == "mx*.example.com"
    assert pattern.best(rules, "a.b.example.com") == "*.example.com"
    assert pattern.best(rules, "example.org") is None


@given(st.text())
def test_no_name_breaks_a_question(name: str) -> None:
    for ask in (directory.by_domain, directory.by_host, directory.by_ns, directory.by_mx):
        assert ask(name) is None or "." in name
    if name not in directory.ids():
        with pytest.raises(KeyError):
            directory.load(name)


@pytest.mark.parametrize("name", ["../model", "/etc/passwd", "", "nobody"])
def test_an_unknown_id_is_a_key_error(name: str) -> None:
    with pytest.raises(KeyError):
        directory.load(name)


def test_a_shared_host_is_named_after_its_owner() -> None:
    server = {"host": "smtp.x.example", "port": 465, "security": "tls", "trust": "official"}
    files = {
        "a": {"id": "a", "kind": "mailbox", "like": "c", "servers": [server]},
        "b": {"id": "b", "kind": "tenant", "servers": [server]},
        "c": {"id": "c", "kind": "mailbox", "servers": [server], "domains": ["x.example"]},
    }
    index = parse(build(files))
    assert index.by_host("smtp.x.example") == "c"
    assert index.by_domain("x.example") == "c"
    assert index.ids == ("a", "b", "c")


def test_names_given_out_below_a_domain() -> None:
    index = parse("domain\t*.cloud.example\tcloud\ndomain\tcloud.example\tother\n")
    assert index.by_domain("firm.cloud.example") == "cloud"
    assert index.by_domain("a.firm.cloud.example") == "cloud"
    assert index.by_domain("cloud.example") == "other"
    assert index.by_domain("notcloud.example") is None
