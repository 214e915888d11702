"""Flags into settings and work."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from wxrec_async.cli import app as commands
from wxrec_async.cli.flags import SandboxFlags, read_duration

from .kit import Cli

HEAVY = ("aiohttp", "aioboto3", "botocore", "httpx", "pydantic", "structlog", "rich", "sqlite3", "wxrec_async.backfill")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["sandbox", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """``--help`` answers at once because nothing is loaded that only a run needs."""
    script = (
        "import sys\nfrom wxrec_async.cli.app import main\n"
        f"sys.argv[1:] = {arguments!r}\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        f"print('loaded', [name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "loaded []"
    assert done.stdout


def test_help_names_every_command_and_exit_code(cli: Cli) -> None:
    """A reader of ``--help`` finds the commands there are and what the exit codes mean."""
    shown = cli("--help").stdout
    for name in ("run", "plan", "retry", "status", "config", "sandbox"):
        assert re.search(rf"^  {name} ", shown, re.MULTILINE)
    for code in ("0", "1", "2", "3", "4", "5", "6", "7", "130, 143"):
        assert re.search(rf"^  {code} ", shown, re.MULTILINE)


@pytest.mark.parametrize("command", [[], ["run"]])
def test_a_run_needs_no_command(cli: Cli, command: list[str]) -> None:
    """Without a subcommand the program runs a backfill with the same flags."""
    assert cli(*command, "--concurrency", "7", "--limit", "3", "--max-duration", "30m").exit_code == 0
    assert cli.backfill.settings is not None
    assert cli.backfill.settings.backfill.concurrency == 7
    assert cli.backfill.asked | {"closed": True} == {
        "command": "run",
        "limit": 3,
        "max_duration_s": 1800,
        "closed": True,
    }


def test_flags_may_stand_before_and_after_the_command(cli: Cli) -> None:
    """What stands after the command's name wins over what stands before it."""
    cli("--concurrency", "7", "--limit", "3", "run", "--limit", "4", "--rate", "99")
    settings = cli.backfill.settings
    assert settings is not None
    assert (settings.backfill.concurrency, settings.webex.requests_per_minute) == (7, 99)
    assert cli.backfill.asked["limit"] == 4


def test_every_setting_flag_reaches_its_setting(cli: Cli) -> None:
    """Each flag stands above file and environment for the setting it is called after."""
    given = {
        "--from": "2026-01-01",
        "--to": "2026-01-02",
        "--ledger": "other.db",
        "--profile": "me",
        "--region": "eu-west-1",
        "--endpoint-url": "https://s3.example.org",
        "--ca-bundle": "ca.pem",
        "--grace": "5",
    }
    assert cli("--overwrite", *(word for pair in given.items() for word in pair)).exit_code == 0
    settings = cli.backfill.settings
    assert settings is not None
    assert (settings.backfill.from_, settings.backfill.to) == ("2026-01-01", "2026-01-02")
    assert (settings.ledger.path, settings.ca_bundle) == (Path("other.db"), Path("ca.pem"))
    assert (settings.s3.profile, settings.s3.region) == ("me", "eu-west-1")
    assert settings.s3.endpoint_url == "https://s3.example.org"
    assert settings.s3.overwrite is True
    assert settings.backfill.grace_seconds == 5


def test_flags_that_are_not_given_leave_the_file_alone(cli: Cli) -> None:
    """The file's values hold where no flag speaks."""
    (cli.folder / "config.toml").write_text('[s3]\nbucket="b"\noverwrite=true\n[backfill]\nconcurrency=5\n')
    cli("run")
    assert cli.backfill.settings is not None
    assert (cli.backfill.settings.s3.overwrite, cli.backfill.settings.backfill.concurrency) == (True, 5)


def test_days_back_stands_above_a_from_of_the_file(cli: Cli) -> None:
    """A flag wins over the file, although a `from` beside `days_back` would win over it."""
    (cli.folder / "config.toml").write_text('[s3]\nbucket="b"\n[backfill]\nfrom="2026-01-01"\n')
    cli("--days-back", "2")
    assert cli.backfill.settings is not None
    assert (cli.backfill.settings.backfill.from_, cli.backfill.settings.backfill.days_back) == ("", 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from", "2026-01-01", "--days-back", "3"], "--from and --days-back"),
        (["--task-ids-from", "ids", "--from", "2026-01-01"], "--task-ids-from takes the place of"),
        (["--config", "none.toml"], "none.toml is not there"),
        (["--concurrency", "5000"], "[backfill] concurrency (from flag)"),
        (["--endpoint-url", "http://s3.example.org"], "plain http is accepted only for loopback"),
        (["plan", "--task-ids-from", "ids"], "task-ids-from"),
        (["--task-ids-from", "ids", "--dry-run"], "leave out --task-ids-from"),
        (["--max-duration", "soon"], "is not a duration"),
        (["--limit", "0"], "--limit"),
        (["--limit", "3", "status"], "--limit does not go with `status`"),
        (["--task-ids-from", "ids", "retry"], "--task-ids-from does not go with `retry`"),
        (["--log-level", "loud"], "loud"),
        (["rum"], "Did you mean 'run'"),
    ],
)
def test_what_cannot_be_meant_is_said_in_one_line(cli: Cli, arguments: list[str], words: str) -> None:
    """Wrong usage ends with exit 2, on stderr, before a Backfill is opened."""
    (cli.folder / "ids").write_text("t-1\n")
    done = cli(*arguments)
    assert done.exit_code == 2
    assert words in done.stderr
    assert done.stdout == ""
    assert cli.backfill.asked == {}


def test_an_impossible_period_is_refused_before_anything_is_opened(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--from` after `--to`: exit 2, nothing written, nothing sent."""
    monkeypatch.undo()
    monkeypatch.chdir(cli.folder)
    done = cli("--from", "2026-02-01", "--to", "2026-01-01")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "error: --from 2026-02-01T00:00:00Z is not before --to 2026-01-01T00:00:00Z\n"
    assert [path.name for path in cli.folder.iterdir()] == ["config.toml"]


@pytest.mark.fault("X09")
def test_no_flag_takes_a_secret() -> None:
    """The command line is visible to everybody on the machine."""
    kinds: tuple[Any, ...] = (commands.ProgramFlags, SandboxFlags, *(entry.flags for entry in commands.COMMANDS))
    names = {name for kind in kinds for name in kind.__dataclass_fields__}
    suspects = {name for name in names if re.search("secret|token|password|key|credential", name)}
    # The name of a file, or - for stdin; a switch.
    assert suspects == {"tokens_from", "make_phone_key"}


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("8h", 28_800), ("1.5h", 5400), ("1d", 86_400)]
)
def test_durations_are_seconds_or_carry_a_unit(text: str, seconds: float) -> None:
    """`--max-duration` takes what people write."""
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-5", "5x", "m", "1h30"])
def test_other_durations_are_refused(text: str) -> None:
    """What is not understood is not guessed."""
    with pytest.raises(typer.BadParameter):
        read_duration(text)
