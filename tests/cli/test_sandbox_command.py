"""The whole program against the sandbox in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-m", "wxrec_async")


def environment() -> dict[str, str]:
    """Return an environment that would lead astray whoever believed it."""
    wrong = {"AWS_PROFILE": "none-such", "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "WXREC_S3__BUCKET": "other"}
    return os.environ | wrong | {"PYTHONPATH": str(ROOT)}


def program(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments], cwd=folder, env=environment(), capture_output=True, text=True, timeout=720, check=False
    )


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.fault("X01", "X07")
def test_the_sandbox_runs_the_whole_job_and_a_second_run_downloads_nothing(tmp_path: Path) -> None:
    """A newcomer gets playable audio with one command; the same command again stores nothing.

    No secret, signature or phone number is shown on the way, not even to those who debug.
    """
    first = program(tmp_path, "sandbox", "--tasks", "30", "--no-progress", "--log-level", "debug")
    assert first.returncode == 0, first.stderr
    for canary in ("canary", "x-amz-signature", "bearer", "1555010"):
        assert canary not in (first.stdout + first.stderr).lower()
    assert "exit 0: complete" in first.stdout
    [named] = [line.split(maxsplit=3)[3] for line in first.stdout.splitlines() if line.startswith("listen to one:")]
    assert (tmp_path / named).read_bytes()[:4] == b"RIFF"
    stored = sorted((tmp_path / "wxrec-sandbox/bucket").rglob("recording*.wav"))

    second = program(tmp_path, "sandbox", "--tasks", "30", "--json", "-q")
    assert second.returncode == 0, second.stderr
    [summary] = lines_of(second.stdout)
    assert (summary["stored"], summary["already_stored"], summary["failed"]) == (0, len(stored), 0)

    status = program(tmp_path, "status", "--ledger", "wxrec-sandbox/wxrec.db", "--json")
    assert status.returncode == 0, status.stderr
    [found] = lines_of(status.stdout)
    assert (found["event"], found["stored"], found["last_run"]["exit_code"]) == ("status", len(stored), 0)

    other = program(tmp_path, "sandbox", "--tasks", "31")
    assert other.returncode == 2
    assert "holds the sandbox of --tasks 30 --seed 1" in other.stderr


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    """The sandbox writes its own folder full, and nobody else's."""
    (tmp_path / "thesis.txt").write_text("mine")
    done = program(tmp_path, "sandbox", "--dir", ".")
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [*PROGRAM, "sandbox", "serve", *arguments], cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        yield child
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=360) == 0
    finally:
        child.kill()
        child.communicate()


@pytest.mark.fault("L04")
def test_serve_prints_a_configuration_that_a_run_can_use(tmp_path: Path) -> None:
    """The printed lines, followed to the letter, run the backfill; a reader who leaves early ends nothing."""
    with serving(tmp_path, "--tasks", "20") as child:
        assert child.stdout is not None
        told = [child.stdout.readline().rstrip("\n") for _ in range(4)]
        keys = dict(line.removeprefix("export ").split("=", 1) for line in told[1:3])
        assert set(keys) == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
        config = told[3].removeprefix("wxrec-async --config ")
        plain = {name: value for name, value in environment().items() if not name.startswith(("AWS_", "WXREC_"))}
        run = subprocess.Popen(
            [*PROGRAM, "--config", config, "--json", "-q"],
            cwd=tmp_path,
            env=plain | keys,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert run.stdout is not None
        run.stdout.close()  # as `| head` does
        assert run.stderr is not None
        assert run.stderr.read() == ""
        run.stderr.close()
        assert run.wait(timeout=360) == 0
    stored = list((tmp_path / "wxrec-sandbox/bucket").rglob("recording*.wav"))
    assert stored
    assert keys["AWS_SECRET_ACCESS_KEY"].encode() not in (tmp_path / "wxrec-sandbox/wxrec.db").read_bytes()


def test_the_sandbox_does_not_outlive_a_program_that_is_killed(tmp_path: Path) -> None:
    """kill -9 leaves no server behind."""
    command = [*PROGRAM, "sandbox", "serve", "--tasks", "5", "--json"]
    child = subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True)
    with child:
        assert child.stdout is not None
        url = urlsplit(json.loads(child.stdout.readline())["control_url"])
        assert _answers(url.port)
        child.kill()
    deadline = time.monotonic() + 10
    while _answers(url.port):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _answers(port: int | None) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0
