"""``posthouse user``, in this process, on a folder of its own."""

from __future__ import annotations

import errno
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from posthouse.cli.user import COMMANDS
from posthouse.flow import Secret
from posthouse.send.submit import accounts
from posthouse.send.submit import secret as app_secret
from posthouse.send.submit.accounts import Accounts
from unit.cli.world import World

NOBODY = 65_534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> World:
    return World(monkeypatch, capsys)


@pytest.fixture
def theirs() -> Iterator[Path]:
    """A data folder of the relay's user, where that one can get to (pytest's own are 0700)."""
    with TemporaryDirectory(dir="/tmp") as made:
        folder = Path(made)
        folder.chmod(0o755)
        (folder / "data").mkdir(mode=0o700)
        os.chown(folder / "data", NOBODY, NOBODY)
        yield folder / "data"


@as_root
def test_what_root_makes_belongs_to_the_relays_user(command: World, theirs: Path) -> None:
    assert command.run("user", "add", "alice@d.example", "--data", str(theirs)).code == 0
    assert {path.name: path.stat().st_uid for path in theirs.iterdir()} == {
        "users.sqlite": NOBODY, "users.lock": NOBODY
    }  # fmt: skip
    assert os.geteuid() == os.getegid() == 0


@as_root
@pytest.mark.parametrize("name", ["users.lock", "users.sqlite-wal", "users.sqlite"])
def test_root_gives_no_file_away_to_which_the_relays_user_has_put_a_link(
    command: World, theirs: Path, name: str
) -> None:
    if name == "users.sqlite-wal":  # older ones of SQLite follow it, and give it to the owner
        assert command.run("user", "add", "alice@d.example", "--data", str(theirs)).code == 0
    victim = theirs.parent / "shadow"
    victim.write_bytes(b"root's")
    victim.chmod(0o600)
    (theirs / name).symlink_to(victim)
    ran = command.run("user", "add", "bob@d.example", "--data", str(theirs))
    found = victim.stat()
    assert (found.st_uid, found.st_gid, victim.read_bytes()) == (0, 0, b"root's")
    assert (ran.code, "can't be read" in ran.err) == (2, True)
    assert os.geteuid() == 0


def test_from_nobody_to_a_login_that_works(command: World, tmp_path: Path) -> None:
    data = ["--data", str(tmp_path / "data")]
    ran = command.run("user", "add", "Alice@d.example", "--network", "10.0.0.0/8", *data)
    assert (ran.code, ran.err) == (0, "")
    assert "alice@d.example may send as alice@d.example, from 10.0.0.0/8 only." in ran.out
    ran = command.run("user", "password", "alice@d.example", "--label", "laptop", *data)
    assert ran.code == 0
    assert re.fullmatch(r"([0-9a-z]{4}-){6}[0-9a-z]{4}\n", ran.out)  # alone on stdout
    secret = app_secret.normal(Secret(ran.out.strip()))
    found = Accounts(tmp_path / "data").find("alice@d.example", app_secret.selector(secret))
    assert found is not None
    assert app_secret.verify(found.hash, secret)
    ran = command.run("user", "list", *data)
    assert "laptop" in ran.out
    assert "last used never" in ran.out
    assert secret.reveal() not in ran.out.replace("-", "")


def test_json_has_everything(command: World, tmp_path: Path) -> None:
    data = ["--data", str(tmp_path), "--json"]
    added = command.run("user", "add", "shop", "--from", "@shop.example", *data).json
    assert added["user"]["from"] == ["*@shop.example"]
    first = command.run("user", "password", "shop", "--expires", "2099-12-31", *data).json
    second = command.run("user", "password", "shop", *data).json
    assert first["expires"] == "2100-01-01T00:00:00+00:00"
    assert second["label"] == first["label"] + "-2"
    assert command.run("user", "revoke", "shop", first["label"], *data).json["revoked"] == 1
    assert not command.run("user", "disable", "shop", *data).json["user"]["enabled"]
    (user,) = command.run("user", "list", *data).json["users"]
    assert user["enabled"] is False
    assert [one["revoked"] is None for one in user["passwords"]] == [False, True]
    assert command.run("user", "enable", "shop", *data).json["user"]["enabled"]
    assert command.run("user", "delete", "shop", *data).json == {"schema": 1, "deleted": "shop"}
    assert command.run("user", "list", *data).json["users"] == []


