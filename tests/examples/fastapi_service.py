"""A service that starts a backfill and streams its progress; put it behind your own authentication.

    WXREC_CONFIG=config.toml uvicorn fastapi_service:app --timeout-graceful-shutdown 5

    POST   /backfills              begin; the body may name a period: {"from": …, "to": …}
    GET    /backfills/{id}/events  server-sent events: ``progress`` twice a second, ``end`` once
    DELETE /backfills/{id}         cancel; answers when nothing of it is left

Each backfill is a task of the app's own task group, so that it ends with the app
at the latest, its uploads aborted.
"""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Annotated

import anyio
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, Field

from wxrec_async import Backfill, Period, RunTotals, Settings, WxrecError, load_config

EVERY_S = 0.5
log = logging.getLogger(__name__)


class Asked(BaseModel):
    """The period of a backfill, from (inclusive) and to (exclusive)."""

    begin: AwareDatetime = Field(alias="from")
    end: AwareDatetime = Field(alias="to")

    def period(self) -> Period:
        return Period(round(self.begin.timestamp() * 1000), round(self.end.timestamp() * 1000))


class Job:
    """One backfill, from its start to its result."""

    def __init__(self, settings: Settings, period: Period | None) -> None:
        self.id = uuid.uuid4().hex
        self._settings, self._period = settings, period
        self._totals = RunTotals()
        self._result: dict[str, object] = {"cancelled": True}
        self._scope = anyio.CancelScope()
        self._over = anyio.Event()

    @property
    def over(self) -> bool:
        return self._over.is_set()

    async def run(self) -> None:
        try:
            with self._scope:
                async with Backfill(self._settings) as backfill:
                    summary = await backfill.run(self._period, on_event=self._totals.add)
                self._result = summary.as_json()
        except WxrecError as error:  # settings, token, ledger: one line that says what to do
            self._result = {"error": str(error)}
        except Exception:
            log.exception("backfill %s", self.id)
            self._result = {"error": "internal error"}
        finally:
            self._over.set()

    async def cancel(self) -> None:
        """Return when it is over."""
        self._scope.cancel()
        await self._over.wait()

    async def events(self) -> AsyncIterator[str]:
        """Tell the numbers as they are now and then: a slow reader misses some, and holds nothing up."""
        while not self.over:
            yield _event("progress", self._progress())
            with anyio.move_on_after(EVERY_S):
                await self._over.wait()
        yield _event("end", self._result)

    def _progress(self) -> dict[str, object]:
        now = self._totals
        return {
            "tasks": now.tasks_listed,
            "found": now.recordings_found,
            "in_flight": now.in_flight,
            "stored": now.stored,
            "failed": now.failed,
            "bytes": now.bytes,
        }


def _event(name: str, data: dict[str, object]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


class Jobs:
    """The app's backfills, one at a time: they share a ledger."""

    def __init__(self, _app: FastAPI) -> None:
        self._settings = load_config(os.environ["WXREC_CONFIG"])
        self._jobs: dict[str, Job] = {}

    async def __aenter__(self) -> dict[str, Jobs]:
        self._group = await anyio.create_task_group().__aenter__()
        return {"jobs": self}

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._group.cancel_scope.cancel()
        return await self._group.__aexit__(kind, failure, trace)

    def start(self, period: Period | None) -> Job:
        if not all(job.over for job in self._jobs.values()):
            raise HTTPException(409, "a backfill is running")
        job = Job(self._settings, period)
        self._jobs = {job.id: job}  # the one before is forgotten: the ledger knows what it did
        self._group.start_soon(job.run)
        return job

    def find(self, job_id: str) -> Job:
        if job_id not in self._jobs:
            raise HTTPException(404, "no such backfill")
        return self._jobs[job_id]


def jobs_of(request: Request) -> Jobs:
    jobs: Jobs = request.state.jobs
    return jobs


AppJobs = Annotated[Jobs, Depends(jobs_of)]
app = FastAPI(lifespan=Jobs)


@app.post("/backfills", status_code=202)
async def start(jobs: AppJobs, asked: Asked | None = None) -> dict[str, str]:
    return {"id": jobs.start(asked.period() if asked else None).id}


@app.get("/backfills/{job_id}/events")
async def events(jobs: AppJobs, job_id: str) -> StreamingResponse:
    return StreamingResponse(jobs.find(job_id).events(), media_type="text/event-stream")


@app.delete("/backfills/{job_id}", status_code=204)
async def cancel(jobs: AppJobs, job_id: str) -> None:
    await jobs.find(job_id).cancel()
