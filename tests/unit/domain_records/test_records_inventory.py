"""The inventory file: what it may say, and where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from posthouse.setup.domain.records import InventoryError, from_options, read, read_file

WHOLE = """\
domain = "例子.test"
services = ["workspace", "ses:region=eu-west-1,tokens=a+b"]
addresses = ["192.0.2.1", "2001:DB8::/64"]
mx = ["20 mx2.example.test", "mx1.example.test"]
ttl = 600

[reports]
dmarc = "d@example.test"
[dmarc]
goal = "quarantine"
mailing_lists = true
[mta_sts]
mode = "testing"
host = ["192.0.2.1"]
[servers]
submissions = "smtp.example.test:465"
imaps = "."
[names]
autoconfig = "web.example.test"
"""


def test_a_whole_file() -> None:
    made = read(WHOLE)
    assert made.domain == "xn--fsqu00a.test"
    assert [one.id for one in made.services] == ["workspace", "ses"]
    assert made.services[1].params["tokens"] == ("a", "b")
    assert [str(one) for one in made.addresses] == ["192.0.2.1/32", "2001:db8::/64"]
    assert [(one.host, one.preference) for one in made.mx] == [
        ("mx2.example.test", 20),
        ("mx1.example.test", 10),
    ]
    assert made.dmarc_reports == ("mailto:d@example.test",)
    assert made.names == {"autoconfig.xn--fsqu00a.test": ("web.example.test",)}
    assert made.ttl == 600
    assert made.sts is not None


HEAD = 'domain = "example.test"\n'
MISTAKES = [
    # text after the head, reason, line
    ('addresses = ["192.0.2.1",\n  "192.0.2.999",\n]', "address", 3),
    ('addresses = ["192.0.2.7/24"]', "address", 2),
    ("addresses = 1", "kind", 2),
    ("addresses = [1]", "kind", 2),
    ('\n\nadresses = ["192.0.2.1"]', "unknown_key", 4),
    ('services = ["nothing"]', "service", 2),
    ('services = ["ses:regoin=x"]', "param", 2),
    ('[[service]]\nid = "workspace"\n[[service]]\nid = "nope"', "service", 5),
    ('[[service]]\nregion = "x"', "missing", 2),
    ('[[service]]\nid = "ses"\nregion = 5', "kind", 4),
    ('mx = ["ten mx.test"]', "host", 2),
    ('mx = ["192.0.2.1"]', "host", 2),
    ('mx = [".", "mx.test"]', "host", 2),
    ('mx = ["mx.test", "20 MX.test"]', "twice", 2),
    ('[reports]\ndmarc = ["nobody"]', "mail_address", 3),
    ('[reports]\ntls = ["http://x.test/"]', "url", 3),
    ('# c\n[spf]\nend = "+all"', "choice", 4),
    ('[spf]\nflatten = "yes"', "kind", 3),
    ('[dmarc]\ngoal = "refuse"', "choice", 3),
    ("[mta_sts]\nmax_age = 5", "number", 3),
    ("ttl = true", "kind", 2),
    ("ttl = 1", "number", 2),
    ('[servers]\nsubmissions = "smtp.example.test"', "server", 3),
    ('[servers]\nsmtps = "smtp.example.test:465"', "unknown_key", 3),
    ('[names]\n"a b" = "x.test"', "host", 3),
    ("[names]\nmail = 5", "kind", 3),
    ('mx = ["mail.example.test"]\n[names]\nmail = "real.test"', "alias_target", 3),
    ('[[dkim]]\nselector = "s1"', "missing", 3),
    ('[[dkim]]\nselector = "s1"\nrecord = "v=DKIM1; p=?"', "record", 3),
    ('[[dkim]]\nselector = "s 1"\ncname = "x.test"', "selector", 3),
    ('[[dane]]\nhost = "mx.test"\ncertificate = "gone.pem"', "file", 4),
    ('[bimi]\nlogo = "http://x.test/l.svg"', "url", 3),
    ('[[host]]\nname = "a.test"\n[[host]]\nname = "a.test"', "twice", 2),
    ("a = [", "syntax", 2),
    ('x = "', "syntax", 2),
    ('domain = "again.test"', "syntax", 2),
    ("names = 1", "kind", 2),
    ("host = 1", "kind", 2),
]


@pytest.mark.parametrize(("text", "reason", "line"), MISTAKES)
def test_mistakes_are_named_with_their_line(
    text: str, reason: str, line: int, tmp_path: Path
) -> None:
    path = tmp_path / "senders.toml"
    path.write_text(HEAD + text, "utf-8")
    with pytest.raises(InventoryError) as caught:
        read_file(path)
    assert (caught.value.reason, caught.value.line) == (reason, line), str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"), [("", "missing"), ('domain = "local"', "domain"), ("domain = 1", "kind")]
)
def test_without_a_domain(text: str, reason: str) -> None:
    with pytest.raises(InventoryError) as caught:
        read(text)
    assert (caught.value.reason, caught.value.line) == (reason, 1)


def test_certificates_are_files_beside_it(tmp_path: Path) -> None:
    made = trustme.CA().issue_cert("mx.example.test")
    made.cert_chain_pems[0].write_to_path(tmp_path / "mx.pem")
    made.private_key_pem.write_to_path(tmp_path / "key.pem")
    path = tmp_path / "senders.toml"
    row = '[[dane]]\nhost = "mx.example.test"\ncertificate = "mx.pem"\n'
    path.write_text(HEAD + row)
    [dane] = read_file(path).dane
    assert dane.materials[0].startswith(b"-----BEGIN CERTIFICATE")
    path.write_text(HEAD + row + 'next = "key.pem"\n')
    with pytest.raises(InventoryError) as caught:
        read_file(path)
    assert (caught.value.reason, caught.value.line) == ("file", 5)
    assert "PRIVATE" not in str(caught.value)
    with pytest.raises(InventoryError) as caught:
        read_file(tmp_path / "nowhere.toml")
    assert caught.value.reason == "file"


def test_options() -> None:
    with pytest.raises(InventoryError) as caught:
        from_options("example.test", addresses=["here"])
    assert caught.value.reason == "address"
    key = "v=DKIM1; k=rsa; p=MIGf+/A=="
    made = from_options("example.test", services=[f"workspace:dkim_record={key}"])
    assert made.services[0].params["dkim_record"] == (key,)
