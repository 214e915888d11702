"""Standard streams that are closed or full, and signals before anybody listens: the program itself, as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-m", "wxrec_async")
# The program with a `Backfill` that tells some outcomes and ends well.
SCRIPT = """
from cli.kit import OUTCOMES, FakeBackfill
from wxrec_async.cli import session
from wxrec_async.cli.app import main
session.open_backfill = FakeBackfill(told=OUTCOMES[:2]).open
main()
"""
RUN = (sys.executable, "-c", SCRIPT, "run", "--no-progress")
LOST = "stdout cannot be written: {}; what belongs there is lost, the work goes on"
IN_THE_END = "error: stdout could not be written ({}): what was done is in the ledger alone"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.toml").write_text('[s3]\nbucket = "b"\n', encoding="utf-8")
    return tmp_path


def carried_out(folder: Path, redirection: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Have a shell begin the command with its streams as ``redirection`` says."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WXREC_")}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.fault("L16")
@pytest.mark.parametrize(("redirection", "why"), [(">&-", "it is closed"), (">/dev/full", "No space left on device")])
@pytest.mark.parametrize("command", [(*RUN, "--json"), RUN, (*PROGRAM, "config", "show")], ids=["json", "run", "show"])
def test_outcomes_that_nobody_could_be_told_are_told_by_the_exit_code(
    folder: Path, redirection: str, why: str, command: tuple[str, ...]
) -> None:
    """The work goes on, stderr says what was lost, and 3 stands where 0 would have."""
    done = carried_out(folder, redirection, *command)
    lines = done.stderr.splitlines()
    assert (done.returncode, LOST.format(why) in lines, lines[-1]) == (3, True, IN_THE_END.format(why))


@pytest.mark.fault("L16")
@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "<&- 2>&-"])
def test_without_stderr_the_outcomes_are_all_there(folder: Path, redirection: str) -> None:
    """Messages are for people; whoever closes their stream wants none."""
    done = carried_out(folder, redirection, *RUN, "--json")
    assert (done.returncode, len(done.stdout.splitlines()), done.stderr) == (0, 3, "")


@pytest.mark.parametrize("redirection", [">&- 2>&-", ">/dev/full 2>/dev/full", "<&- >&- 2>&-"])
def test_without_any_stream_the_exit_code_is_left(folder: Path, redirection: str) -> None:
    """Nothing is said, nothing fails, and no file takes a stream's number."""
    assert carried_out(folder, redirection, *RUN, "--json").returncode == 3
    assert carried_out(folder, redirection, *PROGRAM, "run", "--frm", "x").returncode == 2


def test_a_reader_who_has_seen_enough_loses_nothing(folder: Path) -> None:
    """`| head` is no full disk: the exit code stays."""
    done = carried_out(folder, "; echo $? >&2", *PROGRAM, "config", "show")
    assert done.stderr == "0\n"
    piped = carried_out(folder, "| true", *PROGRAM, "config", "show")
    assert (piped.returncode, piped.stderr) == (0, "")


@pytest.mark.fault("L01", "L02", "L04")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)], ids=str
)
def test_a_signal_while_the_program_is_being_loaded(folder: Path, number: signal.Signals, code: int) -> None:
    """The words and the code of any other: here what is loaded first takes for ever."""
    (folder / "typer.py").write_text("import sys, time\nsys.stderr.write('loading\\n')\ntime.sleep(600)\n")
    child = subprocess.Popen([*PROGRAM, "run"], cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        assert child.stderr is not None
        assert child.stderr.readline() == "loading\n"
        child.send_signal(number)
        assert child.communicate(timeout=300)[1] == f"{number.name}: nothing was begun\n"
    finally:
        child.kill()
        child.wait()
    assert child.returncode == code


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)], ids=str
)
def test_a_signal_while_the_task_ids_are_read(folder: Path, number: signal.Signals, code: int) -> None:
    """No event loop has taken the signals over yet; here nobody writes the ids."""
    with (folder / "config.toml").open("a", encoding="utf-8") as config:
        config.write("[webex]\nrequests_per_minute = 400\n")  # a warning, which shows how far it has come
    child = subprocess.Popen(
        [*PROGRAM, "run", "-q", "--task-ids-from", "-"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stderr is not None
        assert "400" in child.stderr.readline()
        child.send_signal(number)
        child.wait(timeout=300)
        err = child.stderr.read()
    finally:
        child.kill()
        child.communicate()
    assert (child.returncode, err) == (code, f"{number.name}: stopped\n")
