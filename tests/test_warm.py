"""A program that was forked behaves as one that was started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import warm

PROGRAM = """
import json, os, random, signal, sys, time, warnings
if "wait" in sys.argv:
    # In the background of a shell it is ignored, and who is started there is born so.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print("waiting", flush=True)
    time.sleep(600)
try:
    warnings.warn("now", DeprecationWarning)
    warned = ""
except DeprecationWarning as error:
    warned = str(error)
told = {"arguments": sys.argv[1:], "folder": os.getcwd(), "who": os.environ.get("WHO"), "home": "HOME" in os.environ}
print(json.dumps(told | {"warned": warned, "read": sys.stdin.read(), "name": __name__, "dice": random.random()}))
print("x", end="", file=sys.stderr)
sys.exit(int(os.environ.get("CODE", "0")))
"""
Starts = (warm.start, subprocess.Popen)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


def command(*arguments: str, warned: tuple[str, ...] = ()) -> list[str]:
    return [sys.executable, *warned, "-m", "program", *arguments]


@pytest.mark.parametrize("warned", [(), ("-W", "error")])
def test_it_has_its_own_arguments_folder_environment_warnings_and_files(folder: Path, warned: tuple[str, ...]) -> None:
    """What it is given, it has, and nothing of what the suite has; it says the same either way."""
    environment = {**os.environ, "WHO": "somebody", "CODE": "7"}
    environment.pop("HOME", None)
    told = []
    for begin in (warm.start, lambda *a, **k: subprocess.Popen(*a, text=True, **k)):
        process = begin(
            command("a", "b", warned=warned), cwd=folder, env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        out, err = process.communicate("words", timeout=360)
        said = json.loads(out)
        told.append((process.returncode, err[-1:], said | {"dice": 0 < said["dice"] < 1}))
    assert told[0] == told[1]
    assert told[0][:2] == (7, "x")
    assert told[0][2]["read"] == "words"


def test_two_draw_other_numbers(folder: Path) -> None:
    """What was forked from one process is not the same by chance."""
    ran = [warm.run(command(), cwd=folder, timeout=360) for _ in range(2)]
    one, two = (json.loads(each.stdout)["dice"] for each in ran)
    assert one != two


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_it_and_its_end_is_told(folder: Path, number: signal.Signals) -> None:
    """By its pid, and by the way it ended."""
    process = warm.start(command("wait"), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.send_signal(number)
    process.communicate(timeout=360)
    assert process.returncode == -number
    assert not Path(f"/proc/{process.pid}").exists()


def test_another_interpreter_is_started_not_forked(folder: Path) -> None:
    """What Python reads at its start no fork can be given any more."""
    environment = {**os.environ, "PYTHONOPTIMIZE": "1"}
    with warm.start(
        command(), cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        assert type(process) is subprocess.Popen
    with pytest.raises(ValueError, match="not a module"):
        warm.order_of(["/bin/true", "-m", "program"], "/", {})
