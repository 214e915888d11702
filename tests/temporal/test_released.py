"""Histories that a released version began: today's workflows go on with each as it was begun."""

from __future__ import annotations

import json
import lzma
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from wxrec_async.temporal.worker import RUNNER, WORKFLOWS

pytestmark = pytest.mark.anyio

RELEASED = Path(__file__).parent / "released"
RELEASES = sorted(path.name for path in RELEASED.glob("*.json.xz"))
KINDS = ("whole", "filtered", "long", "refused", "cancelled")


@cache
def recorded(release: str) -> dict[str, list[dict[str, Any]]]:
    """Return the histories of a release by what was odd about the backfill."""
    found: dict[str, list[dict[str, Any]]] = json.loads(lzma.decompress((RELEASED / release).read_bytes()))
    return found


def kinds_of(history: Any) -> list[str]:
    """Return the kinds of a history's events, in their order."""
    return [event["eventType"].removeprefix("EVENT_TYPE_") for event in history["events"]]


def under_way(history: Any) -> Any:
    """Cut a failure off that ended it: nobody goes on behind that, and today more is written down before it."""
    kinds = kinds_of(history)
    if kinds[-1] != "WORKFLOW_EXECUTION_FAILED":
        return history
    return {"events": history["events"][: len(kinds) - kinds[::-1].index("WORKFLOW_TASK_STARTED")]}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("release", RELEASES)
async def test_a_history_of_the_release_before_goes_on(release: str, kind: str) -> None:
    """Whatever it has been through: the same next steps come of the same past, or Temporal could not go on with it."""
    replayer = Replayer(workflows=WORKFLOWS, workflow_runner=RUNNER)
    for each in recorded(release)[kind]:
        await replayer.replay_workflow(WorkflowHistory.from_json(each["id"], under_way(each["history"])))


@pytest.mark.parametrize("release", RELEASES)
def test_the_histories_have_been_through_everything(release: str) -> None:
    """Else they would prove little: gone on with anew, failed, cancelled, waited for a batch to fill."""
    histories = [each["history"] for kind in KINDS for each in recorded(release)[kind]]
    seen = {kind for history in histories for kind in kinds_of(history)}
    assert {f"WORKFLOW_EXECUTION_{end}" for end in ("COMPLETED", "FAILED", "CANCELED", "CONTINUED_AS_NEW")} < seen
    assert "TIMER_FIRED" in seen
