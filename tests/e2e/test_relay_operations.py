"""Running ``posthouse serve``: reload, stop, kills, one relay a data folder, a full queue.

Signals go to the real processes. Nothing that was acknowledged may be lost, and who hands in mail
while something is going on must not notice.
"""

from __future__ import annotations

import fcntl
import os
import re
import resource
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from chaos.judge import Record
from chaos.run import FarEnd
from fakes.background import running as in_background
from fakes.behaviour import Behaviour
from fakes.letter import letter
from fakes.smtp import FakeSmtpServer
from fakes.wire import said
from peers import process, relay
from posthouse.net.smtp_listen import Listener
from posthouse.send.submit.desk import CONNECTIONS

pytestmark = pytest.mark.netns

FAR, FAR_TOO, OTHER = "127.0.0.30", "127.0.0.31", "127.0.0.8"
ALICE, BOB = "alice@example.test", "bob@far.test"
PLAIN = relay.plain("far", f"{FAR}:25")
MESSAGE = letter("a message", b"x" * 60)
ENDS = b"421 4.3.2 Connection ends here, connect again"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")


@pytest.fixture
def far() -> Iterator[FakeSmtpServer]:
    with in_background(FakeSmtpServer(Behaviour(), host=FAR, port=25)) as server:
        yield server


def running(pid: int) -> bool:
    """Whether that process is there, and no zombie."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def arrived(server: FakeSmtpServer) -> list[str]:
    return [
        m.content.partition(b"Subject: ")[2].partition(b"\r\n")[0].decode() for m in server.messages
    ]


@dataclass
class Steady:
    """A client that never stops: one connection a message, whatever goes on."""

    port: int = 25
    sent: int = 0
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def going(self) -> Iterator[Steady]:
        stop = threading.Event()
        threads = [threading.Thread(target=self._run, args=(stop, n)) for n in range(3)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            stop.set()
            for thread in threads:
                thread.join(30)

    def _run(self, stop: threading.Event, number: int) -> None:
        count = 0
        while not stop.is_set():
            count += 1
            try:
                client = smtplib.SMTP(relay.HOST, self.port, timeout=20)
                client.sendmail(ALICE, [BOB], letter(f"steady {number} {count}", b"x"))
                self.sent += 1
            except (OSError, smtplib.SMTPException) as error:
                self.failures.append(repr(error))
                continue
            with suppress(OSError, smtplib.SMTPException):  # 421 instead of 221 is no harm
                client.quit()
            time.sleep(0.005)


@pytest.fixture(scope="module")
def shared() -> Iterator[relay.Relay]:
    """One relay for what does it no harm, with nobody behind it."""
    text = relay.text(PLAIN, host=OTHER)
    with relay.running(text, host=OTHER) as ours:
        yield ours


@pytest.fixture(scope="module", autouse=True)
def intruder(shared: relay.Relay) -> Iterator[subprocess.Popen[bytes]]:
    """A second relay on the same data folder: it waits for twenty seconds before it gives up."""
    config = shared.folder / "second.toml"
    config.write_text(shared.config.read_text())
    with subprocess.Popen(
        [sys.executable, "-m", "posthouse", "serve", "--config", config, "--lang", "zh"],
        env={**os.environ, **relay.environment()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as child:
        yield child
        child.kill()


# Reload


NEW = f"""
[[listen]]
address = "{relay.HOST}:26"
mode = "relay"
networks = ["127.0.0.0/8"]
[[hop]]
name = "too"
hosts = ["{FAR_TOO}:25"]
security = "none"
tls = "none"
[[route]]
name = "new"
recipient = ["@too.test"]
hop = "too"
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reload_takes_effect_and_no_client_notices(far: FakeSmtpServer, workers: int) -> None:
    with (
        in_background(FakeSmtpServer(Behaviour(), host=FAR_TOO, port=25)) as too,
        relay.running(relay.text(PLAIN, workers=workers)) as ours,
    ):
        assert not process.accepts(relay.HOST, 26)
        with Steady().going() as steady:
            for _ in range(2):
                ours.rewrite(relay.text(NEW + PLAIN, workers=workers))
                ours.rewrite(relay.text(PLAIN, workers=workers))
            ours.rewrite(relay.text(NEW + PLAIN, workers=workers))
            time.sleep(0.3)
        assert steady.failures == []
        assert steady.sent > 20
        with smtplib.SMTP(relay.HOST, 26, timeout=20) as client:
            client.sendmail(ALICE, ["carol@too.test"], MESSAGE)
        process.wait_until("the new route", lambda: too.messages)
        ours.wait_until_empty()
        assert len(far.messages) == steady.sent == len(set(arrived(far)))
        assert ours.log("worker_ended", "worker_failed", "error") == []


