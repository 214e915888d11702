"""A `Backfill` that does as a test says, and the command line around it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from typer.testing import CliRunner

from wxrec_async import events
from wxrec_async.cli.app import app
from wxrec_async.config import Settings
from wxrec_async.events import Emit, Event
from wxrec_async.flow.summary import Ending, Summary
from wxrec_async.ledger import Counts, Failure
from wxrec_async.model import Period, Window
from wxrec_async.planning.plan import Plan, PlannedWindow
from wxrec_async.rules.windows import AskedPeriod

DAY = 86_400_000
PERIOD = Period(20_000 * DAY, 20_001 * DAY)
STORED = events.RecordingStored("t-1", "r-1", "call-detail/t-1/recording.wav", 1234, 0xAB, 0.5)
OUTCOMES: tuple[Event, ...] = (
    STORED,
    events.RecordingStored("t-2", "r-2", "call-detail/t-2/recording.wav", 99, 1, 0.1, already=True, flags=("odd",)),
    events.RecordingFailed("t-3", "r-3", "http_500", "answered 500"),
    events.RecordingGone("t-4", "r-4"),
    events.TaskSettled("t-5", "no_recording"),
    events.TaskSettled("t-6", "owed", "settling"),
    events.TaskSettled("t-7", "failed", "missing"),
    events.WindowIncomplete(Window(20_000 * DAY, 20_001 * DAY), "answered 500"),
)


def summary_of(counts: Counts | None = None, failures: tuple[Failure, ...] = (), **ending: Any) -> Summary:
    """Return what a run might end with."""
    return Summary("run-1", PERIOD, counts or Counts(), Ending(**ending), 2.0, failures)


@dataclass
class FakeBackfill:
    """Stands for `Backfill`: tells ``told``, then fails with ``failure`` or ends with ``summary``."""

    told: tuple[Event, ...] = ()
    summary: Summary = field(default_factory=summary_of)
    failure: Exception | None = None
    at_opening: Exception | None = None
    work: Callable[[FakeBackfill], Awaitable[None]] | None = None
    settings: Settings | None = None
    read_only: bool = False
    asked: dict[str, Any] = field(default_factory=dict)
    emit: Emit = events.ignore

    def open(self, settings: Settings, *, on_event: Emit, read_only: bool) -> FakeBackfill:
        """Take the place of `wxrec_async.cli.session.open_backfill`."""
        self.settings, self.emit, self.read_only = settings, on_event, read_only
        return self

    async def __aenter__(self) -> FakeBackfill:
        if self.at_opening:
            raise self.at_opening
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.asked["closed"] = True

    def period(self) -> AskedPeriod:
        return AskedPeriod(PERIOD)

    async def run(
        self, *, limit: int | None = None, max_duration_s: float | None = None, scheduled: bool = False
    ) -> Summary:
        self.asked |= {"command": "run", "limit": limit, "max_duration_s": max_duration_s} | (
            {"scheduled": True} if scheduled else {}
        )
        return await self._do()

    async def follow(self, *, on_round: Callable[[Summary], None]) -> Summary:
        self.asked["command"] = "follow"
        ended = await self._do()
        on_round(ended)
        return replace(ended, ending=Ending(stopped="SIGTERM"))

    async def retry(self, *, limit: int | None = None, max_duration_s: float | None = None) -> Summary:
        self.asked |= {"command": "retry", "limit": limit, "max_duration_s": max_duration_s}
        return await self._do()

    async def archive(self, task_ids: Any, *, limit: int | None = None, max_duration_s: float | None = None) -> Summary:
        self.asked |= {"command": "archive", "task_ids": list(task_ids), "limit": limit}
        return await self._do()

    async def plan(self) -> Plan:
        self.asked["command"] = "plan"
        window = PlannedWindow(PERIOD, tasks=20, to_ask=15, no_recording=4, settling=1)
        return Plan(PERIOD, (window,), Counts(owed=5, already_stored=7), 250)

    async def _do(self) -> Summary:
        self.emit(events.RunStarted("run-1", PERIOD, 1, 32, 440))
        for event in self.told:
            self.emit(event)
        if self.work:
            await self.work(self)
        if self.failure:
            raise self.failure
        return self.summary


@dataclass
class Cli:
    """Calls the program in this process, in a folder of its own."""

    folder: Path
    backfill: FakeBackfill

    def __call__(self, *arguments: str, input: str | bytes | None = None) -> Any:  # noqa: A002 - typer's word
        return CliRunner().invoke(app, list(arguments), prog_name="wxrec-async", input=input)
