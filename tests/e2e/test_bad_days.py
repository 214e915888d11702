"""The whole job on bad days: what a run ends with, and what the bucket holds then."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.canaries import found_in
from tests.e2e.world import finish
from tests.e2e.world import sandbox as in_a_process
from wxrec_async import Backfill, Settings, load_config
from wxrec_async.events import Event, RecordingStarted
from wxrec_async.flow.summary import Summary
from wxrec_async.sandbox import Options, Organisation, Sandbox

pytestmark = pytest.mark.anyio

SMALL = (0.2, 1.0)
LARGE = (700.0, 900.0)  # seconds of audio: several parts of 5 MiB


@asynccontextmanager
async def site(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    tasks: int = 12,
    seconds: tuple[float, float] = SMALL,
    media_rate: float = 0.0,
    **sections: Any,
) -> AsyncIterator[tuple[Sandbox, Settings]]:
    """Open a simulated organisation in this process, and the settings of a run on it."""
    organisation = Organisation(tasks, 1, seconds=seconds, large=False)
    options = Options(organisation=organisation, requests_per_minute=0, media_rate=media_rate)
    async with Sandbox(options) as sandbox:
        for name, value in sandbox.environment().items():
            monkeypatch.setenv(name, value)
        config = sandbox.write_config(folder, **({"webex": {"requests_per_minute": 6000}} | sections))
        yield sandbox, load_config(config)


async def run(settings: Settings) -> Summary:
    async with Backfill(settings) as backfill:
        return await backfill.run()


def reasons(summary: Summary) -> set[str]:
    return {failure.reason for failure in summary.failures}


@pytest.mark.fault("S09", "C14", "C3")
@pytest.mark.parametrize("always", [True, False], ids=["always", "once"])
@pytest.mark.parametrize("seconds", [SMALL, LARGE], ids=["put", "parts"])
async def test_bits_flipped_on_the_way_to_the_bucket_are_never_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: tuple[float, float], always: bool
) -> None:
    """A real bit in every body: S3 refuses it; once is mended from memory, always is a failure by name."""
    facts: dict[str, Any] = {"tasks": 4 if seconds == LARGE else 12, "seconds": seconds, "s3": {"part_size_mib": 5}}
    async with site(tmp_path, monkeypatch, **facts) as (
        sandbox,
        settings,
    ):
        operation = "s3.UploadPart" if seconds == LARGE else "s3.PutObject"
        rule = sandbox.faults.add(operation, "flip_bit", attempts=None if always else (1,))
        summary = await run(settings)
        assert rule.hits
        if always:
            assert summary.exit_code == 3
            assert reasons(summary) == {"corrupting_path"}
            assert await sandbox.objects() == {}
            sandbox.faults.clear()
            summary = await run(settings)
        assert summary.exit_code == 0, summary
        assert await sandbox.differences() == []
        assert sandbox.uploads() == []


@pytest.mark.fault("S11", "P10")
async def test_expired_credentials_end_the_run_and_the_next_one_finishes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In mid upload: exit 4 with what to renew, nothing half in the bucket, and all of it there after the next run."""
    async with site(tmp_path, monkeypatch, tasks=4, seconds=LARGE, s3={"part_size_mib": 5}) as (sandbox, settings):
        for operation in ("s3.UploadPart", "s3.AbortMultipartUpload"):
            sandbox.faults.add(operation, "expired_token", attempts=None)
        summary = await run(settings)
        assert summary.exit_code == 4
        assert "AWS credentials have expired" in str(summary.ending.error)
        assert await sandbox.objects() == {}
        # One that was being created when the run ended may show after it was looked for; its key is in the ledger.
        left_open: Any = summary.as_json()["uploads_left_open"]
        assert 0 < left_open <= len(sandbox.uploads())
        sandbox.faults.clear()
        assert (await run(settings)).exit_code == 0
        assert await sandbox.differences() == []
        assert sandbox.uploads() == []


@pytest.mark.fault("W06", "W07")
@pytest.mark.parametrize("shape", ["token_401", "token_403", "token_400"])
@pytest.mark.parametrize("operation", ["tasks", "captures"])
async def test_token_that_is_refused_for_good_ends_the_run_with_what_support_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str, shape: str
) -> None:
    """Refused, renewed once, refused again: exit 4, the tracking id in the words, and nothing is called failed."""
    async with site(tmp_path, monkeypatch) as (sandbox, settings):
        sandbox.faults.add(operation, shape, attempts=None)
        summary = await run(settings)
        assert summary.exit_code == 4
        assert "SANDBOX_" in str(summary.ending.error)
        assert not summary.failures
        assert not summary.ending.incomplete
        assert 1 <= len(sandbox.log.of("token")) <= (1 if operation == "tasks" else 2)  # captures go out two at a time
        assert await sandbox.objects() == {}
        sandbox.faults.clear()
        assert (await run(settings)).exit_code == 0
        assert await sandbox.differences() == []


@pytest.mark.fault("W05", "W07", "T13")
@pytest.mark.parametrize("shape", ["token_401", "token_403", "token_400"])
async def test_token_refused_in_mid_run_costs_one_refresh_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    """Whatever shape the refusal has: renewed once, and the run goes on as if nothing had been."""
    async with site(tmp_path, monkeypatch, tasks=60) as (sandbox, settings):
        sandbox.faults.add("captures", shape, limit=1, attempts=None)
        summary = await run(settings)
        assert summary.exit_code == 0, summary
        assert len(sandbox.log.of("token")) == 1
        assert await sandbox.differences() == []


