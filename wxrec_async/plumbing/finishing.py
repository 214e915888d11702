"""Work that is carried to its end although its caller is cancelled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from anyio import lowlevel

T = TypeVar("T")


async def run_to_completion(work: Callable[[], Awaitable[T]], *, hurried_s: float | None = None) -> T:
    """Await ``work`` in a shielded task of its own; a cancellation waits until it is done.

    A task of its own, because a shield alone does not hold off ``asyncio.Task.cancel``.
    ``work`` must end by itself within a limit it sets; from a cancellation on it has ``hurried_s``
    seconds left, but for what it shields itself.  Cancelled before it began, it does not begin.
    """
    await lowlevel.checkpoint_if_cancelled()
    result: list[T] = []
    failure: list[Exception] = []
    shield, done = anyio.CancelScope(shield=True), anyio.Event()

    async def run() -> None:
        with shield:
            try:
                result.append(await work())
            except Exception as error:  # noqa: BLE001 - handed to the caller below, without a group around it
                failure.append(error)
        done.set()

    # The group takes the cancellation, waits for `run`, which the shield keeps it from, and lets it go on then.
    async with anyio.create_task_group() as group:
        group.start_soon(run)
        try:
            await done.wait()
        except anyio.get_cancelled_exc_class():
            if hurried_s is not None:
                shield.deadline = anyio.current_time() + hurried_s
            raise
    # Not reached when cancelled: what came of the work is then only what the work wrote down itself.
    if failure:
        raise failure[0]
    return result[0]
