"""``posthouse send`` as a process: killed in the middle and run again, and against Postfix."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from canaries import PASSWORD
from fakes.background import running
from fakes.certs import Authority
from fakes.smtp import Behaviour, FakeSmtpServer
from peers import dovecot, postfix

SECONDS = 60
MESSAGES = 400


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "posthouse", "send", *arguments]


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "TMPDIR", "PYTHONPATH")}
    source = str(Path(__file__).resolve().parents[2] / "src")
    return {**kept, "PYTHONPATH": source, "COLUMNS": "80", "LANG": "en_US.UTF-8", **more}


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env=environment(**env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def write_many(folder: Path, number: int) -> Path:
    path = folder / "many.jsonl"
    rows = (
        {"from": "alice@d.example", "to": f"b{n}@e.example", "subject": f"{n}", "text": "x" * 500}
        for n in range(number)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def wait_for(what: object, server: FakeSmtpServer, least: int) -> None:
    until = time.monotonic() + SECONDS
    while len(server.messages) < least:
        assert time.monotonic() < until, f"{what}: {len(server.messages)}"
        time.sleep(0.005)


@pytest.fixture
def server() -> Iterator[FakeSmtpServer]:
    with running(FakeSmtpServer()) as fake:
        yield fake


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_cut_off_and_one_more_send_all_of_them(
    server: FakeSmtpServer, tmp_path: Path, number: signal.Signals
) -> None:
    many = write_many(tmp_path, MESSAGES)
    place = ("--server", f"127.0.0.1:{server.port}", "--security", "none", "--connections", "4")
    first = subprocess.Popen(
        command("--many", str(many), *place),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for("the first run", server, 50)
    first.send_signal(number)
    out, _ = first.communicate(timeout=SECONDS)
    assert first.returncode == (-9 if number is signal.SIGKILL else 130)
    taken = len(server.messages)
    assert 50 <= taken < MESSAGES
    second = run("--many", str(many), *place, "--json")
    assert second.returncode == 0, second.stderr
    counts = json.loads(second.stdout)["counts"]
    assert counts["before"] + counts["sent"] == MESSAGES
    times = Counter(m.recipients[0].recipient for m in server.messages)
    assert len(times) == MESSAGES
    repeated = sum(n - 1 for n in times.values())
    assert max(times.values()) <= 2
    if number is not signal.SIGKILL:
        assert "Run the same command again" in out
        assert (repeated, second.stderr) == (0, "")
        return
    # At most what was under way, two on each connection, and that many were told.
    assert repeated <= json.loads(second.stdout)["uncertain"] <= 4 * 2


@pytest.mark.parametrize("full", [False, True])
def test_a_stdout_that_takes_no_more_and_one_more_run_send_each_message_once(
    server: FakeSmtpServer, tmp_path: Path, full: bool
) -> None:
    """``--jsonl | head -1``, and a full disk: what was under way is in the journal."""
    many = write_many(tmp_path, MESSAGES)
    place = ("--server", f"127.0.0.1:{server.port}", "--security", "none", "--connections", "4")
    reader, writer = os.pipe()
    os.close(reader)
    if full:
        writer = os.open("/dev/full", os.O_WRONLY)
    first = subprocess.run(
        command("--many", str(many), *place, "--jsonl"),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    os.close(writer)
    assert first.returncode == 1
    assert ("Standard output" in first.stderr) is bool(first.stderr) is full, first.stderr
    taken = len(server.messages)
    assert 0 < taken <= 1 + 4 * 2
    second = json.loads(run("--many", str(many), *place, "--json").stdout)
    assert (second["counts"]["before"], second["counts"]["sent"]) == (taken, MESSAGES - taken)
    assert (second["uncertain"], len(server.messages)) == (0, MESSAGES)


def test_a_pipe_is_read_once(server: FakeSmtpServer, tmp_path: Path) -> None:
    """As ``--many <(cat FILE)`` gives it."""
    many = write_many(tmp_path, 1000)  # more than a pipe holds
    place = ("--server", f"127.0.0.1:{server.port}", "--security", "none", "--json")
    with subprocess.Popen(["cat", str(many)], stdout=subprocess.PIPE) as cat:
        assert cat.stdout is not None
        done = subprocess.run(
            command("--many", f"/dev/fd/{cat.stdout.fileno()}", *place),
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            pass_fds=(cat.stdout.fileno(),),
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"]["sent"] == 1000


def test_what_was_under_way_at_the_kill_is_told(server: FakeSmtpServer, tmp_path: Path) -> None:
    many = write_many(tmp_path, 20)
    server.behaviour = Behaviour(lost_reply=True)  # the message is kept, the answer never comes
    place = ("--server", f"127.0.0.1:{server.port}", "--security", "none", "--connections", "1")
    first = subprocess.Popen(
        command("--many", str(many), *place),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for("the first run", server, 1)
    first.kill()
    first.wait(SECONDS)
    server.behaviour = Behaviour()
    second = run("--many", str(many), *place)
    assert second.returncode == 0
    told = re.search(r"with (\d+) messages\s+under way", second.stderr)
    assert told is not None, second.stderr
    ids = Counter(re.findall(rb"Message-ID: (<.*?>)", b"".join(m.content for m in server.messages)))
    repeated = sum(count - 1 for count in ids.values())
    assert len(ids) == 20  # the repeats have the same Message-ID
    assert 1 <= repeated <= int(told[1])


@pytest.mark.netns
@pytest.mark.peer("postfix", "dovecot")
def test_through_postfix_with_a_sign_in(tmp_path: Path) -> None:
    host, name, user = "127.0.0.12", "smtp.d.example", "alice@d.example"
    authority = Authority(tmp_path)
    certificate = authority.issue(hosts=(name, host))
    box = tmp_path / "box.mbox"
    box.write_bytes(
        b"".join(
            b"From alice@d.example Mon May  4 03:02:01 2026\n"
            b"From: alice@d.example\nTo: alice@d.example\nSubject: n%d\n\n>From me: %d\n.\n\n"
            % (n, n)
            for n in range(60)
        )
    )
    with (
        dovecot.running("127.0.0.22", {user: PASSWORD}, certificate) as mailboxes,
        postfix.running(host, certificate, name=name, domains=["d.example"], lmtp=mailboxes),
    ):
        place = ("--server", host, "--user", user, "--ca-file", str(authority.ca_file))
        arguments = ("--many", str(box), *place, "--connections", "5", "--json")
        done = run(*arguments, POSTHOUSE_PASSWORD=PASSWORD)
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)["counts"]["sent"] == 60
        again = run(*arguments, POSTHOUSE_PASSWORD=PASSWORD)
        assert json.loads(again.stdout)["counts"]["before"] == 60
        wrong = run(*arguments[:-1], "--journal", str(tmp_path / "j"), POSTHOUSE_PASSWORD="no")
        assert wrong.returncode == 4, wrong.stdout
