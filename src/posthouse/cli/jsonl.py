"""``explain --jsonl``: one reply line in, one JSON object out, as they come.

Enters: lines of standard input. Leaves: the objects, in the same order. A line that comes alone is
answered at once; where the input keeps ahead (a log of a day), every core works on it. What can
fail: only writing, where whoever reads has gone (``BrokenPipeError``).
"""

from __future__ import annotations

import os
import select
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from json import JSONEncoder
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from posthouse import explain
from posthouse.cli.answer import escapes

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

CHUNK: Final = 65_536  # bytes read at once: what a pipe holds
LINE_LIMIT: Final = 65_536  # bytes kept of one line; the rest of it is read and dropped
MOST_WORKERS: Final = 16  # beyond that the one process that reads and writes is the slowest
MANY: Final = 100  # lines at once, and more to come, are worth other processes: 50 ms to start
AHEAD: Final = 2  # batches waiting for each worker, so that none is idle and memory stays small


def show(given: BinaryIO, hints: Mapping[str, Any], lang: str) -> None:
    """Explain each line of ``given`` on standard output. Raises BrokenPipeError."""
    batches = _batches(given)
    with ExitStack() as stack:
        pool: ProcessPoolExecutor | None = None
        under_way: deque[Future[str]] = deque()
        for batch in batches:
            if pool is None and _workers() > 1 and len(batch) >= MANY and _more(given):
                pool = stack.enter_context(_pool())
            if pool is None:
                _write(told(batch, hints, lang))
                continue
            under_way.append(pool.submit(told, batch, hints, lang))
            # Whoever waits for an answer before the next line gets it.
            most = AHEAD * _workers() if _more(given) else 0
            while len(under_way) > most:
                _write(under_way.popleft().result())
        for last in under_way:
            _write(last.result())


def told(lines: Sequence[bytes], hints: Mapping[str, Any], lang: str) -> str:
    """The objects of some lines, one a line; blank lines tell nothing."""
    encode = JSONEncoder(ensure_ascii=escapes()).encode
    found = (explain.explain_reply(line, **hints) for line in lines if line.strip())
    return "".join(encode({"schema": 1, **each.to_dict(lang)}) + "\n" for each in found)


def _batches(given: BinaryIO) -> Iterator[list[bytes]]:
    """Whole lines without their ends, as many as come at once."""
    rest = b""
    while chunk := given.read1(CHUNK):  # type: ignore[attr-defined]
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[:LINE_LIMIT]
        if lines:
            yield [line.rstrip(b"\r") for line in lines]
    if rest:
        yield [rest.rstrip(b"\r")]


def _more(given: BinaryIO) -> bool:
    """Whether more of the input has come already."""
    try:
        return bool(select.select([given], [], [], 0)[0])
    except (OSError, ValueError):  # no file descriptor, or a system that cannot tell
        return False


def _workers() -> int:
    ours = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(MOST_WORKERS, ours)


def _pool() -> ProcessPoolExecutor:
    from concurrent.futures import ProcessPoolExecutor

    return ProcessPoolExecutor(_workers(), initializer=_quiet)


def _quiet() -> None:
    """Leave an interrupt to the process that reads."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()  # behind a pipe, whoever reads waits for it
