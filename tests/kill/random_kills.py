"""kill -9 at random moments, then one run to the end: ``python -m tests.kill.random_kills --kills 100``.

`kill_at_random` is for whoever has a sandbox and a command of his own.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

END_WITHIN_S = 600.0
RUNS_TO_THE_END = 3  # with faults, a recording may meet more in a row than one run forgives


@dataclass(slots=True)
class Kills:
    """What came of it: ``wrong`` is empty when everything is as if nobody had been killed.

    ``fetched`` counts downloads begun, ``recordings`` what there is to fetch; ``again_at_most`` is what so many
    kills may cost.
    """

    kills: int = 0
    ended_before: int = 0
    last_code: int = -1
    recordings: int = 0
    fetched: int = 0
    fetched_between_kills: int = 0
    again_at_most: int = 0
    wrong: list[str] = field(default_factory=list)


def kill_at_random(
    command: Sequence[str],
    sandbox_url: str,
    *,
    concurrency: int,
    kills: int = 100,
    within_s: float = 2.0,
    seed: int = 1,
    environment: Mapping[str, str] | None = None,
    faulty: bool = False,
) -> Kills:
    """Start ``command``, kill it within ``within_s`` seconds of its first request, again and again; let it end, judge.

    ``sandbox_url`` is the sandbox's control address (``control_url``).  The judgement takes the truth, the bucket,
    the open uploads and the request log from there and nothing from the program.  With ``faulty`` downloads are
    begun again for other reasons than kills, and are not counted.
    """
    chance, found = random.Random(seed), Kills()
    for _ in range(kills):
        # Not `run(timeout=)`: it polls, and would be late for short ones.
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        _wait_for_a_request(sandbox_url, process)  # how long it takes to start is the machine's business
        time.sleep(chance.uniform(0, within_s))
        found.ended_before += process.poll() is not None
        process.kill()
        process.wait()
        found.kills += 1
    found.fetched_between_kills = len([row for row in _ask(sandbox_url, "log") if row["operation"] == "media.get"])
    for _ in range(RUNS_TO_THE_END):
        ended = subprocess.run(command, env=environment, capture_output=True, timeout=END_WITHIN_S, check=False)
        found.last_code = ended.returncode
        if ended.returncode != 3:
            break
    _judge(found, sandbox_url, concurrency, faulty=faulty)
    return found


def _wait_for_a_request(sandbox_url: str, process: subprocess.Popen[bytes]) -> None:
    seen = max((row["number"] for row in _ask(sandbox_url, "log")), default=0)
    while process.poll() is None and not _ask(sandbox_url, f"log?since={seen}"):
        time.sleep(0.02)


def _judge(found: Kills, sandbox_url: str, concurrency: int, *, faulty: bool) -> None:
    truth = {row["key"]: (row["size"], row["sha256"]) for row in _ask(sandbox_url, "truth")}
    rows = _ask(sandbox_url, "objects?sha256=1")
    bucket = {row["key"]: (row["size"], row["sha256"]) for row in rows}
    log = Counter(row["operation"] for row in _ask(sandbox_url, "log"))
    found.recordings, found.fetched = len(truth), log["media.get"]
    found.again_at_most = found.kills * (concurrency + 1)
    found.wrong += [f"missing {key}" for key in sorted(truth.keys() - bucket.keys())]
    found.wrong += [f"unexpected {key}" for key in sorted(bucket.keys() - truth.keys())]
    found.wrong += [f"other bytes {key}" for key in sorted(truth.keys() & bucket.keys()) if truth[key] != bucket[key]]
    found.wrong += [f"open upload of {row['key']}" for row in _ask(sandbox_url, "uploads")]
    if found.last_code:
        found.wrong.append(f"the last run ended with {found.last_code}")
    if not faulty and found.fetched > found.recordings + found.again_at_most:
        found.wrong.append(f"{found.fetched} downloads of {found.recordings} recordings")


def _ask(sandbox_url: str, path: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{sandbox_url}/{path}") as answer:  # noqa: S310 - loopback
        return [json.loads(line) for line in answer.read().decode().splitlines() if line]


def main(arguments: Sequence[str] | None = None) -> int:
    """Do it against a sandbox of its own; print the outcome as JSON."""
    from tests.e2e.world import sandbox  # noqa: PLC0415 - only this command needs it

    parser = argparse.ArgumentParser(prog="python -m tests.kill.random_kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--within", type=float, default=2.0, metavar="S")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tasks", type=int, default=600)
    parser.add_argument("--concurrency", type=int, default=8)
    given = parser.parse_args(arguments)
    options = ("--tasks", str(given.tasks), "--seconds", "5", "60", "--media-rate", "400000", "--seed", str(given.seed))
    with tempfile.TemporaryDirectory(prefix="wxrec-kills-") as folder, sandbox(Path(folder), *options) as world:
        command = world.command("run", "--config", str(world.config), "--concurrency", str(given.concurrency))
        found = kill_at_random(
            command, world.told["control_url"], concurrency=given.concurrency, kills=given.kills,
            within_s=given.within, seed=given.seed, environment=world.environment,
        )  # fmt: skip
    print(json.dumps(asdict(found)))  # noqa: T201 - the outcome
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
