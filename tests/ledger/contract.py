"""What every ledger must do.  Subclass `LedgerContract`, give it an ``opener``, and pytest runs it all."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import anyio
import pytest

from tests.ledgers import captured
from wxrec_async.errors import ConfigError, LedgerError
from wxrec_async.ledger import (
    BacklogReason,
    CatchUp,
    Counts,
    Everything,
    Failure,
    Identity,
    InPeriod,
    NamedFor,
    Operator,
    SqliteLedger,
    StartedKey,
)
from wxrec_async.model import LeftAlone, OpenUpload, Recording, RecordingState, StoredObject, Task, TaskState, Window
from wxrec_async.rules.finality import Phase, phase
from wxrec_async.rules.selection import STILL_OPEN

HOME = Identity("org-1", "bucket-1", "calls/{task_id}{ext}")
DAY = Window(0, 1000)
PHONE = "+15550100123"

Opener = Callable[..., AbstractAsyncContextManager[SqliteLedger]]


def masked(text: str) -> str:
    """Stand in for the real mask: nothing of the number stays."""
    return "masked" if text else text


def stored_object(key: str = "calls/t1.wav", size: int = 10) -> StoredObject:
    return StoredObject(key=key, size=size, crc32=0xDEADBEEF, etag='"e"', version_id="v1")


async def add(ledger: SqliteLedger, *task_ids: str, created_ms: int | None = 5, now_ms: int = 100) -> list[str]:
    """List tasks in DAY and return the ids handed out."""
    tasks = [Task(task_id, created_ms=created_ms) for task_id in task_ids]
    return [task.id for task in await ledger.add_tasks(tasks, listed_in=DAY, now_ms=now_ms)]


async def capture(ledger: SqliteLedger, task_id: str, *recording_ids: str) -> None:
    await captured(ledger, task_id, [Recording(task_id, recording_id) for recording_id in recording_ids], 110)


async def store(ledger: SqliteLedger, task_id: str, recording_id: str, **changes: object) -> None:
    facts: dict[str, object] = {"run_id": "run-1", "already": False, "main_place": False, "now_ms": 120} | changes
    await ledger.stored(task_id, recording_id, stored_object(f"{task_id}/{recording_id}"), **facts)  # type: ignore[arg-type]


async def backlog_ids(ledger: SqliteLedger, **options: object) -> list[str]:
    found = await ledger.backlog(Everything(), **({"now_ms": 1000, "again": True} | options))  # type: ignore[arg-type]
    return [entry.task.id for entry in found]


class LedgerContract:
    """Each test opens a new ledger; ``opener()`` again, after the first was closed, opens the same one."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def opener(self) -> Opener:
        """Return ``open(identity=HOME, mask=masked)``."""
        raise NotImplementedError

    async def test_everything_is_there_after_reopening(self, opener: Opener) -> None:
        """What was acknowledged outlives the process."""
        async with opener() as ledger:
            await ledger.begin_run("run-1", 100, DAY)
            await add(ledger, "t1", "t2")
            await capture(ledger, "t1", "r1")
            await store(ledger, "t1", "r1", main_place=True)
            await ledger.close_window(DAY, 130)
            await ledger.end_run("run-1", 140, 5, {"stored": 1})
        async with opener() as ledger:
            assert await ledger.closed_windows(DAY) == [DAY]
            assert await backlog_ids(ledger) == ["t2"]
            assert (await ledger.counts(InPeriod(DAY), "run-1")).stored == 1
            run = await ledger.last_run()
            assert run is not None
            assert (run.run_id, run.ended_ms, run.exit_code, run.scope, run.summary) == (
                "run-1", 140, 5, DAY, {"stored": 1},
            )  # fmt: skip

    @pytest.mark.parametrize(
        "summary",
        [
            {"days": [{"day": number, "words": "x" * 600} for number in range(400)]},
            {"error": 'see "https://developer.webex.com/docs"', "notes": ['\\ https://a/b"c']},
            {"error": "x-amz-signature=", '"https://h/p"': {"+15551234567": "+15551234567\\"}},
        ],
        ids=["of a year", "a quoted URL", "names of fields"],
    )
    async def test_a_summary_stays_readable_however_long_and_whatever_is_masked_in_it(
        self, opener: Opener, summary: dict[str, object]
    ) -> None:
        """What is masked is the texts within it, before they become JSON; nothing is cut off the end of that."""
        async with opener() as ledger:
            await ledger.begin_run("run-1", 100, DAY)
            await ledger.end_run("run-1", 140, 0, summary)
            run = await ledger.last_run()
            assert run is not None
            told = json.dumps(run.summary)
            assert not [each for each in ("https://", "15551234567") if each in told]
            assert len(run.summary) == len(summary)
            assert "days" not in summary or run.summary == summary

    @pytest.mark.fault("X28")
    async def test_a_run_says_who_made_it(self, opener: Opener) -> None:
        """Version and user are kept with the run; a run without them has none."""
        async with opener() as ledger:
            await ledger.begin_run("run-0", 90, DAY)
            run = await ledger.last_run()
            assert run is not None
            assert run.author is None
            await ledger.begin_run("run-1", 100, DAY, author=Operator("1.2", "op@host"))
        async with opener() as ledger:
            run = await ledger.last_run()
            assert run is not None
            assert run.author == Operator("1.2", "op@host")

    @pytest.mark.parametrize(
        "other",
        [Identity("org-2", "bucket-1", HOME.key_template), Identity("org-1", "bucket-2", HOME.key_template),
         Identity("org-1", "bucket-1", "other/{task_id}")],
    )  # fmt: skip
    async def test_another_identity_is_refused_by_name(self, opener: Opener, other: Identity) -> None:
        """The message names what the ledger belongs to, what was asked for, and the flag that helps."""
        async with opener():
            pass
        with pytest.raises(ConfigError) as caught:
            async with opener(other):
                pass
        message = str(caught.value)
        (kept, given), *_ = [
            (a, b)
            for a, b in (
                (HOME.org_id, other.org_id),
                (HOME.bucket, other.bucket),
                (HOME.key_template, other.key_template),
            )
            if a != b
        ]
        assert kept in message
        assert given in message
        assert "--ledger" in message

    async def test_an_unknown_organisation_is_adopted_once(self, opener: Opener) -> None:
        """A ledger made before the organisation was known takes the first it hears of, and keeps it."""
        async with opener(Identity("", HOME.bucket, HOME.key_template)):
            pass
        async with opener(HOME) as ledger:
            assert await ledger.identity() == HOME
        with pytest.raises(ConfigError):
            async with opener(Identity("org-2", HOME.bucket, HOME.key_template)):
                pass

    async def test_closed_windows_melt_together(self, opener: Opener) -> None:
        """Overlapping and adjoining windows become one, in any order, closing twice changes nothing."""
        async with opener() as ledger:
            for span in (Window(10, 20), Window(40, 50), Window(20, 30), Window(10, 20), Window(45, 60)):
                await ledger.close_window(span, 1)
            assert await ledger.closed_windows(Window(0, 100)) == [Window(10, 30), Window(40, 60)]
            assert await ledger.closed_windows(Window(30, 40)) == []
            assert await ledger.closed_windows(Window(29, 41)) == [Window(10, 30), Window(40, 60)]
            await ledger.close_window(Window(0, 100), 2)
            assert await ledger.closed_windows(Window(50, 51)) == [Window(0, 100)]

    async def test_windows_are_kept_by_the_list_that_closed_them(self, opener: Opener) -> None:
        """What either list has read to its end is listed no more; together they are one span where they meet."""
        async with opener() as ledger:
            await ledger.close_window(Window(0, 20), 1, "search")
            await ledger.close_window(Window(20, 30), 1)
            await ledger.close_window(Window(15, 20), 1, "search")
            assert await ledger.closed_windows(Window(0, 100)) == [Window(0, 30)]
            await ledger.close_window(Window(40, 50), 2, "search")
            assert await ledger.closed_windows(Window(0, 100)) == [Window(0, 30), Window(40, 50)]
            assert (await ledger.lag()).listed_to_ms == 50

    @pytest.mark.fault("W16")
    async def test_a_task_on_two_pages_is_handed_out_once(self, opener: Opener) -> None:
        """Within a run a task goes to a worker once, by whatever page, window or backlog it comes again."""
        async with opener() as ledger:
            await ledger.begin_run("run-1", 100, DAY)
            assert await add(ledger, "t1", "t2", "t1") == ["t1", "t2"]
            assert await add(ledger, "t2", "t3") == ["t3"]
            assert await ledger.backlog(Everything(), now_ms=100) == []
            await ledger.begin_run("run-2", 200, DAY)
            assert [entry.task.id for entry in await ledger.backlog(Everything(), now_ms=100)] == ["t1", "t2", "t3"]
            assert await add(ledger, "t1", "t4") == ["t4"]
            assert (await ledger.counts(Everything(), None)).tasks_listed == 4

    async def test_tasks_at_rest_are_not_handed_out(self, opener: Opener) -> None:
        """Final tasks and owed ones that are not due stay where they are; everything else is work."""
        async with opener() as ledger:
            await ledger.begin_run("run-1", 100, DAY)
            await add(ledger, "none", "owed", "due", "failed", "stored", "broken", "gone")
            await ledger.settle_task("none", TaskState.NO_RECORDING, now_ms=1, empty_answer=True)
            await ledger.settle_task("owed", TaskState.OWED, now_ms=1, empty_answer=True, next_ask_ms=500)
            await ledger.settle_task("due", TaskState.OWED, now_ms=1, empty_answer=True, next_ask_ms=200)
            await ledger.settle_task("failed", TaskState.FAILED, "missing", now_ms=1, empty_answer=True)
            for task_id in ("stored", "broken", "gone"):
                await capture(ledger, task_id, "r")
            await store(ledger, "stored", "r")
            await ledger.recording_failed("broken", "r", "cut", "", 120)
            await ledger.recording_gone("gone", "r", 120, evidence="captures_unnamed")
            await ledger.begin_run("run-2", 200, DAY)
            again = await add(ledger, "none", "owed", "due", "failed", "stored", "broken", "gone", now_ms=200)
            assert again == ["due", "failed", "broken"]

    async def test_a_null_never_overwrites_and_the_newer_row_wins(self, opener: Opener) -> None:
        """Attributes only get better, in whatever order the rows come."""
        new = Task("t1", status="ended", queue_name="new", updated_ms=20, created_ms=5, capture_requested=True)
        old = Task("t1", status="connected", queue_name="old", agent_name="Ann", updated_ms=10, created_ms=5)
        bare = Task("t1")
        newest = Task("t1", updated_ms=30)
        for number, order in enumerate(([new, old, bare], [old, bare, new], [bare, new, old])):
            rows = [replace(row, id=f"t{number}") for row in [*order, newest]]
            async with opener() as ledger:
                await ledger.add_tasks(rows, listed_in=DAY, now_ms=1)
                task = (await ledger.backlog(Everything(), now_ms=1))[-1].task
            assert (task.status, task.queue_name, task.agent_name) == ("ended", "new", "Ann")
            assert (task.updated_ms, task.capture_requested, task.created_ms) == (30, True, 5)

    @pytest.mark.parametrize("updated_ms", [None, 10, 20])
    @pytest.mark.parametrize("over", [{"status": "completed"}, {"status": "Ended", "active": False, "ended_ms": 9}])
    async def test_the_end_of_a_call_is_taken_however_old_its_row_says_it_is(
        self, opener: Opener, updated_ms: int | None, over: dict[str, Any]
    ) -> None:
        """A call that is over is not open again, whatever the clocks of Webex say; what was owed for it is due."""
        open_row = Task("t1", status="created", queue_name="Sales", updated_ms=20, created_ms=5)
        closed = replace(open_row, queue_name=None, updated_ms=updated_ms, **over)
        async with opener() as ledger:
            await ledger.add_tasks([open_row], listed_in=DAY, now_ms=6)
            await ledger.settle_task("t1", TaskState.OWED, STILL_OPEN, now_ms=6, empty_answer=False, next_ask_ms=9000)
            assert await ledger.add_tasks([open_row], listed_in=DAY, now_ms=10) == []
            (due,) = await ledger.add_tasks([closed], listed_in=DAY, now_ms=100)
            assert phase(due) is Phase.OVER
            assert (due.status, due.active, due.ended_ms) == (closed.status, closed.active, closed.ended_ms)
            assert due.queue_name == "Sales"

    async def test_every_field_of_a_task_is_kept(self, opener: Opener) -> None:
        """What was listed comes back as it was, but for the masked ends of the call."""
        task = Task(
            "t1", "telephony", "ended", "INBOUND", PHONE, PHONE, 5, 6, 7, "q", "Queue ü", "a", "Ann \ud800", 8, False
        )
        async with opener() as ledger:
            await ledger.add_tasks([task], listed_in=DAY, now_ms=1)
            (entry,) = await ledger.backlog(Everything(), now_ms=1)
        assert entry.task == Task(
            "t1", "telephony", "ended", "INBOUND", "masked", "masked", 5, 6, 7, "q", "Queue ü", "a", "Ann \\ud800", 8,
            False,
        )  # fmt: skip

    async def test_a_task_promised_a_recording_after_all_is_taken_up_again(self, opener: Opener) -> None:
        """no_recording yields to a capture_requested that turned true, and only to that."""
        async with opener() as ledger:
            await ledger.begin_run("run-1", 1, DAY)
            await ledger.add_tasks([Task("t1", created_ms=5)], listed_in=DAY, now_ms=1)
            await ledger.settle_task("t1", TaskState.NO_RECORDING, now_ms=1, empty_answer=True)
            await ledger.begin_run("run-2", 1, DAY)
            assert await add(ledger, "t1") == []
            asked = Task("t1", created_ms=5, capture_requested=True)
            assert await ledger.add_tasks([asked], listed_in=DAY, now_ms=1) == [asked]

    async def test_scopes(self, opener: Opener) -> None:
        """A task's place is its created time, else its window's start; one from a file is only in its run."""
        async with opener() as ledger:
            await ledger.begin_run("run-1", 1, None)
            await add(ledger, "t1", created_ms=999)
            await add(ledger, "t2", created_ms=None)
            await add(ledger, "t3", created_ms=1000)
            await ledger.add_tasks([Task("t4"), Task("t1"), Task("t3")], listed_in=None, now_ms=1, named_for="run-1")

            async def ids(scope: InPeriod | NamedFor | Everything) -> list[str]:
                return [entry.task.id for entry in await ledger.backlog(scope, now_ms=1, again=True)]

            assert await ids(InPeriod(DAY)) == ["t1", "t2"]
            assert await ids(InPeriod(Window(1000, 2000))) == ["t3"]
            assert await ids(NamedFor("run-1")) == ["t1", "t3", "t4"]
            assert await ids(NamedFor("unheard-of")) == []
            assert await ids(Everything()) == ["t1", "t2", "t3", "t4"]
            counted = [
                (await ledger.counts(scope, None)).tasks_listed
                for scope in (InPeriod(DAY), NamedFor("run-1"), NamedFor("unheard-of"), Everything())
            ]
            assert counted == [2, 3, 0, 4]

    async def test_backlog_pages_and_chooses(self, opener: Opener) -> None:
        """Paging by row misses nothing and repeats nothing; `only` and `due_only` narrow it."""
        async with opener() as ledger:
            await ledger.begin_run("run-1", 1, DAY)
            names = [f"t{i:02}" for i in range(25)]
            await add(ledger, *names)
            for name in names[5:15]:
                await capture(ledger, name, "a", "b")
            await store(ledger, "t05", "a")
            await store(ledger, "t05", "b")
            await ledger.started("t06", "a", "k", 1)
            for name in ("t07", "t08"):
                await ledger.recording_failed(name, "a", "cut", "", 1)
                await ledger.recording_gone(name, "b", 1, evidence="captures_unnamed")
            await ledger.settle_task("t20", TaskState.OWED, now_ms=1, empty_answer=True, next_ask_ms=5000)
            await ledger.settle_task("t21", TaskState.OWED, now_ms=1, empty_answer=True)
            await ledger.settle_task("t22", TaskState.FAILED, "x", now_ms=1, empty_answer=False)
            seen: list[str] = []
            after = 0
            while page := await ledger.backlog(Everything(), now_ms=1000, after=after, limit=4, again=True):
                assert len(page) <= 4
                seen += [entry.task.id for entry in page]
                after = page[-1].row
            assert seen == [name for name in names if name not in {"t05", "t20"}]
            assert await backlog_ids(ledger, only={BacklogReason.FAILED, BacklogReason.OWED}) == [
                "t07",
                "t08",
                "t21",
                "t22",
            ]
            assert await backlog_ids(ledger, only={BacklogReason.OWED}, due_only=False) == ["t20", "t21"]
            assert await backlog_ids(ledger, only={BacklogReason.LISTED}) == [*names[:5], *names[15:20], "t23", "t24"]
            assert await backlog_ids(ledger, only={BacklogReason.UNFINISHED}) == ["t06", *names[9:15]]

    async def test_patience_leaves_out_what_failed_and_is_not_due(self, opener: Opener) -> None:
        """A failure is due again half an hour later at the earliest; without `patient` it is work at once."""
        later = 200 + 30 * 60_000
        async with opener() as ledger:
            await add(ledger, "task", "recording", "both", now_ms=100)
            await ledger.settle_task("task", TaskState.FAILED, "http_500", now_ms=200, empty_answer=False)
            await capture(ledger, "recording", "a")
            await capture(ledger, "both", "a", "b")
            for name in ("recording", "both"):
                await ledger.recording_failed(name, "a", "cut", "", 200)
            await ledger.begin_run("run-1", 300, DAY)
            assert await backlog_ids(ledger, now_ms=300) == ["task", "recording", "both"]
            assert await backlog_ids(ledger, now_ms=300, patient=True) == ["both"], "b was found and not begun"
            assert await backlog_ids(ledger, now_ms=later, patient=True) == ["task", "recording", "both"]
            await ledger.begin_run("run-2", 300, DAY)
            tasks = [Task(name, created_ms=5) for name in ("task", "recording", "both")]
            listed = await ledger.add_tasks(tasks, listed_in=DAY, now_ms=300, patient=True)
            assert [task.id for task in listed] == ["both"]
            listed = await ledger.add_tasks(tasks, listed_in=DAY, now_ms=later, patient=True)
            assert [task.id for task in listed] == ["task", "recording"]

    async def test_a_task_at_rest_is_late_when_its_second_look_has_come(self, opener: Opener) -> None:
        """Once, within the span that is asked about, and not while it is work anyway; an empty answer ends it."""
        async with opener() as ledger:
            await add(ledger, "t1", "t2", "t3")
            recordings = {name: [Recording(name, "a")] for name in ("t1", "t2", "t3")}
            await ledger.captured_many(recordings, 110, {"t1": 500, "t3": 500})
            await ledger.begin_run("run-1", 1, DAY)
            for name in ("t1", "t2"):
                await store(ledger, name, "a")
            assert await ledger.late(DAY, now_ms=499) == []
            assert await ledger.late(Window(6, 1000), now_ms=500) == []
            assert [row.task.id for row in await ledger.late(DAY, now_ms=500)] == ["t1"]
            assert await ledger.late(DAY, now_ms=500) == [], "handed out once a run"
            await ledger.settle_task("t1", TaskState.OWED, "x", now_ms=600, empty_answer=True, next_ask_ms=700)
            await ledger.begin_run("run-2", 600, DAY)
            assert await ledger.late(DAY, now_ms=9000) == []

    async def test_what_webex_touched_is_due(self, opener: Opener) -> None:
        """A newer lastUpdatedTime makes an owed task due and a task at rest late; the same one does not."""
        async with opener() as ledger:
            old = [Task(name, created_ms=5, updated_ms=50) for name in ("owed", "rest", "none", "no")]
            await ledger.add_tasks(old, listed_in=DAY, now_ms=100)
            await ledger.settle_task("owed", TaskState.OWED, now_ms=110, empty_answer=True, next_ask_ms=9000)
            await capture(ledger, "rest", "a")
            await ledger.settle_task("none", TaskState.NO_RECORDING, "no_capture", now_ms=110, empty_answer=True)
            no = replace(old[3], capture_requested=False)
            await ledger.add_tasks([no], listed_in=DAY, now_ms=110)
            await ledger.settle_task("no", TaskState.NO_RECORDING, now_ms=110, empty_answer=False)
            await ledger.begin_run("run-1", 200, DAY)
            await store(ledger, "rest", "a")
            assert await ledger.add_tasks(old, listed_in=DAY, now_ms=200) == []
            assert await ledger.late(DAY, now_ms=200) == []
            touched = [replace(task, updated_ms=60) for task in [*old[:3], no]]
            handed = await ledger.add_tasks(touched, listed_in=DAY, now_ms=300)
            assert [task.id for task in handed] == ["owed", "none"]
            assert [row.task.id for row in await ledger.late(DAY, now_ms=300)] == ["rest"]

    async def test_what_is_left_alone_is_counted_once(self, opener: Opener) -> None:
        """By id and kind, in the scope of its contact; a transcript's task remembers how many."""
        async with opener() as ledger:
            await add(ledger, "t1")
            seen = [LeftAlone("x", "transcript", 5), LeftAlone("x", "chat", 5), LeftAlone("y", "chat", 2000)]
            for _ in range(2):
                await ledger.leave_alone(seen, {"t1": 1})
            assert await ledger.left_alone(Everything()) == {"transcript": 1, "chat": 2}
            assert await ledger.left_alone(InPeriod(DAY)) == {"transcript": 1, "chat": 1}
            with pytest.raises(LedgerError):
                await ledger.leave_alone([], {"unheard-of": 1})

    async def test_lag_is_told_from_what_is_open(self, opener: Opener) -> None:
        """Caught up to the end of what is closed, or to the oldest task that is not at rest; failed is at rest."""
        async with opener() as ledger:
            assert await ledger.lag() == CatchUp()
            await ledger.close_window(Window(0, 900), 1000)
            await add(ledger, "t1", created_ms=100)
            await add(ledger, "t2", created_ms=200)
            assert (await ledger.lag()).caught_up_ms == 100
            await ledger.settle_task("t1", TaskState.FAILED, "missing", now_ms=1, empty_answer=True)
            await ledger.settle_task("t2", TaskState.OWED, now_ms=1, empty_answer=True, next_ask_ms=700)
            lag = await ledger.lag()
            assert (lag.listed_to_ms, lag.caught_up_ms) == (900, 200)
            assert (lag.oldest_owed_ms, lag.next_ask_ms) == (200, 700)
            await capture(ledger, "t2", "a")
            assert (await ledger.lag()).caught_up_ms == 200
            told: list[dict[str, object]] = [{"follow": {"round": 3}}, {"exit_code": 0}]
            for number, summary in enumerate(told):
                await ledger.begin_run(f"run-{number}", 1, None)
                await ledger.end_run(f"run-{number}", 2, 0, summary)
            await store(ledger, "t2", "a", run_id="run-0")
            lag = await ledger.lag()
            assert (lag.caught_up_ms, lag.oldest_owed_ms, lag.followed) == (900, None, {"round": 3})

    async def test_the_two_sums_hold(self, opener: Opener) -> None:
        """tasks_listed and recordings are what cli.md says they are made of."""
        async with opener() as ledger:
            await ledger.begin_run("run-0", 1, DAY)
            await add(ledger, *(f"t{i}" for i in range(9)))
            await capture(ledger, "t0", "a", "b", "c")
            await capture(ledger, "t1", "a")
            await capture(ledger, "t2", "a", "b")
            await store(ledger, "t0", "a", run_id="run-0")
            await ledger.begin_run("run-1", 2, DAY)
            await store(ledger, "t0", "b")
            await store(ledger, "t0", "c", already=True)
            await ledger.recording_failed("t1", "a", "cut", "", 1)
            await ledger.recording_gone("t2", "a", 1, evidence="captures_unnamed")
            await ledger.settle_task("t3", TaskState.NO_RECORDING, now_ms=1, empty_answer=True)
            await ledger.settle_task("t4", TaskState.OWED, now_ms=1, empty_answer=True)
            await ledger.settle_task("t5", TaskState.FAILED, "missing", now_ms=1, empty_answer=True)
            counts = await ledger.counts(InPeriod(DAY), "run-1")
            assert counts == Counts(
                tasks_listed=9, tasks_with_recordings=2, no_recording=1, owed=1, failed_tasks=1, unfinished_tasks=4,
                stored=1, already_stored=2, failed=1, gone=1, unfinished_recordings=1, bytes=10, bytes_total=30,
            )  # fmt: skip
            assert counts.recordings == 5
            assert await ledger.failures(InPeriod(DAY)) == [Failure("t1", "a", "cut"), Failure("t5", "", "missing")]
            assert await ledger.failures(InPeriod(DAY), limit=1) == [Failure("t1", "a", "cut")]

    async def test_answers_are_counted(self, opener: Opener) -> None:
        """The age rules get what they need: how many empty answers, the first and the last."""
        async with opener() as ledger:
            await add(ledger, "t1", now_ms=50)
            await ledger.settle_task("t1", TaskState.OWED, "early", now_ms=60, empty_answer=True, next_ask_ms=70)
            await ledger.settle_task("t1", TaskState.OWED, "busy", now_ms=70, empty_answer=False)
            await ledger.settle_task("t1", TaskState.OWED, "early", now_ms=80, empty_answer=True, next_ask_ms=90)
            found = await ledger.asked(["t1", "unheard-of"])
            assert list(found) == ["t1"]
            asked = found["t1"]
            assert (asked.state, asked.first_seen_ms, asked.next_ask_ms) == (TaskState.OWED, 50, 90)
            assert (asked.empty_answers, asked.first_empty_ms, asked.last_empty_ms) == (2, 60, 80)

    async def test_states_never_go_back(self, opener: Opener) -> None:
        """Stored stays stored, a captured task captured, and gone is gone until captures names it again."""
        async with opener() as ledger:
            await ledger.begin_run("run-1", 1, DAY)
            await add(ledger, "t1")
            await capture(ledger, "t1", "a", "b", "c")
            await store(ledger, "t1", "a", main_place=True)
            await ledger.recording_gone("t1", "b", 1, evidence="captures_unnamed")
            for recording_id in ("a", "b"):
                await ledger.started("t1", recording_id, "other-key", 2)
                await ledger.recording_failed("t1", recording_id, "cut", "", 2)
            await ledger.recording_gone("t1", "a", 2, evidence="captures_unnamed")
            state = await ledger.settle_task("t1", TaskState.NO_RECORDING, now_ms=2, empty_answer=True)
            assert state is TaskState.CAPTURED
            known = await captured(ledger, "t1", [Recording("t1", name) for name in "acd"], 3)
            assert known.recordings == {
                "a": RecordingState.STORED, "b": RecordingState.GONE, "c": RecordingState.LISTED,
                "d": RecordingState.LISTED,
            }  # fmt: skip
            assert known.holder == "a"
            assert known.known["b"].evidence == "captures_unnamed"
            known = await captured(ledger, "t1", [Recording("t1", "b")], 4)
            assert known.known["b"].state is RecordingState.LISTED
            assert known.known["b"].evidence == ""
            assert await backlog_ids(ledger) == ["t1"]

    async def test_nothing_is_gone_without_evidence(self, opener: Opener) -> None:
        """Who says that a recording was deleted says what shows it."""
        async with opener() as ledger:
            await add(ledger, "t1")
            await capture(ledger, "t1", "a")
            with pytest.raises(ValueError, match="evidence"):
                await ledger.recording_gone("t1", "a", 1, evidence="")
            assert (await ledger.known("t1")).recordings == {"a": RecordingState.LISTED}

    async def test_what_is_known_of_a_recording_is_enough_to_judge_it(self, opener: Opener) -> None:
        """State, reason, evidence, times, size and flags, and how many recordings one answer ever named."""
        async with opener() as ledger:
            await ledger.begin_run("run-1", 1, DAY)
            await add(ledger, "t1")
            named = [
                Recording("t1", "a", start_ms=10, stop_ms=20, segment=True),
                Recording("t1", "b"),
                Recording("t1", "c"),
            ]
            await captured(ledger, "t1", named, 2)
            await store(ledger, "t1", "a", flags=("riff_size", "length_doubtful"))
            await ledger.recording_failed("t1", "b", "missing", "", 3, evidence="http_404")
            known = await captured(ledger, "t1", named[:1], 4)
            assert known.named == 3
            a, b = known.known["a"], known.known["b"]
            assert (a.state, a.start_ms, a.stop_ms, a.size, a.segment) == (RecordingState.STORED, 10, 20, 10, True)
            assert a.flags == ("riff_size", "length_doubtful")
            assert a.was_stored
            assert a.stored is not None
            assert a.stored.key == "t1/a"
            assert (b.state, b.reason, b.evidence) == (RecordingState.FAILED, "missing", "http_404")
            assert (b.was_stored, b.stored) == (False, None)

    async def test_the_times_of_what_is_stored_stay_its_own(self, opener: Opener) -> None:
        """Named with another start or stop it is another recording, or one that grew: whoever asks learns of it."""
        async with opener() as ledger:
            await ledger.begin_run("run-1", 1, DAY)
            await add(ledger, "t1")
            first = [Recording("t1", name, start_ms=10, stop_ms=20) for name in "ab"] + [Recording("t1", "c")]
            await captured(ledger, "t1", first, 2)
            await store(ledger, "t1", "a")
            await store(ledger, "t1", "c")
            later = [Recording("t1", name, start_ms=11, stop_ms=30) for name in "abc"]
            known = (await captured(ledger, "t1", later, 3)).known
            assert [(known[name].start_ms, known[name].stop_ms) for name in "abc"] == [(10, 20), (11, 30), (11, 30)]
            await store(ledger, "t1", "a", span=(11, 30))
            known = (await ledger.known("t1")).known
            assert (known["a"].start_ms, known["a"].stop_ms) == (11, 30)

    @pytest.mark.parametrize("state", [TaskState.OWED, TaskState.NO_RECORDING])
    async def test_a_call_that_is_over_is_news(self, opener: Opener, state: TaskState) -> None:
        """Another status, `active` or end makes a task due, also where Webex does not say when it touched it."""
        async with opener() as ledger:
            open_one = Task("t1", status="connected", active=True, created_ms=5)
            changes = {
                "status": replace(open_one, id="status", status="ended"),
                "active": replace(open_one, id="active", active=False),
                "end": replace(open_one, id="end", ended_ms=50),
                "nothing": replace(open_one, id="nothing"),
            }
            before = [replace(open_one, id=name) for name in changes]
            await ledger.add_tasks(before, listed_in=DAY, now_ms=1)
            for name in changes:
                await ledger.settle_task(name, state, "x", now_ms=2, empty_answer=True, next_ask_ms=9000)
            await ledger.begin_run("run-1", 3, DAY)
            handed = await ledger.add_tasks(list(changes.values()), listed_in=DAY, now_ms=3)
            assert [task.id for task in handed] == ["status", "active", "end"]
            assert [task.active for task in handed] == [True, False, True]

    async def test_what_was_never_said_is_no_news(self, opener: Opener) -> None:
        """A list that says more than the one before, or spells the end otherwise, makes nothing due."""
        async with opener() as ledger:
            await ledger.add_tasks([Task("t1"), Task("t2", status="ended", ended_ms=9)], listed_in=DAY, now_ms=1)
            for name in ("t1", "t2"):
                await ledger.settle_task(name, TaskState.OWED, now_ms=2, empty_answer=True, next_ask_ms=9000)
            said = [
                Task("t1", status="ended", ended_ms=9, active=False, created_ms=5),
                Task("t2", status="completed", active=False),
            ]
            assert await ledger.add_tasks(said, listed_in=DAY, now_ms=3) == []

    async def test_calls_that_go_on_are_looked_for_in_the_list(self, opener: Opener) -> None:
        """Their days are named, due ones only; captures is asked for those that have gone on for too long."""
        day = 86_400_000
        placed = {"early": 5, "noon": day // 2, "next": day + 7, "later": day + 9, "unplaced": None}
        async with opener() as ledger:
            tasks = [Task(name, created_ms=at) for name, at in placed.items()]
            await ledger.add_tasks([*tasks, Task("owed", created_ms=6)], listed_in=None, now_ms=1)
            for name in placed:
                due = 50 if name == "later" else 10
                await ledger.settle_task(
                    name, TaskState.OWED, "still_open", now_ms=1, empty_answer=False, next_ask_ms=due
                )
            await ledger.settle_task("owed", TaskState.OWED, "x", now_ms=1, empty_answer=True)
            everything = Everything()
            assert await ledger.open_spans(everything, now_ms=9) == []
            assert await ledger.open_spans(everything, now_ms=10) == [
                Window(5, day // 2 + 1), Window(day + 7, day + 8),
            ]  # fmt: skip
            assert await ledger.open_spans(everything, now_ms=9, due_only=False) == [
                Window(5, day // 2 + 1), Window(day + 7, day + 10),
            ]  # fmt: skip
            assert await ledger.open_spans(InPeriod(Window(day, 2 * day)), now_ms=10) == [Window(day + 7, day + 8)]
            assert await backlog_ids(ledger, open_since_ms=day) == ["early", "noon", "unplaced", "owed"]
            assert await backlog_ids(ledger) == ["early", "noon", "next", "later", "unplaced", "owed"]
            oldest = await ledger.oldest_work(everything, now_ms=1000, open_since_ms=6)
            assert [row.task.id for row in oldest] == ["early", "owed"]

    async def test_flags_are_counted(self, opener: Opener) -> None:
        """Each flag of what is stored, in a scope, of all runs or of one."""
        async with opener() as ledger:
            await ledger.begin_run("run-0", 1, DAY)
            await add(ledger, "t1")
            await add(ledger, "t2", created_ms=2000)
            await capture(ledger, "t1", "a", "b", "c")
            await capture(ledger, "t2", "a")
            await store(ledger, "t1", "a", run_id="run-0", flags=("riff_size", "length_doubtful"))
            await store(ledger, "t2", "a", run_id="run-0", flags=("riff_size",))
            await ledger.begin_run("run-1", 2, DAY)
            await store(ledger, "t1", "b", flags=("riff_size",))
            await store(ledger, "t1", "c")
            assert await ledger.flag_counts(Everything()) == {"length_doubtful": 1, "riff_size": 3}
            assert await ledger.flag_counts(InPeriod(DAY), "run-1") == {"riff_size": 1}
            assert await ledger.flag_counts(NamedFor("unheard-of")) == {}

    async def test_the_case_of_a_uuid_is_no_difference(self, opener: Opener) -> None:
        """A task and a recording are found in whatever case; other ids are told apart by it."""
        upper = "ABCDEF00-0000-4000-8000-00000000000A"
        async with opener() as ledger:
            await ledger.begin_run("run-1", 1, DAY)
            assert await add(ledger, upper, upper.lower(), "T1", "t1") == [upper.lower(), "T1", "t1"]
            known = await captured(ledger, upper.lower(), [Recording(upper, upper)], 2)
            assert known.recordings == {upper: RecordingState.LISTED}
            await store(ledger, upper, upper.lower())
            known = await captured(ledger, upper, [Recording(upper, upper.lower())], 3)
            assert known.recordings == {upper.lower(): RecordingState.STORED}
            assert list(await ledger.asked([upper, "t1"])) == [upper, "t1"]
            assert (await ledger.counts(Everything(), "run-1")).stored == 1

    async def test_finding_it_again_keeps_who_stored_it(self, opener: Opener) -> None:
        """`already` on a stored recording does not turn this run's work into somebody else's."""
        async with opener() as ledger:
            await ledger.begin_run("run-1", 1, DAY)
            await add(ledger, "t1")
            await capture(ledger, "t1", "a")
            await store(ledger, "t1", "a")
            await ledger.begin_run("run-2", 2, DAY)
            await store(ledger, "t1", "a", run_id="run-2", already=True)
            counts = await ledger.counts(Everything(), "run-1")
            assert (counts.stored, counts.already_stored) == (1, 0)

    async def test_the_main_place_has_one_holder(self, opener: Opener) -> None:
        """A second holder would mean one object overwrote another; it is refused, and nothing else is harmed."""
        async with opener() as ledger:
            await ledger.begin_run("run-1", 1, DAY)
            await add(ledger, "t1")
            await capture(ledger, "t1", "a", "b")
            await store(ledger, "t1", "a", main_place=True)
            with pytest.raises(LedgerError, match="holds the main place"):
                await store(ledger, "t1", "b", main_place=True)
            await store(ledger, "t1", "b")
            known = await ledger.captured_many({"t1": [Recording("t1", "a")]}, 3)
            assert known["t1"].holder == "a"
            assert set(known["t1"].recordings.values()) == {RecordingState.STORED}

    async def test_uploads_are_known_until_they_are_gone(self, opener: Opener) -> None:
        """The next run finds every upload that was begun, and what it was to become."""
        async with opener() as ledger:
            await ledger.begin_run("run-1", 1, DAY)
            await add(ledger, "t1")
            await capture(ledger, "t1", "a", "b", "c")
            for recording_id in "abc":
                await ledger.started("t1", recording_id, f"k-{recording_id}", 5)
                await ledger.upload_created(f"k-{recording_id}", f"u-{recording_id}", "t1", recording_id, 6)
            await ledger.completing("u-a", 99, 77)
            await ledger.upload_gone("u-b")
            await ledger.upload_gone("u-b")
            await store(ledger, "t1", "c", upload_id="u-c")
        async with opener() as ledger:
            assert await ledger.open_uploads() == [OpenUpload("k-a", "u-a", "t1", "a", 99, 77, 6)]
            assert await ledger.started_keys() == [StartedKey("t1", "a", "k-a"), StartedKey("t1", "b", "k-b")]
            with pytest.raises(LedgerError):
                await ledger.completing("u-b", 1, 1)

    async def test_what_was_never_listed_is_refused(self, opener: Opener) -> None:
        """A fact about an unknown task, recording or run is a mistake, never silently dropped."""
        async with opener() as ledger:
            await ledger.begin_run("run-1", 1, DAY)
            await add(ledger, "t1")
            await capture(ledger, "t1", "a")
            calls = [
                lambda: ledger.settle_task("t9", TaskState.FAILED, now_ms=1, empty_answer=False),
                lambda: captured(ledger, "t9", [Recording("t9", "a")], 1),
                lambda: ledger.started("t1", "z", "k", 1),
                lambda: store(ledger, "t1", "z"),
                lambda: store(ledger, "t1", "a", run_id="run-9"),
                lambda: ledger.recording_failed("t9", "a", "x", "", 1),
                lambda: ledger.recording_gone("t1", "z", 1, evidence="captures_unnamed"),
                lambda: ledger.end_run("run-9", 1, 0, {}),
                lambda: ledger.add_tasks([], listed_in=None, now_ms=1, named_for="run-9"),
            ]
            for call in calls:
                with pytest.raises(LedgerError):
                    await call()  # type: ignore[no-untyped-call]
            with pytest.raises(ValueError, match="at least one"):
                await captured(ledger, "t1", [], 1)
            with pytest.raises(ValueError, match="settle"):
                await ledger.settle_task("t1", TaskState.CAPTURED, now_ms=1, empty_answer=False)

    async def test_reasons_carry_no_url_and_no_number(self, opener: Opener) -> None:
        """Whatever the flow writes into a detail, a signature does not get in."""
        async with opener() as ledger:
            await add(ledger, "t1")
            await capture(ledger, "t1", "a")
            detail = f"GET https://h/x?X-Amz-Signature=abc from {PHONE}, X-Amz-Security-Token=def " + "y" * 1000
            await ledger.recording_failed("t1", "a", "cut", detail, 1)
            (failure,) = await ledger.failures(Everything())
            assert failure.detail.startswith("GET <url> from <number>, <secret> yyy")
            assert len(failure.detail) == 300

    async def test_concurrent_callers_do_not_disturb_each_other(self, opener: Opener) -> None:
        """Many callers at once: every change is there, and one caller's mistake is that caller's alone."""
        async with opener() as ledger:
            await ledger.begin_run("run-1", 1, DAY)
            names = [f"t{i}" for i in range(200)]
            await add(ledger, *names)
            refused: list[str] = []

            async def one(task_id: str) -> None:
                await capture(ledger, task_id, "a")
                try:
                    await store(ledger, task_id, "a" if int(task_id[1:]) % 3 else "unknown")
                except LedgerError:
                    refused.append(task_id)

            async with anyio.create_task_group() as group:
                for name in names:
                    group.start_soon(one, name)
            assert len(refused) == 67
            assert (await ledger.counts(Everything(), "run-1")).stored == 133

    async def test_a_closed_ledger_says_so(self, opener: Opener) -> None:
        """Closing twice is harmless, using it afterwards is not silent."""
        async with opener() as ledger:
            await ledger.close()
            await ledger.close()
            with pytest.raises(LedgerError, match="closed"):
                await add(ledger, "t1")