def test_a_reload_with_another_number_of_workers(far: FakeSmtpServer) -> None:
    """Lanes of workers that are no more are emptied by the others, each by one alone."""
    with relay.running(relay.text(PLAIN, workers=4)) as ours:
        with Steady().going() as steady:
            for workers in (2, 3, 1):
                ours.rewrite(relay.text(PLAIN, workers=workers))
            time.sleep(0.3)
        assert steady.failures == []
        assert len(ours.workers()) == 1
        ours.wait_until_empty()
        assert len(far.messages) == steady.sent == len(set(arrived(far)))


def test_a_listener_moves_to_all_addresses_and_back(far: FakeSmtpServer) -> None:
    """The old socket, which workers hold until they are replaced, is not in the way."""
    here = relay.text(PLAIN, workers=2).replace(f"{relay.HOST}:25", f"{relay.HOST}:26")
    everywhere = here.replace(f"{relay.HOST}:26", "0.0.0.0:26")
    with relay.running(here) as ours:
        for config, others in ((everywhere, True), (here, False), (everywhere, True)):
            ours.rewrite(config)
            process.wait_until("the move", lambda o=others: process.accepts("127.0.0.77", 26) == o)
            with smtplib.SMTP(relay.HOST, 26, timeout=20) as client:
                client.sendmail(ALICE, [BOB], MESSAGE)
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):  # another relay is still told so
                sock.bind((relay.HOST, 26))
        assert ours.log("reload_failed", "worker_ended", "error") == []
        ours.wait_until_empty()
        assert len(far.messages) == 3


def test_who_stands_about_at_a_reload_is_told_to_connect_again_and_can() -> None:
    """And every line of the log, of events and of all else, has its time in one form."""
    with relay.running(relay.text(PLAIN)) as ours:
        with socket.create_connection((relay.HOST, 25), 20) as idle:
            said(idle, b"EHLO idle.test\r\n", 2)
            ours.rewrite(relay.text(PLAIN))
            assert said(idle, b"")[0].startswith(ENDS)
        with ours.client() as client:
            client.sendmail(ALICE, [BOB], MESSAGE)
        lines = ours.log()
        assert {"ready", "reloaded", "accepted"} <= {line["kind"] for line in lines}
        assert [line for line in lines if not TIME.fullmatch(line["at"])] == []


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        pytest.param("[server", "this is not TOML", id="no-TOML"),
        pytest.param(relay.text("").replace("data =", "dat ="), "mean data?", id="unknown-key"),
        pytest.param(relay.text('[[route]]\nhop = "nowhere"\n'), "no hop", id="unknown-hop"),
        pytest.param(relay.text(PLAIN).replace('"data"', '"elsewhere"'), "restart", id="data"),
        pytest.param(
            relay.text(PLAIN.replace('tls = "none"', 'tls = "none"\nuser = "a"')), "unencrypted",
            id="open-password",
        ),
    ],
)  # fmt: skip
def test_a_broken_file_changes_nothing_and_is_told(
    shared: relay.Relay, broken: str, words: str
) -> None:
    before = shared.workers()
    shared.rewrite(broken)
    told = shared.log("reloaded", "reload_failed")[-1]
    assert told["kind"] == "reload_failed"
    assert words in told["error"]
    assert shared.workers() == before
    with shared.client() as client:
        assert client.noop()[0] == 250


