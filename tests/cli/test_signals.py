"""Signals to the whole program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.slowness import slowness

ROOT = Path(__file__).parents[2]
Start = Callable[..., "subprocess.Popen[str]"]
USUAL_START_S = 1.5


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts the program and waits until it works."""
    (tmp_path / "config.toml").write_text('[s3]\nbucket = "b"\n', encoding="utf-8")
    started: list[subprocess.Popen[str]] = []

    def begin(mode: str, *arguments: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-m", "cli.signal_child", mode, "--no-progress", "-q", *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        assert _said(child, "begun")
        return child

    yield begin
    for child in started:
        child.kill()
        child.communicate()


def _said(child: subprocess.Popen[str], words: str) -> str:
    """Read stderr up to the line with ``words``; return it."""
    assert child.stderr is not None
    while line := child.stderr.readline():
        if words in line:
            return line
    return ""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)], ids=str
)
@pytest.mark.fault("L01", "L02", "L04")
def test_the_first_signal_drains(start: Start, number: signal.Signals, code: int) -> None:
    """In-flight work ends, the summary is shown, and the exit code says which signal it was."""
    child = start("drains", "--grace", "12")
    child.send_signal(number)
    assert f"{number.name}: finishing what is in flight, for at most 12 s" in _said(child, number.name)
    out, _ = child.communicate(timeout=360)
    assert child.returncode == code
    assert out.splitlines()[-1].startswith(f"exit {code}: stopped by")


@pytest.mark.parametrize("mode", ["aborts", "deaf"])
@pytest.mark.fault("L01")
def test_the_second_signal_ends_within_five_seconds(start: Start, mode: str) -> None:
    """It aborts, and cancels what does not heed the abort."""
    before = time.monotonic()
    child = start(mode)
    within_s = 6 * slowness(before, USUAL_START_S)
    child.send_signal(signal.SIGINT)
    assert _said(child, "draining")
    begun = time.monotonic()
    child.send_signal(signal.SIGINT)
    assert _said(child, "breaking off")
    child.communicate(timeout=360)
    assert child.returncode == 130
    assert time.monotonic() - begun < within_s


def test_a_signal_before_anything_is_begun_ends_at_once(start: Start) -> None:
    """While the bucket is being opened there is nothing to drain."""
    child = start("opening")
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=360)
    assert (child.returncode, out) == (143, "")
    assert err == "SIGTERM: nothing was begun\n"
