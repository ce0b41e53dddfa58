"""Hops of the configuration: what the tables say, what the directory knows, where secrets are."""

from __future__ import annotations

import errno
import os
import tomllib
from pathlib import Path

import pytest

from canaries import PASSWORD
from fakes.certs import Authority
from posthouse.explain import Catalogue
from posthouse.flow import Secret, Security
from posthouse.send.hop import Hop, Target, TlsPolicy
from posthouse.send.route import SettingError, read_hops

# Of Amazon's own documentation, and the password it stands for in two regions.
IAM_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SES_PASSWORD = "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9"


def read(text: str, folder: Path, **environ: str) -> tuple[Hop, ...]:
    return tuple(read_hops(tomllib.loads(text), folder=folder, environ=environ).values())


def hop(body: str, folder: Path = Path("/nowhere"), **environ: str) -> Hop:
    (found,) = read(f'[[hop]]\nname = "h"\n{body}', folder, **environ)
    return found


def secret_file(folder: Path, content: bytes = PASSWORD.encode() + b"\n") -> Path:
    path = folder / "hop.secret"
    path.write_bytes(content)
    path.chmod(0o600)
    return path


VERIFIED, REQUIRED, OFFERED, OFF = (
    TlsPolicy.VERIFIED,
    TlsPolicy.REQUIRED,
    TlsPolicy.OPPORTUNISTIC,
    TlsPolicy.NONE,
)
TLS, STARTTLS, NONE = Security.TLS, Security.STARTTLS, Security.NONE
WAYS = [
    ("mx = true", (), STARTTLS, OFFERED),
    ('mx = true\ntls = "required"', (), STARTTLS, REQUIRED),
    ('mx = true\ntls = "none"', (), NONE, OFF),
    ('hosts = "a.example"', (Target("a.example", 587),), STARTTLS, VERIFIED),
    ('hosts = ["a.example:465"]', (Target("a.example", 465),), TLS, VERIFIED),
    ('hosts = ["a.example:25"]\ntls = "opportunistic"', (Target("a.example", 25),),
     STARTTLS, OFFERED),
    ('hosts = ["A.example"]\nsecurity = "tls"', (Target("a.example", 465),), TLS, VERIFIED),
    ('hosts = ["a.example"]\nsecurity = "none"', (Target("a.example", 25),), NONE, OFF),
    ('hosts = ["a.example:26"]\ntls = "none"', (Target("a.example", 26),), NONE, OFF),
    ('hosts = ["[2001:db8::1]:2525"]\ntls = "required"', (Target("2001:db8::1", 2525),),
     STARTTLS, REQUIRED),
    ('hosts = ["a.example:587", "b.example:587"]',
     (Target("a.example", 587, 0), Target("b.example", 587, 1)), STARTTLS, VERIFIED),
    ('hosts = [{host = "a.example:25", priority = 5, weight = 3}, {host = "b.example", port = 25, '
     "priority = 5}]", (Target("a.example", 25, 5, 3), Target("b.example", 25, 5, 1)),
     STARTTLS, VERIFIED),
    ('hosts = ["mail.例子.example:24"]\nlmtp = true\ntls = "none"',
     (Target("mail.xn--fsqu00a.example", 24),), NONE, OFF),
    ('provider = "ses"\nregion = "eu-west-1"',
     (Target("email-smtp.eu-west-1.amazonaws.com", 465),), TLS, VERIFIED),
    ('provider = "ses"\nregion = "EU-west-1"\nsecurity = "starttls"',
     (Target("email-smtp.eu-west-1.amazonaws.com", 587),), STARTTLS, VERIFIED),
    ('provider = "tencent-ses"\nregion = "ap-hongkong"',
     (Target("sg-smtp.qcloudmail.com", 465),), TLS, VERIFIED),
    ('provider = "sendgrid"\nregion = ""', None, None, None),
    ('provider = "qq"', (Target("smtp.qq.com", 465),), TLS, VERIFIED),
]  # fmt: skip


@pytest.mark.parametrize(("body", "targets", "security", "policy"), WAYS, ids=[w[0] for w in WAYS])
def test_where_a_hop_is_and_how_it_is_protected(body, targets, security, policy) -> None:
    if targets is None:
        with pytest.raises(SettingError, match="empty"):
            hop(body)
        return
    found = hop(body)
    assert (found.targets, found.security, found.tls) == (targets, security, policy)


