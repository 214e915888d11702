"""`report` on the command line: what goes where, what is refused, and that it costs the others nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import cli, own_logging
from tests.cli.kit import Cli
from tests.report.kit import counts_of

__all__ = ["cli", "own_logging"]


@pytest.fixture
def ledger(cli: Cli, month: Path) -> Path:
    """Put the month where the program looks for it."""
    return Path(shutil.copy(month, cli.folder / "wxrec.db"))


def test_all_three_at_once(cli: Cli, ledger: Path) -> None:
    """Files, and a line each on stdout; the last one has the counts."""
    done = cli("report", "--html", "a.html", "--csv", "a.csv", "--jsonl", "a.jsonl")
    assert done.exit_code == 0, done.output
    assert [line.split(":")[0] for line in done.stdout.splitlines()[:3]] == ["a.html", "a.csv", "a.jsonl"]
    counts = counts_of(ledger)
    assert f"{counts.tasks_listed} tasks: {counts.already_stored} recordings stored" in done.stdout
    assert (cli.folder / "a.html").read_text("utf-8").startswith("<!doctype html>")
    assert len((cli.folder / "a.csv").read_text("utf-8").splitlines()) == 1 + len(
        (cli.folder / "a.jsonl").read_text("utf-8").splitlines()
    )


@pytest.mark.usefixtures("ledger")
def test_a_dash_is_stdout_and_data_alone(cli: Cli) -> None:
    """Rows on stdout, words on stderr."""
    done = cli("report", "--jsonl", "-", "--html", "a.html", "--from", "2026-11-10", "--to", "2026-11-11")
    assert done.exit_code == 0
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert {record["placed"][:10] for record in records} == {"2026-11-10"}
    assert "a.html" in done.stderr


@pytest.mark.usefixtures("ledger")
def test_json_ends_with_what_was_written(cli: Cli) -> None:
    """One object, by which a script knows."""
    done = cli("report", "--csv", "a.csv", "--json")
    record = json.loads(done.stdout)
    assert (record["event"], record["csv"], record["exit_code"]) == ("report", "a.csv", 0)
    assert record["rows"] == len((cli.folder / "a.csv").read_text("utf-8").splitlines()) - 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "say what to write: --html FILE"),
        (["--html", "-", "--csv", "-"], 2, "would mix on stdout"),
        (["--csv", "-", "--json"], 2, "would mix on stdout"),
        (["--html", ""], 2, "--html needs the name of a file"),
        (["--html", "."], 2, "is a folder"),
        (["--html", "no/a.html"], 2, "the folder no does not exist"),
        (["--html", "wxrec.db"], 2, "belongs to the ledger"),
        (["--csv", "tokens.json"], 2, "a file of secrets"),
        (["--csv", "a", "--jsonl", "a"], 2, "named for two reports"),
        (["--csv", "a", "--from", "yesterday"], 2, "--from: 'yesterday' is not a date"),
        (["--csv", "a", "--from", "2026-02-01", "--to", "2026-01-01"], 2, "is not before --to"),
        (["--csv", "a", "--ledger", "none.db"], 7, "there is no ledger at none.db"),
        (["--csv", "a", "--ledger", "config.toml"], 7, "config.toml"),
    ],
)
@pytest.mark.usefixtures("ledger")
def test_what_cannot_be_done_is_one_line(cli: Cli, arguments: list[str], code: int, words: str) -> None:
    """It says what is wrong, and the exit code is that of the table."""
    done = cli("report", *arguments)
    assert done.exit_code == code
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def child(arguments: list[str], folder: Path, **streams: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "wxrec_async", "report", *arguments]
    return subprocess.Popen(command, cwd=folder, text=True, **streams)  # type: ignore[call-overload,no-any-return]


@pytest.mark.usefixtures("ledger")
def test_a_reader_who_leaves_ends_it_quietly(cli: Cli) -> None:
    """`report --csv - | head -1` is no failure."""
    with child(["--csv", "-"], cli.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("kind,task_id")
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(30) == 0


@pytest.mark.usefixtures("ledger")
def test_a_full_stdout_is_one_line(cli: Cli) -> None:
    """Exit 1, and no traceback when the interpreter ends."""
    with (
        Path("/dev/full").open("w") as full,
        child(["--csv", "-"], cli.folder, stdout=full.fileno(), stderr=subprocess.PIPE) as process,
    ):
        _, told = process.communicate(timeout=180)
    assert process.returncode == 1
    assert told == "error: the report could not be written: No space left on device\n"


def test_templates_and_charts_are_loaded_only_for_the_page() -> None:
    """Neither `--help` nor any other command pays for them."""
    code = (
        "import sys, wxrec_async.cli.app, wxrec_async.cli.commands.run, wxrec_async.cli.commands.report;"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=360)
    assert not {"jinja2", "pygal", "markupsafe"} & {*done.stdout.split()}
