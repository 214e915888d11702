"""What a command says on stdout and stderr, and its exit code."""

from __future__ import annotations

import io
import json
from typing import Any

import anyio
import pytest
from anyio import to_thread

from tests.ledgers import captured
from wxrec_async import events
from wxrec_async.cli.output import PENDING_LIMIT, Output
from wxrec_async.errors import (
    AuthError,
    ConfigError,
    ConnectError,
    LedgerError,
    LedgerFull,
    LedgerInUse,
    RunStopped,
    WxrecError,
)
from wxrec_async.ledger import Counts, Failure, Identity, open_ledger
from wxrec_async.model import Recording, Task, Window

from .kit import OUTCOMES, PERIOD, STORED, Cli, summary_of

FAILURES = (Failure("t-3", "r-3", "http_500", "answered 500"), Failure("t-7", "", "missing"))


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_json_is_one_line_for_each_outcome_and_the_summary_last(cli: Cli) -> None:
    """Every outcome is a JSON line with a stable name; nothing else is on stdout."""
    cli.backfill.told = (events.PageListed(Window(0, 1), 9, 9), *OUTCOMES)
    done = cli("--json", "--no-progress")
    *outcomes, summary = lines_of(done.stdout)
    assert [line["event"] for line in outcomes] == [
        "stored",
        "already_stored",
        "failed",
        "gone",
        "no_recording",
        "owed",
        "task_failed",
        "window_incomplete",
    ]
    assert outcomes[0] == {
        "event": "stored",
        "task_id": "t-1",
        "recording_id": "r-1",
        "key": "call-detail/t-1/recording.wav",
        "bytes": 1234,
        "crc32": "000000ab",
        "seconds": 0.5,
        "flags": [],
    }
    assert outcomes[2]["reason"] == "http_500"
    assert summary == cli.backfill.summary.as_json()


def test_the_summary_names_what_failed_is_gone_or_was_not_listed(cli: Cli) -> None:
    """A person reads ids, reasons and what the exit code means."""
    cli.backfill.told = OUTCOMES
    counts = Counts(tasks_listed=9, failed_tasks=1, stored=4, already_stored=2, failed=1, gone=1, bytes=5 << 20)
    window = OUTCOMES[-1].window  # type: ignore[union-attr]
    cli.backfill.summary = summary_of(counts, FAILURES, incomplete=(window,))
    done = cli("--no-progress")
    assert done.exit_code == 3
    assert "failed: task t-3 recording r-3: http_500: answered 500\n" in done.stdout
    assert "failed: task t-7: missing\n" in done.stdout
    assert "gone: task t-4 recording r-4\n" in done.stdout
    assert f"not listed to its end: {window}: answered 500\n" in done.stdout
    assert "recordings  8   4 stored, 2 already stored, 1 failed, 1 gone\n" in done.stdout
    assert "5.0 MiB stored by this run" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("exit 3: something failed and is named above; run again, or")


def test_a_thousand_failures_are_not_a_thousand_lines(cli: Cli) -> None:
    """Three of a reason are named, the rest is counted with the place where all are named."""
    failures = tuple(Failure(f"t-{n}", "r", "http_500") for n in range(1000))
    cli.backfill.summary = summary_of(Counts(failed=1200), failures)
    shown = cli("--no-progress").stdout
    assert shown.count("failed: task") == 3
    assert "http_500: 1000 failed at least; `wxrec-async retry` later\n" in shown
    assert "failed: and 1197 more; `wxrec-async status --failed` names all" in shown
    assert shown.splitlines()[-1].startswith("exit 3: something failed and is named above")
    cli.backfill.summary = summary_of(Counts(failed=1000), failures)
    shown = cli("--no-progress").stdout
    assert shown.splitlines()[-1] == "exit 3: all 1000 failures are one cause, http_500: `wxrec-async retry` later"


