"""The command as a person runs it: real processes, real servers on real ports, a real terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from canaries import PASSWORD, WRONG_PASSWORD
from fakes.certs import Authority
from peers import dovecot, https, postfix, process, unbound

pytestmark = [pytest.mark.netns, pytest.mark.peer("postfix", "dovecot", "nsd", "unbound")]

DOMAIN, ADDRESS = "example.org", "alice@example.org"
MAIL, IMAP, WEB = "127.0.0.12", "127.0.0.22", "127.0.0.42"
AUTOCONFIG = f"""<clientConfig version="1.1"><emailProvider id="{DOMAIN}">
<domain>{DOMAIN}</domain><outgoingServer type="smtp"><hostname>smtp.{DOMAIN}</hostname>
<port>465</port><socketType>SSL</socketType><username>%EMAILADDRESS%</username>
<authentication>password-cleartext</authentication></outgoingServer></emailProvider></clientConfig>
"""
ZONE = [
    f"smtp A {MAIL}",
    f"imap A {IMAP}",
    f"autoconfig A {WEB}",
    "@ MX 10 smtp",
    "_submissions._tcp SRV 0 1 465 smtp",
    "_submission._tcp SRV 10 1 587 smtp",
]
SECONDS = 30  # for one command; the slowest here takes five


@dataclass
class World:
    """The servers of example.org, and the command in front of them."""

    authority: Authority
    dovecot: dovecot.Dovecot
    postfix: postfix.Postfix

    def environment(self, **more: str) -> dict[str, str]:
        kept = {
            k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "TMPDIR", "PYTHONPATH")
        }
        return {**kept, "COLUMNS": "80", "LANG": "en_US.UTF-8", **more}

    def command(self, *arguments: str) -> list[str]:
        ca = str(self.authority.ca_file)
        return [sys.executable, "-m", "posthouse", *arguments, "--ca-file", ca]

    def run(self, *arguments: str, env: Mapping[str, str] = {}) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env=self.environment(**env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def type(
        self, answers: Mapping[str, str], *arguments: str, lang: str = "en_US.UTF-8"
    ) -> tuple[int, str]:
        """Run in a terminal and type each answer after its question; the code and the screen."""
        pid, terminal = pty.fork()
        if pid == 0:
            command = self.command(*arguments)
            os.execve(command[0], command, self.environment(LANG=lang, TERM="xterm"))
        screen, left = "", dict(answers)
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 1)[0]:
                continue
            try:
                screen += os.read(terminal, 65536).decode("utf-8", "replace")
            except OSError:
                break  # the command has ended
            for question in [q for q in left if q in screen]:
                os.write(terminal, left.pop(question).encode() + b"\n")
        if time.monotonic() >= deadline:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
        assert not left, f"never asked: {list(left)}\n{screen}"
        return os.waitstatus_to_exitcode(status), re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    authority = Authority(process.new_folder("ca"))
    certificate = authority.issue(hosts=[f"smtp.{DOMAIN}", f"imap.{DOMAIN}"])
    page = {f"autoconfig.{DOMAIN}/mail/config-v1.1.xml": AUTOCONFIG.encode()}
    with (
        unbound.with_nsd({DOMAIN: ZONE}),
        https.running(WEB, page, authority.context(hosts=[f"autoconfig.{DOMAIN}"])),
        dovecot.running(IMAP, {ADDRESS: PASSWORD}, certificate) as mailboxes,
        postfix.running(MAIL, certificate, domains=[DOMAIN], lmtp=mailboxes) as submission,
    ):
        yield World(authority, mailboxes, submission)


def test_setup_goes_the_whole_way(world: World) -> None:
    before = len(world.dovecot.messages(ADDRESS))
    done = world.run(
        "setup", ADDRESS, "--yes", "--json", "--send-test", ADDRESS, "--imap", f"imap.{DOMAIN}",
        env={"POSTHOUSE_PASSWORD": PASSWORD},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["settings"]["host"] == f"smtp.{DOMAIN}"
    assert (answer["settings"]["port"], answer["settings"]["security"]) == (465, "tls")
    assert answer["proved"] == [
        "reached", "encrypted", "certificate", "signed_in", "recipient", "sent", "fetched",
    ]  # fmt: skip
    assert {e["source"] for e in answer["find"]["candidates"][0]["evidence"]} >= {"srv"}
    assert len(world.dovecot.messages(ADDRESS)) == before + 1


def test_a_wrong_password_is_exit_code_4_and_tried_once(world: World) -> None:
    before = world.postfix.daemon.log().count("SASL")
    done = world.run("setup", ADDRESS, "--yes", env={"POSTHOUSE_PASSWORD": WRONG_PASSWORD})
    assert done.returncode == 4
    assert "refused user name or password" in " ".join(done.stdout.split())
    assert world.postfix.daemon.log().count("SASL") == before + 1


def test_setup_in_a_terminal(world: World, secret_sweep) -> None:
    answers = {
        "Sign in too": "y",
        "it is not shown": PASSWORD,
        "small test message": "y",
        "To which address": "",
        "For which program": "msmtp",
    }
    code, screen = world.type(answers, "setup", ADDRESS)
    secret_sweep(screen)
    assert code == 0, screen
    assert PASSWORD not in screen
    assert "sign-in works" in screen
    assert "Outgoing server" in screen
    assert f"host smtp.{DOMAIN}" in screen  # msmtp's own file


def test_setup_in_a_chinese_terminal(world: World, secret_sweep) -> None:
    code, screen = world.type(
        {"要不要顺便登录验证": "n", "哪个程序": ""}, "setup", ADDRESS, lang="zh_CN.UTF-8"
    )
    secret_sweep(screen)
    assert code == 0, screen
    assert "发件服务器" in screen
    assert "证书可信" in screen


def test_probe_shows_the_dialogue(world: World) -> None:
    done = world.run("probe", f"smtp.{DOMAIN}:587", "-v")
    assert done.returncode == 0, done.stderr
    assert "-> STARTTLS" in done.stderr
    assert "~> EHLO" in done.stderr
    assert "220" in done.stderr
    assert "Certificate" in done.stdout


def test_interrupted_by_the_user(world: World) -> None:
    with subprocess.Popen(
        world.command("probe", "192.0.2.25:465"),  # no route: or, with one, no answer
        env=world.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            child.wait(0.05)
        except subprocess.TimeoutExpired:
            child.send_signal(2)
        out, err = child.communicate(timeout=SECONDS)
    assert child.returncode in (1, 3, 130, -2)
    assert "bug" not in out + err


def test_doctor(world: World, tmp_path: Path) -> None:
    done = world.run("doctor", "--json", "--timeout", "1")
    answer = json.loads(done.stdout)
    assert {c["id"] for c in answer["checks"]} >= {"doctor.python"}
    assert done.returncode in (0, 1)