@pytest.mark.fault("T12")
async def test_token_that_ends_during_a_long_download_does_not_touch_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signed URL needs no token: one GET for each recording; the next captures call renews, once for each expiry."""
    async with site(tmp_path, monkeypatch, tasks=60, media_rate=400_000, backfill={"concurrency": 1}) as found:
        sandbox, settings = found
        expiries = 0

        def expire_while_it_runs(event: Event) -> None:
            nonlocal expiries
            if isinstance(event, RecordingStarted) and not expiries:
                expiries += 1
                sandbox.desk.expire_access()

        async with Backfill(settings, on_event=expire_while_it_runs) as backfill:
            summary = await backfill.run()
        assert summary.exit_code == 0, summary
        assert len(sandbox.log.of("token")) == expiries == 1
        gets = [entry.key for entry in sandbox.log.of("media.get")]
        assert len(gets) == len(set(gets)) == len(sandbox.truth())
        assert await sandbox.differences() == []


@pytest.mark.fault("L20", "D01", "T11")
async def test_process_that_was_stopped_for_hours_goes_on_as_if_nothing_had_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGSTOP in mid run, two hours for all others, SIGCONT: leases, token and connections are stale, nothing fails."""
    async with site(
        tmp_path, monkeypatch, tasks=60, seconds=(3, 6), media_rate=600_000, backfill={"concurrency": 2}
    ) as (sandbox, settings):
        config = str(settings.ledger.path.parent / "config.toml")
        command = [sys.executable, "-m", "wxrec_async", "--config", config, "--json"]
        process = await anyio.open_process(command, env=os.environ | sandbox.environment())
        try:
            with anyio.fail_after(90):
                while len(sandbox.log.of("media.get")) < 6:
                    await anyio.sleep(0.01)
                os.kill(process.pid, signal.SIGSTOP)
                _let_two_hours_pass(sandbox)
                os.kill(process.pid, signal.SIGCONT)
                assert process.stdout is not None
                out = b"".join([chunk async for chunk in process.stdout])
                assert await process.wait() == 0, out[-2000:]
        finally:
            if process.returncode is None:
                process.kill()
            await process.aclose()
        assert await sandbox.differences() == []
        assert sandbox.uploads() == []
        assert len(sandbox.log.of("token")) == 1
        assert json.loads(out.splitlines()[-1])["failed"] == 0


def _let_two_hours_pass(sandbox: Sandbox) -> None:
    """For whoever judges tokens and signed URLs; and connections that were silent for so long are gone."""
    later = lambda: time.time() + 7200  # noqa: E731 - a clock
    sandbox.desk.expire_access()
    sandbox._presigner.clock = later
    for runner in sandbox._runners:
        for connection in list(runner.server.connections) if runner.server else []:
            if connection.transport is not None:
                connection.transport.abort()


@pytest.mark.fault("R05")
def test_run_under_a_limit_of_64_files_is_slower_and_whole(tmp_path: Path) -> None:
    """Fewer workers than asked for, said in a line, and everything stored."""
    with in_a_process(tmp_path, "--tasks", "40", "--seconds", "0.5", "1", "--no-large") as world:
        command = " ".join(world.command("run", "--config", str(world.config), "--concurrency", "200", "--no-progress"))
        process = _under_a_limit(command, world.environment, tmp_path)
        ended = finish(process)
        assert ended.code == 0, ended.err
        assert world.bucket() == world.truth()
        assert "concurrency" in ended.err


def _under_a_limit(command: str, environment: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["bash", "-c", f"ulimit -n 64; exec {command}"],
        env=environment,
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


KEPT_BY_DESIGN = {"secrets.json", "tokens.json"}


@pytest.mark.fault("X08", "X01", "X09", "X25")
@pytest.mark.parametrize("faults", ["none", "storm"])
def test_no_secret_is_in_anything_a_run_leaves_or_shows(tmp_path: Path, faults: str) -> None:
    """At --log-level debug, with faults on every side: outputs, ledger, log and lock, and what `ps` shows meanwhile."""
    options = ("--tasks", "30", "--seconds", "1", "3", "--no-large", "--faults", faults, "--media-rate", "400000")
    with in_a_process(tmp_path, *options) as world:
        process = world.start("--json", "--log-level", "debug", "--log-format", "json", "--concurrency", "8", cold=True)
        world.wait_for(lambda: len(world.requests("media.get")) > 5, process)
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes() + Path(f"/proc/{process.pid}/comm").read_bytes()
        during = {file.name: file.read_bytes() for file in world.ledger.parent.glob("wxrec.db*")}
        ended = finish(process, 120)
        assert ended.code in (0, 3), ended.err[-2000:]
        assert found_in(shown.decode(errors="replace")) == []
        assert found_in(ended.out) == found_in(ended.err) == []
        after = {
            file.name: file.read_bytes()
            for file in world.ledger.parent.iterdir()
            if file.is_file() and file.name not in KEPT_BY_DESIGN
        }
        assert {"wxrec.db", "wxrec.db-wal"} <= set(during)
        for name, content in [*during.items(), *after.items()]:
            assert found_in(content.decode("latin-1")) == [], name
            assert b"X-Amz-Signature" not in content, name