@pytest.mark.parametrize(
    ("ending", "counts", "code"),
    [
        ({}, Counts(), 0),
        ({}, Counts(owed=1), 5),
        ({"stopped": "limit"}, Counts(), 6),
        ({"stopped": "SIGINT"}, Counts(), 130),
        ({"stopped": "SIGHUP"}, Counts(), 143),
        ({"token_unsaved": True}, Counts(), 4),
        ({"error": "no", "error_exit": 4}, Counts(), 4),
    ],
)
def test_the_exit_code_is_the_summarys_and_its_meaning_is_said(
    cli: Cli, ending: dict[str, Any], counts: Counts, code: int
) -> None:
    """One line at the end says what the code means and what to do."""
    cli.backfill.summary = summary_of(counts, **ending)
    done = cli("--no-progress")
    assert done.exit_code == code
    assert f"exit {code}: " in done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (ConfigError("[s3] bucket is wrong"), 2),
        (AuthError("run `wxrec-async login`"), 4),
        (LedgerError(), 7),
        (LedgerInUse("in use by 12"), 7),
        (LedgerFull(), 7),
        (RunStopped("too much failed", exit_code=3), 3),
        (ConnectError(), 8),
        (WxrecError("other"), 1),
        (KeyError("x"), 1),
        (ExceptionGroup("many", [ExceptionGroup("more", [LedgerFull()]), ValueError()]), 7),
    ],
)
@pytest.mark.parametrize("at_opening", [True, False])
@pytest.mark.fault("L13")
def test_an_error_is_one_line_and_its_own_exit_code(cli: Cli, failure: Exception, code: int, at_opening: bool) -> None:
    """No trace is shown unless asked for, and no error passes for success."""
    if at_opening:
        cli.backfill.at_opening = failure
    else:
        cli.backfill.failure = failure
    done = cli("--no-progress", "--log-level", "warning")
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_a_fault_of_the_program_says_how_to_see_more(cli: Cli) -> None:
    """The trace comes with --log-level debug: file and line, but no local variables."""
    secret = "plain" + "-" + "local"

    async def work(_: object) -> None:
        hidden = secret
        raise ZeroDivisionError(len(hidden))

    cli.backfill.work = work
    short, long = cli("--no-progress", "-q"), cli("--no-progress", "--log-level", "debug")
    assert "ZeroDivisionError" in short.stderr
    assert "--log-level debug" in short.stderr
    assert "Traceback" not in short.stderr
    assert "Traceback" in long.stderr
    assert "raise ZeroDivisionError" in long.stderr
    assert "plain-local" not in long.stderr


def test_errors_are_json_when_logs_are(cli: Cli) -> None:
    """Whoever reads stderr as JSON finds nothing else there."""
    cli.backfill.failure = LedgerFull()
    records = lines_of(cli("--no-progress", "--log-format", "json", "--log-level", "error").stderr)
    assert [(record["level"], record["event"]) for record in records] == [("error", "The ledger's disk is full.")]


def test_plan_shows_windows_calls_and_minutes(cli: Cli) -> None:
    """`plan` and `--dry-run` are the same, and only look."""
    for command in (["plan"], ["--dry-run"], ["run", "-n"], ["-n", "plan"]):
        done = cli(*command)
        assert done.exit_code == 0
        assert cli.backfill.asked["command"] == "plan"
        assert cli.backfill.read_only
        assert "20 tasks, 15 to ask, 4 without, 1 too young" in done.stdout
        assert "2 to captures" in done.stdout
    [plan] = lines_of(cli("plan", "--json").stdout)
    assert (plan["event"], plan["captures_calls"], plan["already_stored"]) == ("plan", 2, 7)


def test_retry_takes_up_only_what_is_left(cli: Cli) -> None:
    """`retry` calls `Backfill.retry` with its limits."""
    assert cli("retry", "--limit", "2", "--max-duration", "5").exit_code == 0
    assert cli.backfill.asked | {} == {"command": "retry", "limit": 2, "max_duration_s": 5, "closed": True}


class Pipe(io.StringIO):
    """A pipe whose reader leaves after the first line."""

    def write(self, text: str) -> int:
        if self.getvalue():
            raise BrokenPipeError
        return super().write(text)


@pytest.mark.fault("L04", "L16")
def test_a_reader_who_leaves_is_nobodys_failure() -> None:
    """`| head` ends the output, not the run."""
    pipe = Pipe()
    out = Output(pipe)
    out.line("one")
    out.line("two")
    out.later({"three": 3})
    out.flush()
    assert out.closed
    assert pipe.getvalue() == "one\n"


def test_lines_are_written_in_order_and_never_gather_without_end() -> None:
    """A slow reader holds nobody up until many lines wait for it."""
    pipe = io.StringIO()
    out = Output(pipe)
    for number in range(PENDING_LIMIT - 1):
        out.later({"n": number})
    assert pipe.getvalue() == ""
    out.later({"n": PENDING_LIMIT - 1})
    assert pipe.getvalue().count("\n") == PENDING_LIMIT
    out.later({"n": "last but one"})
    out.line("last")
    assert pipe.getvalue().splitlines()[-2:] == ['{"n": "last but one"}', "last"]


