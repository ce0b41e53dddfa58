"""``explain --jsonl`` as a process: each line answered at once, many by all cores, in order."""

from __future__ import annotations

import json
import subprocess
import sys
from io import BytesIO

import pytest

from posthouse.cli import jsonl

COMMAND = [sys.executable, "-m", "posthouse", "explain", "--jsonl", "--lang", "en"]


def test_whoever_waits_for_an_answer_gets_it() -> None:
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for reply, cause in [
            (b"535 5.7.8 bad credentials", "auth.credentials"),
            (b"550 5.1.1 user unknown", "rcpt.unknown"),
        ]:
            process.stdin.write(reply + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["cause"] == cause
        process.stdin.close()
        assert process.stdout.read() == b""
    assert process.returncode == 0


def test_a_long_log_keeps_its_order() -> None:
    """More than a pipe holds, so that other processes help."""
    lines = [f"550 5.1.1 see https://mail.example/{number}\r\n" for number in range(6_000)]
    ran = subprocess.run(COMMAND, input="".join(lines).encode(), capture_output=True, check=True)
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    again = "".join(jsonl.told([line.encode()], {}, "en") for line in lines[::500])
    assert [answers[number] for number in range(0, 6_000, 500)] == [
        json.loads(line) for line in again.splitlines()
    ]
    assert len(answers) == len(lines)
    assert ran.stderr == b""


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        (b"", []),
        (b"a", [b"a"]),
        (b"a\r\nb\n", [b"a", b"b"]),
        (b"\n\na", [b"", b"", b"a"]),
        (b"x" * 1_000_000 + b"\nb", [b"x", b"b"]),
    ],
    ids=["nothing", "no end", "CRLF", "blank", "endless"],
)
def test_lines_are_parted(given: bytes, lines: list[bytes]) -> None:
    found = [line for batch in jsonl._batches(BytesIO(given)) for line in batch]
    assert [line[:1] if len(line) > 2 else line for line in found] == lines
    assert all(len(line) < jsonl.LINE_LIMIT + jsonl.CHUNK for line in found)


def test_whoever_reads_may_go() -> None:
    with subprocess.Popen(
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        try:
            process.stdin.write(b"550 5.1.1 user unknown\n" * 20_000)
            process.stdin.close()
        except BrokenPipeError:
            pass
        assert b"Traceback" not in process.stderr.read()
