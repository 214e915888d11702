"""One `Backfill` with everything that surrounds it on a command line: signals, progress, logs, JSON lines."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio
from anyio.abc import TaskStatus

from wxrec_async.cli.desk import Desk
from wxrec_async.cli.event_log import EventLog
from wxrec_async.cli.failing import cause_of
from wxrec_async.cli.meter import Meter
from wxrec_async.cli.outcomes import as_record
from wxrec_async.cli.progress import REFRESH_S, NoProgress, Progress
from wxrec_async.cli.stopping import SIGNALS, Stopper
from wxrec_async.cli.summary import Noted
from wxrec_async.config import Settings
from wxrec_async.events import Emit, Event, RunStarted
from wxrec_async.exporting import Exporting, from_environment

if TYPE_CHECKING:
    from wxrec_async import Backfill

T = TypeVar("T")
Check = Callable[["Backfill"], object]


class Interrupted(Exception):
    """A signal ended the command before it had a result; ``exit_code`` is 128 and the signal's number."""

    def __init__(self, name: str) -> None:
        super().__init__(f"stopped by {name}")
        number = signal.SIGINT if name == "SIGINT" else signal.SIGTERM
        self.exit_code = 128 + number


def open_backfill(settings: Settings, *, on_event: Emit, read_only: bool) -> Backfill:
    """Return the `Backfill` of a session; the one place where the command line makes one."""
    from wxrec_async import Backfill  # noqa: PLC0415 - a second of imports, spared to those who only look

    return Backfill(settings, on_event=on_event, read_only=read_only)


class Session(Generic[T]):
    """Carries out ``work`` on a `Backfill`, once.

    ``check`` is called before anything is opened or sent, and raises when there
    is no point in it.  ``read_only`` sessions look and have no progress; those that
    are ``steady`` go on for days, and log what they do instead.
    """

    def __init__(
        self,
        settings: Settings,
        desk: Desk,
        work: Callable[[Backfill], Awaitable[T]],
        *,
        check: Check | None = None,
        read_only: bool = False,
        steady: bool = False,
    ) -> None:
        self._settings, self._desk, self._read_only = settings, desk, read_only
        self._work, self._check = work, check
        self.noted = Noted()
        self._meter = Meter()
        self._progress: Progress = NoProgress() if read_only or steady else desk.progress(self._meter)
        self._log = EventLog(desk.log, desk.level)
        self._exporting: Exporting | None = None
        self._results: list[T] = []

    def run(self) -> T:
        """Return the result; raises `Interrupted` when a signal came first, and what `Backfill` raises."""
        backfill = open_backfill(self._settings, on_event=self._hear, read_only=self._read_only)
        if self._check:
            self._check(backfill)
        self._exporting = None if self._read_only else from_environment()
        try:
            anyio.run(self._main, backfill, backend="asyncio")
        except BaseExceptionGroup as failures:
            raise cause_of(failures) from None
        finally:
            self._progress.close()
            self._desk.out.flush()
            if self._exporting:
                self._exporting.close()
        return self._results[0]

    async def _main(self, backfill: Backfill) -> None:
        self._stopper = Stopper(self._desk.say, self._settings.backfill.grace_seconds)
        async with anyio.create_task_group() as group:
            await group.start(self._stopper.listen)
            group.start_soon(self._tick)
            with self._stopper.scope:
                await self._carry_out(backfill)
            group.cancel_scope.cancel()
        if not self._results:
            raise Interrupted(self._stopper.signal or "SIGINT")

    async def _carry_out(self, backfill: Backfill) -> None:
        async with backfill:
            self._stopper.backfill = backfill
            self._results.append(await self._work(backfill))

    async def _tick(self) -> None:
        while True:
            self._progress.tick()
            await self._desk.out.drain()
            await anyio.sleep(REFRESH_S)

    def _hear(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self._desk.announce(f"{event.concurrency} at once, memory stays under {event.memory_ceiling_mib} MiB")
        self._stopper.hear(event)
        self._meter.hear(event)
        self.noted.hear(event)
        self._log.hear(event)
        if self._exporting:
            self._exporting(event)
        if self._desk.json and (record := as_record(event)):
            self._desk.out.later(record)


async def until_signal(work: Callable[[], Awaitable[T]], *beside: Callable[[], Coroutine[Any, Any, None]]) -> T:
    """Return what ``work`` returns, while ``beside`` goes on.

    Raises `Interrupted` when a signal came first, after ``work`` has tidied up.
    """
    results: list[T] = []
    signals: list[str] = []

    async def listen(*, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        with anyio.open_signal_receiver(*SIGNALS) as received:
            task_status.started()
            async for number in received:
                signals.append(number.name)
                group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        await group.start(listen)
        for task in beside:
            group.start_soon(task)
        results.append(await work())
        group.cancel_scope.cancel()
    if not results:
        raise Interrupted(signals[0])
    return results[0]
