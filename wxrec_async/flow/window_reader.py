"""Lists the windows of a job on this machine, some at once, and hands their tasks on in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import anyio

from wxrec_async.errors import AuthError, RunStopped
from wxrec_async.flow.job import Job
from wxrec_async.flow.run_log import RunLog
from wxrec_async.flow.search_lister import SearchLister, SearchSource
from wxrec_async.flow.task_lister import Lister, PageSource, TaskLister
from wxrec_async.model import Task, TaskPage, Window
from wxrec_async.rules.selection import of_channel
from wxrec_async.rules.sources import Source, cut_by_source

WINDOWS_AHEAD = 8  # listed at once: between two short windows there is little else than waiting for the next answer


class WindowReader:
    """Reads windows once; ``put`` takes what is to be asked for, one window after the other, as they are given.

    ``search`` lists what ``webex`` does not reach back to; ``others`` lists the contacts of other channels, if they
    are to be counted.
    """

    def __init__(
        self,
        job: Job,
        webex: PageSource,
        log: RunLog,
        put: Callable[[Sequence[Task]], Awaitable[None]],
        *,
        others: PageSource | None = None,
        search: SearchSource | None = None,
    ) -> None:
        self._job, self._log, self._put, self._others = job, log, put, others
        self._listers: dict[Source, TaskLister] = {Source.TASKS: Lister(webex, job.page_size, job.channel_types)}
        if search is not None:
            self._listers[Source.SEARCH] = SearchLister(search, job.channel_types)
        self._reach = replace(job.reach, search=job.reach.search and search is not None)

    async def run(self) -> None:
        """List them all; raises `AuthError`, `RunStopped` or `LedgerError` when it cannot go on."""
        room = anyio.Semaphore(WINDOWS_AHEAD)
        turn = anyio.Event()
        turn.set()
        async with anyio.create_task_group() as group:
            for each in self._job.windows:
                # By the time it is now: a window that was planned days ago may have left the sight of the first list.
                for source, window in cut_by_source(each, self._reach, self._log.judged_ms()):
                    await room.acquire()
                    # A chain: each window hands its tasks on when the one before it has, so they come oldest first
                    # although eight windows are listed at once.
                    turn, before = anyio.Event(), turn
                    group.start_soon(self._read, source, window, room, before, turn)

    async def _read(
        self, source: Source, window: Window, room: anyio.Semaphore, before: anyio.Event, done: anyio.Event
    ) -> None:
        # A page proves what was there when it was read, however long the queue was full.  What time that was the
        # servers know, and say so with their first answer.
        asked_ms = self._log.judged_ms()
        held: list[tuple[Window, TaskPage, Sequence[Task]]] = []

        async def take_held() -> None:
            await before.wait()
            while held:
                await self._take_in(source, *held.pop(0))

        async def hold(part: Window, page: TaskPage, new: Sequence[Task]) -> None:
            """Read on to the end of a short window before its turn comes; of a long one, a page's worth is held."""
            nonlocal asked_ms
            asked_ms = min(asked_ms, self._log.judged_ms())
            held.append((part, page, new))
            if before.is_set() or sum(page.rows for _, page, _ in held) >= self._job.page_size:
                await take_held()

        trouble = await self._listers[source].read(window, hold)
        await take_held()
        # Before the others are counted: nobody's turn waits for what is only a number.
        done.set()
        if not trouble and source is Source.TASKS:
            await self._count_others(window)
        # After the counting: a window that is closed is not listed again, nor are its other contacts.
        await self._log.close_window(window, asked_ms, trouble, source)
        room.release()

    async def _count_others(self, window: Window) -> None:
        """Count the contacts of other channels; they are not what was asked for, so trouble is only said."""
        if self._others is None:
            return
        lister = Lister(self._others, self._job.page_size, self._job.other_channels, sure=False)
        try:
            trouble = await lister.read(window, self._take_note)
        except (AuthError, RunStopped) as refusal:
            trouble = str(refusal)
        if trouble:
            self._log.others_not_counted(window, trouble)

    async def _take_note(self, window: Window, _page: TaskPage, new: Sequence[Task]) -> None:
        await self._log.ingest_other(window, new)

    async def _take_in(self, source: Source, window: Window, page: TaskPage, new: Sequence[Task]) -> None:
        todo = await self._log.ingest_page(window, page.rows, new, due_only=self._job.due_only, source=source)
        await self._put(todo)
        # Search shows the contacts of all channels, so that counting them takes no further call.
        if source is Source.SEARCH and self._others is not None:
            ours = {task.id for task in new}
            beside = [task for task in page.tasks if task.id not in ours and of_channel(task, self._job.other_channels)]
            await self._log.ingest_other(window, beside)
