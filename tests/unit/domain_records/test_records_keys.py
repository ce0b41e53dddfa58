"""Signing keys on disk: only their owner reads them, none is ever overwritten, all are dated."""

from __future__ import annotations

import multiprocessing
import os
import stat
import subprocess
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from posthouse.protocol import dkim
from posthouse.protocol.dns import AnswerStatus, run
from posthouse.setup.domain.keys import (
    INDEX,
    KeyCheck,
    KeyStore,
    KeyStoreError,
    State,
    check,
    keys_dict,
    publishable,
)
from posthouse.setup.domain.records import Inventory

from .world import NOW, Zone, settled, texts

DOMAIN = "example.test"


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "keys")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_only_the_owner_can_read(store: KeyStore, umask: int) -> None:
    store.folder.parent.mkdir(exist_ok=True)
    store.folder.mkdir(mode=0o700)  # under umask 777 nobody could go on
    store.folder.joinpath(DOMAIN).mkdir(mode=0o700)
    before = os.umask(umask)
    try:
        made = store.make(DOMAIN, NOW, kind="ed25519")
    finally:
        os.umask(before)
    assert mode(store.path(made.key)) == 0o600
    assert mode(store.folder / INDEX) == 0o600
    assert [path.name for path in store.folder.joinpath(DOMAIN).iterdir()] == ["e202611.pem"]


def test_folders_are_private(store: KeyStore) -> None:
    made = store.make(DOMAIN, NOW)
    assert mode(store.folder) == mode(store.path(made.key).parent) == 0o700
    assert made.key.selector == "r202611"
    assert dkim.parse_key_record(made.text).bits == 2_048
    assert dkim.matches(store.load(made.key), dkim.parse_key_record(made.text))
    assert store.signing_key(made.key).algorithm == "rsa-sha256"


def test_the_index_is_what_the_relay_reads(store: KeyStore) -> None:
    store.make("例子.test", NOW, kind="ed25519", selector="S1")
    [row] = tomllib.loads((store.folder / INDEX).read_text())["key"]
    assert row == {
        "domain": "xn--fsqu00a.test",
        "selector": "s1",
        "algorithm": "ed25519-sha256",
        "path": "xn--fsqu00a.test/s1.pem",
        "created": NOW,
        "state": "active",
    }
    assert store.index() == KeyStore(store.folder).index("xn--fsqu00a.test")


def test_rotation_keeps_and_dates_the_old(store: KeyStore) -> None:
    first = store.make(DOMAIN, NOW, kind="ed25519").key
    store.make(DOMAIN, NOW)  # RSA beside it is not touched
    later = NOW + timedelta(days=100)
    second = store.rotate(DOMAIN, later, kind="ed25519")
    assert second.key.state is State.NEXT
    assert second.beside == (first,)
    assert store.get(DOMAIN, first.selector).state is State.ACTIVE
    with pytest.raises(KeyStoreError, match="state"):
        store.rotate(DOMAIN, later, kind="ed25519")
    new, old = store.activate(DOMAIN, second.key.selector, later)
    assert (new.state, old.state) == (State.ACTIVE, State.RETIRED)
    assert old.retired == later
    assert old.remove_after == later + timedelta(days=7)
    assert [one.state for one in store.index(DOMAIN) if one.kind == "rsa"] == [State.ACTIVE]
    assert store.path(old).exists()
    with pytest.raises(KeyStoreError, match="state"):
        store.activate(DOMAIN, second.key.selector, later)


def test_nothing_is_overwritten(store: KeyStore) -> None:
    made = store.make(DOMAIN, NOW, kind="ed25519", selector="s1")
    before = store.path(made.key).read_bytes()
    with pytest.raises(KeyStoreError, match="exists"):
        store.make(DOMAIN, NOW, kind="ed25519", selector="s1")
    stray = store.folder / DOMAIN / "s2.pem"
    stray.write_bytes(b"precious")
    with pytest.raises(KeyStoreError, match="exists"):
        store.make(DOMAIN, NOW, kind="ed25519", selector="s2")
    (store.folder / INDEX).unlink()  # an index that was lost loses no key
    with pytest.raises(KeyStoreError, match="exists"):
        store.make(DOMAIN, NOW, kind="ed25519", selector="s1")
    assert store.make(DOMAIN, NOW, kind="ed25519").key.selector == "e202611"
    assert store.make(DOMAIN, NOW, kind="ed25519").key.selector == "e202611b"
    assert (store.path(made.key).read_bytes(), stray.read_bytes()) == (before, b"precious")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"domain": "local"}, "domain"),
        ({"domain": "../../etc"}, "domain"),
        ({"selector": "../x"}, "selector"),
        ({"selector": "a.b"}, "selector"),
        ({"selector": "-a"}, "selector"),
        ({"selector": "a" * 64}, "selector"),
        ({"kind": "dsa"}, "algorithm"),
        ({"bits": 1_024}, "bits"),
    ],
)
def test_what_is_refused(store: KeyStore, arguments: dict[str, object], reason: str) -> None:
    given = {"domain": DOMAIN, "now": NOW, **arguments}
    with pytest.raises(KeyStoreError) as caught:
        store.make(**given)  # type: ignore[arg-type]
    assert caught.value.reason == reason


