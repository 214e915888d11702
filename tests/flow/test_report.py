"""Counts and endings into exit codes and the summary line."""

from __future__ import annotations

import json
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.flow.summary import Ending, Summary, exit_code
from wxrec_async.ledger import Counts
from wxrec_async.model import Window

PERIOD = Window(1_700_000_000_000, 1_700_086_400_000)

# What can be wrong, each with the exit code it has alone, in the order cli.md gives: 4, 7, 3, 6, 5.
AUTH = {"error_exit": 4}
UNSAVED = {"token_unsaved": True}
LEDGER = {"error_exit": 7}
STOPPED_SELF = {"error_exit": 3}
INCOMPLETE = {"incomplete": [PERIOD]}
LIMIT = {"stopped": "limit"}


@pytest.mark.parametrize(
    ("counts", "ending", "code"),
    [
        ({}, {}, 0),
        ({"stored": 3, "already_stored": 2, "no_recording": 9, "gone": 1}, {}, 0),
        ({"failed": 1}, {}, 3),
        ({"failed_tasks": 1}, {}, 3),
        ({}, INCOMPLETE, 3),
        ({}, STOPPED_SELF, 3),
        ({"owed": 1}, {}, 5),
        ({}, LIMIT, 6),
        ({}, {"stopped": "max_duration"}, 6),
        ({}, {"stopped": "aborted"}, 6),
        ({"unfinished_tasks": 1}, {}, 6),
        ({"unfinished_recordings": 1}, {}, 6),
        ({}, AUTH, 4),
        ({}, UNSAVED, 4),
        ({}, LEDGER, 7),
        ({}, {"stopped": "SIGINT"}, 130),
        ({}, {"stopped": "SIGTERM"}, 143),
        ({}, {"stopped": "SIGHUP"}, 143),
        ({}, {"error_exit": 1}, 1),
    ],
)
def test_each_ending_has_its_code(counts: dict[str, int], ending: dict[str, object], code: int) -> None:
    """The table of cli.md, row by row."""
    assert exit_code(Counts(**counts), Ending(**ending)) == code  # type: ignore[arg-type]


def expected(error: int, unsaved: bool, failed: bool, incomplete: bool, stopped: bool, owed: bool) -> int:
    """The precedence of cli.md, written down a second time."""
    rows = [
        (error == 4 or unsaved, 4),
        (error == 7, 7),
        (error == 3 or failed or incomplete, 3),
        (stopped, 6),
        (owed, 5),
    ]
    return next((code for holds, code in rows if holds), 0)


COMBINATIONS = list(product((0, 3, 4, 7), *[(False, True)] * 5))


@pytest.mark.parametrize(("error", "unsaved", "failed", "incomplete", "stopped", "owed"), COMBINATIONS)
def test_when_several_apply_the_gravest_wins(
    error: int, unsaved: bool, failed: bool, incomplete: bool, stopped: bool, owed: bool
) -> None:
    """Every combination of what can be wrong, against the order 4, 7, 3, 6, 5."""
    counts = Counts(failed=int(failed), owed=int(owed))
    ending = Ending(
        incomplete=[PERIOD] if incomplete else [],
        stopped="limit" if stopped else None,
        error_exit=error,
        token_unsaved=unsaved,
    )
    assert exit_code(counts, ending) == expected(error, unsaved, failed, incomplete, stopped, owed)


@pytest.mark.parametrize(("signal", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("counts", [Counts(), Counts(failed=1), Counts(owed=1), Counts(unfinished_tasks=2)])
def test_signal_is_told_whatever_is_left(signal: str, code: int, counts: Counts) -> None:
    """Whoever sent the signal waits for its code; only a dead token or ledger goes before it."""
    assert exit_code(counts, Ending(stopped=signal)) == code
    assert exit_code(counts, Ending(stopped=signal, error_exit=4)) == 4
    assert exit_code(counts, Ending(stopped=signal, error_exit=7)) == 7


NUMBER = st.integers(0, 10**9)


@given(stored=NUMBER, already=NUMBER, failed=NUMBER, gone=NUMBER, owed=NUMBER)
def test_summary_adds_up_and_is_json(stored: int, already: int, failed: int, gone: int, owed: int) -> None:
    """recordings = stored + already_stored + failed + gone, and every field of cli.md is there as plain JSON."""
    counts = Counts(stored=stored, already_stored=already, failed=failed, gone=gone, owed=owed, tasks_listed=7, bytes=5)
    summary = Summary("run", PERIOD, counts, Ending(incomplete=[PERIOD], uploads_left=2), 1.23456, notes=("n",))
    line = json.loads(json.dumps(summary.as_json()))
    assert line["recordings"] == line["stored"] + line["already_stored"] + line["failed"] + line["gone"]
    assert line["recordings"] == stored + already + failed + gone
    assert (line["event"], line["schema"], line["run_id"]) == ("summary", 1, "run")
    assert (line["from"], line["to"]) == ("2023-11-14T22:13:20Z", "2023-11-15T22:13:20Z")
    assert (line["tasks_listed"], line["owed"], line["bytes"], line["seconds"]) == (7, owed, 5, 1.235)
    assert line["windows_incomplete"] == ["2023-11-14T22:13:20Z/2023-11-15T22:13:20Z"]
    assert (line["uploads_left_open"], line["stopped"], line["error"], line["notes"]) == (2, None, None, ["n"])
    assert line["exit_code"] == summary.exit_code == 3


def test_summary_of_named_tasks_has_no_period() -> None:
    """`archive` and `retry` know no from and to."""
    line = Summary("run", None, Counts(), Ending(), 0.0).as_json()
    assert (line["from"], line["to"], line["exit_code"]) == (None, None, 0)
