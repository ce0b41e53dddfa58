"""A bound on work: hostile input must cost no more than so many seconds of this thread.

Other threads and the garbage of other tests do not count, so that what fails is the input's doing.
The bounds are far above what the work needs and far below what quadratic work would take.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager


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
