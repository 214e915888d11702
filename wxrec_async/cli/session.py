"""One `Backfill` with everything that surrounds it on a command line: signals, progress, logs, JSON lines."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import anyio
from anyio.abc import TaskStatus

import wxrec_async
from wxrec_async.cli.console import Console
from wxrec_async.cli.event_log import EventLog
from wxrec_async.cli.exit_codes import cause_of
from wxrec_async.cli.json_events import as_record
from wxrec_async.cli.progress import REFRESH_S, NoProgress, ProgressDisplay
from wxrec_async.cli.progress_state import ProgressState
from wxrec_async.cli.signals import SIGNALS, Stopper
from wxrec_async.cli.summary_lines import RunNotes
from wxrec_async.config import Settings
from wxrec_async.events import Emit, Event, RunStarted
from wxrec_async.otel.providers import Exporting, from_environment

if TYPE_CHECKING:
    from wxrec_async import Backfill

T = TypeVar("T")
Check = Callable[["Backfill"], object]


class Interrupted(Exception):
    """A signal ended the command before it had a result; ``exit_code`` is 128 and the signal's number."""

    def __init__(self, name: str) -> None:
        super().__init__(f"stopped by {name}")
        # SIGHUP ends like SIGTERM: the table of exit codes knows these two.
        number = signal.SIGINT if name == "SIGINT" else signal.SIGTERM
        self.exit_code = 128 + number


def open_backfill(settings: Settings, *, on_event: Emit, read_only: bool) -> Backfill:
    """Return the `Backfill` of a session; the one place where the command line makes one."""
    return wxrec_async.Backfill(settings, on_event=on_event, read_only=read_only)


class Opener(Protocol):
    """Whoever makes the `Backfill` of a session, or what can stand for one."""

    def __call__(self, settings: Settings, *, on_event: Emit, read_only: bool) -> Backfill: ...


class Session(Generic[T]):
    """Carries out ``work`` on a `Backfill`, once.

    ``check`` is called before anything is opened or sent, and raises when there
    is no point in it.  ``read_only`` sessions look and have no progress; those that
    are ``steady`` go on for days, and log what they do instead.
    ``opener`` makes what stands for the `Backfill`, when that is another one.
    """

    def __init__(  # noqa: PLR0913 - what a command decides
        self,
        settings: Settings,
        console: Console,
        work: Callable[[Backfill], Awaitable[T]],
        *,
        check: Check | None = None,
        read_only: bool = False,
        steady: bool = False,
        opener: Opener | None = None,
    ) -> None:
        self._opener = opener
        self._settings, self._console, self._read_only = settings, console, read_only
        self._work, self._check = work, check
        self.notes = RunNotes()
        self.tokens = settings.auth.tokens
        self._state = ProgressState()
        self._progress: ProgressDisplay = NoProgress() if read_only or steady else console.progress(self._state)
        self._log = EventLog(console.log, console.level)
        self._exporting: Exporting | None = None
        self._results: list[T] = []

    def run(self) -> T:
        """Return the result; raises `Interrupted` when a signal came first, and what `Backfill` raises."""
        backfill = (self._opener or open_backfill)(self._settings, on_event=self._on_event, read_only=self._read_only)
        if self._check:
            self._check(backfill)
        self._exporting = None if self._read_only else from_environment()
        try:
            anyio.run(self._main, backfill, backend="asyncio")
        except BaseExceptionGroup as failures:
            raise cause_of(failures) from None
        finally:
            # The display first: the lines that follow would tear it.
            self._progress.close()
            self._console.out.flush()
            if self._exporting:
                self._exporting.close()
        return self._results[0]

    async def _main(self, backfill: Backfill) -> None:
        self._stopper = Stopper(self._console.message, self._settings.backfill.grace_seconds)
        async with anyio.create_task_group() as group:
            # Signals first: from here on none of them ends the process in the middle of something.
            await group.start(self._stopper.listen)
            group.start_soon(self._tick)
            # Of its own: to cancel it ends the work alone, and what follows is still done.
            with self._stopper.scope:
                await self._carry_out(backfill)
            # `listen` and `_tick` have no end of their own.
            group.cancel_scope.cancel()
        if not self._results:
            raise Interrupted(self._stopper.signal or "SIGINT")

    async def _carry_out(self, backfill: Backfill) -> None:
        async with backfill:
            # Only now is there something to drain; until here a signal cancels the scope.
            self._stopper.backfill = backfill
            # Kept before the ledger is closed: a signal meanwhile must not cost the summary.
            self._results.append(await self._work(backfill))

    async def _tick(self) -> None:
        while True:
            self._progress.tick()
            await self._console.out.drain()
            await anyio.sleep(REFRESH_S)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self._console.announce(f"{event.concurrency} at once, memory stays under {event.memory_ceiling_mib} MiB")
        self._stopper.on_event(event)
        self._state.on_event(event)
        self.notes.on_event(event)
        self._log.on_event(event)
        if self._exporting:
            self._exporting(event)
        if self._console.json and (record := as_record(event)):
            self._console.out.later(record)


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


def run_until_signal(work: Callable[[], Awaitable[T]], *beside: Callable[[], Coroutine[Any, Any, None]]) -> T:
    """Do the same from outside an event loop; what fails is raised as it is, without the task group's wrapping."""
    try:
        return anyio.run(until_signal, work, *beside, backend="asyncio")
    except BaseExceptionGroup as failures:
        raise cause_of(failures) from None
