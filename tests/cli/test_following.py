"""`run --follow` and `run --scheduled`: what they take, print, and end with."""

from __future__ import annotations

import json

import pytest

from wxrec_async import events
from wxrec_async.cli.event_log import EventLog
from wxrec_async.cli.logs import set_up
from wxrec_async.cli.summary_lines import RunNotes, run_lines
from wxrec_async.flow.summary import EXIT_OWED, Ending, Following, Summary, exit_code
from wxrec_async.ledger import Counts
from wxrec_async.model import Window

from .kit import DAY, Cli, summary_of

WINDOW = Window(20_000 * DAY, 20_001 * DAY)


def test_follow_prints_a_summary_a_round_and_the_last_one_with_its_exit_code(cli: Cli) -> None:
    """Every round is a line; the last line says what stopped it."""
    ended = cli("run", "--follow", "--json")
    assert ended.exit_code == 143
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [(line["event"], line["exit_code"]) for line in lines] == [("summary", 0), ("summary", 143)]
    assert cli.backfill.asked["command"] == "follow"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (["--limit", "3"], "--limit"),
        (["--max-duration", "1h"], "--max-duration"),
        (["--task-ids-from", "-"], "--task-ids-from"),
    ],
)
def test_follow_refuses_what_would_end_it(cli: Cli, given: list[str], name: str) -> None:
    """One line, exit 2, nothing begun."""
    ended = cli("run", "--follow", *given)
    assert ended.exit_code == 2
    assert name in ended.stderr
    assert cli.backfill.asked == {}


def test_scheduled_reaches_the_backfill_and_does_not_go_with_named_tasks(cli: Cli) -> None:
    """A timer's run is told so; named tasks are wanted now."""
    assert cli("run", "--scheduled").exit_code == 0
    assert cli.backfill.asked["scheduled"] is True
    assert cli("run", "--scheduled", "--task-ids-from", "-", input="t\n").exit_code == 2


def test_a_round_says_how_far_it_is(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    """The lines of the last round name what was listed; the log has one line a round, whatever the format."""
    counts = Counts(tasks_listed=3, tasks_with_recordings=3, incomplete=2)
    follow = Following(4, full=True, listed_to_ms=WINDOW.to_ms, next_poll_ms=WINDOW.to_ms + 1000)
    ended = Summary("r", None, counts, Ending(), 1.0, seen_and_left={"chat": 2, "transcript": 5}, follow=follow)
    text = "\n".join(run_lines(ended, RunNotes()))
    assert "everything so far, listed up to 2024-10-05T00:00:00Z" in text
    assert "fewer       2 tasks" in text
    assert "left alone  7   2 chat, 5 transcript" in text
    assert ended.as_json()["follow"] == {
        "round": 4, "full": True, "listed_to": "2024-10-05T00:00:00Z", "next_poll": "2024-10-05T00:00:01Z"
    }  # fmt: skip
    told: list[str] = []
    EventLog(set_up(20, "json", told.append, colors=False), 20).on_event(
        events.Polled("r", 4, 0, 1, 2, 3, WINDOW.from_ms, WINDOW.to_ms)
    )
    (line,) = [json.loads(each) for each in told]
    assert (line["event"], line["number"], line["owed"]) == ("following", 4, 2)
    assert line["next"] == "2024-10-05T00:00:00Z"


def test_what_search_counts_keeps_no_run_from_being_complete() -> None:
    """How often a call was recorded is not how many recordings there are of it (a pause counts, too)."""
    assert exit_code(Counts(tasks_with_recordings=1, incomplete=1), Ending()) == 0
    assert exit_code(Counts(tasks_with_recordings=1, incomplete=1, owed=1), Ending()) == EXIT_OWED


def test_what_a_round_must_name_is_forgotten_in_the_next(cli: Cli) -> None:
    """A follower of months keeps no list that grows."""
    notes = RunNotes()
    for _ in range(100):
        notes.on_event(events.RunStarted("r", None, 1, 1, 1))
        notes.on_event(events.WindowIncomplete(WINDOW, "answered 500"))
        notes.on_event(events.RecordingGone("t", "r"))
    assert (len(notes.incomplete), len(notes.gone)) == (1, 1)
    assert summary_of().as_json()["seen_and_left"] == {}
