"""Everything of a call: further legs, segments, virtual agents, and what is seen and left where it is."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.world import World, sandbox

OPTIONS = ("--tasks", "120", "--seconds", "0.2", "1", "--no-large", "--beside")


def truth(world: World, query: str = "") -> dict[str, tuple[int, int]]:
    return {row["key"]: (row["size"], row["crc32"]) for row in world.ask(f"truth{query}")}


def metadata(world: World) -> dict[str, dict[str, str]]:
    return {row["key"]: row["metadata"] for row in world.ask("objects")}


def test_segments_and_virtual_agents_are_an_addition(tmp_path: Path) -> None:
    """Without the two settings only whole recordings are stored; with them the rest lies beside, nothing moves."""
    with sandbox(tmp_path, *OPTIONS) as world:
        first = world.run("--json")
        assert first.code == 0, first.err
        assert world.bucket() == truth(world)
        assert any(key.endswith(".mp3") for key in world.bucket())
        assert not any("wx-segment" in found for found in metadata(world).values())

        world.environment |= {"WXREC_WEBEX__INCLUDE_SEGMENTS": "true", "WXREC_WEBEX__INCLUDE_VA": "true"}
        (ids := tmp_path / "ids").write_text("\n".join({row["task_id"] for row in world.ask("truth")}))
        for file in world.ledger.parent.glob("wxrec.db*"):
            file.unlink()
        again = world.run("--json", "--task-ids-from", str(ids))
        assert again.code == 0, again.err
        wanted = truth(world, "?segments=1&virtual=1")
        assert world.bucket() == wanted
        added = set(wanted) - set(truth(world))
        assert again.summary["stored"] == len(added)
        assert any("-segment-" in key for key in added), "some segments carry the id of the whole"
        marked = {key for key, found in metadata(world).items() if found.get("wx-segment") == "true"}
        assert marked
        assert marked <= added
        assert not any(key.rpartition("/")[2].startswith("recording.") for key in marked)
        assert {found.get("wx-call-type") for found in metadata(world).values()} >= {"main", "consult", "va-main"}


def test_what_is_seen_and_left_is_counted(tmp_path: Path) -> None:
    """Transcripts and contacts of other channels: in the summary, in `status`, once each."""
    with sandbox(tmp_path, *OPTIONS) as world:
        first = world.run("--json")
        left = first.summary["seen_and_left"]
        assert set(left) == {"transcript", "screen", "email", "chat", "social"}
        again = world.run("--json")
        assert again.summary["seen_and_left"] == left
        assert again.summary["tasks_listed"] == first.summary["tasks_listed"]
        status = world.call("status", "--config", str(world.config), "--json")
        assert status.summary["seen_and_left"] == left
        told = world.call("status", "--config", str(world.config)).out
        assert f"left alone  {sum(left.values())}" in told
        world.environment["WXREC_WEBEX__COUNT_OTHER_CHANNELS"] = "false"
        before = len(world.requests("tasks"))
        (tmp_path / "other").mkdir()
        quiet = world.run("--json", "--ledger", str(tmp_path / "other" / "wxrec.db"))
        assert set(quiet.summary["seen_and_left"]) == {"transcript", "screen"}
        assert len(world.requests("tasks")) - before < before


def test_following_is_a_process_that_a_service_manager_can_run(tmp_path: Path) -> None:
    """It backs up, says that it follows, and drains on SIGTERM with 143; every round is a line of JSON."""
    with sandbox(tmp_path, "--tasks", "30", "--seconds", "0.2", "1", "--no-large") as world:
        world.environment["WXREC_FOLLOW__POLL_MINUTES"] = "1440"  # the second round is that of the signal
        process = world.start("--follow", "--json", "--log-format", "json")
        lines: list[str] = []
        assert process.stderr is not None
        while not any('"following"' in line for line in lines[-1:]):
            lines.append(process.stderr.readline())
            assert lines[-1], "ended before it followed"
        behind = world.call("status", "--config", str(world.config), "--json").summary["behind"]
        assert behind["caught_up_to"] == behind["listed_to"] or behind["caught_up_to"]
        assert behind["next_poll"]
        process.terminate()
        out, err = process.communicate(timeout=180)
        assert process.returncode == 143, err
        summaries = [json.loads(line) for line in out.splitlines() if '"summary"' in line]
        assert [each.get("follow", {}).get("round") for each in summaries] == [None, 1, 1]
        assert [each["exit_code"] for each in summaries] == [0, 0, 143]
        assert world.bucket() == world.truth()
