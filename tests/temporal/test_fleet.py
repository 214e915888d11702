"""The fleet as an operator runs it: what the server keeps, two organisations, schedules, and leaving."""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    ScheduleSpec,
    WorkflowExecutionStatus,
    WorkflowHistory,
)
from temporalio.worker import Replayer

from tests.canaries import found_in
from tests.e2e.world import World, finish, sandbox
from tests.temporal.kit import Server, fleet, recordings_in, settings, told, wait_until
from wxrec_async import load_config
from wxrec_async.temporal import contract
from wxrec_async.temporal.connecting import converter
from wxrec_async.temporal.worker import RUNNER, WORKFLOWS

pytestmark = [pytest.mark.temporal, pytest.mark.anyio]


async def histories(client: Client, org: str) -> list[WorkflowHistory]:
    """Everything the server keeps of an organisation's workflows."""
    return [
        await client.get_workflow_handle(each.id, run_id=each.run_id).fetch_history()
        async for each in client.list_workflows()
        if org in each.id or each.id.startswith("wxrec-")
    ]


def all_text(kept: list[WorkflowHistory]) -> str:
    """Histories as text, whatever is packed in base64 unpacked."""
    packed = "\n".join(history.to_json() for history in kept)
    data = re.findall(r'"data": "([A-Za-z0-9+/=]+)"', packed)
    return packed + "\n".join(base64.b64decode(each).decode("utf-8", "replace") for each in data)


def org_of(world: World) -> str:
    return load_config(world.config).webex.org_id


async def test_the_server_never_learns_a_secret_and_a_second_run_moves_nothing(tmp_path: Path, server: Server) -> None:
    """Whole histories, with renewals, refusals and failures in them, are searched for tokens, URLs and numbers."""
    with sandbox(tmp_path, "--tasks", "60", "--seconds", "1", "3", "--faults", "storm") as world:
        with fleet(world, server) as crew:
            (parent,) = crew.workers(1, "--processes", "2")
            ended = finish(crew.run(), 720)
            assert ended.code in (0, 3), ended.err[-3000:] + crew.said()[-2000:]
            if ended.code == 3:  # a recording may meet more faults in a row than one run forgives
                ended = finish(crew.run(), 720)
            assert ended.code == 0, ended.err[-3000:] + crew.said()[-2000:]
            assert world.bucket() == world.truth()
            moved = len(world.requests("media.get"))
            again = finish(crew.run(), 360)
            assert (again.code, again.summary["stored"]) == (0, 0)
            assert again.summary["already_stored"] == len(world.truth())
            assert len(world.requests("media.get")) == moved
            said = crew.said()
            children = re.findall(r"\d+", said.partition("2 processes: ")[2].partition("\n")[0])
            assert len(children) == 2
            parent.kill()
            wait_until(lambda: not any(is_running(int(pid)) for pid in children), "a child outlived its parent")
        client = await Client.connect(server.address)
        kept = await histories(client, org_of(world))
        text = all_text(kept)
        assert world.truth().keys() <= set(re.findall(r"call-detail/[^\"\\]+", text))  # it was unpacked
        assert not found_in(text)
        assert not found_in(said)
        assert not re.search(r"https?:|X-Amz|Bearer|\+1555", text)
        replayer = Replayer(workflows=WORKFLOWS, workflow_runner=RUNNER)
        for history in kept:
            await replayer.replay_workflow(history)


def is_running(pid: int) -> bool:
    """Say whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def two_profiles(folder: Path, worlds: dict[str, World]) -> dict[str, str]:
    """Give each organisation's bucket its own AWS profile."""
    lines = []
    for name, world in worlds.items():
        keys = world.told["environment"]
        lines += [f"[{name}]"] + [f"{key.lower()} = {value}" for key, value in keys.items()]
        text = world.config.read_text().replace("[s3]", f'[s3]\nprofile = "{name}"')
        world.config.write_text(text)
    file = folder / "aws-credentials"
    file.write_text("\n".join(lines) + "\n")
    return {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_CONFIG_FILE": "/dev/null"}


async def scheduled(client: Client, world: World) -> str:
    """Make the schedule the README names, and let it act once; return its id."""
    secrets = json.loads((world.config.parent / "secrets.json").read_text())
    org, queue = org_of(world), contract.queue_of(secrets["client_id"])
    ask = contract.BackfillAsk(org, queue, trailing_s=7 * 86400.0)
    action = ScheduleActionStartWorkflow("wxrec-backfill", asdict(ask), id=f"wxrec/{org}/scheduled", task_queue=queue)
    schedule = Schedule(action=action, spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(hours=1))]))
    handle = await client.create_schedule(f"wxrec-{org}", schedule)
    await handle.trigger(overlap=ScheduleOverlapPolicy.SKIP)
    return org


