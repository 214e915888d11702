"""Transcripts and screen recordings: objects of the same task for the same workers, or counted, left and said."""

from __future__ import annotations

import csv
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.world import Finished, World, sandbox

SMALL = ("--seconds", "0.2", "0.5", "--no-large", "--days", "3")
ATTACHED = ("--transcripts", "0.6", "--screens", "0.4", "--twins", "0.5")
ALL_CHANNELS = "telephony,email,chat,social"
SLOW_S = 900.0


def take_all(world: World) -> None:
    """Ask for all kinds, of all channels."""
    world.environment |= {
        "WXREC_WEBEX__INCLUDE_TRANSCRIPTS": "true",
        "WXREC_WEBEX__INCLUDE_SCREEN": "true",
        "WXREC_WEBEX__CHANNEL_TYPES": ALL_CHANNELS,
    }


def truth(world: World, kinds: str = "transcript,screen", channels: str = ALL_CHANNELS) -> dict[str, tuple[int, int]]:
    rows = world.ask(f"truth?kinds={kinds}&channels={channels}")
    return {row["key"]: (row["size"], row["crc32"]) for row in rows}


def by_kind(keys: dict[str, Any]) -> Counter[str]:
    """Count objects by what their names begin with."""
    return Counter(key.rpartition("/")[2].partition("-")[0].partition(".")[0] for key in keys)


def until_done(world: World) -> Finished:
    """Run until nothing is left to do; what a storm breaks for good in one run the next one gets."""
    for _ in range(4):
        done = world.run("--json", timeout_s=SLOW_S)
        if done.code == 0:
            break
    assert done.code == 0, done.err
    return done


def test_under_a_storm_every_kind_is_stored_and_every_count_agrees(tmp_path: Path) -> None:
    """200 contacts: byte for byte, and summary, status, report and certificates say the same numbers."""
    with sandbox(tmp_path, "--tasks", "200", *SMALL, *ATTACHED, "--faults", "storm") as world:
        take_all(world)
        done = until_done(world)
        wanted = truth(world)
        assert world.bucket() == wanted
        counted = by_kind(wanted)
        assert set(counted) == {"recording", "transcript", "screen"}
        of_summary = {kind: sums["recordings"] for kind, sums in done.summary["by_kind"].items()}
        assert of_summary == {"transcript": counted["transcript"], "screen": counted["screen"]}
        assert done.summary["recordings"] == len(wanted)
        assert not done.summary["seen_and_left"]

        status = world.call("status", "--config", str(world.config), "--json").summary
        assert {kind: sums["stored"] for kind, sums in status["by_kind"].items()} == of_summary
        assert status["stored"] == len(wanted)

        report = world.call("report", "--config", str(world.config), "--csv", str(tmp_path / "rows.csv"), "--json")
        assert report.code == 0, report.err
        with (tmp_path / "rows.csv").open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["state"] == "stored"]
        assert Counter(row["recording_kind"] for row in rows) == {
            "audio": counted["recording"], "transcript": counted["transcript"], "screen": counted["screen"],
        }  # fmt: skip

        certified = world.call("reconcile", "--config", str(world.config), "--json", timeout_s=SLOW_S)
        told = certified.summary
        assert told["counts"]["failed"] == 0, certified.out
        assert told["recordings"] == len(wanted)
        assert told["recordings_transcript"] == counted["transcript"]
        assert told["recordings_screen"] == counted["screen"]
        assert world.call("verify", "--config", str(world.config), "--json", timeout_s=SLOW_S).code == 0


def test_with_both_off_they_are_counted_left_and_said(tmp_path: Path) -> None:
    """The summary names what Webex will purge and the settings that take it."""
    with sandbox(tmp_path, "--tasks", "60", *SMALL, *ATTACHED) as world:
        done = world.run("--json")
        assert done.code == 0, done.err
        assert world.bucket() == world.truth()
        wanted = by_kind(truth(world, channels="telephony"))
        left = done.summary["seen_and_left"]
        # Of contacts that were never asked for nothing is known: their row said that no capture comes.
        assert 0 < left["screen"] == wanted["screen"]
        assert 0 < left["transcript"] <= wanted["transcript"]
        assert done.summary["by_kind"] == {}
        told = world.call("status", "--config", str(world.config)).out
        assert "Webex purges them" in told
        assert "include_transcripts = true" in told
        assert "include_screen = true" in told
        told = world.run().out
        assert "Webex purges them" in told


