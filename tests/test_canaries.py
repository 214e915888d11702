"""The search for leaked secrets has teeth, and does not repeat what it finds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import canaries
from tests.outputs import Outputs

TESTS = Path(__file__).parent
LEAKS = """
import logging, subprocess, sys
import pytest, typer
from typer.testing import CliRunner
from tests import canaries

def test_log():
    logging.getLogger("some.library").debug("token %s", canaries.ACCESS_TOKEN)

def test_stdout():
    print(canaries.SIGNATURE)

def test_stderr():
    print(canaries.PHONE_NUMBER, file=sys.stderr)

@pytest.fixture
def leaking():
    yield
    print(canaries.REFRESH_TOKEN)

def test_teardown(leaking):
    pass

def test_cause():
    with pytest.raises(OSError):
        raise OSError("harmless") from ValueError(canaries.ACCESS_TOKEN)

def test_context_that_is_not_shown():
    with pytest.raises(OSError):
        try:
            raise ValueError(canaries.ACCESS_TOKEN)
        except ValueError:
            raise OSError("harmless") from None

def test_group_and_note():
    inner = ValueError("harmless")
    inner.add_note(canaries.ACCESS_TOKEN)
    with pytest.raises(ExceptionGroup):
        raise ExceptionGroup("harmless", [inner])

def test_attribute():
    error = OSError("harmless")
    error.request = canaries.ACCESS_TOKEN
    with pytest.RaisesGroup(OSError):
        raise ExceptionGroup("harmless", [error])

def test_command_line():
    subprocess.run([sys.executable, "-c", "pass", canaries.ACCESS_TOKEN], check=True)

CHILD = "print('CANARY' + '-AT-1')"

def test_child():
    subprocess.run([sys.executable, "-c", CHILD], check=True, capture_output=True)

def test_command():
    app = typer.Typer()
    app.command()(lambda: typer.echo(canaries.CLIENT_SECRET))
    CliRunner().invoke(app)

def test_ledger(tmp_path):
    (tmp_path / "deep").mkdir()
    far = b"x" * (20 << 20)
    (tmp_path / "deep" / "wxrec.db-wal").write_bytes(far + canaries.ACCESS_TOKEN.encode() + far)

@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("shared")

def test_shared_folder(shared):
    (shared / "report.csv").write_text(canaries.PHONE_NUMBER)

def test_after_the_shared_folder(shared, tmp_path):
    (tmp_path / "tokens.json").write_text(canaries.ACCESS_TOKEN)

@pytest.mark.shows_canaries("it is what the test is about")
def test_excused():
    print(canaries.CLIENT_SECRET)

def test_clean():
    print("nothing to see")
"""
CLEAN = ("test_after_the_shared_folder", "test_excused", "test_clean")


@pytest.mark.fault("X01", "X02", "X04", "X08", "X09")
@pytest.mark.shows_canaries("the tests inside leak on purpose")
def test_a_leak_into_any_output_fails_the_test(tmp_path: Path) -> None:
    """Logs, printed text, exceptions with all that hangs on them, children, files: each is an error; excused is not."""
    (tmp_path / "conftest.py").write_text((TESTS / "conftest.py").read_text("utf-8"), "utf-8")
    (tmp_path / "test_leaks.py").write_text(LEAKS, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    shows_canaries(reason): excused\n", "utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--show-capture=no",
        "-rE",
        f"--basetemp={tmp_path / 'inner'}",
        str(tmp_path / "test_leaks.py"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    names = [line.partition("(")[0].removeprefix("def ") for line in LEAKS.splitlines() if line.startswith("def test_")]
    leaking = [name for name in names if name not in CLEAN]
    assert f"{len(names)} passed, {len(leaking)} errors" in done.stdout, done.stdout[-3000:]
    assert [name for name in names if f"ERROR test_leaks.py::{name} " in done.stdout] == leaking
    assert "CANARY-AT" in done.stdout  # the kind is named
    assert canaries.ACCESS_TOKEN not in done.stdout  # and never shown


@pytest.mark.shows_canaries("it is what the test is about")
def test_a_folder_of_an_earlier_module_is_searched_when_a_later_one_ends(tmp_path: Path) -> None:
    """Not after each test, but before anything is over; and a file that has not changed is not read again."""
    outputs = Outputs(folders={tmp_path: {}})
    assert outputs.leaks(iter(()), None) == []
    (tmp_path / "report.csv").write_text(canaries.PHONE_NUMBER)
    assert outputs.leaks(iter(()), None, module_ends=False) == []
    assert outputs.leaks(iter(()), None) == ["report.csv: a phone number"]
    assert outputs.leaks(iter(()), None) == []
    assert outputs.cost.files == 1


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("Bearer CANARY-AT-1", ["CANARY-AT"]),
        ("x canary-rt_2 +15550100123", ["CANARY-RT", "a phone number"]),
        ("to=%2B15550100123", ["a phone number"]),
        ("15550100123", ["a phone number"]),
        ("CANARY-SIG", ["CANARY-SIG"]),
        ("2026-01-31 1555 010 canary", []),
        ("***", []),
    ],
)
def test_planted_secrets_are_recognised(text: str, kinds: list[str]) -> None:
    """In any case, encoded or not; and named by their kind alone."""
    assert canaries.found_in(text) == kinds
