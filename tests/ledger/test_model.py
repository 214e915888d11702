"""The ledger against a dictionary: whatever is done in whatever order, with crashes between, both say the same."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from anyio.from_thread import start_blocking_portal
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.ledgers import captured
from tests.stateful import walks
from wxrec_async.events import ignore
from wxrec_async.ledger import BacklogReason, Counts, Everything, InPeriod, NamedFor, Scope, SqliteLedger, open_ledger
from wxrec_async.model import Recording, RecordingState, StoredObject, Task, TaskState, Window

from .contract import HOME, masked

T = TypeVar("T")
L, S, D, F, G = (
    RecordingState.LISTED,
    RecordingState.STARTED,
    RecordingState.STORED,
    RecordingState.FAILED,
    RecordingState.GONE,
)
PERIOD = Window(0, 50)
TASKS = st.sampled_from([f"t{i}" for i in range(6)])
RECORDINGS = st.sampled_from(["a", "b", "c"])
NAMED = {"t0": 5, "t1": 10, "t2": 49, "t3": 50, "t4": 70, "t5": 0}  # created_ms: three within PERIOD, and its edges


@dataclass
class Known:
    """What the dictionary remembers of a recording."""

    state: RecordingState = L
    run: str = ""
    already: bool = False
    main: bool = False


@dataclass
class Listed:
    """What the dictionary remembers of a task."""

    row: int
    state: TaskState = TaskState.LISTED
    next_ask: int | None = None
    empty: int = 0
    handed: str = ""
    requested: bool | None = None
    named: set[str] = field(default_factory=set)
    recordings: dict[str, Known] = field(default_factory=dict)

    def work(self) -> set[BacklogReason]:
        states = {recording.state for recording in self.recordings.values()}
        if self.state is TaskState.CAPTURED:
            return ({BacklogReason.FAILED} if F in states else set()) | (
                {BacklogReason.UNFINISHED} if states & {L, S} else set()
            )
        return {BacklogReason(self.state.value)} if self.state is not TaskState.NO_RECORDING else set()

    def due(self, now: int) -> bool:
        return self.state is not TaskState.OWED or self.next_ask is None or self.next_ask <= now


class LedgerMachine(RuleBasedStateMachine):
    """A crash opens a copy of the files as they lie there, as a killed process leaves them."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.portal_manager = start_blocking_portal("asyncio")
        self.portal = self.portal_manager.__enter__()
        self.model: dict[str, Listed] = {}
        self.uploads: dict[str, tuple[str, str, int | None]] = {}
        self.windows: set[int] = set()
        self.run = ""
        self.life = self.runs = 0
        self.now = 1000

    @initialize()
    def begin(self) -> None:
        self._open()

    def _open(self) -> None:
        path = self.folder / str(self.life) / "wxrec.db"
        path.parent.mkdir(exist_ok=True)
        opening = open_ledger(path, HOME, mask=masked, emit=ignore)
        self.opened: AbstractContextManager[SqliteLedger] = self.portal.wrap_async_context_manager(opening)
        self.ledger = self.opened.__enter__()
        self.path = path
        self.run = f"run-{self.life}-{self.runs}"
        self.do(lambda: self.ledger.begin_run(self.run, self.now, PERIOD))

    def do(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        result: T = self.portal.call(call)
        return result

    @rule()
    def crash(self) -> None:
        self.life += 1
        new = self.folder / str(self.life)
        new.mkdir()
        for suffix in ("", "-wal"):
            source = self.path.with_name(self.path.name + suffix)
            if source.exists():
                shutil.copy(source, new / source.name)
        self.opened.__exit__(None, None, None)
        self._open()

    @rule()
    def resume(self) -> None:
        """End the process in good order and begin the next one on the same files."""
        self.opened.__exit__(None, None, None)
        self.runs += 1
        self._open()

    @rule(
        ids=st.lists(TASKS, min_size=1, max_size=4),
        step=st.integers(0, 20),
        requested=st.sampled_from([None, True]),
        named=st.booleans(),
    )
    def list_tasks(self, ids: list[str], step: int, requested: bool | None, named: bool) -> None:
        self.now += step
        tasks = [Task(name, created_ms=NAMED[name], capture_requested=requested) for name in ids]
        handed = self.do(lambda: self._list(tasks, named))
        expected = []
        for name in ids:
            known = self.model.setdefault(name, Listed(len(self.model) + 1))
            if known.state is TaskState.NO_RECORDING and requested and not known.requested:
                known.state = TaskState.LISTED
            known.requested = known.requested or requested
            known.named |= {self.run} if named else set()
            if known.work() and known.due(self.now) and known.handed != self.run:
                expected.append(name)
                known.handed = self.run
        assert [task.id for task in handed] == expected

    async def _list(self, tasks: list[Task], named: bool) -> list[Task]:
        return await self.ledger.add_tasks(
            tasks, listed_in=PERIOD, now_ms=self.now, named_for=self.run if named else None
        )

    @precondition(lambda self: self.model)
    @rule(data=st.data(), state=st.sampled_from([TaskState.OWED, TaskState.FAILED, TaskState.NO_RECORDING]))
    def settle(self, data: st.DataObject, state: TaskState) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        empty = data.draw(st.booleans())
        next_ask = data.draw(st.none() | st.integers(self.now, self.now + 30))
        known = self.model[name]
        in_force = self.do(
            lambda: self.ledger.settle_task(
                name, state, "why", now_ms=self.now, empty_answer=empty, next_ask_ms=next_ask
            )
        )
        if known.state is not TaskState.CAPTURED:
            known.state, known.next_ask = state, next_ask
        known.empty += empty
        assert in_force is known.state

    @precondition(lambda self: self.model)
    @rule(data=st.data(), ids=st.sets(RECORDINGS, min_size=1))
    def capture(self, data: st.DataObject, ids: set[str]) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        found = self.do(lambda: captured(self.ledger, name, [Recording(name, each) for each in ids], self.now))
        known = self.model[name]
        known.state, known.next_ask = TaskState.CAPTURED, None
        for each in ids:
            recording = known.recordings.setdefault(each, Known())
            recording.state = L if recording.state is G else recording.state  # what captures names is not gone
        assert found.recordings == {each: recording.state for each, recording in known.recordings.items()}
        assert found.holder == next((each for each, recording in known.recordings.items() if recording.main), None)

    def _draw(self, data: st.DataObject) -> tuple[str, str, Known] | None:
        pairs = [(name, each) for name, known in sorted(self.model.items()) for each in sorted(known.recordings)]
        if not pairs:
            return None
        name, each = data.draw(st.sampled_from(pairs))
        return name, each, self.model[name].recordings[each]

    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        if drawn := self._draw(data):
            name, each, known = drawn
            self.do(lambda: self.ledger.started(name, each, f"{name}/{each}", self.now))
            known.state = known.state if known.state in {D, G} else S

    @rule(data=st.data(), already=st.booleans(), main=st.booleans())
    def store(self, data: st.DataObject, already: bool, main: bool) -> None:
        if drawn := self._draw(data):
            name, each, known = drawn
            others = [other for other in self.model[name].recordings.values() if other is not known and other.main]
            main = known.main or (main and not others)
            upload = next((u for u, (task, rec, _) in self.uploads.items() if (task, rec) == (name, each)), None)
            self.do(
                lambda: self.ledger.stored(
                    name, each, StoredObject(f"{name}/{each}", 7, 1), run_id=self.run, already=already,
                    main_place=main, now_ms=self.now, upload_id=upload,
                )
            )  # fmt: skip
            self.uploads.pop(upload or "", None)
            if not (already and known.state is D):
                known.run, known.already = self.run, already
            known.state, known.main = D, main

    @rule(data=st.data(), outcome=st.sampled_from([F, G]))
    def lose(self, data: st.DataObject, outcome: RecordingState) -> None:
        if drawn := self._draw(data):
            name, each, known = drawn
            if outcome is F:
                self.do(lambda: self.ledger.recording_failed(name, each, "cut", "", self.now))
                known.state = known.state if known.state in {D, G} else F
            else:
                self.do(lambda: self.ledger.recording_gone(name, each, self.now, evidence="captures_unnamed"))
                known.state = known.state if known.state is D else G

    @rule(data=st.data())
    def upload(self, data: st.DataObject) -> None:
        if drawn := self._draw(data):
            name, each, _ = drawn
            upload_id = f"u{len(self.uploads)}-{self.now}-{name}-{each}"
            self.do(lambda: self.ledger.upload_created(f"{name}/{each}", upload_id, name, each, self.now))
            self.uploads.setdefault(upload_id, (name, each, None))

    @precondition(lambda self: self.uploads)
    @rule(data=st.data(), gone=st.booleans())
    def end_upload(self, data: st.DataObject, gone: bool) -> None:
        upload_id = data.draw(st.sampled_from(sorted(self.uploads)))
        if gone:
            self.do(lambda: self.ledger.upload_gone(upload_id))
            del self.uploads[upload_id]
        else:
            self.do(lambda: self.ledger.completing(upload_id, 7, 1))
            self.uploads[upload_id] = (*self.uploads[upload_id][:2], 7)

    @rule(start=st.integers(0, 30), length=st.integers(1, 8))
    def close_window(self, start: int, length: int) -> None:
        self.do(lambda: self.ledger.close_window(Window(start, start + length), self.now))
        self.windows |= set(range(start, start + length))

    @rule(only=st.sets(st.sampled_from(list(BacklogReason))), scoped=st.booleans(), limit=st.integers(1, 4))
    def take_backlog(self, only: set[BacklogReason], scoped: bool, limit: int) -> None:
        scope: Scope = InPeriod(PERIOD) if scoped else Everything()
        found = self.do(lambda: self.ledger.backlog(scope, now_ms=self.now, only=only, limit=limit))
        expected = [
            name
            for name, known in sorted(self.model.items(), key=lambda item: item[1].row)
            if known.work() & only and known.due(self.now) and known.handed != self.run
            and (not scoped or NAMED[name] < PERIOD.to_ms)
        ][:limit]  # fmt: skip
        assert [entry.task.id for entry in found] == expected
        for name in expected:
            self.model[name].handed = self.run

    @invariant()
    def counts_agree(self) -> None:
        if not hasattr(self, "ledger"):
            return
        for scope in (Everything(), InPeriod(PERIOD), NamedFor(self.run)):
            inside = [known for name, known in self.model.items() if self._is_in(scope, name, known)]
            counts = self.do(lambda scope=scope: self.ledger.counts(scope, self.run))  # type: ignore[misc]
            assert counts == self._expected(inside)

    def _is_in(self, scope: Scope, name: str, known: Listed) -> bool:
        match scope:
            case InPeriod(period):
                return NAMED[name] < period.to_ms
            case NamedFor(run_id):
                return run_id in known.named
        return True

    def _expected(self, inside: list[Listed]) -> Counts:
        recordings = [recording for known in inside for recording in known.recordings.values()]
        states = [recording.state for recording in recordings]
        mine = [r for r in recordings if r.state is D and r.run == self.run and not r.already]
        tasks = [known.state for known in inside]
        unfinished = sum(BacklogReason.UNFINISHED in known.work() for known in inside)
        return Counts(
            tasks_listed=len(inside),
            tasks_with_recordings=tasks.count(TaskState.CAPTURED) - unfinished,
            no_recording=tasks.count(TaskState.NO_RECORDING),
            owed=tasks.count(TaskState.OWED),
            failed_tasks=tasks.count(TaskState.FAILED),
            unfinished_tasks=tasks.count(TaskState.LISTED) + unfinished,
            stored=len(mine),
            already_stored=states.count(D) - len(mine),
            failed=states.count(F),
            gone=states.count(G),
            unfinished_recordings=states.count(L) + states.count(S),
            bytes=7 * len(mine),
            bytes_total=7 * states.count(D),
        )

    @invariant()
    def books_agree(self) -> None:
        if not hasattr(self, "ledger"):
            return
        uploads = self.do(self.ledger.open_uploads)
        assert {u.upload_id: (u.task_id, u.recording_id, u.size) for u in uploads} == self.uploads
        started = {(key.task_id, key.recording_id) for key in self.do(self.ledger.started_keys)}
        assert started == {
            (name, each) for name, known in self.model.items() for each, r in known.recordings.items() if r.state is S
        }
        closed = self.do(lambda: self.ledger.closed_windows(Window(0, 100)))
        assert {ms for window in closed for ms in range(window.from_ms, window.to_ms)} == self.windows
        assert all(first.to_ms < second.from_ms for first, second in itertools.pairwise(closed))
        asked = self.do(lambda: self.ledger.asked(list(self.model)))
        assert {name: (a.state, a.empty_answers) for name, a in asked.items()} == {
            name: (known.state, known.empty) for name, known in self.model.items()
        }

    def teardown(self) -> None:
        if hasattr(self, "opened"):
            self.opened.__exit__(None, None, None)
        self.portal_manager.__exit__(None, None, None)
        shutil.rmtree(self.folder)


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = walks(15)
