"""The program as a process: what it writes, what it logs, what `ps` shows of it, what is left when it crashes."""

from __future__ import annotations

import json
import logging
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rich.traceback
import typer.main

from tests.canaries import ACCESS_TOKEN, found_in
from tests.e2e.world import World, finish
from tests.e2e.world import sandbox as in_a_process
from wxrec_async.cli.app import app
from wxrec_async.cli.logs import NOISY, set_up
from wxrec_async.model import Secret

OPTIONS = ("--tasks", "12", "--seconds", "1", "2", "--no-large")
SPILLED = ("AWS4-HMAC-SHA256", "x-amz-content-sha256", "?from=")  # a signed request of botocore's, a query of httpx's
EVERYTHING_SPEAKS = """
import logging, sys

class Beside(logging.Handler):
    '''What the libraries say, for the test alone: it must hold secrets, or the search proves nothing.'''
    def __init__(self):
        super().__init__(logging.NOTSET)
        self.file = open(sys.argv.pop(1), "w")
    def emit(self, record):
        self.file.write(f"{record.name} {record.getMessage()}\\n")

beside = Beside()
logging.Logger.setLevel = lambda self, level: None  # whatever the program asks for: every logger stays at DEBUG
logging.getLogger().level = logging.DEBUG
handle = logging.Logger.callHandlers
logging.Logger.callHandlers = lambda self, record: (beside.emit(record), handle(self, record))
from wxrec_async.cli.app import main
main()
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A simulated organisation, its ledger empty at first."""
    with in_a_process(tmp_path_factory.mktemp("security"), *OPTIONS) as made:
        yield made


@pytest.mark.fault("X01", "X02")
@pytest.mark.parametrize("form", ["console", "json"])
def test_with_every_library_at_debug_no_secret_passes_the_one_pipeline(world: World, form: str) -> None:
    """Loggers of httpx, aiohttp, botocore and asyncio are forced open: they spill beside our pipeline, not in it."""
    beside = world.folder / f"beside-{form}.txt"
    command = [sys.executable, "-c", EVERYTHING_SPEAKS, str(beside), "run", "--config", str(world.config)]
    command += ["--ledger", str(world.folder / f"{form}.db"), "--overwrite", "--json"]
    command += ["--log-level", "debug", "--log-format", form]
    done = subprocess.run(
        command, env=world.environment, cwd=world.folder, capture_output=True, text=True, timeout=540, check=False
    )
    spilled = beside.read_text("utf-8")
    beside.unlink()  # what it holds is no output of ours
    assert done.returncode == 0, done.stderr[-2000:]
    assert [words for words in SPILLED if words not in spilled] == []
    assert [words for words in SPILLED if words in done.stdout + done.stderr] == []
    assert found_in(done.stdout + done.stderr) == []
    assert not [name for name in NOISY if f'"logger": "{name}' in done.stderr and '"level": "debug"' in done.stderr]


