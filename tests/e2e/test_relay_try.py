"""``posthouse serve`` with no configuration: what somebody meets who only wants to see it work."""

from __future__ import annotations

import json
import os
import signal
import smtplib
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from fakes.letter import letter
from peers import process, relay

pytestmark = pytest.mark.netns

SECONDS = 20.0
SENDER = "anybody@example.com"


@dataclass
class Try:
    """One that runs, and what it has said to begin with."""

    child: subprocess.Popen[bytes]
    facts: dict[str, str | int]

    @property
    def out(self) -> IO[bytes]:
        assert self.child.stdout is not None
        return self.child.stdout

    @contextmanager
    def client(self, *, implicit: bool = True, password: str = "") -> Iterator[smtplib.SMTP]:
        """Signed in, with its certificate as the only one trusted."""
        host = str(self.facts["host"])
        context = ssl.create_default_context(cafile=str(self.facts["certificate"]))
        if implicit:
            client: smtplib.SMTP = smtplib.SMTP_SSL(
                host, int(self.facts["tls"]), timeout=SECONDS, context=context
            )
        else:
            client = smtplib.SMTP(host, int(self.facts["starttls"]), timeout=SECONDS)
            client.starttls(context=context)
        with client:
            client.login(str(self.facts["user"]), password or str(self.facts["password"]))
            yield client

    def end(self) -> int:
        """As Ctrl-C does: the whole group hears it."""
        os.killpg(self.child.pid, signal.SIGINT)
        return self.child.wait(SECONDS)


def asked(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "posthouse", *words, "--data", str(folder / "try")]


@contextmanager
def trying(folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), **relay.environment()}
    child = subprocess.Popen(
        asked(folder, "serve", *words), stdout=subprocess.PIPE, stderr=(folder / "log").open("wb"),
        env=env, cwd=folder, start_new_session=True,
    )  # fmt: skip
    try:
        yield child
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        assert child.stdout is not None
        child.stdout.close()


@contextmanager
def ready(folder: Path) -> Iterator[Try]:
    with trying(folder, "--json") as child:
        assert child.stdout is not None
        one = Try(child, json.loads(child.stdout.readline()))
        process.Daemon("try", folder, child, [folder / "log"]).wait_for(
            "port", lambda: process.accepts(str(one.facts["host"]), int(one.facts["tls"]))
        )
        yield one


def queue(folder: Path, *words: str) -> dict:
    command = asked(folder, "queue", *words, "--json")
    done = subprocess.run(command, capture_output=True, env={**os.environ, **relay.environment()})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("implicit", [True, False])
def test_a_message_is_taken_shown_and_kept(implicit: bool) -> None:
    folder = process.new_folder("try")
    with ready(folder) as one:
        with one.client(implicit=implicit) as client:
            client.sendmail(SENDER, ["bob@example.net"], letter("hello", b"x"))
        shown = json.loads(one.out.readline())
        assert (shown["sender"], shown["recipients"]) == (SENDER, ["bob@example.net"])
        assert shown["schema"] == one.facts["schema"] == 1
        listed = queue(folder, "list")
        assert one.end() == 0
    assert shown["id"] in json.dumps(listed)
    assert '"held"' in json.dumps(listed)
    # Neither on the disk nor in the log is there a password.
    password = str(one.facts["password"])
    assert password not in (folder / "log").read_text()


def test_each_time_has_a_password_of_its_own_and_keeps_the_mail() -> None:
    folder = process.new_folder("try")
    with ready(folder) as first:
        with first.client() as client:
            client.sendmail(SENDER, ["bob@example.net"], letter("hello", b"x"))
        assert first.end() == 0
    with ready(folder) as second:
        old = str(first.facts["password"])
        assert old != second.facts["password"]
        with pytest.raises(smtplib.SMTPAuthenticationError), second.client(password=old):
            pass
        with second.client() as client:
            client.sendmail(SENDER, ["bob@example.net"], letter("again", b"x"))
        assert second.end() == 0
    assert json.dumps(queue(folder, "list")).count('"held"') >= 2


def test_a_window_that_is_closed_ends_it() -> None:
    """Else it would hold its folder and its ports, and the next one would not learn why."""
    with ready(process.new_folder("try")) as one:
        os.killpg(one.child.pid, signal.SIGHUP)
        assert one.child.wait(SECONDS) == 0


def test_a_screen_that_stands_still_stops_no_mail() -> None:
    folder = process.new_folder("try")
    many = [f"somebody-with-a-long-name-{number}@example.net" for number in range(90)]
    with ready(folder) as one:
        with one.client() as client:  # more than a pipe holds, and nobody reads it
            for number in range(40):
                client.sendmail(SENDER, many, letter(str(number), b"x"))
        lines: list[bytes] = []
        reader = threading.Thread(target=lambda: lines.extend(one.out))
        reader.start()
        assert one.end() == 0
        reader.join(SECONDS)
    assert sum(map(len, lines)) > 65_536
    assert [json.loads(line)["recipients"] for line in lines] == [many] * 40


@pytest.mark.parametrize(("lang", "word"), [("en", "Password"), ("zh", "密码")])
def test_words_for_people_and_a_second_one_beside_it(lang: str, word: str) -> None:
    folder = process.new_folder("try")
    with trying(folder, "--lang", lang) as child:
        assert child.stdout is not None
        told = ""
        while "queue list" not in told:
            line = child.stdout.readline().decode()
            assert line, told
            told += line
        assert word in told
        assert max(map(len, told.splitlines())) <= 80
        process.Daemon("try", folder, child, [folder / "log"]).wait_for(
            "port", lambda: process.accepts("127.0.0.1", 2465)
        )
        other = process.new_folder("try")
        with ready(other) as beside:  # the next ports that are free
            assert (beside.facts["tls"], beside.facts["starttls"]) == (2466, 2588)
            assert beside.end() == 0
        password = told.partition(word)[2].split()[0]
        with trying(folder) as same:  # not in the same folder, whose user stays as it is
            until = process.Daemon("try", folder, same, [folder / "log"]).wait_for
            until("word", lambda: '"waiting"' in (folder / "log").read_text())
            first = Try(
                child, {**beside.facts, "tls": 2465, "certificate": f"{folder}/try/self-made.pem"}
            )
            with first.client(password=password) as client:
                client.sendmail(SENDER, ["bob@example.net"], letter("hello", b"x"))
        os.killpg(child.pid, signal.SIGINT)
        assert child.wait(SECONDS) == 0