def test_a_folder_that_others_read_is_not_used(store: KeyStore) -> None:
    store.folder.mkdir(mode=0o755)
    store.folder.chmod(0o755)
    with pytest.raises(KeyStoreError) as caught:
        store.make(DOMAIN, NOW, kind="ed25519")
    assert caught.value.fix == f"chmod 0700 {store.folder}"
    assert list(store.folder.glob("**/*.pem")) == []


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660, 0o644, 0o620, 0o601])
def test_a_key_that_others_read_is_refused_and_the_fix_is_exact(store: KeyStore, bits: int) -> None:
    made = store.make(DOMAIN, NOW, kind="ed25519")
    path = store.path(made.key)
    path.chmod(bits)
    with pytest.raises(KeyStoreError) as caught:
        store.signing_key(made.key)
    assert caught.value.reason == "mode"
    zone = Zone({(made.key.name, "TXT"): [made.text]})
    [one] = run(check(store, NOW), zone.answer)
    assert not one.usable
    fix = dict(one.findings[0].params)["fix"]
    subprocess.run(fix, shell=True, check=True)
    assert mode(path) == 0o600
    [one] = run(check(store, NOW), zone.answer)
    assert one.usable


def test_a_path_with_blanks_has_a_fix_that_works(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "my 'keys' $(x)")
    made = store.make(DOMAIN, NOW, kind="ed25519")
    store.folder.chmod(0o750)
    with pytest.raises(KeyStoreError) as caught:
        store.load(made.key)
    subprocess.run(caught.value.fix, shell=True, check=True)
    store.load(made.key)


def test_links_are_not_followed(store: KeyStore, tmp_path: Path) -> None:
    made = store.make(DOMAIN, NOW, kind="ed25519")
    path = store.path(made.key)
    path.rename(tmp_path / "elsewhere.pem")
    path.symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(KeyStoreError) as caught:
        store.load(made.key)
    assert caught.value.reason == "link"


def ids(one: KeyCheck) -> set[str]:
    return {each.id.removeprefix("records.") for each in one.findings}


def test_check_tells_each_state(store: KeyStore) -> None:
    made = store.make(DOMAIN, NOW, kind="ed25519", selector="s1")
    other = dkim.record_text(dkim.generate("ed25519"))
    zone = Zone()
    cases: list[tuple[list[str], set[str]]] = [
        ([], {"key_unpublished"}),
        ([made.text], {"key_ok"}),
        ([made.text.replace("; ", ";")], {"key_ok"}),
        ([other], {"key_differs"}),
        ([made.text, other], {"key_several"}),
        (["v=DKIM1; p="], {"key_revoked"}),
        (["v=DKIM1; k=rsa; p=x"], {"key_record_bad"}),
    ]
    for records, wanted in cases:
        zone.table = {(made.key.name, "TXT"): records} if records else {}
        [one] = run(check(store, NOW), zone.answer)
        assert ids(one) == wanted
    zone.failing[made.key.name, "TXT"] = AnswerStatus.SERVFAIL
    [one] = run(check(store, NOW), zone.answer)
    assert ids(one) == {"key_dns_failed"}


