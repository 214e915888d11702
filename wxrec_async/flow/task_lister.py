"""Reads a window of tasks to its end, page by page.

A list that is filtered by channels does not prove its own end: a server that cuts
its pages before it filters them shows short and empty pages in the middle.  So
from the first short page on the rest is asked for without the filter, which is
applied here.  In a window of calls only that costs nothing (the last question is
asked anyway), in an empty one a call; else as many as the contacts of other
channels behind the last call fill pages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Protocol

from wxrec_async.model import Task, TaskPage, Window
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.paging import Pager
from wxrec_async.rules.retry import GiveUp
from wxrec_async.rules.selection import of_channel
from wxrec_async.rules.windows import halves

MAX_HALVINGS = 5
TOO_LARGE = "answer_too_large"
# Webex documents these three without saying for what; too long a span may be any of them.
TOO_MUCH_ASKED = ("http_400", "http_413", "http_422", TOO_LARGE)

TakeIn = Callable[[Window, TaskPage, Sequence[Task]], Awaitable[None]]


class PageSource(Protocol):
    """Webex, as far as listing goes."""

    async def tasks_page(
        self, window: Window, *, from_ms: int, next_link: str | None = None, every_channel: bool = False
    ) -> TaskPage:
        """Return one page, of every channel or of those asked for; `OperationFailed` when this one cannot be had."""


class TaskLister(Protocol):
    """Whatever lists windows: by ``GET /v1/tasks``, or by Search."""

    async def read(self, window: Window, take_in: TakeIn) -> str | None:
        """Hand every page and its new tasks to ``take_in``; return why the end was not reached, None when it was.

        A task may be handed over more than once.
        """
        ...


class Lister:
    """Lists windows; keeps nothing between two of them.

    With ``sure`` the end of a window is believed only without the filter of
    channels; without it the list is an estimate.  ``as_first_released`` asks for the same pages
    as the first release does: a history that it began must go on as it began.
    """

    def __init__(
        self,
        webex: PageSource,
        page_size: int,
        channel_types: Collection[str],
        *,
        sure: bool = True,
        as_first_released: bool = False,
    ) -> None:
        self._webex, self._page_size, self._channel_types = webex, page_size, channel_types
        self._sure, self._first = sure, as_first_released

    async def read(self, window: Window, take_in: TakeIn, halvings: int = MAX_HALVINGS) -> str | None:
        """Hand every page and its new tasks to ``take_in``; return why the end was not reached, None when it was.

        Two halves are read instead when Webex finds the window too large, or when
        its rows are out of order, so that paging by time may have skipped some.  A
        task may then be handed over more than once.
        """
        pager = Pager(window, self._page_size, as_first_released=self._first)
        try:
            trouble = await self._read_pages(window, pager, take_in)
        except OperationFailed as given_up:
            reason = given_up.decision.reason if isinstance(given_up.decision, GiveUp) else "error"
            trouble, halve = f"{reason}: {given_up}", reason in TOO_MUCH_ASKED
        else:
            halve = pager.disordered
            trouble = trouble or ("its tasks are not in order of time" if halve else None)
        if not halve or not halvings or window.length_ms < 2:
            return trouble
        first, second = halves(window)
        trouble = await self.read(first, take_in, halvings - 1)
        if trouble and not self._first and trouble.startswith(TOO_LARGE):
            return trouble  # megabytes for however short a span: the rest would be read for nothing
        # Read although the first half failed: its tasks are worked on, the window only stays open.
        return await self.read(second, take_in, halvings - 1) or trouble

    async def _read_pages(self, window: Window, pager: Pager, take_in: TakeIn) -> str | None:
        trouble: str | None = None
        link: str | None = None
        every = False
        while True:
            page = await self._webex.tasks_page(window, from_ms=pager.from_ms, next_link=link, every_channel=every)
            step = pager.take(page)
            # Whatever is wrong with the page: a row that could be read is a task that there is.
            await take_in(window, page, [task for task in step.new if of_channel(task, self._channel_types)])
            trouble = trouble or step.trouble or _unreadable(page)
            # An end seen through the filter is asked for once more without it; with trouble it
            # would prove nothing anyway.
            if step.done and (every or trouble or not self._sure):
                return trouble
            link = step.next_link
            short = step.done or (link is None and page.rows < self._page_size)
            if self._sure and short and not every:
                every = True
                pager.without_filter()


def _unreadable(page: TaskPage) -> str | None:
    """A row nobody can read is a task nobody will ever see again: the window is not whole."""
    return f"{page.unreadable} of its tasks have no usable id" if page.unreadable else None
