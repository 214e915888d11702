"""One run of one contestant, measured by the operating system."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

KEEPER = Path(__file__).parent / "keeper.py"


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run cost.

    ``cpu_s`` is user and system time of the process and all it waited for,
    ``peak_mib`` the resident memory of its largest single process.
    """

    seconds: float
    cpu_s: float
    peak_mib: float


class Failed(Exception):
    """A contestant did not do the work; the text is the end of what it said."""


def run(
    command: Sequence[str], *, env: Mapping[str, str], folder: Path, timeout_s: float, accept: Sequence[int] = (0,)
) -> Measured:
    """Run ``command`` to its end and return what it cost; `Failed` when it ends otherwise than ``accept`` says."""
    told, cost = folder / "output.txt", folder / "cost.json"
    with told.open("wb") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(KEEPER), str(cost), *command],
            env=dict(env),
            cwd=folder,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            keeper.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(keeper.pid, signal.SIGKILL)
            keeper.wait()
            raise Failed(f"{command[0]} was not done after {timeout_s:.0f} s") from None
    found = json.loads(cost.read_text())
    if found["code"] not in accept:
        said = told.read_text(errors="replace")[-2000:]
        raise Failed(f"{Path(command[0]).name} ended with {found['code']} after {found['seconds']:.0f} s: {said}")
    return Measured(found["seconds"], found["cpu_s"], found["peak_mib"])
