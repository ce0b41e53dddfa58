"""``posthouse serve`` and whoever reads its standard error: he can't stop the mail."""

from __future__ import annotations

import json
import os
import signal
import smtplib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fakes.background import running as in_background
from fakes.behaviour import Behaviour
from fakes.letter import letter
from fakes.smtp import FakeSmtpServer
from peers import process, relay

pytestmark = pytest.mark.netns

FAR = "127.0.0.30"
SECONDS = 20.0


@dataclass
class Reader:
    """Reads the pipe when it is told to."""

    fd: int
    noise: int
    text: bytearray = field(default_factory=bytearray)

    def run(self) -> None:
        with suppress(OSError):
            while piece := os.read(self.fd, 65_536):
                self.text += piece

    def kinds(self) -> list[str]:
        whole = self.text[self.noise :].rpartition(b"\n")[0]
        return [json.loads(line)["kind"] for line in whole.splitlines()]


@dataclass
class Serving:
    child: subprocess.Popen[bytes]
    reader: Reader

    def worker(self) -> int:
        children = Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children").read_text()
        return int(children.split()[0]) if children.split() else 0


@contextmanager
def serving(folder: Path) -> Iterator[Serving]:
    """A relay whose log is a pipe, full before it starts."""
    config = folder / "posthouse.toml"
    config.write_text(relay.text(relay.plain("far", f"{FAR}:25")))
    (folder / "data").mkdir(mode=0o700)
    read, write = os.pipe()
    os.set_blocking(write, False)
    noise = 0
    with suppress(BlockingIOError):
        while True:
            noise += os.write(write, b"~" * 4_096)
    os.set_blocking(write, True)
    command = [sys.executable, "-m", "posthouse", "serve", "--config", str(config)]
    env = {"PATH": os.environ["PATH"], **relay.environment()}
    child = subprocess.Popen(command, stderr=write, env=env, cwd=folder, start_new_session=True)
    os.close(write)
    try:
        yield Serving(child, Reader(read, noise))
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        with suppress(OSError):
            os.close(read)


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def hand_in(first: int, last: int) -> None:
    for number in range(first, last):
        with closing(smtplib.SMTP(relay.HOST, 25, timeout=SECONDS)) as client:
            client.sendmail("alice@example.test", ["bob@far.test"], letter(str(number), b"x"))


def test_without_standard_streams_it_serves_and_ends() -> None:
    folder = process.new_folder("relay")
    (folder / "posthouse.toml").write_text(relay.text('[[route]]\naction = "hold"\n'))
    command = f"exec {sys.executable} -m posthouse serve --config {folder}/posthouse.toml >&- 2>&-"
    with subprocess.Popen(
        ["sh", "-c", command], env={**os.environ, **relay.environment()}
    ) as child:
        try:
            process.wait_until("the port", lambda: process.accepts(relay.HOST, relay.RELAY))
            smtplib.SMTP(relay.HOST, relay.RELAY, timeout=SECONDS).close()  # a worker is there
            child.terminate()
            assert child.wait(SECONDS) == 0
        finally:
            child.kill()


def test_nobody_reads_the_log_and_mail_goes_on() -> None:
    far = FakeSmtpServer(Behaviour(), host=FAR, port=25)
    with in_background(far), serving(process.new_folder("relay")) as ours:
        until(lambda: process.accepts(relay.HOST, 25) and ours.worker())
        hand_in(0, 20)
        until(lambda: len(far.messages) == 20)
        gone = ours.worker()
        os.kill(gone, signal.SIGKILL)  # its supervisor has something to say, too
        until(lambda: ours.worker() not in (0, gone))
        hand_in(20, 40)
        until(lambda: len(far.messages) == 40)
        thread = threading.Thread(target=ours.reader.run)
        thread.start()
        until(lambda: ours.reader.kinds().count("delivered") == 20)
        ours.child.terminate()
        assert ours.child.wait(SECONDS) == 0
        thread.join(SECONDS)
    kinds = ours.reader.kinds()
    assert kinds.count("accepted") == 20  # those of the killed worker went with it


def test_the_reader_of_the_log_goes_and_mail_goes_on() -> None:
    far = FakeSmtpServer(Behaviour(), host=FAR, port=25)
    with in_background(far), serving(process.new_folder("relay")) as ours:
        os.close(ours.reader.fd)
        until(lambda: process.accepts(relay.HOST, 25) and ours.worker())
        hand_in(0, 20)
        until(lambda: len(far.messages) == 20)
        began = time.monotonic()
        ours.child.terminate()
        assert ours.child.wait(SECONDS) == 0
        assert time.monotonic() - began < 5


def test_the_end_does_not_wait_long_for_a_reader() -> None:
    far = FakeSmtpServer(Behaviour(), host=FAR, port=25)
    with in_background(far), serving(process.new_folder("relay")) as ours:
        until(lambda: process.accepts(relay.HOST, 25) and ours.worker())
        hand_in(0, 1)
        until(lambda: far.messages)
        ours.child.terminate()
        assert ours.child.wait(SECONDS) == 0