def test_an_id_cannot_forge_a_line(cli: Cli) -> None:
    """Control characters of ids from outside are written out, on stdout and in the log."""
    cli.backfill.told = (events.RecordingFailed("t\nexit 0: complete\x1b[2J", "r", "why"), STORED)
    cli.backfill.summary = summary_of(Counts(failed=1), (Failure("t\nexit 0: complete\x1b[2J", "r", "why"),))
    done = cli()
    assert "t\\x0aexit 0: complete\\x1b[2J" in done.stdout
    assert "\x1b[2J" not in done.stdout + done.stderr
    assert not [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("exit 0")]


def test_config_show_tells_where_each_value_came_from(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flag, environment, file and default are told apart; a proxy's password is masked."""
    monkeypatch.setenv("WXREC_BACKFILL__DAYS_BACK", "3")
    monkeypatch.setenv("WXREC_WEBEX__PROXY", "http://me:CANARY-PW@proxy.example.org:3128")
    done = cli("config", "show", "--concurrency", "5")
    for setting, origin in (
        ('[s3] bucket = "b"', "config.toml"),
        ("[backfill] concurrency = 5", "flag"),
        ("[backfill] days_back = 3.0", "WXREC_BACKFILL__DAYS_BACK"),
        ("[backfill] memory_mib = 256", "default"),
    ):
        assert [line for line in done.stdout.splitlines() if line.startswith(setting) and line.endswith(f"# {origin}")]
    assert "CANARY-PW" not in done.stdout
    [shown] = lines_of(cli("config", "show", "--json").stdout)
    assert shown["settings"]["backfill.days_back"] == {
        "key": "backfill.days_back",
        "value": 3.0,
        "origin": "WXREC_BACKFILL__DAYS_BACK",
    }


def test_status_without_a_ledger_is_exit_7(cli: Cli) -> None:
    """There is nothing to show, and nothing is made."""
    done = cli("status")
    assert done.exit_code == 7
    assert "there is no ledger at wxrec.db" in done.stderr
    assert not (cli.folder / "wxrec.db").exists()


def test_status_shows_the_ledger_while_a_run_goes_on(cli: Cli) -> None:
    """A second terminal sees counts and failures, all of them with --json, without disturbing the writer."""
    task = Task("t-1", created_ms=PERIOD.from_ms)

    async def look() -> tuple[Any, Any]:
        identity = Identity("org", "b", "call-detail/{task_id}/recording{ext}")
        async with open_ledger(cli.folder / "wxrec.db", identity, mask=str, emit=events.ignore) as ledger:
            await ledger.begin_run("run-1", PERIOD.from_ms, PERIOD)
            await ledger.add_tasks([task], listed_in=PERIOD, now_ms=PERIOD.from_ms)
            await captured(ledger, "t-1", [Recording("t-1", "r-1")], PERIOD.from_ms)
            await ledger.recording_failed("t-1", "r-1", "http_500", "answered 500", PERIOD.from_ms)
            return await to_thread.run_sync(cli, "status"), await to_thread.run_sync(cli, "status", "--json")

    shown, told = anyio.run(look)
    assert (shown.exit_code, told.exit_code) == (0, 0)
    assert "failed: task t-1 recording r-1: http_500: answered 500\n" in shown.stdout
    assert "last run run-1, begun 2024-10-04T00:00:00Z: still going on, or killed\n" in shown.stdout
    failed, status = lines_of(told.stdout)
    assert (failed["event"], failed["recording_id"]) == ("failed", "r-1")
    assert (status["event"], status["org_id"], status["failed"], status["stored"]) == ("status", "org", 1, 0)
    assert status["last_run"]["ended"] is None
    [group] = status["failure_groups"]
    assert (group["reason"], group["count"], group["examples"]) == (
        "http_500", 1, [{"task_id": "t-1", "recording_id": "r-1"}],
    )  # fmt: skip
    full = cli("status", "--failed")
    assert (full.exit_code, full.stdout) == (0, "failed: task t-1 recording r-1: http_500: answered 500\n")


def test_a_token_that_could_not_be_saved_is_named_with_its_file(cli: Cli) -> None:
    """In the last line: it is the one that is read at 3 a.m."""
    cli.backfill.summary = summary_of(token_unsaved=True)
    last = cli("--no-progress").stdout.splitlines()[-1]
    words = "the refreshed token could not be saved to tokens.json; make it and its folder writable"
    assert last == f"exit 4: {words}"