def test_a_storm_of_signals(far: FakeSmtpServer) -> None:
    """HUP to all of its processes, as ``pkill -HUP`` does: no worker may die of it."""
    with relay.running(relay.text(PLAIN, workers=2)) as ours:
        fds = len(os.listdir(f"/proc/{ours.pid}/fd"))
        with Steady().going() as steady:
            for _ in range(60):
                for pid in [ours.pid, *ours.workers()]:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGHUP)
                time.sleep(0.02)
        assert steady.failures == []
        ours.rewrite(relay.text(PLAIN, workers=2))
        process.wait_until("two workers", lambda: len(ours.workers()) == 2)
        ours.wait_until_empty()
        assert ours.log("worker_ended", "worker_failed") == []
        assert len(far.messages) == steady.sent
        process.wait_until("no pipes left", lambda: len(os.listdir(f"/proc/{ours.pid}/fd")) <= fds)


# Stop


def test_a_message_under_way_is_finished_before_the_end(far: FakeSmtpServer) -> None:
    with relay.running(relay.text(PLAIN), stops=False) as ours:
        with (
            socket.create_connection((relay.HOST, 25), 20) as sock,
            socket.create_connection((relay.HOST, 25), 20) as idle,
        ):
            said(idle, b"EHLO idle.test\r\n", 2)
            said(sock, b"")
            group = f"EHLO x.test\r\nMAIL FROM:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\nDATA\r\n"
            said(sock, group.encode(), 4)
            sock.sendall(MESSAGE[:50])
            os.kill(ours.pid, signal.SIGTERM)
            # Nobody new is let in, and who only stands about is sent away.
            process.wait_until("the end of the door", lambda: not process.accepts(relay.HOST, 25))
            assert said(idle, b"")[0].startswith(ENDS)
            replies = said(sock, MESSAGE[50:] + b".\r\n", 2)
            assert [r[:9] for r in replies] == [b"250 2.0.0", b"421 4.3.2"]
        assert ours.daemon.process.wait(30) == 0
        assert ours.waiting() + len(far.messages) >= 1
    assert len(far.messages) in (0, 1)


def test_a_message_whose_end_never_comes_does_not_hold_up_the_end(far: FakeSmtpServer) -> None:
    with (
        relay.running(relay.text(PLAIN), stops=False) as ours,
        socket.create_connection((relay.HOST, 25), 20) as sock,
    ):
        said(sock, b"")
        group = f"EHLO x.test\r\nMAIL FROM:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\nDATA\r\n"
        said(sock, group.encode(), 4)
        sock.sendall(MESSAGE[:50])
        ours.daemon.process.terminate()
        assert ours.daemon.process.wait(30) == 0
        assert [r[:3] for r in said(sock, b"", 1)] in ([], [b"421"])
        assert ours.waiting() == 0


# Kills


def test_a_killed_worker_is_replaced_and_mail_goes_on(far: FakeSmtpServer) -> None:
    with relay.running(relay.text(PLAIN, workers=2)) as ours:
        before = ours.workers()
        for n in range(10):
            ours.send(letter(f"before {n}", b"x"), ALICE, BOB)
        os.kill(before[0], signal.SIGKILL)
        (told,) = ours.wait_for_log("worker_ended")
        assert told["code"] == -signal.SIGKILL
        for n in range(10):
            ours.send(letter(f"after {n}", b"x"), ALICE, BOB)
        process.wait_until("a new worker", lambda: len(ours.workers()) == 2)
        assert before[1] in ours.workers()
        ours.wait_until_empty()
        wanted = {f"{when} {n}" for when in ("before", "after") for n in range(10)}
        assert set(arrived(far)) == wanted


