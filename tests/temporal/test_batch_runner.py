"""What a window's batches brought is written down, whatever became of the others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from temporalio.exceptions import ActivityError, RetryState

from wxrec_async.temporal.batch_runner import BatchRunner

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def failure() -> ActivityError:
    return ActivityError(
        "no", scheduled_event_id=1, started_event_id=2, identity="", activity_type="", activity_id="",
        retry_state=RetryState.TIMEOUT,
    )  # fmt: skip


def runner() -> BatchRunner:
    made = BatchRunner.__new__(BatchRunner)
    made._under_way, made._writing, made._unwritten = [], None, []
    made._pile = type("Pile", (), {"take_back": lambda _self, _outcome: None, "full": False})()
    return made


async def settled(value: Any) -> Any:
    """Return a handle that is done, with a value or a failure."""

    async def act() -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    handle = asyncio.ensure_future(act())
    await asyncio.wait([handle])
    return handle


async def test_a_batch_that_failed_takes_no_other_with_it() -> None:
    """Several finish in one step, the first of them with a failure."""
    made = runner()
    made._under_way = [await settled(failure()), await settled({"done": [1]}), await settled({"done": [2]})]
    with pytest.raises(ActivityError):
        await made._step(None)
    assert made._unwritten == [{"done": [1]}, {"done": [2]}]


async def test_what_is_being_written_is_waited_for() -> None:
    """Nothing more is unwritten, and the call that writes has not been picked up yet."""
    made = runner()
    let_go = asyncio.Event()

    async def write() -> None:
        await let_go.wait()

    made._writing = asyncio.ensure_future(write())  # type: ignore[assignment]
    ending = asyncio.ensure_future(made.write_down())
    await asyncio.sleep(0)
    assert not ending.done()
    let_go.set()
    await ending
    assert made._writing is None