def test_everything_else_a_hop_can_say(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(Authority(tmp_path).ca_file.read_bytes())
    found = hop(
        'hosts = ["a.example:587"]\nca_file = "ca.pem"\nuser = "u"\nsecret_env = "HOP"\n'
        'pool = 7\nreuse = 9\nidle = "2s"\nlifetime = "1m"\ninterval = "30s"\n'
        'ehlo = "Relay.example.com"\nsource = "192.0.2.9"',
        tmp_path,
        HOP=PASSWORD,
    )
    assert found == Hop(
        "h", (Target("a.example", 587),), STARTTLS, VERIFIED, str(tmp_path / "ca.pem"), "u",
        Secret(PASSWORD), False, 7, 9, 2.0, 60.0, 30.0, "relay.example.com", "192.0.2.9",
    )  # fmt: skip
    assert PASSWORD not in repr(found)


def test_a_secret_of_a_file_is_its_first_line(tmp_path: Path) -> None:
    path = secret_file(tmp_path, PASSWORD.encode() + b"\r\nsecond\n")
    for name in ("hop.secret", str(path)):
        found = hop(f'hosts = "a.example"\nuser = "u"\nsecret_file = "{name}"', tmp_path)
        assert found.secret == Secret(PASSWORD)


def test_who_asks_for_the_way_only_needs_no_secret(tmp_path: Path) -> None:
    text = '[[hop]]\nname = "h"\nhosts = "a.example"\nuser = "u"\nsecret_file = "/nowhere/x"'
    (found,) = read_hops(tomllib.loads(text), folder=tmp_path, environ=None).values()
    assert (found.user, found.secret) == ("u", None)


def test_the_provider_knows_the_user_name(tmp_path: Path) -> None:
    secret_file(tmp_path)
    found = hop('provider = "sendgrid"\nsecret_file = "hop.secret"', tmp_path)
    assert (found.user, found.secret) == ("apikey", Secret(PASSWORD))


SES = 'provider = "ses"\nregion = "{}"\nuser = "AKIAIOSFODNN7EXAMPLE"\nsecret_env = "KEY"\n{}'


@pytest.mark.parametrize(
    ("region", "more", "given", "used"),
    [
        ("us-east-1", "", IAM_SECRET, SES_PASSWORD),
        ("us-east-1", "derive = true", IAM_SECRET, SES_PASSWORD),
        ("us-east-1", "derive = false", IAM_SECRET, IAM_SECRET),
        ("us-east-1", "", SES_PASSWORD, SES_PASSWORD),
    ],
)
def test_an_iam_key_becomes_the_password_of_its_region(region, more, given, used) -> None:
    assert hop(SES.format(region, more), KEY=given).secret == Secret(used)


def test_the_password_is_another_in_another_region() -> None:
    found = hop(SES.format("eu-west-1", ""), KEY=IAM_SECRET)
    assert found.secret not in (Secret(SES_PASSWORD), Secret(IAM_SECRET))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o620])
def test_a_secret_that_others_can_read_is_refused(tmp_path: Path, mode: int, monkeypatch) -> None:
    path = secret_file(tmp_path)
    path.chmod(mode)
    # What root owns may be for a group (the relay's); tests may run as root.
    real = os.fstat
    monkeypatch.setattr(os, "fstat", lambda number: _owned_by(real(number), 1000))
    with pytest.raises(SettingError) as caught:
        hop('hosts = "a.example"\nuser = "u"\nsecret_file = "hop.secret"', tmp_path)
    assert (caught.value.reason, caught.value.key) == ("secret_mode", "hop[h].secret_file")
    assert caught.value.params == {"path": str(path), "mode": f"{mode:o}"}
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(("mode", "fine"), [(0o640, True), (0o644, False), (0o660, False)])
def test_a_secret_of_root_may_be_for_a_group(tmp_path, mode, fine, monkeypatch) -> None:
    secret_file(tmp_path).chmod(mode)
    real = os.fstat
    monkeypatch.setattr(os, "fstat", lambda number: _owned_by(real(number), 0))
    body = 'hosts = "a.example"\nuser = "u"\nsecret_file = "hop.secret"'
    if fine:
        assert hop(body, tmp_path).secret == Secret(PASSWORD)
    else:
        with pytest.raises(SettingError, match="secret_mode"):
            hop(body, tmp_path)


def _owned_by(status: os.stat_result, uid: int) -> os.stat_result:
    values = list(status)
    values[4] = uid
    return os.stat_result(values)


@pytest.mark.parametrize("content", [b"", b"\nx", b"\xff\xfe", b"a\0b", b"x" * 20_000])
def test_what_is_no_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    secret_file(tmp_path, content)
    with pytest.raises(SettingError, match="secret_empty"):
        hop('hosts = "a.example"\nuser = "u"\nsecret_file = "hop.secret"', tmp_path)


@pytest.mark.parametrize("content", [b"", b"no certificate"])
def test_a_ca_file_without_a_certificate_is_told_before_mail_waits(tmp_path, content) -> None:
    (tmp_path / "ca.pem").write_bytes(content)
    with pytest.raises(SettingError, match="no_ca") as wrong:
        hop('hosts = "a.example:587"\nca_file = "ca.pem"', tmp_path)
    for lang in ("en", "zh"):
        assert str(tmp_path / "ca.pem") in wrong.value.told(Catalogue(lang, strict=True))


def test_a_ca_file_in_a_folder_of_somebody_else_is_told(tmp_path, monkeypatch) -> None:
    def denied(_path: object, **_: object) -> os.stat_result:  # as root, nothing is
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patched:
        patched.setattr(os, "stat", denied)
        with pytest.raises(SettingError, match="unreadable"):
            hop('hosts = "a.example:587"\nca_file = "ca.pem"', tmp_path)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_pipe_or_a_folder_is_no_secret_and_holds_nothing_up(tmp_path: Path, make) -> None:
    make(tmp_path / "hop.secret", 0o600)
    with pytest.raises(SettingError, match="secret_no_file"):
        hop('hosts = "a.example"\nuser = "u"\nsecret_file = "hop.secret"', tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        'password = "{}"',
        'Secret = "{}"',
        'secrt = "{}"',
        'secret_file = "{}"',
        'secret_env = "{}"',
    ],
)
def test_a_secret_at_the_wrong_place_is_not_repeated(tmp_path: Path, line: str) -> None:
    with pytest.raises(SettingError) as caught:
        hop('hosts = "a.example"\nuser = "u"\n' + line.format(PASSWORD), tmp_path)
    assert PASSWORD not in f"{caught.value} {caught.value.value} {caught.value.params}"
