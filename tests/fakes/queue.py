"""A queue read whole, as nobody does beside a running loop."""

from __future__ import annotations

from posthouse.letter import Item, Queue


async def items_in(queue: Queue) -> tuple[Item, ...]:
    """All that it gives part by part."""
    return tuple([item async for part in queue.waiting() for item in part])
