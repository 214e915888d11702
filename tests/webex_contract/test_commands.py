"""Every command that talks to Webex passes the strict front with nothing that the contract calls an error."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.e2e.world import World, finish, sandbox
from tests.temporal.kit import Server, fleet, temporal

ROOT = Path(__file__).parents[2]
PATIENCE_S = 300.0  # a command takes two seconds; a machine that does a dozen other things takes its time
SMALL = ("--tasks", "40", "--no-large", "--seconds", "0.2", "0.4", "--days", "3")


@dataclass
class Watched:
    """A sandbox behind the front, and the program that knows of the front alone."""

    world: World
    base: str

    def violations(self, side: str | None = None) -> list[dict[str, Any]]:
        """Return what is an error, of one side or of both."""
        with urllib.request.urlopen(f"{self.base}/_violations") as answer:  # noqa: S310 - loopback
            found: list[dict[str, Any]] = json.loads(answer.read())["violations"]
        return [each for each in found if each["level"] == "error" and side in (None, each["side"])]

    def command(self, *arguments: str, code: int = 0) -> str:
        """Run a command to its end; return what it printed."""
        done = self.world.call(*arguments, "--config", str(self.world.config), timeout_s=PATIENCE_S)
        assert done.code == code, done.out[-1500:] + done.err[-1500:]
        return done.out


@contextmanager
def front(world: World, *arguments: str) -> Iterator[str]:
    """Let a front stand before the sandbox, in a process of its own; yield its root."""
    told = world.told
    upstream = ("--upstream", told["api_url"], "--auth-upstream", told["auth_url"])
    process = warm.start(
        [sys.executable, "-m", "tests.webex_contract", *upstream, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield str(json.loads(process.stdout.readline())["base"])
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.communicate()


@contextmanager
def watched(folder: Path, *options: str, probes: bool = True) -> Iterator[Watched]:
    """Start a sandbox and a front, and let the program's configuration name the front."""
    with sandbox(folder, *SMALL, *options) as world, front(world, *["--probe"] * probes) as base:
        text = world.config.read_text()
        for name in ("api_url", "auth_url"):
            text = text.replace(f'"{world.told[name]}"', f'"{base}/v1"')
        world.config.write_text(text)
        yield Watched(world, base)


def test_run_plan_retry_and_doctor_keep_to_the_contract(tmp_path: Path) -> None:
    """Nothing the client asks, and nothing the sandbox answers or is probed for, is otherwise than Cisco has it."""
    with watched(tmp_path, "--fresh", "6", "--beside", "--open", "1") as site:
        site.command("plan", "--json")
        site.command("run", "--json", "--no-progress", code=5)  # what is fresh is owed
        site.command("retry", "--json", "--no-progress", code=5)
        site.command("doctor", "--json")
        assert site.violations() == []
        captures = site.world.requests("captures")
        assert captures
        assert site.world.requests("search")
        assert {row["path"] for row in site.world.requests("media.get")}


def test_transcripts_and_screens_are_asked_for_as_documented(tmp_path: Path) -> None:
    """Those of chats in every form, two under one id: what the contract has of them is asked, answered and fetched."""
    channels = "telephony,email,chat,social"
    with watched(tmp_path, "--transcripts", "0.7", "--screens", "0.4", "--twins", "0.5") as site:
        site.world.environment |= {
            "WXREC_WEBEX__INCLUDE_TRANSCRIPTS": "true",
            "WXREC_WEBEX__INCLUDE_SCREEN": "true",
            "WXREC_WEBEX__CHANNEL_TYPES": channels,
        }
        site.command("run", "--json", "--no-progress")
        rows = site.world.ask(f"truth?kinds=transcript,screen&channels={channels}")
        assert site.world.bucket() == {row["key"]: (row["size"], row["crc32"]) for row in rows}
        assert {row["key"].rpartition("/")[2].partition("-")[0] for row in rows} >= {"transcript", "screen"}
        assert site.violations() == []


@pytest.mark.parametrize("bounds", ["strict", "inclusive"])
def test_no_call_on_a_windows_edge_is_lost(tmp_path: Path, bounds: str) -> None:
    """However the bounds of from and to are meant, everything is stored, once, and nothing is listed in vain."""
    with watched(tmp_path, "--bounds", bounds) as site:
        site.command("run", "--json", "--no-progress")
        assert site.world.bucket() == site.world.truth()
        assert site.violations() == []