@pytest.mark.fault("X05")
@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_shows_no_local_variable(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where rich is installed and told to show them: source lines, and that is all."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    rich.traceback.install(show_locals=True)
    lines: list[str] = []
    log = set_up(logging.DEBUG, form, lines.append)  # type: ignore[arg-type]

    def leaky(token: str) -> None:
        text, secret = f"{token}", Secret(token)
        raise ValueError(f"{len(text)} signs, {secret}")

    try:
        leaky(ACCESS_TOKEN)
    except ValueError:
        log.exception("broken")
        logging.getLogger("some.library").exception("broken too")
    shown = "\n".join(lines)
    assert shown.count("in leaky") == 2
    assert found_in(shown) == []


@pytest.mark.fault("X05")
def test_a_crash_leaves_neither_a_core_nor_a_dump(world: World) -> None:
    """The limit is 0 while it runs, and a fault handler that the environment asked for is off again."""
    world.environment["PYTHONFAULTHANDLER"] = "1"
    process = world.start("--ledger", str(world.folder / "crash.db"), "--overwrite", "--bwlimit", "0.1")
    before = len(world.requests("media.get"))
    world.wait_for(lambda: len(world.requests("media.get")) > before, process)
    limits = Path(f"/proc/{process.pid}/limits").read_text("ascii")
    process.send_signal(signal.SIGSEGV)
    ended = finish(process)
    (core,) = [line.split()[4:6] for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core == ["0", "0"]
    assert ended.code == -signal.SIGSEGV
    assert "Fatal Python error" not in ended.err
    assert not list(world.folder.rglob("core*"))


def options_of(command: Any, path: str = "wxrec-async") -> Iterator[tuple[str, str]]:
    """Every option of every command, hidden ones included."""
    for parameter in command.params:
        for name in (*parameter.opts, *parameter.secondary_opts):
            yield path, name
    for name, inner in getattr(command, "commands", {}).items():
        yield from options_of(inner, f"{path} {name}")


def switches_of(command: Any) -> Iterator[Any]:
    """Every option that takes no value."""
    yield from (each for each in command.params if getattr(each, "is_flag", False))
    for inner in getattr(command, "commands", {}).values():
        yield from switches_of(inner)


NAMES_A_SECRET = ("secret", "token", "password", "passwd", "credential", "key", "auth", "bearer", "cookie", "insecure")
TAKES_A_FILE = {"--tokens-from"}  # a path or -, never the reply itself
TAKES_NOTHING = {"--make-phone-key"}  # makes one, and says none


@pytest.mark.fault("X09", "X16")
def test_no_option_of_any_command_takes_a_secret_or_switches_verification_off() -> None:
    """As the parser itself has them, so that none is missed."""
    found = list(options_of(typer.main.get_command(app)))
    assert len({path for path, _ in found}) >= 12
    odd = [each for each in found if any(word in each[1].lower() for word in NAMES_A_SECRET)]
    assert {name for _, name in odd} <= TAKES_A_FILE | TAKES_NOTHING, odd
    switches = {name for each in switches_of(typer.main.get_command(app)) for name in each.opts}
    assert switches >= TAKES_NOTHING


def files_of(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode)
        for path in folder.rglob("*")
        if path.is_file() or path.is_dir()
    }


@pytest.mark.fault("X10", "L15")
def test_under_umask_0_nothing_the_program_makes_is_open_to_others(world: World) -> None:
    """A run, reports, a plan and a verification: ledger, log, index, lock, reports and token lock are 0600."""
    made = world.folder / "umask"
    made.mkdir()
    token = world.config.parent / "tokens.json"
    told = json.loads(token.read_text())
    token.write_text(json.dumps(told | {"expires_at": 1}))  # so that it is renewed, and written anew
    ledger = str(made / "wxrec.db")
    commands = [
        ["run", "--config", str(world.config), "--ledger", ledger, "--overwrite"],
        [
            "report",
            "--config",
            str(world.config),
            "--ledger",
            ledger,
            "--html",
            str(made / "r.html"),
            "--csv",
            str(made / "r.csv"),
        ],
        ["verify", "--config", str(world.config), "--ledger", ledger],
    ]
    for command in commands:
        done = subprocess.run(
            world.command(*command),
            env=world.environment,
            cwd=made,
            umask=0,
            capture_output=True,
            timeout=540,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()[-1500:]
    found = files_of(made)
    assert {"wxrec.db", "r.html", "r.csv"} <= set(found)
    assert {name: oct(mode) for name, mode in found.items() if mode & 0o077} == {}
    assert json.loads(token.read_text())["expires_at"] > 1
    beside = {path.name: stat.S_IMODE(path.stat().st_mode) for path in token.parent.glob("tokens.json*")}
    assert set(beside.values()) == {0o600}


@pytest.mark.fault("X10")
@pytest.mark.parametrize("spoil", ["mode", "symlink", "owner"])
def test_a_secret_that_others_could_read_or_choose_is_refused_by_every_command(
    world: World, tmp_path: Path, spoil: str
) -> None:
    """0644, a symbolic link, another user's file: exit 2 and one line, before anything is sent."""
    secret = world.config.parent / "secrets.json"
    config = tmp_path / "config.toml"
    other = tmp_path / "secrets.json"
    other.write_bytes(secret.read_bytes())
    other.chmod(0o644 if spoil == "mode" else 0o600)
    if spoil == "symlink":
        other.rename(tmp_path / "secrets-real.json")
        other.symlink_to(tmp_path / "secrets-real.json")
    if spoil == "owner":
        if os.geteuid() != 0:
            pytest.skip("only root can give a file away")
        os.chown(other, 65534, 65534)
    config.write_text(world.config.read_text("utf-8").replace(str(secret), str(other)), "utf-8")
    assert str(other) in config.read_text("utf-8")
    for command in (["run"], ["plan"]):
        before = len(world.ask("log"))
        done = world.call(*command, "--config", str(config), "--ledger", str(tmp_path / "x.db"))
        assert (done.code, done.out) == (2, ""), done.err
        assert "secrets.json" in done.err
        assert len(world.ask("log")) == before