def test_check_tells_age_and_rotation(store: KeyStore) -> None:
    first = store.make(DOMAIN, NOW, kind="ed25519", selector="s1")
    zone = Zone({(first.key.name, "TXT"): [first.text]})
    later = NOW + timedelta(days=200)
    [one] = run(check(store, later), zone.answer)
    assert ids(one) == {"key_old"}
    assert one.usable
    second = store.rotate(DOMAIN, later, kind="ed25519", selector="s2")
    _, waiting = run(check(store, later), zone.answer)
    assert ids(waiting) == {"key_unpublished"}
    zone.table[second.key.name, "TXT"] = [second.text]
    _, waiting = run(check(store, later), zone.answer)
    assert ids(waiting) == {"key_next_ready"}
    store.activate(DOMAIN, "s2", later)
    old, _ = run(check(store, later + timedelta(days=1)), zone.answer)
    assert ids(old) == {"key_kept"}
    old, _ = run(check(store, later + timedelta(days=8)), zone.answer)
    assert ids(old) == {"key_remove"}


def test_missing_unreadable_and_stray_files(store: KeyStore) -> None:
    made = store.make(DOMAIN, NOW, kind="ed25519", selector="s1")
    path = store.path(made.key)
    path.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    zone = Zone({(made.key.name, "TXT"): [made.text]})
    assert "key_unreadable" in ids(run(check(store, NOW), zone.answer)[0])
    path.unlink()
    (path.parent / "old.pem").write_bytes(b"x")
    one, stray = run(check(store, NOW), zone.answer)
    assert "key_missing" in ids(one)
    assert ids(stray) == {"key_orphan"}


@pytest.mark.parametrize(
    "index",
    [
        "[[key]",
        "key = 1",
        "[[key]]\ndomain = 1",
        '[[key]]\ndomain = "a.test"\nselector = "s"\nalgorithm = "rsa-sha256"\n'
        'path = "../../etc/shadow"\ncreated = 2026-01-01T00:00:00Z\nstate = "active"',
        '[[key]]\ndomain = "a.test"\nselector = "s"\nalgorithm = "rsa-sha1"\n'
        'path = "a.test/s.pem"\ncreated = 2026-01-01T00:00:00Z\nstate = "active"',
        '[[key]]\ndomain = "a.test"\nselector = "s"\nalgorithm = "rsa-sha256"\n'
        'path = "a.test/s.pem"\ncreated = "soon"\nstate = "active"',
        "\xff",
    ],
)
def test_a_broken_index_is_an_error_and_stays(store: KeyStore, index: str) -> None:
    store.folder.mkdir(mode=0o700)
    path = store.folder / INDEX
    path.write_bytes(index.encode("latin-1"))
    with pytest.raises(KeyStoreError, match="index"):
        store.index()
    with pytest.raises(KeyStoreError, match="index"):
        store.make(DOMAIN, NOW, kind="ed25519")
    assert path.read_bytes() == index.encode("latin-1")


def _make(folder: Path, number: int) -> None:
    KeyStore(folder).make(f"d{number}.test", NOW, kind="ed25519")


def test_two_at_once_lose_nothing(store: KeyStore) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_make, args=(store.folder, n)) for n in range(6)]
    for one in workers:
        one.start()
    for one in workers:
        one.join(30)
    assert {one.domain for one in store.index()} == {f"d{n}.test" for n in range(6)}


def test_no_private_key_is_shown(store: KeyStore) -> None:
    made = store.make(DOMAIN, NOW, kind="ed25519")
    secret = store.path(made.key).read_text().splitlines()[1]
    checks = run(check(store, NOW), Zone().answer)
    shown = f"{made!r} {checks!r} {keys_dict(checks)!r} {store.signing_key(made.key)!r}"
    assert secret not in shown
    assert "PRIVATE KEY" not in shown


def test_a_plan_publishes_the_keys_of_the_store(store: KeyStore) -> None:
    store.make(DOMAIN, NOW, kind="ed25519", selector="s1")
    store.rotate(DOMAIN, NOW, kind="ed25519", selector="s2")
    zone = Zone()
    settled(zone, Inventory(DOMAIN, selectors=publishable(store, DOMAIN)))
    store.activate(DOMAIN, "s2", NOW)
    made = settled(zone, Inventory(DOMAIN, selectors=publishable(store, DOMAIN)))
    assert [one[0] for one in texts(made, "dkim")] == ["same", "same"]
    late = datetime(2026, 12, 24, tzinfo=UTC)
    made = settled(zone, Inventory(DOMAIN, selectors=publishable(store, DOMAIN)), now=late)
    assert ("s1._domainkey.example.test", "TXT") not in zone.table
    assert ("s2._domainkey.example.test", "TXT") in zone.table
