"""The same work for many things, a bounded number of them at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio

from wxrec_async.plumbing.groups import first_failure

T = TypeVar("T")
Put = Callable[[T], Awaitable[None]]


async def each_of(items: Iterable[T], work: Callable[[T], Awaitable[object]], most: int) -> None:
    """Do ``work`` on every one of ``items``, in their order, ``most`` at once.

    The first failure ends it, and is raised as it is.
    """

    async def feed(put: Put[T]) -> None:
        for item in items:
            await put(item)

    await each_fed(feed, work, most)


async def each_fed(
    feed: Callable[[Put[T]], Awaitable[None]], work: Callable[[T], Awaitable[object]], most: int
) -> None:
    """Do ``work`` on whatever ``feed`` puts, ``most`` at once; ``feed`` waits while they are all busy.

    So as much as ``2 * most`` of it is in memory, however much there is.  The
    first failure of either ends both, and is raised as it is.
    """
    send, receive = anyio.create_memory_object_stream[T](most)

    async def put_all() -> None:
        # Closing it is what ends the workers, once they have emptied the stream.
        async with send:
            await feed(send.send)

    async def work_on() -> None:
        async for item in receive:
            await work(item)

    try:
        # Both, also when a failure ends the group before `put_all` has begun.
        with send, receive:
            async with anyio.create_task_group() as group:
                group.start_soon(put_all)
                for _ in range(most):
                    group.start_soon(work_on)
    except BaseExceptionGroup as failures:
        raise first_failure(failures) from None
