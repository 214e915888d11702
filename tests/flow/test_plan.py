"""What a run would do, without doing it."""

from __future__ import annotations

import pytest

from wxrec_async.errors import RemoteError
from wxrec_async.flow.task_lister import Lister
from wxrec_async.ledger import Counts
from wxrec_async.model import Task, TaskPage, Window
from wxrec_async.planning.plan import Plan, PlannedWindow, WindowListing
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.retry import GiveUp
from wxrec_async.rules.selection import WaitPolicy

from .bench import HOUR, NOON
from .kit import FakeWebex

pytestmark = pytest.mark.anyio

WINDOW = Window(NOON - 5 * HOUR, NOON)


def lister(webex: FakeWebex) -> Lister:
    return Lister(webex, webex.page_size, ("telephony",))


async def test_window_is_counted_as_a_run_would_treat_it() -> None:
    """Tasks to ask, tasks without a recording and calls too young to judge, each counted once over all pages."""
    tasks = [
        Task(
            f"t{n}",
            "telephony",
            "completed",
            created_ms=NOON - 4 * HOUR + n * 1000,
            capture_requested=None if n % 3 else False,
        )
        for n in range(12)
    ]
    tasks += [
        Task("young", "telephony", "completed", created_ms=NOON - HOUR // 4),
        Task("mail", "email", created_ms=NOON - HOUR),
    ]
    webex = FakeWebex(tasks, page_size=5)
    planned = (await WindowListing(WINDOW).read(lister(webex))).planned(WaitPolicy(), NOON)
    assert planned == PlannedWindow(WINDOW, tasks=13, to_ask=8, no_recording=4, settling=1, pages=len(webex.pages))
    assert webex.asked == []


async def test_window_that_cannot_be_read_says_why() -> None:
    """The plan names the problem and counts what it saw."""
    webex = FakeWebex([Task("t", status="completed", created_ms=NOON - HOUR)])

    def refuse(_window: Window, from_ms: int) -> TaskPage | None:
        if webex.pages[1:]:
            raise OperationFailed(GiveUp("retries_exhausted"), RemoteError())
        return None

    webex.on_page = refuse
    planned = (await WindowListing(WINDOW).read(lister(webex))).planned(WaitPolicy(), NOON)
    assert planned.tasks == 1
    assert planned.problem is not None
    assert planned.problem.startswith("retries_exhausted")


@pytest.mark.parametrize(("to_ask", "calls"), [(0, 0), (1, 1), (10, 1), (11, 2), (3000, 300)])
def test_captures_calls_are_counted_in_tens(to_ask: int, calls: int) -> None:
    """Ten tasks cost one call, eleven two; the budget turns calls into minutes."""
    plan = Plan(WINDOW, (PlannedWindow(WINDOW, to_ask, to_ask, 0, 0),), Counts(), 300)
    assert (plan.tasks, plan.to_ask, plan.captures_calls, plan.minutes) == (to_ask, to_ask, calls, calls / 300)


def test_work_left_by_earlier_runs_is_part_of_the_plan() -> None:
    """Owed, failed and unfinished tasks are asked for again, and what is stored is told."""
    known = Counts(owed=2, failed_tasks=3, unfinished_tasks=4, stored=5, already_stored=6)
    line = Plan(WINDOW, (), known, 250, notes=("clamped",)).as_json()
    assert (line["to_ask"], line["captures_calls"], line["already_stored"]) == (9, 1, 11)
    assert (line["event"], line["schema"], line["notes"]) == ("plan", 1, ["clamped"])


def test_failed_recordings_are_part_of_the_plan() -> None:
    """A run asks captures for every task of which a recording failed; a plan that says 0 calls is wrong."""
    known = Counts(tasks_listed=10, tasks_with_recordings=10, failed=10)
    assert Plan(WINDOW, (), known, 250).captures_calls >= 1
