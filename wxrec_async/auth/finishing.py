"""Work that is carried to its end although its caller is cancelled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from anyio import lowlevel

T = TypeVar("T")


async def finish(work: Callable[[], Awaitable[T]]) -> T:
    """Await ``work`` in a shielded task of its own; a cancellation waits until it is done.

    A task of its own, because a shield alone does not hold off ``asyncio.Task.cancel``.
    ``work`` must end by itself within a limit it sets.  Cancelled before it began, it does not begin.
    """
    await lowlevel.checkpoint_if_cancelled()
    result: list[T] = []
    failure: list[Exception] = []

    async def run() -> None:
        with anyio.CancelScope(shield=True):
            try:
                result.append(await work())
            except Exception as error:  # noqa: BLE001 - handed to the caller below, without a group around it
                failure.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
    if failure:
        raise failure[0]
    return result[0]
