"""The one ledger, as far as the flow calls it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from wxrec_async.ledger.records import (
    ALL_REASONS,
    NO_REASONS,
    NO_STANDINGS,
    NOTHING,
    AskedBefore,
    BacklogReason,
    BacklogTask,
    Counts,
    Everything,
    Failure,
    InPeriod,
    KnownTask,
    Operator,
    Scope,
    Standing,
    StartedKey,
)
from wxrec_async.model import LeftAlone, OpenUpload, Recording, StoredObject, Task, TaskState, Window


class RunLedger(Protocol):
    """What one run has a ledger write down and read.

    Every call may be made by many tasks at once, returns when its change is durable, and
    raises `LedgerError` when it cannot be; what each does stands at the ledger's own.
    """

    async def counts(self, scope: Scope, run_id: str | None) -> Counts: ...

    async def failures(self, scope: Scope, *, limit: int = 1000) -> list[Failure]: ...

    async def closed_windows(self, period: Window) -> list[Window]: ...

    async def left_alone(self, scope: Scope) -> dict[str, int]: ...

    async def flag_counts(self, scope: Scope, run_id: str | None = None) -> dict[str, int]: ...

    async def begin_run(
        self,
        run_id: str,
        now_ms: int,
        scope: Window | None,
        *,
        author: Operator | None = None,
        command: str | None = None,
    ) -> None: ...

    async def end_run(self, run_id: str, now_ms: int, exit_code: int, summary: Mapping[str, object]) -> None: ...

    async def close_window(self, window: Window, now_ms: int, source: str = "tasks") -> None: ...

    async def add_tasks(
        self,
        tasks: Sequence[Task],
        *,
        listed_in: Window | None,
        now_ms: int,
        named_for: str | None = None,
        patient: bool = False,
        source: str = "",
    ) -> list[Task]: ...

    async def backlog(  # noqa: PLR0913 - the ledger's own
        self,
        scope: Scope,
        *,
        now_ms: int,
        after: int = 0,
        limit: int = 500,
        only: Collection[BacklogReason] = ALL_REASONS,
        due_only: bool = True,
        again: bool = False,
        patient: bool = False,
        open_since_ms: int | None = None,
    ) -> list[BacklogTask]: ...

    async def late(
        self, placed_in: Window, *, now_ms: int, after: int = 0, limit: int = 500, due_only: bool = True
    ) -> list[BacklogTask]: ...

    async def want(self, kinds: Sequence[str], channels: Sequence[str], now_ms: int) -> None: ...

    async def left_spans(self, period: Window, channels: Sequence[str]) -> list[Window]: ...

    async def leave_alone(self, seen: Sequence[LeftAlone], transcripts: Mapping[str, int]) -> None: ...

    async def oldest_work(  # noqa: PLR0913 - the ledger's own
        self,
        scope: Everything | InPeriod,
        *,
        now_ms: int,
        after: BacklogTask | None = None,
        limit: int = 500,
        only: Collection[BacklogReason] = ALL_REASONS,
        due_only: bool = True,
        patient: bool = False,
        open_since_ms: int | None = None,
    ) -> list[BacklogTask]: ...

    async def open_spans(self, scope: Scope, *, now_ms: int, due_only: bool = True) -> list[Window]: ...

    async def captured_many(
        self,
        captures: Mapping[str, Sequence[Recording]],
        now_ms: int,
        look_again: Mapping[str, int] = NOTHING,
        failing: Mapping[str, str] = NO_REASONS,
        silent: Mapping[str, Standing] = NO_STANDINGS,
    ) -> dict[str, KnownTask]: ...

    async def known(self, task_id: str) -> KnownTask: ...

    async def known_many(self, task_ids: Sequence[str]) -> dict[str, KnownTask]: ...

    async def settle_task(  # noqa: PLR0913 - the ledger's own
        self,
        task_id: str,
        state: TaskState,
        reason: str = "",
        *,
        now_ms: int,
        empty_answer: bool,
        next_ask_ms: int | None = None,
        evidence: str = "",
        named: int = 0,
    ) -> TaskState: ...

    async def asked(self, task_ids: Sequence[str]) -> dict[str, AskedBefore]: ...

    async def upload_created(self, key: str, upload_id: str, task_id: str, recording_id: str, now_ms: int) -> None: ...

    async def upload_gone(self, upload_id: str) -> None: ...

    async def stored(  # noqa: PLR0913 - the ledger's own
        self,
        task_id: str,
        recording_id: str,
        obj: StoredObject,
        *,
        run_id: str,
        already: bool,
        main_place: bool,
        flags: Sequence[str] = (),
        now_ms: int,
        upload_id: str | None = None,
        span: tuple[int | None, int | None] | None = None,
    ) -> None: ...

    async def recording_failed(
        self, task_id: str, recording_id: str, reason: str, detail: str, now_ms: int, *, evidence: str = ""
    ) -> None: ...

    async def recording_gone(self, task_id: str, recording_id: str, now_ms: int, *, evidence: str) -> None: ...

    async def open_uploads(self) -> list[OpenUpload]: ...

    async def started_keys(self) -> list[StartedKey]: ...