def test_workers_end_with_their_supervisor_and_the_next_one_waits(far: FakeSmtpServer) -> None:
    folder = process.new_folder("relay")
    config = relay.text(PLAIN, workers=2)
    with relay.running(config, folder=folder, stops=False) as first:
        workers = first.workers()
        with socket.create_connection((relay.HOST, 25), 20) as client:
            said(client, b"EHLO client.test\r\n", 2)
            first.daemon.process.kill()
            first.daemon.process.wait()
            log = folder / "second.log"
            with log.open("wb") as file:
                second = subprocess.Popen(
                    [sys.executable, "-m", "posthouse", "serve", "--config", first.config],
                    env={**os.environ, **relay.environment()}, stdout=file, stderr=file,
                )  # fmt: skip
            try:
                process.wait_until("their end", lambda: not any(map(running, workers)))
                process.wait_until("the second", lambda: b'"ready"' in log.read_bytes())
                first.send(MESSAGE, ALICE, BOB)
                process.wait_until("a message", lambda: far.messages)
                assert b"in_use" not in log.read_bytes()
            finally:
                second.terminate()
                assert second.wait(30) == 0


def test_an_address_that_is_not_there_yet_is_no_wrong_configuration() -> None:
    """At boot the network may come later: systemd tries again, but not after a 2 (the unit)."""
    folder, late = process.new_folder("relay"), "192.0.2.61"
    (folder / "data").mkdir(mode=0o700)
    config = relay.text(PLAIN, host=late).replace("127.0.0.0/8", "192.0.2.0/24")
    (folder / "posthouse.toml").write_text(config)
    early = process.run_client(
        [sys.executable, "-m", "posthouse", "serve", "--config", folder / "posthouse.toml"],
        env=relay.environment(),
    )
    assert early.code == 1
    assert f"{late}:25" in early.output
    subprocess.run(["ip", "address", "add", f"{late}/32", "dev", "lo"], check=True)
    with relay.running(config, host=late, folder=folder) as ours:
        ours.command("queue", "list")


def test_a_listener_at_an_address_of_one_interface() -> None:
    """RFC 4007 section 11: fe80::... is an address only together with its zone."""
    subprocess.run(["ip", "address", "add", "fe80::61/64", "dev", "lo", "nodad"], check=True)
    own = '[[listen]]\naddress = "[fe80::61%lo]:26"\nmode = "relay"\nnetworks = ["fe80::/64"]\n'
    with relay.running(own + relay.text(PLAIN)) as ours:
        with smtplib.SMTP("fe80::61%lo", 26, timeout=20) as client:
            client.sendmail(ALICE, [BOB], MESSAGE)
        (accepted,) = ours.wait_for_log("accepted")
        assert accepted["client"] == "fe80::61"


def test_a_reload_asked_for_before_the_relay_can_hear_it_is_kept_until_it_can() -> None:
    folder = process.new_folder("relay")
    (folder / "data").mkdir(mode=0o700)
    file, log = folder / "posthouse.toml", folder / "log"
    file.write_text(relay.text(PLAIN))
    with (folder / "data" / "lock").open("w") as lock, log.open("wb") as output:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as a relay that still ends
        early = subprocess.Popen(
            [sys.executable, "-m", "posthouse", "serve", "--config", file],
            env={**os.environ, **relay.environment()}, stdout=output, stderr=output,
        )  # fmt: skip
        try:
            process.wait_until("its wait", lambda: b'"waiting"' in log.read_bytes())
            early.send_signal(signal.SIGHUP)
            fcntl.flock(lock, fcntl.LOCK_UN)
            process.wait_until("the reload", lambda: b'"reloaded"' in log.read_bytes())
        finally:
            early.terminate()
            assert early.wait(30) == 0


