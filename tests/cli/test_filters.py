"""Filters, the bandwidth limit and what was left out, as the command line shows them."""

from __future__ import annotations

import json

import pytest

from wxrec_async.cli.summary_lines import RunNotes, plan_lines, run_lines
from wxrec_async.flow.summary import Ending, Summary
from wxrec_async.ledger import Counts
from wxrec_async.planning.plan import Plan, PlannedWindow

from .kit import PERIOD, Cli, summary_of

FLAGS = (
    "--queue", "Sales*", "--queue", "q-1", "--exclude-queue", "Sales, old", "--agent", "Ada", "--exclude-agent", "a-7",
    "--direction", "inbound", "--direction", "outdial", "--min-duration", "5m", "--bwlimit", "2.5",
)  # fmt: skip


@pytest.mark.parametrize("command", ["run", "plan", "retry"])
def test_every_filter_flag_reaches_its_setting(cli: Cli, command: str) -> None:
    """Repeated flags add up; a comma within a name stays in it; plan takes all but the bandwidth."""
    flags = FLAGS if command != "plan" else FLAGS[:-2]
    done = cli(command, *flags)
    assert done.exit_code == 0, done.stderr
    settings = cli.backfill.settings
    assert settings is not None
    assert settings.filters.model_dump() == {
        "queues": ("Sales*", "q-1"),
        "exclude_queues": ("Sales, old",),
        "agents": ("Ada",),
        "exclude_agents": ("a-7",),
        "directions": ("inbound", "outdial"),
        "min_duration_seconds": 300,
    }
    assert settings.backfill.max_mib_per_second == (0 if command == "plan" else 2.5)


def test_filters_that_are_not_given_leave_the_file_alone(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """File, then environment, then flags, key by key; an empty variable lifts a filter of the file."""
    (cli.folder / "config.toml").write_text(
        '[s3]\nbucket="b"\n[filters]\nqueues=["HR"]\nagents=["Ada"]\ndirections=["inbound"]\n'
        "[backfill]\nmax_mib_per_second=3\n"
    )
    monkeypatch.setenv("WXREC_FILTERS__AGENTS", "Grace,Edsger")
    monkeypatch.setenv("WXREC_FILTERS__DIRECTIONS", "")
    cli("run", "--queue", "Sales", "--bwlimit", "0")
    settings = cli.backfill.settings
    assert settings is not None
    assert (settings.filters.queues, settings.filters.agents) == (("Sales",), ("Grace", "Edsger"))
    assert settings.filters.directions == ()
    assert settings.backfill.max_mib_per_second == 0


def test_flags_before_and_after_the_command_do_not_mix(cli: Cli) -> None:
    """What stands after the command's name takes the place of what stands before it, as with every flag."""
    cli("--queue", "HR", "--agent", "Ada", "run", "--queue", "Sales")
    assert cli.backfill.settings is not None
    assert (cli.backfill.settings.filters.queues, cli.backfill.settings.filters.agents) == (("Sales",), ("Ada",))


def test_config_show_names_where_a_filter_comes_from(cli: Cli) -> None:
    """A filter that nobody remembers having set is found."""
    (cli.folder / "config.toml").write_text('[filters]\nexclude_queues=["HR"]\n')
    shown = json.loads(cli("config", "show", "--queue", "Sales", "--json").stdout)["settings"]
    assert shown["filters.queues"] == {"key": "filters.queues", "value": ["Sales"], "origin": "flag"}
    assert shown["filters.exclude_queues"]["origin"] == "config.toml"
    assert shown["filters.agents"]["origin"] == "default"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--direction", "sideways"], "'sideways' is none; known are inbound, outbound, outdial"),
        (["--queue", ""], "holds an empty name"),
        (["--min-duration", "short"], "is not a duration"),
        (["--bwlimit", "-1"], "--bwlimit"),
        (["--queue", "Sales", "--task-ids-from", "ids"], "--task-ids-from names the tasks"),
        (["--queue", "Sales", "status"], "--queue does not go with `status`"),
        (["--exclude-agent", "Ada", "doctor"], "--exclude-agent does not go with `doctor`"),
    ],
)
def test_what_cannot_be_meant_is_said_in_one_line(cli: Cli, arguments: list[str], words: str) -> None:
    """Exit 2, on stderr, before anything is opened."""
    (cli.folder / "ids").write_text("t-1\n")
    done = cli(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr
    assert cli.backfill.asked == {}


def test_the_summary_counts_what_was_left_out_and_by_which_filter() -> None:
    """It stands among the tasks and once more with the reasons, and does not change the exit code."""
    left = {"queue": 10, "agent_unknown": 2}
    counts = Counts(tasks_listed=20, tasks_with_recordings=8, stored=8)
    summary = Summary("run-1", PERIOD, counts, Ending(), 2.0, left_out_by=left)
    lines = list(run_lines(summary, RunNotes()))
    assert "  tasks       20   8 with recordings, 12 left out" in lines
    assert "  left out    12 by filters: 2 agent unknown, 10 queue" in lines
    assert lines[-1].startswith("exit 0")
    record = summary.as_json()
    assert (record["left_out"], record["left_out_by"], record["exit_code"]) == (12, left, 0)


def test_filters_that_match_nothing_make_nothing_complete() -> None:
    """Exit 0, as nothing was asked for; the verdict says so, instead of "complete"."""
    summary = Summary("run-1", PERIOD, Counts(tasks_listed=7), Ending(), 2.0, left_out_by={"queue": 7})
    last = list(run_lines(summary, RunNotes()))[-1]
    assert last == "exit 0: nothing was asked for: the filters left out all 7 tasks; look at [filters]"


def test_without_filters_nobody_hears_of_them() -> None:
    """The lines for people stay as they are; machines read 0."""
    summary = summary_of(Counts(tasks_listed=3, tasks_with_recordings=3))
    assert not [line for line in run_lines(summary, RunNotes()) if "left out" in line]
    assert (summary.as_json()["left_out"], summary.as_json()["left_out_by"]) == (0, {})


def test_a_plan_says_what_is_left_out_of_each_window_and_in_all() -> None:
    """What the ledger knows as left out is added to what the windows have."""
    window = PlannedWindow(PERIOD, tasks=20, to_ask=5, no_recording=4, settling=1, left_out=10)
    plan = Plan(PERIOD, (window,), Counts(), 250, known_left_out=3)
    lines = list(plan_lines(plan))
    assert f"  {PERIOD}   20 tasks, 5 to ask, 4 without, 1 too young, 10 left out" in lines
    assert "  left out            13 tasks by filters" in lines
    record = plan.as_json()
    assert record["left_out"] == 13
    assert [each["left_out"] for each in record["windows"]] == [10]  # type: ignore[attr-defined]
