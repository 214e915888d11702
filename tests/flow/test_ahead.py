"""What waiting for answers costs, in virtual time: the budget of calls and the workers are kept busy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.plumbing.virtual import OPTIONS
from wxrec_async.flow.job import Job
from wxrec_async.flow.orchestrator import Orchestrator
from wxrec_async.flow.run_log import RunLog
from wxrec_async.ledger import InPeriod
from wxrec_async.model import Outcome, Stored, StoredObject, Task, TaskPage, TransferSpec, Window
from wxrec_async.plumbing.pacer import Pacer
from wxrec_async.rules import windows

from .bench import DAY, HOME, YESTERDAY, Flow
from .kit import Answer, FakeWebex

pytestmark = pytest.mark.anyio
LIMIT = 300
UNLIMITED = 1_000_000


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", OPTIONS


@pytest.fixture(autouse=True)
def _ledger_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the ledger work where it is called: threads know nothing of virtual time."""

    async def at_once(work: Callable[..., Any], *arguments: Any, **_named: Any) -> Any:
        return work(*arguments)

    monkeypatch.setattr(anyio.to_thread, "run_sync", at_once)


@dataclass
class Distant(FakeWebex):
    """Webex across an ocean: every call waits for its turn, and then so many seconds for its answer."""

    pacer: Pacer
    captures_s: float
    page_s: float
    calls: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    async def _call(self, seconds: float) -> None:
        async with self.pacer.turn():
            self.calls.append(anyio.current_time())
            await anyio.sleep(seconds)

    async def tasks_page(
        self, window: Window, *, from_ms: int, next_link: str | None = None, every_channel: bool = False
    ) -> TaskPage:
        await self._call(self.page_s)
        return await super().tasks_page(window, from_ms=from_ms, next_link=next_link, every_channel=every_channel)

    async def captures(self, task_ids: Sequence[str]) -> Answer:
        await self._call(self.captures_s)
        return await super().captures(task_ids)

    @property
    def share(self) -> float:
        """The calls that were made by those the limit allows, from the first to the last."""
        return (len(self.calls) - 1) / ((self.calls[-1] - self.calls[0]) / 60 * LIMIT)


@dataclass
class Porter:
    """Carries a recording in so many seconds, whatever it is; notes when each began and ended."""

    seconds: Callable[[str], float]
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)

    async def carry(self, order: TransferSpec) -> Outcome:
        begun = anyio.current_time()
        await anyio.sleep(self.seconds(order.recording.task_id))
        self.spans[order.recording.task_id] = (begun, anyio.current_time())
        return Stored(StoredObject(order.target.key, 1, 1))

    async def key_owner(self, key: str) -> str | None:
        return None

    @property
    def makespan(self) -> float:
        """Seconds from the first byte to the last."""
        return max(end for _, end in self.spans.values()) - min(begun for begun, _ in self.spans.values())


async def run(path: Path, webex: Distant, porter: Porter, *, tasks: int, days: int = 7, workers: int = 32) -> None:
    """Back up so many tasks of one recording each, evenly spread over whole days."""
    flow = Flow(path)
    period = Window(YESTERDAY.to_ms - days * DAY, YESTERDAY.to_ms)
    moments = [period.from_ms + number * days * DAY // tasks for number in range(tasks)]
    webex.tasks = [
        Task(f"t{number}", "telephony", "completed", created_ms=at, updated_ms=at, capture_requested=True)
        for number, at in enumerate(moments)
    ]
    for task in webex.tasks:
        webex.give(task.id, f"r-{task.id}")
    async with flow.ledger() as ledger:
        job = Job(
            "run", InPeriod(period), period, windows=tuple(windows.cut(period)), concurrency=workers,
            key_template=HOME.key_template,
        )  # fmt: skip
        log = RunLog(job, ledger, flow.told.append, lambda: flow.now_ms)
        await log.begin(len(job.windows))
        await Orchestrator(job, webex, log, porter, flow.told.append).run()
        assert (await ledger.counts(InPeriod(period), "run")).stored == tasks
        assert await ledger.closed_windows(period) == [period]


@pytest.mark.fault("W01", "C11")
@pytest.mark.parametrize(
    ("captures_s", "page_s", "tasks", "days"),
    [(0.2, 0.5, 4000, 7), (2.0, 2.0, 4000, 7), (0.5, 1.5, 2500, 60)],
    ids=["near", "slow answers", "many short windows"],
)
async def test_a_backfill_uses_webexs_limit_and_asks_for_ten_tasks_at_a_time(
    tmp_path: Path, captures_s: float, page_s: float, tasks: int, days: int
) -> None:
    """97 % of 300 calls a minute from the first to the last, however long each answer takes, and none in vain."""
    webex = Distant(Pacer(LIMIT), captures_s, page_s)
    await run(tmp_path, webex, Porter(lambda _: 0.1), tasks=tasks, days=days)
    assert webex.share >= 0.97
    assert len(webex.asked) <= 1.03 * tasks / 10


@pytest.mark.fault("R07")
@pytest.mark.parametrize("captures_s", [0.5, 1.0])
async def test_workers_do_not_wait_for_captures_while_recordings_take_their_time(
    tmp_path: Path, captures_s: float
) -> None:
    """2.55 s each, as 5 MiB across a wide network: 32 workers together reach 95 % of what they could."""
    porter = Porter(lambda _: 2.55)
    await run(tmp_path, Distant(Pacer(UNLIMITED), captures_s, 1.0), porter, tasks=1600, days=1)
    assert 1600 * 2.55 / 32 / porter.makespan >= 0.95


@pytest.mark.fault("R07")
async def test_one_huge_recording_takes_one_worker_and_no_more_time_than_its_own(tmp_path: Path) -> None:
    """A hundred times as long as each of 600 small ones: the run takes as long as the work, not as both in a row."""
    porter = Porter(lambda task_id: 60.0 if task_id == "t5" else 0.6)
    await run(tmp_path, Distant(Pacer(UNLIMITED), 0.2, 0.5), porter, tasks=601, days=1, workers=8)
    ideal = (60.0 + 600 * 0.6) / 8
    assert porter.makespan <= max(60.0, ideal) * 1.05
    small = [end for task_id, (_, end) in porter.spans.items() if task_id != "t5"]
    assert max(small) < porter.spans["t5"][1]


async def test_the_last_batch_is_spread_over_all_who_are_idle(tmp_path: Path) -> None:
    """Ten recordings of one answer begin at the same moment and take as long as one."""
    porter = Porter(lambda _: 30.0)
    await run(tmp_path, Distant(Pacer(UNLIMITED), 0.2, 0.5), porter, tasks=10, days=1)
    assert porter.makespan == pytest.approx(30.0, abs=0.01)
