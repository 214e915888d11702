"""The main job, as a user runs it, on real audio over real sockets."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.world import World, finish, sandbox
from tests.slowness import slowness

USUAL_START_S = 3.0  # until eight downloads are under way


def test_every_recording_arrives_and_a_second_run_moves_nothing(tmp_path: Path) -> None:
    """The bucket equals the organisation's truth, the summary adds up, and again there is nothing to do."""
    with sandbox(tmp_path, "--tasks", "150", "--seconds", "1", "20") as world:
        first = world.run("--json")
        assert first.code == 0, first.err
        assert world.bucket() == world.truth()
        summary = first.summary
        assert summary["stored"] == summary["recordings"] == len(world.truth())
        assert summary["tasks_listed"] == summary["tasks_with_recordings"] + summary["no_recording"]
        assert summary["bytes"] == sum(size for size, _ in world.truth().values())
        moved = len(world.requests("media.get"))

        again = world.run("--json")
        assert again.code == 0
        assert again.summary["already_stored"] == summary["stored"]
        assert len(world.requests("media.get")) == moved


def test_content_type_and_metadata_lie_with_the_object(tmp_path: Path) -> None:
    """Which recording lies under a key can be read from the bucket alone."""
    with sandbox(tmp_path, "--tasks", "40", "--seconds", "1", "2") as world:
        assert world.run().code == 0
        types = {".wav": "audio/wav", ".mp3": "audio/mpeg"}
        truth = {row["key"]: row for row in world.ask("truth")}
        for row in world.ask("objects"):
            assert row["content_type"] == types[Path(row["key"]).suffix]
            assert row["metadata"]["wx-task-id"] == truth[row["key"]]["task_id"]
            assert row["metadata"]["wx-recording-id"] == truth[row["key"]]["recording_id"]


def test_a_lost_ledger_costs_downloads_but_overwrites_nothing(tmp_path: Path) -> None:
    """Without the ledger everything is found equal in the bucket and counts as already stored."""
    with sandbox(tmp_path, "--tasks", "60", "--seconds", "1", "10") as world:
        first = world.run("--json")
        stored = len(world.requests("s3.PutObject", 200)) + len(world.requests("s3.CompleteMultipartUpload", 200))
        for file in world.ledger.parent.glob("wxrec.db*"):
            file.unlink()
        again = world.run("--json")
        assert again.code == first.code == 0
        assert again.summary["already_stored"] == first.summary["stored"]
        assert again.summary["stored"] == again.summary["failed"] == 0
        assert stored == len(world.requests("s3.PutObject", 200)) + len(
            world.requests("s3.CompleteMultipartUpload", 200)
        )
        assert world.bucket() == world.truth()


def test_captures_are_asked_in_full_batches_and_small_recordings_cost_two_requests(tmp_path: Path) -> None:
    """At most one captures call for nine tasks; one GET and one PUT for a recording of one part."""
    with sandbox(tmp_path, "--tasks", "1000", "--seconds", "0.2", "0.5", "--no-large") as world:
        assert world.run("--concurrency", "32").code == 0
        batches = [row["key"].split(",") for row in world.requests("captures")]
        asked = sum(map(len, batches))
        assert asked == len({task_id for batch in batches for task_id in batch})
        assert len(batches) * 9 <= asked
        recordings = len(world.truth())
        assert len(world.requests("media.get")) == recordings
        assert len(world.requests("s3.PutObject")) == recordings


@pytest.mark.fault("L03", "K9", "S20", "L17")
def test_kill_9_in_the_middle_and_a_second_run_leave_the_same_bucket(tmp_path: Path) -> None:
    """A killed run loses nothing, duplicates nothing, and its open uploads are gone after the next one.

    The kernel that is out of memory sends the same signal, so L17 is L03.
    """
    with sandbox(tmp_path, "--tasks", "80", "--seconds", "5", "60", "--media-rate", "4000000") as world:
        process = world.start("--concurrency", "16")
        world.wait_for(lambda: len(world.requests("media.get")) > 30, process)
        process.kill()
        process.communicate()
        again = world.run("--json", "--concurrency", "16")
        assert again.code == 0, again.err
        assert world.bucket() == world.truth()
        assert world.uploads() == []
        assert len(world.requests("media.get")) <= len(world.truth()) + 16 + 1