def test_the_configuration_says_where(command: World, tmp_path: Path) -> None:
    config = tmp_path / "posthouse.toml"
    config.write_text(f'[server]\nname = "x"\ndata = "{tmp_path}/data"\n')
    assert command.run("user", "add", "a@d.example", "--config", str(config)).code == 0
    assert (tmp_path / "data" / "users.sqlite").exists()


def test_a_folder_that_cannot_be_used_is_not_called_one_without_users(
    command: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(accounts, "_create", full)
    ran = command.run("user", "add", "a@d.example", "--data", str(tmp_path))
    assert ran.code == 2
    assert "No space left on device" in ran.err
    assert "add one with" not in ran.err


def test_who_forgets_sudo_is_not_told_that_there_are_no_users(
    command: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_path: Path, **_: object) -> os.stat_result:  # as root, nothing is
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", denied)
        ran = command.run("user", "list", "--data", str(tmp_path))
    assert ran.code == 2
    assert "can't be read" in ran.err
    assert str(tmp_path / "users.sqlite") in ran.err


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_is_advised_is_for_the_same_relay(command: World, tmp_path: Path, lang: str) -> None:
    """To be copied: with the options given, and quoted for a shell."""
    config = tmp_path / "a relay.toml"
    config.write_text(f'[server]\nname = "x"\ndata = "{tmp_path}/data"\n')
    for where in (["--config", str(config)], ["--data", str(tmp_path / "data")]):
        given = shlex.join(where)
        name = f"the shop {len(where[0])}"
        ran = command.run("user", "add", name, "--from", "@d.example", *where, lang=lang)
        assert f"posthouse user password '{name}' {given}" in ran.out
        ran = command.run("user", "list", *where, lang=lang)
        listed = "".join(ran.out.split())
        assert f"posthouse user password '{name}' {given}".replace(" ", "") in listed
        ran = command.run("user", "disable", "nobody", *where, lang=lang)
        assert f"posthouse user list {given}" in ran.err
        assert command.run("user", "delete", name, *where).code == 0
        ran = command.run("user", "list", *where, lang=lang)
        assert given.replace(" ", "") in "".join(ran.out.split())
    ran = command.run("user", "add", "a@d.example", "--data", str(tmp_path / "data"))
    assert ran.out.endswith(f"posthouse user password a@d.example --data {tmp_path}/data\n")


WRONG = [
    (["user"], "add|list"),
    (["user", "ad"], "ad"),
    (["user", "add"], "NAME is missing"),
    (["user", "add", "shop"], "--from ADDRESS"),
    (["user", "add", "shop", "--from", "x y"], "neither an address nor *@domain"),
    (["user", "add", "a@d.example", "--network", "10.0.0.1/8"], "--network[1]: '10.0.0.1/8'"),
    (["user", "add", "known@d.example"], "already"),
    (["user", "password", "nobody"], "no user nobody"),
    (["user", "password", "known@d.example", "--expires", "1999-01-01"], "no date to come"),
    (["user", "password", "known@d.example", "--expires", "soon"], "no date to come"),
    (["user", "password", "known@d.example", "--label", "one"], "already"),
    (["user", "revoke", "known@d.example", "two"], 'no app password "two"'),
    (["user", "delete", "nobody"], "no user nobody"),
    (["user", "list", "--config", "/nowhere.toml"], "/nowhere.toml can't be read"),
    (["user", "list", "--data", "/nowhere"], "no users in /nowhere"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG, ids=[" ".join(a) for a, _ in WRONG])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_wrong_use_is_one_clear_line(
    command: World, tmp_path: Path, lang: str, arguments: list[str], words: str
) -> None:
    data = ["--data", str(tmp_path)]
    command.run("user", "add", "known@d.example", *data)
    command.run("user", "password", "known@d.example", "--label", "one", *data)
    where = data if len(arguments) > 1 and not {"--data", "--config"} & set(arguments) else []
    ran = command.run(*arguments, *where, lang=lang)
    assert ran.code == 2
    assert not ran.out
    assert "Traceback" not in ran.err
    assert 1 <= len(ran.err.splitlines()) <= 3
    if lang == "en":
        assert words in " ".join(ran.err.split()), ran.err


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help(command: World, lang: str, name: str) -> None:
    ran = command.run("user", *[name] * bool(name), "--help", lang=lang)
    assert ran.code == 0
    assert "posthouse user " in ran.out
    assert "cli." not in ran.out
