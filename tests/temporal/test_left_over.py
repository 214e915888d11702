"""Uploads that somebody began and did not live to finish: gone, whoever takes their recording up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from tests.e2e.world import Finished, World, finish, sandbox
from tests.temporal.budget import faults
from tests.temporal.kit import Fleet, Server, fleet, settings
from wxrec_async import load_config

pytestmark = [pytest.mark.temporal, pytest.mark.anyio]

LARGE = ("--tasks", "6", "--seconds", "700", "900", "--media-rate", "800000", "--seed", "3")
CREATE = {"operation": "s3.CreateMultipartUpload", "kind": "reset_after", "attempts": None}


def whole(ended: Finished, world: World) -> None:
    """Everything is stored, and nothing is open."""
    assert ended.code == 0, ended.err[-3000:]
    assert world.bucket() == world.truth()
    assert world.uploads() == []
    assert ended.summary["uploads_left_open"] == 0


@pytest.mark.fault("K12", "L03")
def test_a_fleet_aborts_what_a_single_run_began_and_could_not_note(tmp_path: Path, server: Server) -> None:
    """Killed between CreateMultipartUpload and its note: the ledger knows only which key was begun."""
    with sandbox(tmp_path, *LARGE) as world, fleet(world, server) as crew:
        faults(world, CREATE)
        run = world.start("--json", "--no-progress", "--concurrency", "3")
        world.wait_for(lambda: len(world.uploads()) >= 3, run)
        run.kill()
        run.communicate()
        faults(world)
        assert len(world.uploads()) >= 3
        crew.workers(1, "--concurrency", "6")
        whole(finish(crew.run(), 720), world)


async def killed(world: World, crew: Fleet) -> None:
    """Leave a fleet's uploads behind: its only worker dies in the middle of them, and then its backfill is ended."""
    settings(world, "heartbeat_seconds = 2")
    (worker,) = crew.workers(1, "--concurrency", "3")
    run = crew.run()
    world.wait_for(world.uploads, run)
    worker.kill()
    worker.wait()
    client = await Client.connect(crew.server.address)
    org = load_config(world.config).webex.org_id
    async for each in client.list_workflows():
        if org in each.id and each.status is WorkflowExecutionStatus.RUNNING:
            await client.get_workflow_handle(each.id, run_id=each.run_id).terminate()
    ended = finish(run, 360)
    assert ended.code == 3, ended.err[-2000:]
    assert world.uploads()


def again_by_fleet(world: World, crew: Fleet) -> Finished:
    crew.workers(1, "--concurrency", "6")
    return finish(crew.run(), 720)


def again_alone(world: World, _crew: Fleet) -> Finished:
    return world.run("--json", "--no-progress", timeout_s=720)


@pytest.mark.fault("K12", "L03")
@pytest.mark.parametrize("again", [again_by_fleet, again_alone])
async def test_whoever_comes_next_aborts_what_a_killed_worker_left(
    tmp_path: Path, server: Server, again: Callable[[World, Fleet], Finished]
) -> None:
    """Of its uploads nobody was told; the next backfill, by a fleet or by one machine, finds them in the bucket."""
    with sandbox(tmp_path, *LARGE) as world, fleet(world, server) as crew:
        await killed(world, crew)
        whole(again(world, crew), world)
