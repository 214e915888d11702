"""One window, or what earlier runs left: listed, carried, written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from wxrec_async.errors import InvalidResponse
    from wxrec_async.flow.job import Cursor
    from wxrec_async.flow.search_lister import SearchLister
    from wxrec_async.flow.task_lister import Lister
    from wxrec_async.model import SearchPage, SearchRow, Task, TaskPage, Window
    from wxrec_async.plumbing.retrying import OperationFailed
    from wxrec_async.rules.retry import GiveUp
    from wxrec_async.rules.search_paging import REORDERED
    from wxrec_async.rules.selection import of_channel
    from wxrec_async.rules.sources import Source
    from wxrec_async.temporal import activity_calls, contract
    from wxrec_async.temporal.activity_calls import is_long, ledger_call, of_run
    from wxrec_async.temporal.batch_runner import BatchRunner
    from wxrec_async.temporal.contract import Plain, WindowAsk
    from wxrec_async.temporal.messages import PageAsk, Span

# A history that the first release began has no such mark, and its window is listed to its end as it was begun: without
# the question for every channel at the end, with both halves of what is too large, with pages judged as they were then.
LISTED_AS_TODAY = "every-channel-at-the-end"


@workflow.defn(name="wxrec-window")
class WindowFlow:
    """One window from its first page to its last recording; or what earlier runs left."""

    @workflow.run
    async def run(self, ask: WindowAsk) -> None:
        crew = BatchRunner(ask)
        rest: WindowAsk | None = None
        try:
            try:
                await (self._backlog(ask, crew) if ask.only else self._window(ask, crew))
            except _ContinueAsNew as long:
                rest = long.ask
            # A new history knows nothing of what is under way in this one: that is finished and written down first.
            await crew.finish()
        except ActivityError:
            # The run ends here.  What was finished before goes into the ledger all the same.
            await crew.write_down()
            raise
        if rest is not None:
            workflow.continue_as_new(rest)

    async def _backlog(self, ask: WindowAsk, crew: BatchRunner) -> None:
        at: Any = ask.at or Cursor(ask.period.from_ms)
        while at is not None:
            asked = {**of_run(ask), "at": _plain(at), "only": ask.only, "scheduled": ask.scheduled}
            found = await ledger_call(ask.org, "backlog", asked, dict)
            await crew.take(found["todos"])
            at = found["at"]
            # Between pages only: a page is in the ledger's hands as a whole, and the cursor stands behind it.
            if at is not None and is_long():
                raise _ContinueAsNew(replace(ask, at=Cursor(**at)))

    async def _window(self, ask: WindowAsk, crew: BatchRunner) -> None:
        whole, asked_ms, trouble = ask.whole or ask.span, ask.asked_ms, ask.trouble
        if not ask.others:
            asked_ms, trouble = await self._list(ask, crew)
        # The count is an extra, and made last: a window that was not read to its end is listed again anyway.
        not_counted = ""
        if ask.shape.other_channels and not trouble and ask.source == Source.TASKS:
            rest = replace(ask, whole=whole, asked_ms=asked_ms, trouble=trouble, others=True)
            rest = rest if ask.others else replace(rest, span=whole)
            if not ask.others and is_long():
                raise _ContinueAsNew(rest)
            not_counted = await self._count_others(rest)
        # Closed before its recordings are stored: a window says that all its tasks are in the ledger, which
        # keeps what is left of each.
        ended = contract.Listed(ask.run, ask.period, whole, asked_ms, trouble, not_counted, ask.source)
        await ledger_call(ask.org, "listed", ended, None)

    async def _list(self, ask: WindowAsk, crew: BatchRunner) -> tuple[int, str]:
        """List the window; return when that began, and why it is not whole."""
        pages = _Pages(ask)

        async def take_in(window: Window, page: TaskPage, new: Sequence[Task]) -> None:
            # The lister decides which tasks are new, by three of their fields; the ledger gets the rows as they came.
            rows = [pages.rows[task.id] for task in new]
            asked = {**of_run(ask), "window": asdict(Span.of(window)), "rows": page.rows, "tasks": rows}
            asked["scheduled"] = ask.scheduled
            if ask.source == Source.SEARCH:
                asked["source"] = ask.source
                await self._note_beside(ask, pages, page, new)
            await crew.take(await ledger_call(ask.org, "take_in", asked, list))
            if page.unreadable:
                pages.trouble = f"{page.unreadable} of its tasks have no usable id"
            if is_long() and (rest := _rest_of(ask, page)):
                trouble = pages.trouble or pages.disorder
                raise _ContinueAsNew(replace(rest, asked_ms=pages.asked_ms, trouble=trouble))

        if ask.source == Source.SEARCH:
            by_search = SearchLister(pages, ask.shape.channel_types)
            trouble = await by_search.read(ask.span.window(), take_in) or pages.trouble
            return pages.asked_ms, trouble
        today = workflow.patched(LISTED_AS_TODAY)
        lister = Lister(pages, ask.shape.page_size, ask.shape.channel_types, sure=today, as_first_released=not today)
        trouble = await lister.read(ask.span.window(), take_in) or pages.trouble
        return pages.asked_ms, trouble

    async def _note_beside(self, ask: WindowAsk, pages: _Pages, page: TaskPage, new: Sequence[Task]) -> None:
        """Count the contacts of other channels that Search shows: of what it lists, nobody is asked once more."""
        ours = {task.id for task in new}
        beside = [each for each in page.tasks if each.id not in ours and of_channel(each, ask.shape.other_channels)]
        if beside:
            rows = [pages.rows[task.id] for task in beside]
            asked = {**of_run(ask), "window": asdict(ask.span), "tasks": rows}
            await ledger_call(ask.org, "take_note", asked, None)

    async def _count_others(self, ask: WindowAsk) -> str:
        """Count the contacts of other channels; return why that did not succeed, which is only said."""
        pages = _Pages(ask)

        async def take_note(window: Window, page: TaskPage, new: Sequence[Task]) -> None:
            rows = [pages.rows[task.id] for task in new]
            asked = {**of_run(ask), "window": asdict(Span.of(window)), "tasks": rows}
            await ledger_call(ask.org, "take_note", asked, None)
            if is_long() and (rest := _rest_of(ask, page)):
                raise _ContinueAsNew(rest)

        today = workflow.patched(LISTED_AS_TODAY)
        lister = Lister(pages, ask.shape.page_size, ask.shape.other_channels, sure=False, as_first_released=not today)
        try:
            return await lister.read(ask.span.window(), take_note) or ""
        except _Refused as refused:
            return str(refused)


class _ContinueAsNew(Exception):
    """The history is long enough: the rest of the window goes into a new one."""

    def __init__(self, ask: WindowAsk) -> None:
        super().__init__()
        self.ask = ask


class _Refused(Exception):
    """Contacts of other channels cannot be listed."""


class _Pages:
    """Webex, as far as listing goes; each page is asked for by some worker.

    A refusal of contacts that are only counted is `_Refused`, for they end no run.
    """

    def __init__(self, ask: WindowAsk) -> None:
        self._ask = ask
        self.asked_ms, self.trouble = ask.asked_ms, ask.trouble
        self.disorder = ""
        self._newest_ms = 0
        self.rows: dict[str, Plain] = {}

    async def tasks_page(
        self, window: Window, *, from_ms: int, next_link: str | None = None, every_channel: bool = False
    ) -> TaskPage:
        """See `wxrec_async.flow.task_lister.PageSource`."""
        span = Span.of(window)
        row = await self._had(PageAsk(self._ask.org, span, from_ms, next_link, self._ask.others, every_channel))
        return TaskPage(
            self._tasks(row), row["rows"], row["next_link"], None, row["unreadable"], row.get("more", False)
        )

    async def search_page(self, window: Window, cursor: str = "") -> SearchPage:
        """See `wxrec_async.flow.search_lister.SearchSource`."""
        before = frozenset(self.rows) if cursor else frozenset()
        asked = PageAsk(self._ask.org, Span.of(window), window.from_ms, source=self._ask.source, cursor=cursor)
        row = await self._had(asked)
        tasks = self._tasks(row)
        self._hold_order([each.created_ms for each in tasks if each.created_ms is not None], first=not cursor)
        # A new history would begin with a new query, and know nothing of what this one met.
        if row.get("trouble") or row["unreadable"] or before & self.rows.keys():
            self.disorder = row.get("trouble") or "rows of Search without an id, or twice"
        rows = tuple(map(SearchRow, tasks))
        return SearchPage(rows, row["rows"], row.get("cursor", ""), row["unreadable"], row.get("trouble", ""))

    def _hold_order(self, times: list[int], *, first: bool) -> None:
        newest = 0 if first else self._newest_ms
        if times != sorted(times) or (times and times[0] < newest):
            self.disorder = REORDERED
        self._newest_ms = max([newest, *times])

    async def _had(self, asked: PageAsk) -> Plain:
        row = await self._asked(asked)
        # The earliest of all pages: what was too young then may have been missing from any of them.
        self.asked_ms = min(self.asked_ms or row["asked_ms"], row["asked_ms"])
        # Raised as the client of a plain run raises it, so that the same lister halves windows by the same words.
        if row["refused"]:
            raise OperationFailed(GiveUp(row["refused"]), InvalidResponse(row["detail"]))
        self.rows = {each["id"]: each for each in row["tasks"]}
        return row

    def _tasks(self, row: Plain) -> tuple[Task, ...]:
        return tuple(
            Task(each["id"], channel_type=each.get("channel_type"), created_ms=each.get("created_ms"))
            for each in row["tasks"]
        )

    async def _asked(self, asked: PageAsk) -> Plain:
        try:
            return await activity_calls.ask_page(self._ask, asked)
        except ActivityError as failure:
            # Told by an activity, not a timeout or a cancellation: those are the run's own affair.
            if asked.others and isinstance(failure.cause, ApplicationError):
                raise _Refused(failure.cause.message) from None
            raise


def _rest_of(ask: WindowAsk, page: TaskPage) -> WindowAsk | None:
    """Return the rest of a window behind a page; None when the page is no safe place to cut at."""
    times = [task.created_ms for task in page.tasks if task.created_ms is not None]
    # The rest is listed by time, so it is cut where time can tell: not within a chain of links, not on a page
    # out of order, and not on one whose rows share a moment, behind which there would be no progress.
    if page.next_link or not times or times != sorted(times) or times[0] == times[-1]:
        return None
    # From a millisecond before the last row on: others of its moment may be on the next page, and whether
    # the bound is inclusive is not known.  What is seen twice is known to the ledger.
    begin = max(times[-1] - 1, ask.span.from_ms + 1)
    if begin >= ask.span.to_ms:
        return None
    return replace(ask, span=Span(begin, ask.span.to_ms), whole=ask.whole or ask.span)


def _plain(at: Any) -> Plain:
    return at if isinstance(at, dict) else asdict(at)