def test_turned_on_later_they_take_what_was_left(tmp_path: Path) -> None:
    """The settings that the summary names take what it counted, days that were listed to their end included."""
    with sandbox(tmp_path, "--tasks", "60", *SMALL, *ATTACHED) as world:
        first = world.run("--json")
        assert first.code == 0, first.err
        take_all(world)
        before = len(world.requests("captures"))
        later = world.run("--json", timeout_s=SLOW_S)
        assert later.code == 0, later.err
        assert world.bucket() == truth(world)
        assert later.summary["seen_and_left"] == {}
        assert later.summary["stored"] == len(truth(world)) - len(world.truth())
        assert len(world.requests("captures")) - before <= math.ceil(60 / 10) + 1
        before = len(world.requests("captures"))
        assert world.run("--json").summary["stored"] == 0
        assert len(world.requests("captures")) == before


def test_they_cost_no_further_call(tmp_path: Path) -> None:
    """With everything on captures is asked for ten contacts at once, each of them once."""
    with sandbox(tmp_path, "--tasks", "200", *SMALL, *ATTACHED) as world:
        take_all(world)
        done = world.run("--json")
        assert done.code == 0, done.err
        assert world.bucket() == truth(world)
        assert done.summary["tasks_listed"] == 200
        assert len(world.requests("captures")) == math.ceil(200 / 10)
        assert all(row["status"] == 200 for row in world.requests("media.get"))
        again = world.run("--json")
        assert again.summary["stored"] == 0
        assert again.summary["recordings"] == done.summary["recordings"]


def test_killed_between_they_are_taken_up_again(tmp_path: Path) -> None:
    """SIGKILL in the middle: the next run stores the rest, nothing twice, and leaves no upload open."""
    with sandbox(tmp_path, "--tasks", "60", *SMALL, *ATTACHED, "--screen-bytes", str(1 << 20)) as world:
        take_all(world)
        process = world.start("--json")
        world.wait_for(lambda: any("/screen-" in row["key"] for row in world.requests("s3.PutObject")), process)
        process.kill()
        process.communicate()
        done = world.run("--json", timeout_s=SLOW_S)
        assert done.code == 0, done.err
        assert world.bucket() == truth(world)
        assert world.uploads() == []


def test_a_ledger_made_anew_knows_the_kinds(tmp_path: Path) -> None:
    """By what the objects say of themselves; the run after it downloads nothing; the evidence holds them all."""
    with sandbox(tmp_path, "--tasks", "30", *SMALL, *ATTACHED) as world:
        take_all(world)
        first = world.run("--json")
        assert first.code == 0, first.err
        certified = world.call("reconcile", "--config", str(world.config), "--json", timeout_s=SLOW_S).summary
        assert certified["certified_days"], certified
        evidence = world.call("verify", "--config", str(world.config), "--evidence", "--json", timeout_s=SLOW_S)
        assert evidence.code == 0, evidence.out
        for file in world.ledger.parent.glob("wxrec.db*"):
            file.unlink()
        rebuilt = world.call("ledger", "rebuild", "--config", str(world.config), "--json", timeout_s=SLOW_S)
        assert rebuilt.code == 0, rebuilt.err
        assert rebuilt.summary["recordings"] == first.summary["recordings"]
        before = len(world.requests("media.get"))
        again = world.run("--json")
        assert again.code == 0, again.err
        assert len(world.requests("media.get")) == before
        sizes = {kind: sums["bytes_total"] for kind, sums in first.summary["by_kind"].items()}
        assert {kind: sums["bytes_total"] for kind, sums in again.summary["by_kind"].items()} == sizes


@pytest.mark.parametrize(
    ("kind", "reason"), [("html", "not_transcript"), ("zero_bytes", "empty"), ("refused", "access_denied")]
)
def test_what_is_no_transcript_fails_by_name(tmp_path: Path, kind: str, reason: str) -> None:
    """A page and nothing at all, both under status 200; and a URL that is denied, fresh as well."""
    with sandbox(tmp_path, "--tasks", "20", *SMALL, "--transcripts", "1") as world:
        take_all(world)
        (row,) = [row for row in world.ask("truth?kinds=transcript") if "transcript-" in row["key"]][:1]
        own_id = row["recording_id"].removeprefix("transcript-")[:36]
        world.set_faults([{"operation": "media.get", "kind": kind, "key": own_id, "attempts": None}])
        done = world.run("--json")
        assert done.code == 3
        failed = [line for line in done.lines if line["event"] == "failed"]
        assert [(line["recording_id"], line["reason"], line["kind"]) for line in failed] == [
            (row["recording_id"], reason, "transcript")
        ]
        assert done.summary["by_kind"]["transcript"]["failed"] == 1
        world.set_faults([])
        assert world.run("--json").code == 0
        assert world.bucket() == truth(world, "transcript")