def test_reconcile_finds_what_only_search_lists(tmp_path: Path) -> None:
    """The second witness is asked where it stands, and the next run stores what it named."""
    with watched(tmp_path, "--tasks", "120", "--search", "disagreeing") as site:
        (planted,) = site.world.ask("organisation")
        assert planted["only_in_search"]
        site.command("run", "--json", "--no-progress", code=5)  # what Webex has deleted is awaited
        told = site.world.call("reconcile", "--json", "--config", str(site.world.config), timeout_s=PATIENCE_S)
        found = {each["task_id"]: each["reason"] for each in map(json.loads, told.out.splitlines()) if "reason" in each}
        assert set(planted["only_in_search"]) <= found.keys(), told.err
        site.world.run("--json", "--no-progress", timeout_s=PATIENCE_S)
        stored = {key: told for key, told in site.world.bucket().items() if "/_evidence/" not in key}
        assert stored == site.world.truth()
        assert site.violations() == []


def test_without_search_nothing_pretends_otherwise(tmp_path: Path) -> None:
    """A tenant that answers 404 is named as such, and no other path is tried."""
    with watched(tmp_path, "--search", "none", probes=False) as site:
        site.command("run", "--json", "--no-progress")
        site.world.call("reconcile", "--config", str(site.world.config), timeout_s=PATIENCE_S)
        assert {row["path"] for row in site.world.requests("search")} == {"/search"}
        assert site.violations("client") == []


def test_a_certificate_made_without_search_says_so(tmp_path: Path) -> None:
    """What rests on one witness names the other as absent, in the bucket where everybody can read it."""
    with watched(tmp_path, "--search", "none", probes=False) as site:
        site.command("run", "--json", "--no-progress")
        site.command("reconcile", "--json")
        folder = Path(site.world.told["folder"])
        certificates = [
            path.read_bytes() for path in folder.rglob("*") if "certificates" in str(path) and path.is_file()
        ]
        assert certificates
        assert all(b'"absent"' in each for each in certificates)


def test_tokens_are_taken_in_by_documented_calls(tmp_path: Path) -> None:
    """The reply of a service app's page is checked with what Cisco documents, and kept."""
    with watched(tmp_path) as site:
        tokens = site.world.config.parent / "tokens.json"
        reply = tokens.read_text()
        tokens.unlink()
        command = site.world.command("login", "--tokens-from", "-", "--config", str(site.world.config))
        done = subprocess.run(command, input=reply, text=True, capture_output=True, timeout=PATIENCE_S, check=False)
        assert done.returncode == 0, done.stderr[-1500:]
        assert tokens.exists()
        assert site.violations() == []


def test_follow_keeps_to_the_contract(tmp_path: Path) -> None:
    """A round, and an end when it is asked for."""
    with watched(tmp_path) as site:
        process = site.world.start("--follow", "--json", "--no-progress")
        site.world.wait_for(lambda: site.world.bucket() == site.world.truth(), process)
        process.send_signal(signal.SIGTERM)
        ended = finish(process, PATIENCE_S)
        assert site.world.bucket() == site.world.truth()
        assert ended.summary["failed"] == 0
        assert site.violations() == []


def test_the_client_keeps_to_it_in_a_storm(tmp_path: Path) -> None:
    """Whatever is answered, what is asked stays in the contract."""
    with watched(tmp_path, "--faults", "storm", probes=False) as site:
        for command in (("plan",), ("run", "--no-progress"), ("retry", "--no-progress"), ("reconcile",), ("doctor",)):
            site.world.call(*command, "--json", "--config", str(site.world.config), timeout_s=PATIENCE_S)
        assert site.world.requests("captures")
        assert site.violations("client") == []


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with temporal(tmp_path) as running:
        yield running


@pytest.mark.temporal
def test_workers_keep_to_the_contract(tmp_path: Path, server: Server) -> None:
    """The fleet asks the same things of Webex as one process does."""
    with watched(tmp_path) as site, fleet(site.world, server) as crew:
        crew.workers(2)
        ended = finish(crew.run(), PATIENCE_S)
        assert ended.code == 0, ended.err
        assert site.world.bucket() == site.world.truth()
        assert site.violations() == []
