"""What judging needs is there before it is needed: then, no file may be to be had."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# In a process of its own: here, others have read everything already.
JUDGE = """
import asyncio, pathlib, sys
from posthouse import config
from posthouse.daemon.wiring import Relay
from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.send.deliver import outcome
from posthouse.send.deliver.waits import read_wait

async def opened(folder):
    made = config.of({
        "server": {"name": "relay.test", "data": "data", "workers": 1},
        "listen": [{"address": "127.0.0.1:0", "mode": "relay", "networks": ["127.0.0.0/8"]}],
        "hop": [{"name": "direct", "mx": True}],
        "route": [{"hop": "direct"}],
    }, folder)
    (made.server.data / "queue").mkdir(parents=True)
    relay = Relay(made, 0, watch=lambda _event: None, say=lambda _kind, _facts: None)
    await relay.open([0])
    await relay.close(0)

asyncio.run(opened(pathlib.Path(sys.argv[1])))

def full(event, arguments):
    if event == "open":
        raise OSError(24, "Too many open files", arguments[0])

sys.addaudithook(full)
for failure in Failure:
    for stage in Stage:
        error = NetworkFailure(failure, stage, host="mx.far.test", port=25)
        assert outcome.explain_failure(error).cause.id
for host in ("", "mx.far.test", "mx1.qq.com", "smtp.gmail.com", "mx.outlook.com"):
    for stage in Stage:
        for code, enhanced, text in (
            (451, "4.7.1", "Greylisted, try again in 300 seconds"),
            (421, "", "Too many connections"),
            (550, "5.1.1", "User unknown"),
            (554, "5.7.1", "Message rejected, see https://far.test/why"),
            (535, "5.7.8", "Authentication failed"),
        ):
            assert outcome.explained(code, enhanced, text, stage, host).cause.id
            read_wait(text)
print("judged")
"""


def test_judging_opens_no_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", JUDGE, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.stdout == "judged\n", ran.stderr
