"""Asks a service of known holes about every locked version: ``python -m tests.supply.advisories``.

A hole that is known fails the step.  A service that cannot be reached does not: the step says so in capitals, and
somebody looks at the output of a run with a network.  No package on PyPI carries the advisories up to date
(safety-db, the only one made for that, ends in 2021), so there is no answer without one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.supply.locked import LOCK, pins

PROBE = "httpx"  # every service knows it
WITHIN_S = 45
# Holes that do not concern us, each with the reason; pip-audit's ids.
ACCEPTED: dict[str, str] = {}

Answer = list[dict[str, Any]]


def ask(lock: Path, service: str) -> Answer | None:
    """Return what pip-audit says of a lock, None when the service does not answer."""
    command = [
        sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--disable-pip", "--no-deps",
        "--vulnerability-service", service, "--format", "json", "--progress-spinner", "off", "--timeout", "5",
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)
        answer: Answer = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, json.JSONDecodeError, KeyError):
        return None
    return answer


def skipped(answer: Answer) -> list[str]:
    """Return what the service said nothing about."""
    return [each["name"] for each in answer if "skip_reason" in each]


def holes(answer: Answer, accepted: dict[str, str]) -> list[str]:
    """Return a line for each known hole that is not accepted."""
    return [
        f"{each['name']} {each['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'nothing yet'}"
        for each in answer
        for hole in each.get("vulns", [])
        if hole["id"] not in accepted
    ]


def reachable(lock: str) -> str | None:
    """Return the first service that knows one well-known package."""
    pin = next(each for each in pins(lock) if each.name == PROBE)
    with tempfile.TemporaryDirectory() as folder:
        one = Path(folder) / "one.txt"
        one.write_text(f"{pin.name}=={pin.version}\n", "utf-8")
        for service in ("pypi", "osv"):
            answer = ask(one, service)
            if answer and not skipped(answer):
                return service
    return None


def main() -> int:
    """Tell the holes; 1 when there is one."""
    service = reachable(LOCK.read_text("utf-8"))
    answer = ask(LOCK, service) if service else None
    if answer is None:
        sys.stdout.write("NOT AUDITED: no service of advisories can be reached from here (PyPI's JSON, OSV)\n")
        return 0
    found, silent = holes(answer, ACCEPTED), skipped(answer)
    sys.stdout.write(f"{len(answer) - len(silent)} of {len(answer)} locked versions audited by {service}\n")
    sys.stdout.write(
        "".join(f"NOT AUDITED: {name}\n" for name in silent) + "".join(f"HOLE  {each}\n" for each in found)
    )
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