def test_a_rule_that_comes_later_holds_what_was_tried_and_a_person_lets_it_go() -> None:
    hold = f'[[route]]\nname = "wait"\nrecipient = ["{BOB}"]\naction = "hold"\n'
    with relay.running(relay.text(PLAIN)) as ours:
        ours.send(MESSAGE, ALICE, BOB)
        ours.wait_for_log("deferred")
        ours.rewrite(relay.text(PLAIN.replace("[[route]]", hold + "[[route]]")))
        (held, *_) = ours.wait_for_log("held")
        assert held["rule"] == "wait"
        tried = len(ours.log("deferred"))
        assert ours.command("queue", "release", "--all").ok
        ours.wait_for_log("deferred", tried + 2)
        assert len(ours.log("held")) == 1
        os.kill(ours.workers()[0], signal.SIGKILL)
        ours.wait_for_log("deferred", tried + 4)  # also by a worker that was started anew
        assert len(ours.log("held")) == 1


# A full queue


@contextmanager
def counting(host: str) -> Iterator[FarEnd]:
    """A far end that only counts: thousands of messages in seconds."""

    class Counting:
        def __init__(self) -> None:
            self.end = FarEnd(Record())

        async def __aenter__(self) -> FarEnd:
            self.listener = Listener(self.end.session)
            await self.listener.listen(host=host, port=25)
            return self.end

        async def __aexit__(self, *_: object) -> None:
            await self.listener.close(patience=0.1)

    with in_background(Counting()) as end:
        yield end


def hand_in_many(numbers: Iterator[int], replies: list[bytes]) -> None:
    """Each number as a message, as fast as the answers come.

    After a refusal over another connection: after 20 of them the relay would hang up.
    """
    envelope = f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<{BOB}>\r\nDATA\r\n".encode()
    left = True
    while left:
        with socket.create_connection((relay.HOST, 25), 60) as sock:
            said(sock, b"EHLO client.test\r\n", 2)
            left = False
            for number in numbers:
                assert said(sock, envelope, 3)[2].startswith(b"354")
                message = f"From: {ALICE}\r\nX-Number: {number}\r\n\r\nx\r\n.\r\n"
                answer = said(sock, message.encode())
                replies += answer
                if not answer[-1].startswith(b"250"):
                    left = True
                    break


