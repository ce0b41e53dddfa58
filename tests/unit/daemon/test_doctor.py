"""The relay's doctor: what each look finds, sound or not."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from fakes.certs import Authority, Kind
from posthouse.daemon import numbers
from posthouse.daemon.doctor import certificate, files, kept, look, names, place
from posthouse.daemon.lock import lock
from posthouse.daemon.ports import StartError
from posthouse.flow import Status
from posthouse.net.clock import FakeClock, SystemClock
from posthouse.net.resolver import AnswerStatus, FixtureResolver
from posthouse.protocol import dkim
from posthouse.send.queue import sound
from posthouse.send.queue.files import lanes_in
from posthouse.send.queue.lane import Lane
from posthouse.send.submit.accounts import Accounts
from unit.daemon.installed import config, installed, said
from unit.send.test_lane import letter

OK, WARN, FAIL, UNKNOWN, SKIPPED = Status
NOBODY = 65_534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


# -- the machine


def test_a_fresh_installation(tmp_path) -> None:
    found = said(place.look(config(tmp_path)))
    own = "relay.folder.root" if os.geteuid() == 0 else "relay.folder.ok"
    assert found.pop(own) in (OK, WARN)
    assert found.pop("relay.files.ok", OK) is OK
    found.pop("relay.files.low_here", None)
    assert found == {
        "relay.running.not": SKIPPED, "relay.space.ok": OK, "relay.port.free": OK
    }  # fmt: skip


def test_before_the_first_start(tmp_path) -> None:
    at = config(tmp_path)
    shutil.rmtree(at.server.data)
    found = said(place.look(at))
    assert found["relay.folder.missing"] is WARN
    assert found["relay.space.ok"] is OK  # of the folder it will be made in


def test_a_data_folder_that_others_can_look_into(tmp_path) -> None:
    at = config(tmp_path)
    at.server.data.chmod(0o755)
    assert said(place.look(at))["relay.folder.open"] is FAIL


@as_root
def test_files_of_somebody_else_in_the_data_folder(tmp_path) -> None:
    at = config(tmp_path)
    (at.server.data / "queue" / "lane-0.sqlite").touch()
    os.chown(at.server.data, NOBODY, NOBODY)
    os.chown(at.server.data / "queue", NOBODY, NOBODY)
    findings = list(place.look(at))
    assert said(findings)["relay.folder.owner"] is FAIL
    owner = next(one for one in findings if one.id == "relay.folder.owner")
    assert owner.params["files"] == "queue/lane-0.sqlite"


def test_a_data_folder_that_is_a_file_is_told_so_and_nobody_sent_to_root(tmp_path) -> None:
    at = config(tmp_path)
    shutil.rmtree(at.server.data)
    at.server.data.write_text("x")
    assert said(place.look(at)) == {"relay.folder.file": FAIL}
    below = replace(at, server=replace(at.server, data=at.server.data / "below"))
    assert said(place.look(below)) == {"relay.folder.file": FAIL}


@pytest.mark.parametrize(
    ("free", "id_", "status"),
    [(63, "full", FAIL), (64, "low", WARN), (639, "low", WARN), (640, "ok", OK)],
)
def test_space(tmp_path, monkeypatch, free, id_, status) -> None:
    disk = SimpleNamespace(f_bavail=free, f_frsize=1 << 20)
    monkeypatch.setattr(place.os, "statvfs", lambda _path: disk)
    assert said(place.look(config(tmp_path)))[f"relay.space.{id_}"] is status


def test_open_files_are_counted_for_each_pool(tmp_path, monkeypatch) -> None:
    ways = """