async def until_completed(client: Client, org: str) -> None:
    """Wait for the scheduled backfill of an organisation."""
    for _ in range(600):
        async for each in client.list_workflows("WorkflowType = 'wxrec-backfill'"):
            if f"{org}/scheduled" in each.id and each.status is not WorkflowExecutionStatus.RUNNING:
                assert each.status is WorkflowExecutionStatus.COMPLETED
                return
        await anyio.sleep(0.1)
    raise AssertionError("the scheduled backfill did not end")


async def test_one_worker_serves_two_organisations_by_schedule_and_the_server_reads_nothing(
    tmp_path: Path, server: Server
) -> None:
    """Two client ids, two queues, two ledgers, one process; with a codec the server keeps nothing it can read."""
    few = ("--tasks", "40", "--seconds", "0.5", "1", "--no-large")
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with sandbox(tmp_path / "one", *few, "--seed", "4") as one, sandbox(tmp_path / "two", *few, "--seed", "2") as two:
        worlds = {"one": one, "two": two}
        for world in worlds.values():
            settings(world, 'codec = "tests.temporal.codec:make"')
        keys = two_profiles(tmp_path, worlds)
        for name in one.told["environment"]:
            one.environment.pop(name)
        one.environment.update(keys | {"PYTHONPATH": str(Path(__file__).parents[2])})
        with fleet(one, server) as crew:
            crew.workers(1, "--keep-ledger", configs=(one.config, two.config))
            client = await Client.connect(server.address, data_converter=converter("tests.temporal.codec:make"))
            orgs = [await scheduled(client, world) for world in worlds.values()]
            for org in orgs:
                await until_completed(client, org)
            wait_until(lambda: crew.said().count("ended with 0") == 2, crew.said())
        for world in worlds.values():
            assert world.bucket() == world.truth()
            assert await anyio.to_thread.run_sync(recordings_in, world) == len(world.truth())
        plain = await Client.connect(server.address)
        kept = [history for org in orgs for history in await histories(plain, org)]
        task_ids = {key.split("/")[1] for key in one.truth() | two.truth()}
        assert kept
        assert not [each for each in task_ids if each in all_text(kept)]


async def test_leaving_and_cancelling_leave_nothing_open(tmp_path: Path, server: Server) -> None:
    """A run that is told to go leaves the fleet at work; a worker that is told to go aborts; a cancelled one too."""
    options = ("--tasks", "30", "--seconds", "700", "900", "--media-rate", "400000", "--seed", "3")
    with sandbox(tmp_path, *options) as world, fleet(world, server) as crew:
        settings(world, "heartbeat_seconds = 2")
        (worker,) = crew.workers(1, "--concurrency", "4", "--grace", "0")
        run = crew.run()
        world.wait_for(lambda: world.requests("s3.UploadPart") or world.requests("media.get"), run)
        run.send_signal(signal.SIGINT)
        left = finish(run, 180)
        assert left.code == 130
        assert "goes on without us" in left.err
        assert left.summary["stopped"] == "SIGINT"

        worker.send_signal(signal.SIGTERM)
        assert worker.wait(180) == 0
        assert world.uploads() == []

        crew.workers(1, "--concurrency", "4")
        before = len(world.requests("media.get"))
        run = crew.run()
        world.wait_for(lambda: len(world.requests("media.get")) > before, run)
        client = await Client.connect(server.address)
        await client.get_workflow_handle(contract.backfill_id(org_of(world))).cancel()
        ended = finish(run, 360)
        assert ended.code == 3, ended.err[-2000:]
        assert "ended from outside" in ended.summary["error"]
        wait_until(lambda: not world.uploads(), "an upload was left open")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--concurrency", "3"), "--concurrency does not go with --temporal"),
        (("run", "--scheduled"), "--scheduled does not go with --temporal: a Temporal schedule does that"),
        (("run",), "no Temporal server answers at 127.0.0.1:1"),
        (("worker",), "no Temporal server answers at 127.0.0.1:1"),
        (("worker", "--keep-ledger", "--processes", "2"), "--keep-ledger is for one process"),
        (("run", "--temporal", "nowhere"), "write HOST:PORT"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_belongs_to_the_workers_is_refused_by_the_run(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    """A flag that would have no effect is an error that says where it belongs; no server is needed to say so."""
    config = tmp_path / "config.toml"
    config.write_text('[s3]\nbucket = "b"\n')
    command, *rest = arguments
    refused = told(command, "--temporal", "127.0.0.1:1", "--config", str(config), *rest)
    assert refused.exit_code == 2
    assert words in refused.stderr


def test_without_the_extra_one_line_says_what_to_install() -> None:
    """The commands are there for everybody; what they need is named."""
    program = "import sys; sys.modules['temporalio'] = None; from wxrec_async.__main__ import main; main()"
    for command in ("worker", "run"):
        arguments = [sys.executable, "-c", program, command, "--temporal", "127.0.0.1:1"]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=360)
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1] == "error: this needs the extra: pip install 'wxrec-async[temporal]'"
