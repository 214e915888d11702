"""The Python of the README, run against the sandbox."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.e2e.world import World, sandbox
from tests.readme.text import blocks

pytestmark = pytest.mark.anyio
SCRIPT, SERVICE = blocks("python")


def in_its_folder(world: World) -> Path:
    """Put config.toml where the README's code looks for it; return the folder."""
    return world.config.parent


def test_the_script_archives_everything(tmp_path: Path) -> None:
    """Typed into a file and started, it stores the whole bucket and prints a summary with exit code 0."""
    with sandbox(tmp_path, "--tasks", "30", "--seconds", "1", "5") as world:
        (tmp_path / "script.py").write_text(SCRIPT.body, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-W", "error", str(tmp_path / "script.py")],
            cwd=in_its_folder(world),
            env=world.environment | {"PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            timeout=360,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[0].isdigit() or "RunStarted" in done.stdout
        assert "'exit_code': 0" in done.stdout.splitlines()[-1]
        assert world.bucket() == world.truth()


async def test_the_job_of_a_service_tells_its_progress_and_can_be_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled in the middle it leaves no upload open; a new one stores the rest, and its totals say so."""
    space: dict[str, Any] = {}
    exec(compile(SERVICE.body, "README.md", "exec"), space)  # noqa: S102 - our own text
    with sandbox(tmp_path, "--tasks", "30", "--seconds", "30", "300", "--media-rate", "20000000") as world:
        for name, value in world.told["environment"].items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(in_its_folder(world))
        job = space["Job"]()
        async with anyio.create_task_group() as group:
            group.start_soon(job.run)
            with anyio.fail_after(30):
                while not job.totals.in_flight:
                    await anyio.sleep(0.01)
            job.scope.cancel()
        assert world.uploads() == []
        assert len(world.bucket()) < len(world.truth())
        again = space["Job"]()
        with anyio.fail_after(30):
            await again.run()
        assert world.bucket() == world.truth()
        assert again.totals.failed == 0
        assert again.totals.stored + again.totals.already_stored > 0