@pytest.mark.fault("L01", "L02")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_stops_the_run_at_once_with_grace_0_and_nothing_open(tmp_path: Path, name: str, code: int) -> None:
    """Exit within five seconds, uploads aborted, the ledger good for the next run."""
    with sandbox(tmp_path, "--tasks", "60", "--seconds", "400", "900", "--media-rate", "1000000") as world:
        begun = time.monotonic()
        process = world.start("--concurrency", "8", "--grace", "0", "--json")
        world.wait_for(lambda: len(world.requests("media.get")) >= 8, process)
        within_s = 5 * slowness(begun, USUAL_START_S)
        process.send_signal(getattr(signal, name))
        ended = finish(process, within_s)
        assert ended.code == code, ended.err
        assert ended.summary["exit_code"] == code
        assert world.uploads() == []


@pytest.mark.fault("L07")
def test_a_second_process_on_one_ledger_is_refused(tmp_path: Path) -> None:
    """One line says who holds it, exit 7, and the first run is not disturbed."""
    with sandbox(tmp_path, "--tasks", "40", "--seconds", "60", "90", "--media-rate", "1000000") as world:
        process = world.start()
        world.wait_for(lambda: world.requests("media.get"), process)
        second = world.run()
        assert second.code == 7
        assert str(process.pid) in second.err
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        finish(process)


def test_limit_stops_after_so_many_recordings_and_says_so(tmp_path: Path) -> None:
    """Exit 6, exactly that many stored, and the next run finishes the rest."""
    with sandbox(tmp_path, "--tasks", "50", "--seconds", "1", "2") as world:
        limited = world.run("--limit", "7", "--json")
        assert (limited.code, limited.summary["stored"]) == (6, 7)
        assert len(world.bucket()) == 7
        assert world.run().code == 0
        assert world.bucket() == world.truth()


def test_dry_run_writes_and_moves_nothing(tmp_path: Path) -> None:
    """A plan lists tasks and asks nothing else; no ledger appears."""
    with sandbox(tmp_path, "--tasks", "30", "--seconds", "1", "2") as world:
        plan = world.run("--dry-run", "--json")
        assert plan.code == 0, plan.err
        assert plan.summary["tasks"] > 0
        assert not world.requests("captures")
        assert not world.ledger.exists()
        assert world.bucket() == {}


@pytest.mark.parametrize("profile", ["mild", "storm"])
def test_faults_cost_time_and_nothing_else(tmp_path: Path, profile: str) -> None:
    """With faults on every side that pass, the bucket is the same in the end."""
    with sandbox(tmp_path, "--tasks", "60", "--seconds", "1", "5", "--faults", profile) as world:
        ended = world.run("--json", "--concurrency", "32", timeout_s=720)
        runs = 1
        while ended.code == 3 and runs < 3:  # a recording may meet more faults in a row than one run forgives
            ended = world.run("--json", "--concurrency", "32", timeout_s=720)
            runs += 1
        assert ended.code == 0, ended.err[-3000:]
        assert world.bucket() == world.truth()
        assert world.uploads() == []


def peak_mib(process: subprocess.Popen[str]) -> float:
    """Peak resident size of a live process, in MiB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


@pytest.mark.fault("R01")
def test_memory_stays_under_the_printed_ceiling_when_s3_is_slower_than_the_source(tmp_path: Path) -> None:
    """Sixty-four workers on large recordings, a fast source and a slow bucket: the pool is what fills, not the heap."""
    options = ("--tasks", "80", "--seconds", "500", "1500", "--s3-rate", "1500000")
    with sandbox(tmp_path, *options) as world:
        process = world.start("--concurrency", "64", "--grace", "0", "--no-progress", cold=True)
        world.wait_for(lambda: len(world.requests("s3.UploadPart")) + len(world.requests("s3.PutObject")) > 40, process)
        peak = peak_mib(process)
        process.send_signal(signal.SIGINT)
        finish(process)
        assert peak < 256 * 1.25 + 120


@pytest.mark.fault("T01", "C12")
def test_tokens_are_refreshed_once_for_a_hundred_workers(tmp_path: Path) -> None:
    """All workers meet an expired token at the same time; the token endpoint sees one request."""
    with sandbox(tmp_path, "--tasks", "1200", "--seconds", "0.2", "0.3", "--no-large") as world:
        expire(world)
        assert world.run("--concurrency", "100").code == 0
        assert len(world.requests("token")) == 1


def expire(world: World) -> None:
    """Let the stored access token be a minute from its end."""
    file = world.config.parent / "tokens.json"
    tokens = json.loads(file.read_text())
    file.write_text(json.dumps(tokens | {"expires_at": time.time() + 60}))