def many(count: int, connections: int) -> list[bytes]:
    """The last replies to so many messages."""
    replies: list[bytes] = []
    shares = [iter(range(n, count, connections)) for n in range(connections)]
    threads = [threading.Thread(target=hand_in_many, args=(share, replies)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return replies


def test_ten_thousand_fit_exactly_and_all_are_delivered_when_the_hop_is_back() -> None:
    capacity = 10_000
    config = relay.text(PLAIN, server=f"capacity = {capacity}", workers=2)
    config = config.replace('first = "1s"\nmost = "2s"', 'first = "1h"\nmost = "1h"')
    with relay.running(config) as ours:
        replies = many(capacity + 40, 20)
        assert len([r for r in replies if r.startswith(b"250 2.0.0 Queued")]) == capacity
        refused = [r for r in replies if not r.startswith(b"250")]
        assert {r[:9] for r in refused} == {b"452 4.3.1"}
        assert len(refused) == 40
        assert ours.waiting() == capacity
        with counting(FAR) as end:
            assert ours.asked("queue", "retry", "--all")["recipients"] == capacity
            ours.wait_until_empty(60)
            arrived = Counter(arrival.number for arrival in end.record.arrivals)
            assert sum(arrived.values()) == len(arrived) == capacity
        ours.send(MESSAGE, ALICE, BOB)  # there is room again


def taken(count: int, connections: int = 20) -> int:
    """How many of so many messages were accepted; the rest was refused for want of room."""
    replies = many(count, connections)
    refused = [reply for reply in replies if not reply.startswith(b"250 2.0.0 Queued")]
    assert {reply[:9] for reply in refused} <= {b"452 4.3.1"}
    assert len(replies) == count
    return count - len(refused)


def test_the_capacity_is_that_of_the_whole_relay() -> None:
    """Exact over two workers, also after a kill of each process, and free again by a deletion."""
    config = relay.text(PLAIN, server="capacity = 50", workers=2)
    config = config.replace('first = "1s"\nmost = "2s"', 'first = "1h"\nmost = "1h"')
    later = process.new_folder("relay")
    with relay.running(config, stops=False) as ours:
        assert (taken(200, 40), ours.waiting()) == (50, 50)
        for pid in ours.workers():
            os.kill(pid, signal.SIGKILL)
        ours.wait_for_log("worker_ended", 2)
        process.wait_until("new workers", lambda: len(ours.workers()) == 2)
        assert taken(20) == 0
        some = [one["id"] for one in ours.asked("queue", "list", "--limit", "7")["messages"]]
        assert ours.asked("queue", "delete", *some, "--yes")["recipients"] == 7
        time.sleep(1.5)  # each worker looks once a second
        assert (taken(40), ours.waiting()) == (7, 50)
        workers = ours.workers()
        ours.daemon.process.kill()
        ours.daemon.process.wait()
        process.wait_until("their end", lambda: not any(map(running, workers)))
        shutil.copytree(ours.data, later / "data")
    with relay.running(config, folder=later) as ours:
        assert (taken(20), ours.waiting()) == (0, 50)
        some = [one["id"] for one in ours.asked("queue", "list", "--limit", "3")["messages"]]
        ours.asked("queue", "delete", *some, "--yes")
        ours.rewrite(config.replace("workers = 2", "workers = 1"))
        assert (taken(20), ours.waiting()) == (3, 50)


# Limits that hold for all workers


def let_through(count: int) -> int:
    """How many of so many messages, each over a connection of its own, are within the limit."""
    codes = []
    for _ in range(count):
        with smtplib.SMTP(relay.HOST, 25, timeout=20) as client:
            client.ehlo("client.test")
            client.mail(ALICE)
            codes.append(client.rcpt(BOB)[0])
    assert set(codes) <= {250, 450}
    return codes.count(250)


def test_a_limit_is_one_of_the_whole_relay_and_outlives_its_workers(far: FakeSmtpServer) -> None:
    config = relay.text(PLAIN, workers=3).replace("hour = 0", "hour = 30")
    with relay.running(config) as ours:
        assert let_through(20) == 20
        for pid in ours.workers():
            os.kill(pid, signal.SIGKILL)
        ours.wait_for_log("worker_ended", 3)
        process.wait_until("new workers", lambda: len(ours.workers()) == 3)
        assert let_through(20) == 10
        ours.rewrite(config.replace("hour = 30", "hour = 35"))
        assert let_through(20) == 5
        ours.rewrite(config.replace("hour = 30", "hour = 35").replace("workers = 3", "workers = 2"))
        assert let_through(5) == 0


def test_connections_of_one_address_are_counted_over_all_workers(far: FakeSmtpServer) -> None:
    with relay.running(relay.text(PLAIN, workers=2)) as ours, ExitStack() as stack:
        greetings = []
        for _ in range(CONNECTIONS + 10):
            sock = stack.enter_context(socket.create_connection((relay.HOST, 25), 20))
            greetings.append(said(sock, b"")[0][:3])
        assert greetings == [b"220"] * CONNECTIONS + [b"421"] * 10
        os.kill(ours.workers()[0], signal.SIGKILL)
        ours.wait_for_log("worker_ended")
        process.wait_until("a new worker", lambda: len(ours.workers()) == 2)
        assert let_through(1) == 1  # those of the worker that died are gone


def test_no_descriptor_left_is_our_own_trouble_and_passes(far: FakeSmtpServer) -> None:
    with relay.running(relay.text(PLAIN)) as ours, ours.client() as client:
        (worker,) = ours.workers()
        limits = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        there = max(int(fd.name) for fd in Path(f"/proc/{worker}/fd").iterdir()) + 1
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (there, limits[1]))
        client.sendmail(ALICE, [BOB], MESSAGE)
        (alarm, *_) = ours.wait_for_log("alarm")
        assert (alarm["cause"], alarm["hop"]) == ("conn.timeout", "far")
        (deferred, *_) = ours.wait_for_log("deferred")
        assert deferred["cause"] == "conn.timeout"
        resource.prlimit(worker, resource.RLIMIT_NOFILE, limits)
        ours.wait_until_empty()
        assert len(far.messages) == 1


# Metrics


def heard(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as client:
        return client.connect_ex((relay.HOST, port)) == 0


def asked(path: str) -> tuple[int, str]:
    try:
        with urlopen(f"http://{relay.HOST}:{relay.METRICS}{path}", timeout=10) as reply:
            return reply.status, reply.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_metrics_and_readiness(far: FakeSmtpServer) -> None:
    with relay.running(relay.text(PLAIN, workers=2)) as ours:
        assert asked("/ready") == (200, "ready\n")
        ours.send(MESSAGE, ALICE, BOB)
        ours.wait_until_empty()
        with ours.client() as client:
            client.ehlo("client.test")
            assert client.mail(ALICE, ["SIZE=99999999"])[0] == 552

        def counted(*wanted: str) -> bool:
            lines = asked("/metrics")[1].splitlines()
            return all(line in lines for line in wanted)

        process.wait_until(
            "the counts",
            lambda: counted(
                'posthouse_events_total{kind="accepted"} 1.0',
                'posthouse_events_total{kind="delivered"} 1.0',
                'posthouse_refusals_total{reason="size"} 1.0',
                "posthouse_queue_messages 0.0",
                "posthouse_ready 1.0",
            ),
        )
        assert asked("/other")[0] == 404
        # Whoever connects and says nothing must not keep the others from being answered.
        with socket.create_connection((relay.HOST, relay.METRICS), 20):
            assert asked("/ready") == (200, "ready\n")
            os.kill(ours.workers()[1], signal.SIGSTOP)
            why = "not ready\nworker 1 does not work\n"
            process.wait_until("not ready", lambda: asked("/ready") == (503, why))
            os.kill(ours.workers()[1], signal.SIGCONT)
            process.wait_until("ready again", lambda: asked("/ready") == (200, "ready\n"))


def test_a_taken_port_of_the_metrics_does_not_stop_the_mail(far: FakeSmtpServer) -> None:
    taken = socket.create_server((relay.HOST, relay.METRICS))
    with taken, relay.running(relay.text(PLAIN)) as ours:
        ours.send(MESSAGE, ALICE, BOB)
        ours.wait_until_empty()
        assert ours.log("metrics_failed")
        taken.close()
        process.wait_until("metrics", lambda: heard(relay.METRICS))
        assert asked("/ready")[0] == 200
        assert len(ours.log("metrics_failed")) == 1


# The intruder of above has had its time meanwhile.


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_no_file_of_the_relay_is_for_others(far: FakeSmtpServer, umask: int) -> None:
    """In a folder that is open to all, who may read the lock may hold it, and nothing starts."""
    before = os.umask(umask)
    try:
        own = f'[[listen]]\naddress = "{relay.HOST}:465"\nmode = "tls"\n'
        with relay.running(relay.text(own + PLAIN)) as ours:
            ours.send(MESSAGE, ALICE, BOB)
            ours.wait_for_log("delivered")
            files = {path.name: path.lstat().st_mode & 0o077 for path in ours.data.rglob("*")}
    finally:
        os.umask(before)
    assert {"lock", "users.sqlite", "self-made.key", "worker-0.json"} <= files.keys()
    assert not [name for name, others in files.items() if others]


def test_a_second_relay_on_the_same_data_folder_is_refused_with_words(
    shared: relay.Relay, intruder: subprocess.Popen[bytes]
) -> None:
    output, _ = intruder.communicate(timeout=60)
    assert intruder.returncode == 1, output.decode()
    assert str(shared.data) in output.decode()
    assert "正被另一个中继使用" in output.decode()
    with shared.client() as client:
        assert client.noop()[0] == 250
