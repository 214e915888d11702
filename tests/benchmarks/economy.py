"""``python -m tests.benchmarks.economy``: what a backfill makes of Webex's own limit, 300 calls a minute.

A sandbox with the real limit, a sliding minute, and a backfill whose clock runs
FACTOR times as fast, as does the limit's.  Listing and captures share the
budget, so it is the calls of both that are held against it, from the first to
the last; captures calls are also held against a tenth of the tasks.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks import telling
from tests.memory.crowd import Crowd
from wxrec_async.sandbox import Options, Sandbox
from wxrec_async.sandbox.log import Entry

WEBEX_LIMIT = 300
CALLS = ("tasks", "captures", "search", "organization")
LEAST_SHARE = 0.97
MOST_CAPTURES = 1.03
PER_CALL = 10
TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Economy:
    """What became of the budget.  ``minutes`` are those of the limit, from the first call to the last."""

    tasks: int
    rate: float
    calls: dict[str, int]
    refused: int
    minutes: float

    @property
    def share_of_rate(self) -> float:
        """Calls made by the calls that the rate the program was given allows."""
        return (sum(self.calls.values()) - 1) / (self.minutes * self.rate)

    @property
    def share_of_limit(self) -> float:
        """Calls made by the calls that Webex allows."""
        return self.share_of_rate * self.rate / WEBEX_LIMIT

    @property
    def captures_ratio(self) -> float:
        """Captures calls by the least that could be: one for ten tasks."""
        return self.calls.get("captures", 0) / (self.tasks / PER_CALL)

    @property
    def kept(self) -> bool:
        """Both promises, and nothing was refused."""
        return self.share_of_rate >= LEAST_SHARE and self.captures_ratio <= MOST_CAPTURES and not self.refused

    def __str__(self) -> str:
        calls = ", ".join(f"{count} {name}" for name, count in sorted(self.calls.items()))
        return (
            f"{self.tasks} tasks at {self.rate:g} calls a minute: {calls} in {self.minutes:.1f} min\n"
            f"  {self.share_of_rate:6.1%} of the rate it was given (at least {LEAST_SHARE:.0%})\n"
            f"  {self.share_of_limit:6.1%} of Webex's limit of {WEBEX_LIMIT}\n"
            f"  {self.captures_ratio:6.3f} x tasks/10 captures calls (at most {MOST_CAPTURES})\n"
            f"  {self.refused} calls were answered 429\n"
            f"  {'kept' if self.kept else 'MISSED'}"
        )


def economy(entries: Sequence[Entry], tasks: int, rate: float, factor: float) -> Economy:
    """Add up a sandbox's log; raises ValueError when it holds fewer than two calls."""
    calls = [each for each in entries if each.operation in CALLS]
    if len(calls) < 2:
        raise ValueError("there were no calls")
    moments = [each.started for each in calls]
    minutes = (max(moments) - min(moments)) * factor / 60
    refused = sum(each.status == TOO_MANY for each in calls)
    return Economy(tasks, rate, dict(Counter(each.operation for each in calls)), refused, minutes)


async def measure(folder: Path, tasks: int, *, rate: float, factor: float, latency: float, days: float) -> Economy:
    """Run the backfill beside a sandbox; raises RuntimeError when it does not end well.

    ``latency`` is in seconds of the limit's clock, the answer time of every server.
    """
    crowd = Crowd(tasks, days=days, recorded=1000)
    options = Options(
        organisation=crowd, discard=True, requests_per_minute=WEBEX_LIMIT, latency=latency / factor,
        budget_clock=lambda: time.monotonic() * factor,
    )  # fmt: skip
    async with Sandbox(options) as sandbox:
        config = sandbox.write_config(folder, webex={"requests_per_minute": rate})
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.benchmarks.hurried", str(config), str(factor),
            env={**os.environ, **sandbox.environment()}, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            told, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode or json.loads(told)["exit"]:
            raise RuntimeError(f"the backfill did not end well: {told.decode()}")
        return economy(tuple(sandbox.log.entries), tasks, rate, factor)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, say, keep; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.economy", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=WEBEX_LIMIT, help="requests_per_minute (default: the limit)")
    parser.add_argument("--factor", type=float, default=2, help="how much faster the clock runs (default: 2)")
    parser.add_argument("--latency", type=float, default=0.1, help="seconds until each answer (default: 0.1)")
    parser.add_argument("--days", type=float, default=7, help="days the tasks are spread over (default: 7)")
    parser.add_argument("--out", type=Path, default=telling.KEPT, help="folder for economy.json (default: results/)")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(
            measure(
                Path(folder), asked.tasks, rate=asked.rate, factor=asked.factor, latency=asked.latency, days=asked.days
            )
        )
    print(found, flush=True)
    _keep(asked.out, found, asked.latency, asked.days)
    return 0 if found.kept else 1


def _keep(folder: Path, found: Economy, latency: float, days: float) -> None:
    """Write it beside what was measured at other rates."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "economy.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    shares = {"share_of_rate": found.share_of_rate, "share_of_limit": found.share_of_limit}
    conditions = {"latency_s": latency, "days": days, "facts": telling.machine()}
    rest = {"captures_ratio": found.captures_ratio, "kept": found.kept}
    kept[f"{found.rate:g} a minute"] = {**asdict(found), **shares, **rest, **conditions}
    path.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