[[hop]]
name = "smart"
hosts = ["192.0.2.1:25"]
pool = 100
[[hop]]
name = "direct"
mx = true
pool = 30
[[route]]
hop = "smart"
"""
    at = config(tmp_path, ways)
    need = place.OWN + place.CLIENTS + 100 + place.DOMAINS * 30
    for limit, process, id_, status in [
        (need, None, "ok", OK),
        (need - 1, None, "low_here", UNKNOWN),
        (need - 1, 4711, "low", WARN),
    ]:
        monkeypatch.setattr(place, "open_files", lambda _process, limit=limit: limit)
        monkeypatch.setattr(place, "supervisor", lambda _data, process=process: process)
        findings = list(place.look(at))
        assert said(findings)[f"relay.files.{id_}"] is status
        told = next(one for one in findings if one.id.startswith("relay.files."))
        assert told.params == {"limit": limit, "need": need}


def test_the_limit_of_a_process_is_its_own() -> None:
    import resource

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert place.open_files(None) == place.open_files(os.getpid()) == soft
    assert place.open_files(2**22 + 1) == soft  # no such process


def test_ports_beside_a_relay_that_runs_and_beside_another_program(tmp_path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        at = config(tmp_path, port=sock.getsockname()[1])
        assert said(place.look(at))["relay.port.taken"] is FAIL
        with lock(at, lambda _kind, **_facts: None):
            found = said(place.look(at))
            assert place.supervisor(at.server.data) in (os.getpid(), 0)
        assert found["relay.port.held"] is OK
        assert found["relay.running.stuck"] is FAIL  # no worker writes that it works
    with lock(at, lambda _kind, **_facts: None):
        assert said(place.look(at))["relay.port.unused"] is WARN
    assert place.supervisor(at.server.data) is None


# -- who may read what


def test_secrets_that_others_can_read(tmp_path) -> None:
    issued = Authority(tmp_path).issue(hosts=["relay.test"])
    key = tmp_path / "dkim.pem"
    key.write_bytes(dkim.write_private_key(dkim.generate("ed25519")))
    more = f"""
