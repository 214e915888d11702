"""The real soak: the program and the sandbox as two processes, watched from a third."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.canaries import found_in
from tests.soak import curve
from tests.soak.judging import Judgement

ROOT = Path(__file__).parents[2]
EVERY_S = 13.0  # no divisor of a minute, which is how often the program polls
LATER_S = 240.0  # what the last calls may take: their recordings come late, and then the round must
SETTLED = 0.25  # of the time goes by before memory is judged
MOST_MIB_IN_TEN_MINUTES, MOST_GROWTH = 1.0, 0.05
STOPPED = 143  # by SIGTERM, all in order
TICKS = os.sysconf("SC_CLK_TCK")


PAGE = 1000
STRIPS = (
    ("rss_mib", "resident MiB", "#1f6feb"),
    ("blocks", "interpreter's blocks", "#8250df"),
    ("descriptors", "open descriptors", "#1a7f37"),
    ("tasks", "tasks", "#bf8700"),
    ("threads", "threads", "#cf222e"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """The process at one moment: seconds since the beginning, and since then of processor time; the rest as it was.

    ``blocks`` are what the interpreter holds of its own allocator, ``stored`` the ledger's recordings,
    ``ledger_mib`` its file.
    """

    at_s: float
    rss_mib: float
    descriptors: int
    threads: int
    tasks: int
    blocks: int
    cpu_s: float
    stored: int
    ledger_mib: float


@dataclass(slots=True)
class Soaked:
    """A soak: what was seen, and what was there in the end."""

    calls: int
    minutes: float
    samples: list[Sample] = field(default_factory=list)
    code: int = -1
    told: dict[str, Any] = field(default_factory=dict)
    truth: dict[str, str] = field(default_factory=dict)
    bucket: dict[str, str] = field(default_factory=dict)
    states: Counter[str] = field(default_factory=Counter)
    requests: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    hits: dict[str, int] = field(default_factory=dict)
    replaced: list[str] = field(default_factory=list)
    uploads: int = 0
    leaks: list[str] = field(default_factory=list)
    last_words: str = ""
    rounds: int = 0


@dataclass(slots=True)
class Place:
    """Where a soak happens."""

    folder: Path
    told: dict[str, Any]

    def ask(self, path: str) -> list[dict[str, Any]]:
        """Read JSON lines, or one JSON document, from the sandbox's control port."""
        with urllib.request.urlopen(f"{self.told['control_url']}/{path}") as answer:  # noqa: S310 - loopback
            return [json.loads(line) for line in answer if line.strip()]

    def states(self) -> Counter[str]:
        """Count the ledger's recordings, by state; none while there is no ledger."""
        path = self.folder / "wxrec.db"
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
            return Counter(dict(ledger.execute("SELECT state, count(*) FROM recordings GROUP BY state")))
        return Counter()

    @property
    def outputs(self) -> list[Path]:
        """Everything the program wrote: what it printed, and its ledger with what lies beside it."""
        return [self.folder / "out", self.folder / "err", *sorted(self.folder.glob("wxrec.db*"))]


