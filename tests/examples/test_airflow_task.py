"""The Airflow callable, called as a PythonOperator would call it: synchronously, by keyword."""

from __future__ import annotations

import itertools
import json
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.world import World, sandbox
from tests.examples.airflow_task import BackupFailed, back_up_interval
from tests.examples.kit import SLOW, SMALL, some_recordings, spoil


def enter(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in world.told["environment"].items():
        monkeypatch.setenv(name, value)


def test_daily_intervals_together_store_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What each returns goes through JSON, as an XCom does; trying one again stores nothing more."""
    today = datetime.now(UTC) + timedelta(minutes=1)
    days = [today - timedelta(days=back) for back in range(8, -1, -1)]
    with sandbox(tmp_path, *SMALL) as world:
        enter(world, monkeypatch)
        counts = [
            back_up_interval(config=str(world.config), data_interval_start=start, data_interval_end=end)
            for start, end in itertools.pairwise(days)
        ]
        assert world.bucket() == world.truth()
        moved = len(world.requests("media.get"))
        again = back_up_interval(config=str(world.config), data_interval_start=days[0], data_interval_end=days[-1])
        assert len(world.requests("media.get")) == moved
    assert sum(json.loads(json.dumps(each))["stored"] for each in counts) == again["already_stored"] > 0  # type: ignore[operator]


def test_a_failed_recording_fails_the_task_and_a_second_try_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow tries a task again when it raises."""
    now = datetime.now(UTC)
    interval = {"data_interval_start": now - timedelta(days=8), "data_interval_end": now}
    with sandbox(tmp_path, *SMALL) as world:
        enter(world, monkeypatch)
        spoil(world, some_recordings(world, 2))
        with pytest.raises(BackupFailed, match="ended with 3"):
            back_up_interval(str(world.config), **interval)
        spoil(world, [])
        assert back_up_interval(str(world.config), **interval)["failed"] == 0
        assert world.bucket() == world.truth()


KILLED = """
import signal, sys
from datetime import UTC, datetime, timedelta
from tests.examples.airflow_task import back_up_interval

class Terminated(Exception): ...

def airflows_own(*_):
    raise Terminated

signal.signal(signal.SIGTERM, airflows_own)
now = datetime.now(UTC)
try:
    back_up_interval(sys.argv[1], now - timedelta(days=8), now)
finally:
    assert signal.getsignal(signal.SIGTERM) is airflows_own
"""


def test_a_killed_task_fails_with_nothing_left_open(tmp_path: Path) -> None:
    """Airflow sends SIGTERM: the task raises, its uploads are aborted, and Airflow's handler is back in its place."""
    with sandbox(tmp_path, *SLOW) as world:
        world.environment |= {"WXREC_BACKFILL__GRACE_SECONDS": "0", "WXREC_BACKFILL__CONCURRENCY": "8"}
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(world.config)],
            env=world.environment, cwd=Path(__file__).parents[2], text=True, stderr=subprocess.PIPE,
        )  # fmt: skip
        world.wait_for(world.uploads, process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=540)
        assert world.uploads() == []
    assert re.search(r"BackupFailed: run \w+ ended with 143: SIGTERM\n$", err), err