[tls]
certificate = "{issued.cert_file.name}"
key = "{issued.key_file.name}"
[[dkim]]
domain = "d.example"
selector = "s1"
key = "dkim.pem"
[[route]]
action = "hold"
"""
    it = installed(tmp_path, more)
    secret = [issued.key_file, key]
    for path in secret:
        path.chmod(0o640)
    issued.cert_file.chmod(0o644)  # is shown to everybody anyway
    assert said(files.look(it.path, it.document, it.config.server.data)) == {"relay.file.ok": OK}
    for path, mode in [(secret[0], 0o644), (secret[1], 0o660)]:
        path.chmod(mode)
        findings = list(files.look(it.path, it.document, it.config.server.data))
        assert said(findings) == {"relay.file.open": FAIL}
        assert [one.params["path"] for one in findings] == [str(path)]
        path.chmod(0o600)


@as_root
def test_files_that_the_relays_own_user_can_not_read(tmp_path_factory) -> None:
    folder = Path("/tmp") / tmp_path_factory.mktemp("installed").name  # pytest's own are 0700
    folder.mkdir(mode=0o755)
    try:
        secret = folder / "ses.secret"
        secret.write_text("x")
        secret.chmod(0o600)
        hop = '[[hop]]\nname = "h"\nhosts = "h.test:587"\nuser = "u"\nsecret_file = "ses.secret"\n'
        it = installed(folder, hop + '[[route]]\nhop = "h"\n')
        data = it.config.server.data
        assert said(files.look(it.path, it.document, data)) == {"relay.file.ok": OK}
        os.chown(data, NOBODY, NOBODY)
        findings = list(files.look(it.path, it.document, data))
        assert said(findings) == {"relay.file.denied": FAIL}
        assert [one.params["path"] for one in findings] == [str(secret)]
        os.chown(secret, 0, NOBODY)
        secret.chmod(0o640)
        assert said(files.look(it.path, it.document, data)) == {"relay.file.ok": OK}
        folder.chmod(0o700)  # the folder above decides as well
        assert said(files.look(it.path, it.document, data)) == {"relay.file.denied": FAIL}
    finally:
        shutil.rmtree(folder)


# -- the certificate


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (Kind.GOOD, {"ok": OK}),
        (Kind.EXPIRED, {"expired": FAIL}),
        (Kind.NOT_YET_VALID, {"early": FAIL}),
        (Kind.EXPIRES_SOON, {"overdue": WARN}),
        (Kind.WRONG_NAME, {"ok": OK, "name": FAIL}),
        (Kind.SELF_SIGNED, {"ok": OK, "self_signed": WARN}),
        (Kind.MISSING_INTERMEDIATE, {"ok": OK, "alone": WARN}),
    ],
)
def test_certificates(tmp_path, kind, found) -> None:
    issued = Authority(tmp_path).issue(kind, ["relay.test"])
    table = f'[tls]\ncertificate = "{issued.cert_file}"\nkey = "{issued.key_file}"\n'
    at = config(tmp_path, table + '[[route]]\naction = "hold"\n')
    got = said(certificate.look(at, datetime.now(UTC)))
    assert got == {f"relay.certificate.{id_}": status for id_, status in found.items()}


def test_a_self_made_certificate_matters_only_where_somebody_signs_in(tmp_path) -> None:
    now = datetime.now(UTC)
    signing_in, relaying = config(tmp_path), config(tmp_path, mode="relay")
    assert said(certificate.look(signing_in, now)) == {"relay.certificate.self_made": WARN}
    assert said(certificate.look(relaying, now)) == {}


# -- the queue and the users


async def test_lanes_sound_and_damaged(tmp_path) -> None:
    path = tmp_path / "lane-0.sqlite"
    lane = Lane(path)
    await lane.open()
    for number in range(3):
        await lane.put(letter(number), now=0.0)
    assert sound.look_at(path, lambda: False) == sound.Sound(3, True)  # beside the one that writes
    await lane.close()
    whole = path.read_bytes()
    assert sound.look_at(path, lambda: True).messages == 3
    path.write_bytes(whole[: len(whole) // 2])
    assert sound.look_at(path, lambda: False).kind == "damaged"
    path.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    assert sound.look_at(path, lambda: False).kind == "damaged"
    path.unlink()
    gone = sound.look_at(path, lambda: False)
    assert gone.problem
    assert gone.kind == "unreadable"
    assert not path.exists()  # nothing is made by looking


def test_a_lane_of_another_version(tmp_path) -> None:
    path = tmp_path / "lane-0.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 7")
    assert sound.look_at(path, lambda: False) == sound.Sound(problem="7", kind="version")


async def test_a_look_at_a_lane_ends_in_time(tmp_path, monkeypatch) -> None:
    path = tmp_path / "lane-0.sqlite"
    lane = Lane(path)
    await lane.open()
    for number in range(50):
        await lane.put(letter(number), now=0.0)
    await lane.close()
    monkeypatch.setattr(sound, "STEPS", 10)
    assert sound.look_at(path, lambda: True) == sound.Sound(50)


async def test_a_lane_that_is_gone_under_a_running_worker_is_no_queue_yet_to_be_made(
    tmp_path,
) -> None:
    at = config(tmp_path)
    numbers.write(at.server.data, 0, {}, {})
    found = said(kept.look(at, FakeClock()))
    assert found["relay.lane.gone"] is FAIL
    assert "relay.lane.none" not in found
    lane = Lane(at.server.data / "queue" / "lane-0.sqlite")
    await lane.open()
    await lane.close()
    assert "relay.lane.gone" not in said(kept.look(at, FakeClock()))


async def test_queue_and_users(tmp_path) -> None:
    at = config(tmp_path)
    clock = FakeClock()
    assert said(kept.look(at, clock)) == {"relay.lane.none": SKIPPED, "relay.users.none": WARN}
    lane = Lane(at.server.data / "queue" / "lane-0.sqlite")
    await lane.open()
    await lane.close()
    accounts = Accounts(at.server.data, create=True)
    assert said(kept.look(at, clock))["relay.users.none"] is WARN
    accounts.add("alice@d.example", ["alice@d.example"], [], 0.0)
    assert said(kept.look(at, clock)) == {"relay.lane.counted": OK, "relay.users.ok": OK}
    accounts.enable("alice@d.example", False)
    assert said(kept.look(at, clock))["relay.users.none"] is WARN
    accounts.close()
    with sqlite3.connect(at.server.data / "users.sqlite") as db:
        db.execute("UPDATE users SET senders = 'x'")  # a page of it has other octets
    assert said(kept.look(at, clock))["relay.users.unreadable"] is FAIL
    (at.server.data / "users.sqlite").write_bytes(b"x" * 5_000)
    (at.server.data / "queue" / "lane-1.sqlite").write_bytes(b"x" * 5_000)
    (at.server.data / "queue" / "lane-2.sqlite").mkdir()
    (at.server.data / "queue" / "lane-3.sqlite").touch()
    (at.server.data / "queue" / "lane-04.sqlite").touch()  # nobody's lane
    with closing(sqlite3.connect(at.server.data / "queue" / "lane-5.sqlite")) as db:
        db.execute("PRAGMA user_version = 7")
    found = said(kept.look(at, clock))
    assert found["relay.users.unreadable"] is found["relay.lane.damaged"] is FAIL
    assert found["relay.lane.unreadable"] is FAIL
    assert found["relay.lane.empty"] is found["relay.lane.version"] is FAIL
    assert list(lanes_in(at.server.data)) == [0, 1, 2, 3, 5]
    assert found["relay.lane.counted"] is OK
    (at.server.data / "queue" / "lane-0.sqlite").write_bytes(b"x" * 5_000)
    assert "relay.lane.counted" not in said(kept.look(at, clock))  # what can't be read is not empty


# -- what DNS says of us

ROUND_TRIP = {
    ("relay.test", "A"): ["192.0.2.9"],
    ("9.2.0.192.in-addr.arpa", "PTR"): ["relay.test."],
}


@pytest.mark.parametrize(
    ("table", "direct", "found"),
    [
        (ROUND_TRIP, True, {"relay.name.ok": OK, "fcrdns.ok": OK, "fcrdns.helo_ok": OK}),
        ({}, True, {"relay.name.none": FAIL}),
        ({}, False, {"relay.name.none": WARN}),
        (
            {("relay.test", kind): AnswerStatus.TIMEOUT for kind in ("A", "AAAA")},
            True,
            {"relay.name.unknown": UNKNOWN},
        ),
        (
            {("relay.test", "A"): ["192.0.2.9"]},
            True,
            {"relay.name.ok": OK, "fcrdns.none": FAIL, "fcrdns.helo_ok": OK},
        ),
        (
            {("relay.test", "A"): ["192.0.2.9"]},
            False,
            {"relay.name.ok": OK, "fcrdns.none": WARN, "fcrdns.helo_ok": OK},
        ),
    ],
)
async def test_the_name_and_its_addresses(tmp_path, table, direct, found) -> None:
    at = config(tmp_path)
    assert said(await names.ours(at, FixtureResolver(table), direct=direct)) == found


async def test_keys_against_their_records(tmp_path) -> None:
    mine, other = dkim.generate("ed25519"), dkim.generate("ed25519")
    path = tmp_path / "s1.pem"
    path.write_bytes(dkim.write_private_key(mine))
    rows = {"dkim": [{"domain": "D.example", "selector": "s1", "key": "s1.pem"}]}

    async def found(records: list[str] | AnswerStatus) -> dict[str, Status]:
        resolver = FixtureResolver({("s1._domainkey.d.example", "TXT"): records})
        now = datetime.now(UTC)
        return said(await names.keys(rows, tmp_path, resolver, now, direct=True))

    assert await found([dkim.record_text(mine)]) == {"records.key_ok": OK}
    assert await found([dkim.record_text(other)]) == {"records.key_differs": FAIL}
    assert await found([]) == {"records.key_unpublished": FAIL}
    assert await found(AnswerStatus.SERVFAIL) == {"records.key_dns_failed": UNKNOWN}
    path.unlink()
    assert await found([]) == {"records.key_unreadable": FAIL}


async def test_nothing_is_signed(tmp_path) -> None:
    now, resolver = datetime.now(UTC), FixtureResolver({})
    direct = await names.keys({}, tmp_path, resolver, now, direct=True)
    assert said(direct) == {"relay.dkim.none": WARN}
    assert await names.keys({}, tmp_path, resolver, now, direct=False) == []


# -- together


async def test_without_a_network_nothing_is_asked(tmp_path) -> None:
    found = said(await look.check(installed(tmp_path), None, SystemClock()))
    assert found["doctor.network.skipped"] is SKIPPED
    assert found["relay.config"] is OK
    assert not any(id_.startswith(("relay.hop", "relay.name", "fcrdns")) for id_ in found)


def test_a_queue_of_somebody_else_is_told_and_keeps_the_relay_from_starting(
    tmp_path, monkeypatch
) -> None:
    at = config(tmp_path)

    def denied(_folder: Path) -> list[str]:  # as root, nothing is
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "listdir", denied)
    assert said(kept.look(at, FakeClock()))["relay.lane.unreadable"] is FAIL
    with pytest.raises(StartError, match="Permission denied"):
        lock(at, lambda *_: None)
