"""The configuration as a whole: what stands between the tables, and what is said of a bad file."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from fakes.certs import Authority
from posthouse.cli.config import data_folder
from posthouse.config import ConfigError, read
from posthouse.explain import Catalogue
from posthouse.send.settings import SettingError
from unit.daemon.installed import SMALL


def file(folder: Path, more: str = "") -> Path:
    path = folder / "posthouse.toml"
    path.write_text(SMALL + more)
    return path


def mistake(path: Path) -> SettingError:
    with pytest.raises(ConfigError) as caught:
        read(path)
    found = caught.value.params["error"]
    assert isinstance(found, SettingError)
    return found


def test_relative_paths_begin_at_the_file_for_the_relay_and_for_the_commands(tmp_path) -> None:
    path = file(tmp_path)
    given = {"config": str(path), "data": None}
    assert read(path).server.data == data_folder(Catalogue("en"), given) == tmp_path / "data"


BAD = {
    SMALL.replace('data = "data"', ""): "server.data is missing",
    SMALL.replace('"data"', "5"): "server.data: this must be a text",
    SMALL.replace('"data"', '""'): "server.data",
    SMALL.replace('"data"', '"~/mail"'): "server.data: '~/mail' would be taken as it stands",
    SMALL.replace('"data"', '"$HOME/mail"'): "server.data: '$HOME/mail' would",
    SMALL.replace("[server]", "[[server]]"): "server: this must be a table",
    "[[server": "this is not TOML",
    f"a = {'[' * 50_000}": "this is not TOML",
    f"a = {'9' * 5_000}": "this is not TOML",
    SMALL.replace('"data"', '"C:\\temp"'): "server.data holds a control character",
    SMALL.replace('"data"', r'"da\u0000ta"'): "server.data holds a control character",
    SMALL + "#" * 1_000_000: "too long",
}


@pytest.mark.parametrize(("text", "problem"), BAD.items(), ids=range(len(BAD)))
def test_relay_and_commands_refuse_the_same_in_the_same_words(tmp_path, text, problem) -> None:
    path = tmp_path / "posthouse.toml"
    path.write_text(text)
    words = Catalogue("en")
    with pytest.raises(ConfigError) as refused:
        read(path)
    with pytest.raises(click.ClickException) as said:
        data_folder(words, {"config": str(path), "data": None})
    told = refused.value.told(words)
    assert told.startswith(f"{path}: ")
    assert problem in told
    assert said.value.format_message() == f"posthouse: {told}"


def test_a_certificate_is_looked_at_before_anything_starts(tmp_path) -> None:
    authority = Authority(tmp_path)
    issued, other = (authority.issue(hosts=[host]) for host in ("a.test", "b.test"))
    table = '[tls]\ncertificate = "{}"\nkey = "{}"\n'
    good = read(file(tmp_path, table.format(issued.cert_file, issued.key_file)))
    assert (good.certificate, good.key) == (issued.cert_file, issued.key_file)
    bad = [(issued.cert_file, "none.key"), (issued.key_file, issued.key_file)]
    for certificate, key in bad:
        error = mistake(file(tmp_path, table.format(certificate, key)))
        assert (error.reason, error.key) == ("certificate", "tls.certificate")
        for lang in ("en", "zh"):
            told = error.told(Catalogue(lang, strict=True))
            assert "tls.certificate" in told
            assert str(certificate) in told
    error = mistake(file(tmp_path, table.format(issued.cert_file, other.key_file)))
    assert (error.reason, error.key) == ("strangers", "tls.key")
    for lang, said in (("en", "do not belong together"), ("zh", "不是一对")):
        told = error.told(Catalogue(lang, strict=True))
        assert said in told
        assert str(issued.cert_file) in told
        assert "MISMATCH" not in told + str(error)


def test_a_key_of_another_kind_or_with_a_password_is_told_as_such(tmp_path) -> None:
    issued = Authority(tmp_path).issue(hosts=["a.test"])
    key = rsa.generate_private_key(65_537, 2_048)
    table = f'[tls]\ncertificate = "{issued.cert_file}"\nkey = "other.key"\n'
    for encryption, reason in (
        (NoEncryption(), "strangers"),
        (BestAvailableEncryption(b"x"), "key_encrypted"),
    ):
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        (tmp_path / "other.key").write_bytes(pem)
        error = mistake(file(tmp_path, table))
        assert (error.reason, error.key) == (reason, "tls.key")


@pytest.mark.parametrize(
    ("more", "reason", "key"),
    [
        ('[tls]\nkey = "x"', "pair", "tls.certificate"),
        *(
            (f"[metrics]\nlisten = '{text}'", "address", "metrics.listen")
            for text in ("everywhere", "9100", ":9100", "[]:9100", "::9100", "*:9100", "a b:9100")
        ),
        ("[servers]", "unknown_key", "servers"),
        (
            '[[listen]]\nmode = "tls"\naddress = "127.0.0.1:7465"\n'
            '[[listen]]\nmode = "starttls"\naddress = "127.0.0.1:7465"',
            "listen_twice",
            "listen[3].address",
        ),
        (
            '[[listen]]\nmode = "tls"\naddress = "[::1]:7465"\n'
            '[[listen]]\nmode = "starttls"\naddress = "[0::1]:7465"',
            "listen_twice",
            "listen[3].address",
        ),
        (
            '[[listen]]\nmode = "tls"\naddress = "[::]:7465"\n'
            '[[listen]]\nmode = "tls"\naddress = "127.0.0.1:7465"\n'
            '[[listen]]\nmode = "starttls"\naddress = "0.0.0.0:7465"',
            "listen_within",
            "listen[4].address",
        ),
    ],
)
def test_mistakes_between_the_tables(tmp_path, more, reason, key) -> None:
    error = mistake(file(tmp_path, more))
    assert (error.reason, error.key) == (reason, key)
    for lang in ("en", "zh"):
        assert key in error.told(Catalogue(lang, strict=True))


def test_its_name_is_one_that_may_be_said_in_smtp(tmp_path) -> None:
    path = file(tmp_path)
    for name in ("re lay.test", "relay.test\u00a0x", "10.0.0.1", "re_lay.test"):
        path.write_text(SMALL.replace("relay.test", name))
        error = mistake(path)
        assert (error.reason, error.key) == ("server_name", "server.name")
        for lang in ("en", "zh"):
            assert "server.name" in error.told(Catalogue(lang, strict=True))
    path.write_text(SMALL.replace("relay.test", "Bücher.test."))
    assert read(path).server.name == "xn--bcher-kva.test"


def test_a_file_of_another_encoding_is_told_with_its_line(tmp_path) -> None:
    path = file(tmp_path)
    for encoding in ("latin-1", "gb18030"):
        path.write_bytes(f"{SMALL}# ü\n".encode(encoding))
        with pytest.raises(ConfigError) as refused:
            read(path)
        line = SMALL.count("\n") + 1
        assert (refused.value.problem, refused.value.params["line"]) == ("not_utf8", line)
        assert f"line {line} is not in UTF-8" in refused.value.told(Catalogue("en", strict=True))
        assert f"第 {line} 行" in refused.value.told(Catalogue("zh", strict=True))
    path.write_bytes(SMALL.encode("utf-8-sig"))  # as editors of Windows write it
    assert read(path).server.name == "relay.test"
