"""The search for leaked secrets has teeth, and does not repeat what it finds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import canaries

TESTS = Path(__file__).parent
LEAKS = """
import logging, sys
import pytest
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

@pytest.mark.shows_canaries("it is what the test is about")
def test_excused():
    print(canaries.CLIENT_SECRET)

def test_clean():
    print("nothing to see")
"""


@pytest.mark.fault("X01", "X02")
def test_a_leak_into_any_output_fails_the_test(tmp_path: Path) -> None:
    """Logs at DEBUG of any logger, stdout, stderr, fixtures: each leak is an error, the excused one is not."""
    (tmp_path / "conftest.py").write_text((TESTS / "conftest.py").read_text("utf-8"), "utf-8")
    (tmp_path / "canaries.py").write_text((TESTS / "canaries.py").read_text("utf-8"), "utf-8")
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
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "6 passed, 4 errors" in done.stdout
    for name in ("test_log", "test_stdout", "test_stderr", "test_teardown"):
        assert f"ERROR test_leaks.py::{name}" in done.stdout
    assert canaries.found_in(done.stdout + done.stderr) == ["CANARY-AT", "CANARY-RT", "CANARY-SIG"]  # names only
    assert canaries.ACCESS_TOKEN not in done.stdout


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
