"""The thread that runs a fake beside whole commands."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from fakes.background import running


@dataclass
class Open:
    """Leaves something open, as a connection that nobody has ended."""

    ended: bool = False

    async def __aenter__(self) -> Open:
        self.task = asyncio.create_task(self.serve())
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0)

    async def serve(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            asyncio.get_running_loop().call_soon(lambda: None)  # as a transport's close does
            self.ended = True


def test_what_a_fake_leaves_open_ends_while_its_loop_runs() -> None:
    with running(Open()) as left:
        assert not left.ended
    assert left.ended
