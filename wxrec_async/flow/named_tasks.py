"""What Search knows of tasks that are named by their ids alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from wxrec_async.events import Emit, Warned
from wxrec_async.flow.search_lister import SearchSource
from wxrec_async.model import SearchPage, Task, Window
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.ids import canonical
from wxrec_async.rules.sources import Reach, years_back
from wxrec_async.rules.task_views import merged

NAMED_BATCH = 250  # a page of Search, which takes up to a thousand arguments: an answer needs no second page


class OlderTasks(SearchSource, Protocol):
    """Search, as the list of what ``GET /v1/tasks`` does not reach back to."""

    async def search_ids(self, window: Window, task_ids: Collection[str]) -> SearchPage:
        """Return those of up to 250 contacts that were created in ``window``; `OperationFailed` when it cannot be."""
        ...


class NamedTasks:
    """Looks tasks up by id, in batches; without Search, or after a refusal, they go on as bare ids, and that is said.

    ``now_ms`` is milliseconds since the epoch.
    """

    def __init__(self, search: OlderTasks | None, reach: Reach, now_ms: Callable[[], int], emit: Emit) -> None:
        self._search, self._now_ms, self._emit = search if reach.search else None, now_ms, emit

    async def known(self, task_ids: Sequence[str]) -> list[Task]:
        """Return these tasks, at most `NAMED_BATCH`, each with what Search says of it."""
        found: dict[str, Task] = {}
        # Newest first: what is named is mostly young, and each year is a call for what is not found yet.
        for year in years_back(self._now_ms()):
            left = [each for each in task_ids if canonical(each) not in found]
            if self._search is None or not left:
                break
            found |= await self._looked_up(self._search, year, left)
        return [
            merged(Task(each), found[canonical(each)]) if canonical(each) in found else Task(each) for each in task_ids
        ]

    async def _looked_up(self, search: OlderTasks, year: Window, task_ids: Sequence[str]) -> dict[str, Task]:
        try:
            page = await search.search_ids(year, task_ids)
        except OperationFailed as given_up:
            # Said once, and not asked again: the recordings do not need it.
            self._search = None
            words = f"tasks are named by their ids alone: Search does not say more of them: {given_up}"
            self._emit(Warned("search_not_heard", words))
            return {}
        return {canonical(each.task.id): each.task for each in page.witnesses}
