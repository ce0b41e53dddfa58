"""The accounts: one file, many processes, secrets seen once."""

from __future__ import annotations

import sqlite3
import stat
from concurrent.futures import ProcessPoolExecutor
from ipaddress import ip_network
from pathlib import Path

import pytest

from posthouse.flow import Secret
from posthouse.send.submit import secret as app_secret
from posthouse.send.submit.accounts import AccountError, Accounts, AccountsUnreadable
from posthouse.send.submit.senders import PatternError, Senders, canonical

ALICE = "alice@d.example"


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(tmp_path / "data", create=True)


def test_nobody_else_reads_the_file(accounts: Accounts) -> None:
    accounts.add(ALICE, [ALICE], [], 1.0)
    folder = accounts.path.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert set(modes.values()) == {0o600}, modes


def _open(folder: str) -> str:
    try:
        Accounts(Path(folder), create=True).close()
    except AccountsUnreadable as error:
        return str(error)
    return ""


def test_workers_that_start_together_make_one_file(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4) as workers:
        for number in range(5):
            folder = str(tmp_path / str(number))
            assert [*workers.map(_open, [folder] * 8)] == [""] * 8


def test_what_is_kept(accounts: Accounts) -> None:
    networks = [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")]
    made = accounts.add("Alice@D.example", [ALICE, "*@shop.example"], networks, 7.0)
    again = Accounts(accounts.path.parent).user(ALICE)
    assert again == made
    assert made.networks == tuple(networks)
    assert [user.name for user in accounts.users()] == [ALICE]


def test_the_secret_is_nowhere(accounts: Accounts) -> None:
    accounts.add(ALICE, [ALICE], [], 1.0)
    secret = accounts.make_password(ALICE, "laptop", 2.0)
    words = secret.reveal().split("-")
    assert [len(word) for word in words] == [4] * 7
    assert 5 * 4 * (len(words) - 1) >= 120  # bits, without the selector
    held = b"".join(path.read_bytes() for path in accounts.path.parent.iterdir())
    assert not any(word.encode() in held for word in words[1:])
    found = accounts.find(ALICE, words[0])
    assert found is not None
    assert found.hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert app_secret.verify(found.hash, app_secret.normal(secret))
    assert found.hash not in repr(found)


@pytest.mark.parametrize(
    "typed",
    ["7k3f-o1ab", "7K3F-01AB", " 7k3f 0lab ", "7k3f0iab", "7k3f‑01ab", "7k3f\u00a001ab"],
)
def test_a_secret_is_read_as_people_type_it(typed: str) -> None:
    assert app_secret.normal(Secret(typed)).reveal() == "7k3f01ab"


@pytest.mark.parametrize("typed", ["", "\udcff", "x" * 100_000, "\x00"])
def test_odd_secrets_are_wrong_and_no_more(typed: str) -> None:
    encoded = app_secret.hashed(Secret("x"))
    assert not app_secret.verify(encoded, app_secret.normal(Secret(typed)))
    assert not app_secret.verify("no hash", Secret("x"))


def test_all_of_the_random_octets_count() -> None:
    made = {app_secret.make(lambda n, o=octet: bytes([o] * n)).reveal() for octet in range(32)}
    assert len(made) == 32


def test_labels_and_revoking(accounts: Accounts) -> None:
    accounts.add(ALICE, [ALICE], [], 1.0)
    for label in ("laptop", "phone"):
        accounts.make_password(ALICE, label, 2.0)
    with pytest.raises(AccountError, match="label_taken"):
        accounts.make_password(ALICE, "laptop", 3.0)
    before = accounts.changed(ALICE)
    assert accounts.revoke(ALICE, 4.0, "laptop") == 1
    assert accounts.changed(ALICE) != before
    with pytest.raises(AccountError, match="no_label"):
        accounts.revoke(ALICE, 4.0, "laptop")
    accounts.make_password(ALICE, "laptop", 5.0)  # the label is free again
    assert [p.good(9.0) for p in accounts.passwords(ALICE)] == [False, True, True]
    assert accounts.revoke(ALICE, 6.0) == 2
    assert not any(p.good(9.0) for p in accounts.passwords(ALICE))


def test_another_process_sees_a_change_at_once(accounts: Accounts) -> None:
    accounts.add(ALICE, [ALICE], [], 1.0)
    worker = Accounts(accounts.path.parent)
    seen = [worker.changed(ALICE)]
    for change in (
        lambda: accounts.enable(ALICE, False),
        lambda: accounts.enable(ALICE, True),
        lambda: accounts.revoke(ALICE, 1.0),
        lambda: accounts.delete(ALICE),
        lambda: accounts.add(ALICE, [ALICE], [], 2.0),
    ):
        change()
        seen.append(worker.changed(ALICE))
    assert seen[1] is None  # disabled
    assert seen[4] is None  # deleted
    assert len(set(seen) - {None}) == 4  # never the same number twice


@pytest.mark.parametrize(
    ("reason", "act"),
    [
        ("taken", lambda a: a.add("ALICE@d.example", [], [], 1.0)),
        ("name", lambda a: a.add("", [], [], 1.0)),
        ("name", lambda a: a.add("a\nb", [], [], 1.0)),
        ("name", lambda a: a.add("a" * 300, [], [], 1.0)),
        ("label", lambda a: a.make_password(ALICE, "a\x00b", 1.0)),
        ("nobody", lambda a: a.make_password("bob", "x", 1.0)),
        ("nobody", lambda a: a.revoke("bob", 1.0)),
        ("nobody", lambda a: a.enable("bob", True)),
        ("nobody", lambda a: a.delete("bob")),
    ],
)
def test_what_cannot_be_done(accounts: Accounts, reason: str, act) -> None:
    accounts.add(ALICE, [ALICE], [], 1.0)
    with pytest.raises(AccountError) as wrong:
        act(accounts)
    assert wrong.value.reason == reason
    assert [user.name for user in accounts.users()] == [ALICE]


def test_an_empty_file_is_none(tmp_path: Path) -> None:
    """``sqlite3 users.sqlite ".backup ..."`` makes one where there are no users."""
    (tmp_path / "users.sqlite").touch(0o644)
    accounts = Accounts(tmp_path, create=True)
    accounts.add(ALICE, [ALICE], [], 0.0)
    accounts.close()
    assert stat.S_IMODE((tmp_path / "users.sqlite").stat().st_mode) == 0o600


def test_a_damaged_page_is_told_by_whatever_meets_it(accounts: Accounts) -> None:
    for number in range(400):
        accounts.add(f"u{number}@d.example", ["*"], [], 0.0)
    accounts.close()
    whole = accounts.path.read_bytes()
    accounts.path.write_bytes(whole[:4096] + bytes(len(whole) - 4096))
    again = Accounts(accounts.path.parent)
    for look in (again.users, lambda: again.passwords(ALICE)):
        with pytest.raises(AccountsUnreadable, match=r"users\.sqlite: "):
            look()
    again.close()


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(AccountsUnreadable):
        Accounts(tmp_path / "nowhere")
    (tmp_path / "users.sqlite").write_bytes(b"something else" * 100)
    with pytest.raises(AccountsUnreadable):
        Accounts(tmp_path)
    (tmp_path / "users.sqlite").unlink()
    sqlite3.connect(tmp_path / "users.sqlite").execute("PRAGMA user_version = 99")
    with pytest.raises(AccountsUnreadable, match="99"):
        Accounts(tmp_path)


@pytest.mark.parametrize(
    "damage", ["senders = 'no JSON'", "senders = '7'", "networks = '[\"everywhere\"]'"]
)
def test_a_row_that_is_no_user_is_told(accounts: Accounts, damage: str) -> None:
    accounts.add(ALICE, [ALICE], [], 1.0)
    with sqlite3.connect(accounts.path) as db:
        db.execute(f"UPDATE users SET {damage}")
    for look in (accounts.users, lambda: accounts.user(ALICE)):
        with pytest.raises(AccountsUnreadable, match=r"users\.sqlite: alice@d\.example: "):
            look()


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("alice@d.example", True),
        ("Alice@D.Example", True),
        ("bob@shop.d.example", True),
        ("bob@d.example", False),
        ("alice@d.example.evil.example", False),
        ("bob@sub.shop.d.example", False),
        ("alice@d.example@evil.example", False),
        ('"bob@shop.d.example"@evil.example', False),
        ("bob@xshop.d.example", False),
        ("bob@例子.example", True),
        ("bob@xn--fsqu00a.example", True),
        ("", False),
        ("@", False),
        ("*@shop.d.example", True),  # a local part like any other
    ],
)
def test_as_whom_a_user_may_send(address: str, allowed: bool) -> None:
    patterns = ["Alice@d.example", "@shop.d.example", "*@例子.example"]
    assert Senders.of(canonical(one) for one in patterns).allow(address) is allowed


@pytest.mark.parametrize(
    "pattern", ["", "**", "*@", "alice", "a@b@c", "*@*.example", "al*@d.example x"]
)
def test_no_pattern(pattern: str) -> None:
    with pytest.raises(PatternError):
        canonical(pattern)


@pytest.mark.parametrize("typed", ["ＺＨＡＮＧ＠d.example", "zhang＠d.example", "Zhang@d．example"])
def test_a_login_typed_by_an_input_method_is_the_same_login(tmp_path: Path, typed: str) -> None:
    accounts = Accounts(tmp_path, create=True)
    try:
        assert accounts.add(typed, ["zhang@d.example"], (), 0.0).name == "zhang@d.example"
        with pytest.raises(AccountError, match="taken"):
            accounts.add("zhang@d.example", ["zhang@d.example"], (), 0.0)
    finally:
        accounts.close()
