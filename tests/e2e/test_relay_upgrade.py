"""An upgrade replaces the code under a running relay, which goes on until its restart."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from fakes.background import running as in_background
from fakes.behaviour import Behaviour
from fakes.letter import letter
from fakes.smtp import FakeSmtpServer
from peers import ROOT, process, relay

pytestmark = pytest.mark.netns

FAR = "127.0.0.30"
ALICE = "alice@far.test"
DIRECT = (
    '[[hop]]\nname = "direct"\nmx = true\n[[route]]\nrecipient = ["@away.test"]\nhop = "direct"\n'
)
UNKNOWN = (("^RCPT TO:<nobody@", "550 5.1.1 No such user"),)


def test_the_code_may_be_gone_until_the_restart() -> None:
    """Delivery, reports, DNS, a worker that dies, a reload: nothing of it reads the code again."""
    folder = process.new_folder("relay")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    config = relay.text(DIRECT + relay.plain("far", f"{FAR}:25"))
    far = FakeSmtpServer(Behaviour(replies=UNKNOWN), host=FAR, port=25)
    code = {"PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    with in_background(far), relay.running(config, folder=folder, env=code) as ours:
        (folder / "src").rename(folder / "replaced")
        for round_ in range(2):
            ours.send(letter("x", b"x"), ALICE, "bob@far.test", "nobody@far.test", "bob@away.test")
            ours.wait_for_log("bounced", round_ + 1)
            process.wait_until("both", lambda n=round_: len(far.messages) == 2 * (n + 1))  # type: ignore[misc]
            first = ours.workers()
            os.kill(first[0], signal.SIGKILL)
            process.wait_until("another", lambda old=first: ours.workers() not in (old, []))  # type: ignore[misc]
        ours.rewrite(config)
        ours.send(letter("x", b"x"), ALICE, "bob@far.test")
        process.wait_until("the last one", lambda: len(far.messages) == 5)
        assert {one["cause"].partition(".")[0] for one in ours.log("deferred")} == {"dns"}
        assert not ours.log("error", "worker_failed", "reload_failed")
