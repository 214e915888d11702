"""The FastAPI example, started by uvicorn and driven by a client over HTTP."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.world import World, sandbox
from tests.examples.kit import SLOW

ROOT = Path(__file__).parents[2]


class Service:
    """A uvicorn process and a client that keeps no connection."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.http = httpx.Client(base_url=address, headers={"Connection": "close"}, timeout=20, trust_env=False)

    def start(self, body: dict[str, str] | None = None) -> str:
        answer = self.http.post("/backfills", json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def events(self, job_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Follow a backfill: names and data of its events."""
        with self.http.stream("GET", f"/backfills/{job_id}/events") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            name = ""
            for line in answer.iter_lines():
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    yield name, json.loads(value)

    def debug(self) -> dict[str, int]:
        return dict(self.http.get("/debug").json())


@contextmanager
def serving(world: World) -> Iterator[Service]:
    """Start the service by uvicorn, as its first lines say, and end it as a supervisor does."""
    command = ["uvicorn", "tests.examples.service_under_test:app", "--port", "0", "--timeout-graceful-shutdown", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        env=world.environment | {"WXREC_CONFIG": str(world.config), "WXREC_BACKFILL__CONCURRENCY": "8"},
        cwd=ROOT, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        yield Service(process, _address(process.stderr))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=540)
        finally:
            process.kill()
            process.communicate()


def _address(lines: Iterator[str]) -> str:
    said = ""
    for line in lines:
        said += line
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            return found.group()
    raise AssertionError(said)


@pytest.mark.fault("R12")
def test_cancelled_in_the_middle_it_leaves_no_task_no_socket_and_no_upload(tmp_path: Path) -> None:
    """While parts are under way: the stream ends, and the process and the bucket are as they were before."""
    with sandbox(tmp_path, *SLOW) as world, serving(world) as service:
        before = service.debug()
        job_id = service.start()
        seen = []
        for name, data in service.events(job_id):
            seen.append(name)
            if name == "progress" and data["in_flight"] >= 8 and world.uploads():
                assert service.http.delete(f"/backfills/{job_id}").status_code == 204
                assert world.uploads() == []
            if name == "end":
                assert data == {"cancelled": True}
        assert seen[-1] == "end"
        world.wait_for(lambda: service.debug() == before, service.process)


def test_progress_leads_to_the_summary_and_the_whole_bucket(tmp_path: Path) -> None:
    """A period in the body, numbers that grow, a summary at the end; one backfill at a time."""
    with sandbox(tmp_path, "--tasks", "60", "--seconds", "1", "5") as world, serving(world) as service:
        job_id = service.start({"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"})
        assert service.http.post("/backfills").status_code == 409
        assert service.http.get("/backfills/other/events").status_code == 404
        told = list(service.events(job_id))
        assert [name for name, _ in told[:-1]] == ["progress"] * (len(told) - 1)
        stored = [data["stored"] for _, data in told[:-1]]
        assert stored == sorted(stored)
        name, summary = told[-1]
        assert (name, summary["exit_code"], summary["stored"]) == ("end", 0, len(world.truth()))
        assert world.bucket() == world.truth()
        again = [data for name, data in service.events(service.start()) if name == "end"]
        assert again[0]["already_stored"] == summary["stored"]


def test_what_is_wrong_with_the_settings_is_told_in_the_stream(tmp_path: Path) -> None:
    """A missing token file is one line, and the service lives on."""
    with sandbox(tmp_path, "--tasks", "5", "--no-large") as world, serving(world) as service:
        for file in world.config.parent.glob("*token*"):
            file.unlink()
        (told,) = [data for name, data in service.events(service.start()) if name == "end"]
        assert "token" in told["error"]
        assert service.debug()["tasks"] > 0


def test_the_service_ends_with_a_backfill_on_its_hands(tmp_path: Path) -> None:
    """SIGTERM in the middle, a client still listening: the process is gone within seconds and no upload is open."""
    with sandbox(tmp_path, *SLOW) as world:
        with serving(world) as service:
            service.start()
            world.wait_for(world.uploads, service.process)
        assert service.process.returncode in (0, -signal.SIGTERM)
        assert world.uploads() == []