@contextmanager
def sandbox(folder: Path, plan: dict[str, Any]) -> Iterator[Place]:
    """Start the sandbox; it ends with the context."""
    (folder / "plan.json").write_text(json.dumps(plan))
    command = [sys.executable, "-m", "tests.soak.server", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the sandbox did not start")
        yield Place(folder, json.loads(line))
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.communicate()


@contextmanager
def program(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    """Let the program follow; it is gone when the context ends."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "WXREC_"))}
    arguments = ["run", "--follow", "--config", place.told["config"], "--json", "--no-progress", "--log-level", "info"]
    command = [sys.executable, "-W", "error", "-m", "tests.soak.program", str(place.folder / "counts"), *arguments]
    with (place.folder / "out").open("wb") as out, (place.folder / "err").open("wb") as err:
        process = subprocess.Popen(
            command,
            cwd=place.folder,
            env={**own, **place.told["environment"], "PYTHONPATH": str(ROOT)},
            stdout=out,
            stderr=err,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def look(place: Place, pid: int, begun: float) -> Sample:
    """Look at the program from outside; raises OSError when it has ended."""
    status = Path(f"/proc/{pid}/status").read_text()
    spent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    facts = dict(re.findall(r"^(VmRSS|Threads):\s+(\d+)", status, re.MULTILINE))
    tasks, blocks = _counted(place.folder / "counts")
    return Sample(
        at_s=round(time.monotonic() - begun, 1),
        rss_mib=round(int(facts["VmRSS"]) / 1024, 2),
        descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        threads=int(facts["Threads"]),
        tasks=tasks,
        blocks=blocks,
        cpu_s=round((int(spent[11]) + int(spent[12])) / TICKS, 2),
        stored=place.states()["stored"],
        ledger_mib=round((place.folder / "wxrec.db").stat().st_size / (1 << 20), 2),
    )


def _counted(path: Path) -> tuple[int, int]:
    """Read what the program last counted in itself."""
    with suppress(OSError, IndexError, ValueError):
        tasks, blocks = path.read_text().splitlines()[-1].split()
        return int(tasks), int(blocks)
    return 0, 0


def run(minutes: float, a_second: float, seed: int = 11, every_s: float = EVERY_S) -> Soaked:
    """Soak for so many minutes; calls stop coming before the end by what the last ones may take, at most half."""
    coming_s = max(minutes * 30, minutes * 60 - LATER_S)
    calls = max(1, round(coming_s * a_second))
    found = Soaked(calls, minutes)
    plan = {"calls": calls, "a_second": a_second, "seed": seed}
    with tempfile.TemporaryDirectory(prefix="soak-") as name, sandbox(Path(name), plan) as place:
        with program(place) as process:
            _watch(place, process, found, every_s)
            process.send_signal(signal.SIGTERM)
            found.code = process.wait(120)
        _collect(place, found)
    return found


def _watch(place: Place, process: subprocess.Popen[bytes], found: Soaked, every_s: float) -> None:
    """Sample until the time is over and all is stored, or has had every chance to."""
    begun = time.monotonic()
    while process.poll() is None:
        time.sleep(every_s)
        with suppress(OSError, KeyError):
            found.samples.append(look(place, process.pid, begun))
            _tell(found)
        over = time.monotonic() - begun - found.minutes * 60
        if over >= LATER_S or (over >= 0 and place.states()["stored"] >= found.calls):
            return


def _tell(found: Soaked) -> None:
    now = found.samples[-1]
    if len(found.samples) % 20 == 1:
        sys.stderr.write(
            f"{now.at_s / 60:5.1f} min  {now.rss_mib:6.1f} MiB  {now.descriptors} descriptors  {now.tasks} tasks  "
            f"{now.stored} of {found.calls} stored\n"
        )


def _collect(place: Place, found: Soaked) -> None:
    """Gather what was, what is there, and what was said."""
    found.truth = {row["key"]: row["sha256"] for row in place.ask("truth")}
    found.bucket = {row["key"]: row["sha256"] for row in place.ask("objects?sha256=1")}
    found.uploads = len(place.ask("uploads"))
    found.states = place.states()
    found.requests = Counter((row["operation"], row["status"], row["fault"]) for row in place.ask("log"))
    told = place.ask("faults")[0]
    found.hits, found.replaced = told["hits"], told["replaced"]
    lines = (place.folder / "out").read_text().splitlines()
    found.told = json.loads(lines[-1]) if lines else {}
    found.rounds = sum('"summary"' in each for each in lines)
    for path in place.outputs:
        if path.exists() and (kinds := found_in(path.read_bytes().decode("utf-8", "replace"))):
            found.leaks.append(f"{path.name}: {', '.join(kinds)}")
    if found.code != STOPPED and not found.leaks:
        found.last_words = (place.folder / "err").read_text()[-2000:]


def judge(found: Soaked) -> Judgement:
    """Say of everything whether it is as it must be."""
    verdict = Judgement()
    _judge_bytes(found, verdict)
    _judge_edges(found, verdict)
    settled = [each for each in found.samples if each.at_s >= found.minutes * 60 * SETTLED]
    verdict.hold("samples after warm-up", len(settled), ">=", 10)
    if len(settled) >= 2:
        _judge_curves(settled, verdict)
    return verdict


def _judge_bytes(found: Soaked, verdict: Judgement) -> None:
    shared = set(found.truth) & set(found.bucket)
    verdict.hold("calls", len(found.truth), "==", found.calls)
    verdict.hold("lost", len(set(found.truth) - shared), "==", 0)
    verdict.hold("objects nobody asked for", len(set(found.bucket) - shared), "==", 0)
    verdict.hold("objects with other bytes", sum(found.truth[key] != found.bucket[key] for key in shared), "==", 0)
    verdict.hold("objects replaced", len(found.replaced), "==", 0)
    verdict.hold("uploads left open", found.uploads, "==", 0)
    verdict.hold("recordings the ledger calls stored", found.states["stored"], "==", found.calls)
    verdict.hold("recordings in any other state", sum(found.states.values()) - found.states["stored"], "==", 0)
    verdict.hold("secrets in outputs", len(found.leaks), "==", 0)
    verdict.hold("exit code", found.code, "==", STOPPED)


def _judge_edges(found: Soaked, verdict: Judgement) -> None:
    def asked(operation: str, status: int, fault: str = "") -> int:
        return sum(n for (op, st, ft), n in found.requests.items() if (op, st) == (operation, status) and fault in ft)

    verdict.hold("tokens renewed", asked("token", 200), ">=", round(found.minutes * 0.5))
    verdict.hold("signed URLs expired", asked("media.get", 403, "expired"), ">=", round(found.calls * 0.1))
    verdict.hold("rounds", found.rounds, ">=", round(found.minutes * 0.5))
    verdict.note("faults", sum(found.hits.values()))
    verdict.note("requests", sum(found.requests.values()))


def _judge_curves(settled: list[Sample], verdict: Judgement) -> None:
    verdict.hold("MiB more in ten minutes", 600 * curve.per_second(settled, "rss_mib"), "<", MOST_MIB_IN_TEN_MINUTES)
    verdict.hold("memory's growth, a share", curve.growth(settled, "rss_mib"), "<", MOST_GROWTH)
    for name in ("descriptors", "threads", "tasks"):
        first, last = curve.at_rest(settled, name)
        verdict.note(f"{name} at rest, first third", first)
        verdict.hold(f"{name} at rest, last third", last, "<=", first + 2)
        first, last = curve.peaks(settled, name)
        verdict.note(f"most {name}, first third", first)
        # Each call of a page that comes to rest has a task of its own for a moment: their peak is the page's matter.
        most = PAGE if name == "tasks" else first * 1.5 + 10
        verdict.hold(f"most {name}, last third", last, "<=", most)
    spent = (settled[-1].cpu_s - settled[0].cpu_s) / (settled[-1].at_s - settled[0].at_s)
    verdict.note("share of a processor", round(spent, 4))
    verdict.note("resident MiB, first and last", f"{settled[0].rss_mib:.1f} {settled[-1].rss_mib:.1f}")
