"""Bounds on work: what hostile input may cost.

``soon``: no more than so many seconds of this thread. Other threads and the garbage of other tests
do not count, so that what fails is the input's doing. The bounds are far above what the work needs
and far below what quadratic work would take. ``linear``: no more than in proportion to its length,
however slow the machine.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

TIMES = 4  # how much longer the long text is; quadratic work is 16 times as much
ALLOWED = 2 * TIMES  # as much more work is still called proportional
TRIES = 12  # measurements before the work counts as too much: noise can only add to it
NOTHING = 0.002  # seconds too short to compare; quadratic work on 16,000 characters takes 0.1 s
STEPS = 200  # those that no text's length accounts for


@contextmanager
def soon(seconds: float = 1.0) -> Iterator[None]:
    """Less processor time than that."""
    was_on = gc.isenabled()
    gc.disable()
    began = time.thread_time()
    try:
        yield
        spent = time.thread_time() - began
    finally:
        if was_on:
            gc.enable()
    assert spent < seconds


def linear(work: Callable[[str], object], text: str) -> None:
    """``work`` on ``text`` is in proportion to what it is on a quarter of it.

    Lines of Python are counted. Patterns and methods of strings go back and forth below that, where
    nothing can be counted: their time is compared, the shortest of several measurements.
    """
    part = text[: len(text) // TIMES]
    short, long = _steps(work, part), _steps(work, text)
    assert long <= ALLOWED * short + STEPS, (short, long)
    fastest = least = float("inf")
    for _ in range(TRIES):
        fastest, least = min(fastest, _seconds(work, text)), min(least, _seconds(work, part))
        if fastest <= ALLOWED * least + NOTHING:
            return
    raise AssertionError(f"{fastest:.3f} s, and {least:.3f} s for a quarter of it")


def _steps(work: Callable[[str], object], text: str) -> int:
    """Lines of Python that ``work`` goes through, and calls it makes."""
    steps = 0

    def trace(frame: FrameType, event: str, arg: object) -> object:
        nonlocal steps
        steps += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work(text)
    finally:
        sys.settrace(before)
    return steps


def _seconds(work: Callable[[str], object], text: str) -> float:
    was_on = gc.isenabled()
    gc.disable()
    began = time.thread_time()
    try:
        work(text)
        return time.thread_time() - began
    finally:
        if was_on:
            gc.enable()
