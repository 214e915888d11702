"""The IAM policies of the README suffice: the sandbox's S3 refuses every action they do not name."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from tests.readme.text import named
from wxrec_async import AuthError, Backfill, Settings, load_config
from wxrec_async.events import Event, UploadLeftOpen
from wxrec_async.maintenance.cleanup import cleanup
from wxrec_async.maintenance.rebuild import rebuild
from wxrec_async.maintenance.verify import Level, verify
from wxrec_async.sandbox import Options, Sandbox
from wxrec_async.sandbox.s3.service import OPERATIONS
from wxrec_async.setup.doctor import examine, exit_code_of

pytestmark = pytest.mark.anyio


def allowed_by(name: str) -> set[str]:
    """Return the S3 actions of a policy."""
    actions: set[str] = set()
    for statement in json.loads(named(name).body)["Statement"]:
        one = statement["Action"]
        actions |= {one} if isinstance(one, str) else set(one)
    return {action for action in actions if action.startswith("s3:")}


@asynccontextmanager
async def guarded(
    folder: Path, policy: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Sandbox, Settings]]:
    """Open a sandbox whose S3 allows what the policy names and nothing else."""
    denied = frozenset(action for _, action in OPERATIONS.values()) - allowed_by(policy)
    async with Sandbox(Options(tasks=40, requests_per_minute=0, media_rate=40e6, denied=denied)) as sandbox:
        for name, value in sandbox.environment().items():
            monkeypatch.setenv(name, value)
        yield sandbox, load_config(sandbox.write_config(folder))


def lose_ledger(settings: Settings) -> None:
    """Remove the ledger with what SQLite laid beside it."""
    path = settings.ledger.path
    for file in list(path.parent.glob(f"{path.name}*")):
        file.unlink()


async def broken_off(sandbox: Sandbox, settings: Settings) -> list[Event]:
    """Cancel a run while parts of an upload are on their way; return what was told of uploads left open."""
    heard: list[Event] = []
    async with anyio.create_task_group() as group:

        async def run() -> None:
            async with Backfill(settings, on_event=heard.append) as backfill:
                await backfill.run()

        group.start_soon(run)
        with anyio.fail_after(30):
            while not sandbox.uploads():
                await anyio.sleep(0.005)
        group.cancel_scope.cancel()
    return [event for event in heard if isinstance(event, UploadLeftOpen)]


@pytest.mark.fault("X24")
async def test_write_and_verify_suffices_for_every_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Examined, moved, verified to the last byte, tidied and rebuilt, with the actions the README names."""
    async with guarded(tmp_path, "policy: write and verify", monkeypatch) as (sandbox, settings):
        findings = await examine(settings)
        assert exit_code_of(findings) == 0
        assert [finding.name for finding in findings if finding.state == "warn"] == []
        assert await broken_off(sandbox, settings) == []
        assert sandbox.uploads() == []
        async with Backfill(settings) as backfill:
            assert (await backfill.run()).exit_code == 0
        assert sandbox.log.of("s3.CompleteMultipartUpload")
        assert (await verify(settings, level=Level.FULL)).exit_code == 0
        assert (await cleanup(settings, all_under_prefix=True)).exit_code == 0
        lose_ledger(settings)
        report = await rebuild(settings)
        assert (report.exit_code, report.recordings) == (0, len(await sandbox.objects()))


@pytest.mark.fault("X24", "S21")
async def test_write_only_suffices_for_a_run_and_for_no_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything is stored whole, and what needs reading ends as the README says."""
    async with guarded(tmp_path, "policy: write only", monkeypatch) as (sandbox, settings):
        assert exit_code_of(await examine(settings)) == 0
        assert await broken_off(sandbox, settings) == []
        assert sandbox.uploads() == []
        async with Backfill(settings) as backfill:
            assert (await backfill.run()).exit_code == 0
        assert await sandbox.differences() == []
        assert sandbox.uploads() == []
        assert (await verify(settings)).exit_code == 4
        lose_ledger(settings)
        with pytest.raises(AuthError, match="s3:ListBucket"):
            await rebuild(settings)
        async with Backfill(settings) as backfill:
            summary = await backfill.run()
        assert summary.exit_code == 3
        assert {failure.reason for failure in summary.failures} == {"exists_unreadable"}
