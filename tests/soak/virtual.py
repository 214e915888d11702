"""The virtual soak: two weeks of a follower on real sockets, in minutes.

Calls come every few minutes and some recordings hours or two days late.  Tokens
live for forty minutes; the first four signed URLs of every recording have ended when
they are handed out, so that only a fresh one opens it.  Every day the process is
stopped in the middle of its work, the machine sleeps, and Webex forgets the
tokens; the program's clock is set a day on and back, and a day back and on (it
sees by the API's answers that it is wrong, and decides nothing meanwhile); now
and then the program is ended and started again.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import aioboto3
import anyio

from tests.canaries import found_in
from tests.soak import curve
from tests.soak.judging import Judgement
from tests.soak.sky import DAY_S, HOUR_S, Sky, SkyLoop
from wxrec_async import Backfill, Summary, load_config
from wxrec_async.events import Event, RecordingFailed, RecordingStarted
from wxrec_async.sandbox import Options, Organisation, Sandbox
from wxrec_async.sandbox.presign import Presigner

MIDDLE = datetime(2028, 3, 1, tzinfo=UTC).timestamp()  # behind a leap day, which lies within every soak of two days
TOKEN_LIVES_S, REFRESH_LIVES_S = 2400, 5 * 86_400
POLL_MINUTES = 45
SUSPENDED_S = 2 * HOUR_S
LATER_S = 5 * HOUR_S  # the last calls come so long before the end
STALE = 4  # in a row; the program's limit is five
FULL_DAYS, REFRESHES, LEASES = 14, 300, 10_000
MOST_ASKED = 30  # of one whose recording comes two days late, with four URLs that have ended and a second look
STRIPS = (
    ("stored", "recordings stored", "#1f6feb"),
    ("expired", "signed URLs expired", "#8250df"),
    ("refreshes", "tokens renewed", "#bf8700"),
    ("owed", "owed", "#cf222e"),
    ("descriptors", "descriptors at rest", "#1a7f37"),
    ("tasks", "tasks at rest", "#57606a"),
)


class StalePresigner(Presigner):
    """Hands out URLs that have ended already, the first times a recording is named."""

    __slots__ = ("seen",)

    def __init__(self, like: Presigner) -> None:
        super().__init__(like.key, like.clock, like.origin)
        self.seen: Counter[str] = Counter()

    def sign(self, path: str, seconds: int) -> str:
        self.seen[path] += 1
        return super().sign(path, seconds if self.seen[path] > STALE else -seconds)


@dataclass(frozen=True, slots=True)
class Day:
    """The process after one round: seconds since the beginning of the world, and what there was by then.

    ``descriptors`` and ``tasks`` are those of the rest before the round.
    """

    at_s: float
    stored: int
    owed: int
    refreshes: int
    expired: int
    descriptors: int
    tasks: int


@dataclass(slots=True)
class Lived:
    """What came of it."""

    days: float
    an_hour: float
    rounds: list[Day] = field(default_factory=list)
    codes: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    calls: int = 0
    refreshes: int = 0
    refused: int = 0
    token_requests: Counter[int] = field(default_factory=Counter)
    expired: int = 0
    puts: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    uploads: int = 0
    suspended: int = 0
    slept: int = 0
    jumps: int = 0
    starts: int = 0
    unsettled: dict[str, int] = field(default_factory=dict)
    leaks: list[str] = field(default_factory=list)
    naps: tuple[int, float, float] = (0, 0.0, 0.0)


@dataclass(slots=True)
class World:
    """Everything that happens to the program."""

    sky: Sky
    sandbox: Sandbox
    lived: Lived
    until: float
    backfill: Backfill | None = None
    blows: list[Callable[[], None]] = field(default_factory=list)  # one falls whenever a recording is under way
    read: int = 0
    rested: tuple[int, int] = (0, 0)

    def calls_come(self) -> None:
        """Plan the calls, one after the other: a list that is looked at early does not show them."""
        step, begun = HOUR_S / self.lived.an_hour, self.sky.now
        count = int((self.until - LATER_S - begun) / step)
        for number in range(count):
            self.sky.at(begun + number * step, partial(self._call, begun + number * step, number))
        self.lived.calls = count

    def _call(self, moment: float, number: int) -> None:
        late = {3: 2 * DAY_S, 7: 2 * HOUR_S, 11: 2 * HOUR_S}.get(number % 24, 0.0)
        promised = None if number % 24 == 7 else True
        if moment + 2 * late + DAY_S > self.until:
            late = 0.0
        created_ms = round(moment * 1000)
        self.sandbox.organisation.add(created_ms, capture_requested=promised, ready_ms=created_ms + round(late * 1000))

    def things_happen(self) -> None:
        """Plan everything else."""
        begun, days, sky = self.sky.now, self.lived.days, self.sky
        for part, skew_s in ((0.2, DAY_S), (0.3, 0.0), (0.45, -DAY_S), (0.55, 0.0)):
            sky.at(begun + part * days * DAY_S, partial(self._jump, skew_s))
        for day in range(round(days)):
            sky.at(begun + (day + 0.15) * DAY_S, self._suspend)
            sky.at(begun + (day + 0.6) * DAY_S, self._sleep)
            sky.at(begun + (day + 0.7) * DAY_S + 1800, self._forget_tokens)
        for part in (0.37, 0.73):
            sky.at(begun + part * days * DAY_S, self._stop)
        sky.at(self.until, self._stop)

    def _jump(self, skew_s: float) -> None:
        """Set the program's clock; the ``Date`` of the API's answers shows that it is wrong."""
        self.sky.skew_s = skew_s
        self.lived.jumps += 1
        self.sandbox.faults.rules.clear()
        if skew_s:
            for operation in ("tasks", "captures"):
                self.sandbox.faults.add(operation, "skewed_date", attempts=None, seconds=-skew_s)

    def _forget_tokens(self) -> None:
        self.sandbox.desk.expire_access()
        self.lived.refused += 1

    def _stop(self) -> None:
        if self.backfill is not None:
            self.backfill.stop("SIGTERM")

    def _suspend(self) -> None:
        """Stop the process: it finds every deadline and every lease over."""

        def blow() -> None:
            self.sky.move(SUSPENDED_S)
            self._cut()
            self.lived.suspended += 1

        self.blows.append(blow)

    def _sleep(self) -> None:
        """Let the machine sleep: the clock of the program's deadlines stands still."""

        def blow() -> None:
            self.sky.move(SUSPENDED_S, loop_too=False)
            self._cut()
            self.lived.slept += 1

        self.blows.append(blow)

    def _cut(self) -> None:
        """Connections that were silent for hours are gone."""
        for runner in self.sandbox._runners:
            for connection in list(runner.server.connections) if runner.server else []:
                if connection.transport is not None:
                    connection.transport.abort()

    def hear(self, event: Event) -> None:
        if isinstance(event, RecordingStarted) and self.blows:
            self.blows.pop(0)()
        if isinstance(event, RecordingFailed):
            self.lived.failures.append(f"{self.sky.now - MIDDLE:+.0f} s: {event.reason}")

    def rest(self) -> None:
        """Look at the process between two rounds; what the sandbox holds in it is part of that."""
        self.rested = len(list(Path("/proc/self/fd").iterdir())), len(asyncio.all_tasks())

    def _read_log(self) -> None:
        """Count what was asked since the last time."""
        lived = self.lived
        for entry in reversed(self.sandbox.log.entries):
            if entry.number <= self.read:
                break
            match entry.operation:
                case "token":
                    lived.token_requests[entry.status] += 1
                case "media.get":
                    lived.expired += entry.status == 403
                case "captures":
                    lived.asked.update(entry.key.split(","))
                case "s3.PutObject" | "s3.CompleteMultipartUpload" if entry.status == 200:
                    lived.puts[entry.key] += 1
        self.read = self.sandbox.log.total

    def look(self, summary: Summary) -> None:
        """Note how the process is after a round."""
        lived = self.lived
        self._read_log()
        lived.codes[summary.exit_code] += 1
        begun = self.until - lived.days * DAY_S
        lived.rounds.append(
            Day(
                at_s=self.sky.now - begun,
                stored=len(self.sandbox.store.objects),
                owed=summary.counts.owed,
                refreshes=self.sandbox.desk.refreshes,
                expired=lived.expired,
                descriptors=self.rested[0],
                tasks=self.rested[1],
            )
        )


def options(sky: Sky, folder: Path, days: float) -> Options:
    organisation = Organisation(
        0, 5, days=days, now=sky.now, seconds=(0.05, 0.2), large_every=1000, large_mib=(5.5, 6), odd_names=False
    )
    return Options(
        organisation=organisation,
        folder=folder / "bucket",
        clock=sky.world,
        s3_clock=time.time,
        requests_per_minute=0,
        token_expires_in=TOKEN_LIVES_S,
        refresh_expires_in=REFRESH_LIVES_S,
        rotation="old_revoked",
    )


async def live(days: float, an_hour: float, folder: Path, told: Callable[[Day], None]) -> Lived:
    """Let the days pass."""
    sky, lived = Sky(MIDDLE - days * DAY_S / 2), Lived(days, an_hour)
    until = sky.now + days * DAY_S
    sandbox = Sandbox(options(sky, folder, days))
    sandbox._presigner = StalePresigner(sandbox._presigner)
    async with sandbox:
        world = World(sky, sandbox, lived, until)
        config = sandbox.write_config(
            folder,
            backfill={"concurrency": 8},
            follow={"poll_minutes": POLL_MINUTES},
            s3={"part_size_mib": 5},
        )
        sky.resting = world.rest
        world.calls_come()
        world.things_happen()
        while sky.now < until:
            await _one_life(world, config, told)
        await _collect(world, folder)
    return lived


async def _one_life(world: World, config: Path, told: Callable[[Day], None]) -> None:
    """Follow until the process is ended."""
    sandbox, sky = world.sandbox, world.sky

    def on_round(summary: Summary) -> None:
        world.look(summary)
        told(world.lived.rounds[-1])

    session = aioboto3.Session(
        aws_access_key_id=sandbox.access_key, aws_secret_access_key=sandbox.secret_key, region_name=sandbox.region
    )
    settings = load_config(config)
    world.lived.starts += 1
    async with Backfill(
        settings, on_event=world.hear, s3_session=session, clock=sky.program, pause=sky.pause
    ) as world.backfill:
        await world.backfill.follow(on_round=on_round)
    world.backfill = None


async def _collect(world: World, folder: Path) -> None:
    lived, sandbox, sky = world.lived, world.sandbox, world.sky
    lived.differences = await sandbox.differences()
    lived.refreshes = sandbox.desk.refreshes
    lived.uploads = len(sandbox.uploads())
    lived.naps = sky.naps, sky.shortest_s, sky.longest_s
    for path in (folder / "wxrec.db", folder / "wxrec.db-wal"):
        if path.exists() and (kinds := found_in(path.read_bytes().decode("utf-8", "replace"))):
            lived.leaks.append(f"{path.name}: {', '.join(kinds)}")


def run(days: float, an_hour: float, told: Callable[[Day], None] = lambda _: None) -> Lived:
    """Let so many days pass, with so many calls in each hour; ``told`` hears of every round."""
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        return anyio.run(live, days, an_hour, Path(name), told, backend_options={"loop_factory": SkyLoop})


def judge(lived: Lived) -> Judgement:
    """Say of everything whether it is as it must be."""
    verdict = Judgement()
    _judge_recordings(lived, verdict)
    _judge_edges(lived, verdict)
    _judge_calm(lived, verdict)
    return verdict


def _judge_recordings(lived: Lived, verdict: Judgement) -> None:
    verdict.note("calls", lived.calls)
    verdict.hold("lost, doubled or other bytes", len(lived.differences), "==", 0)
    verdict.hold("recordings stored", lived.rounds[-1].stored, "==", lived.calls)
    verdict.hold("recordings that failed on the way", len(lived.failures), "==", 0)
    verdict.hold("owed in the end", lived.rounds[-1].owed, "==", 0)
    verdict.hold("most writes of one object", max(lived.puts.values(), default=0), "==", 1)
    verdict.hold("uploads left open", lived.uploads, "==", 0)
    verdict.hold("secrets in the ledger", len(lived.leaks), "==", 0)


def _judge_edges(lived: Lived, verdict: Judgement) -> None:
    wanted = round(lived.days)
    # A few are renewed unsent: the program, stopped for hours, finds by its own clock that they have ended.
    verdict.hold("signed URLs expired", lived.expired, ">=", int(0.9 * STALE * lived.calls))
    verdict.hold("tokens renewed", lived.refreshes, ">=", int(REFRESHES / FULL_DAYS * lived.days))
    if lived.days >= FULL_DAYS:
        verdict.hold("signed URLs expired in all", lived.expired, ">=", LEASES)
    verdict.hold("clock jumps", lived.jumps, "==", 4)
    verdict.hold("stopped for two hours", lived.suspended, ">=", wanted)
    verdict.hold("machine asleep for two hours", lived.slept, ">=", wanted)
    verdict.hold("starts of the program", lived.starts, ">=", 3)
    verdict.hold("rounds that refused a wrong clock", lived.codes[3], ">=", wanted)
    verdict.hold("rounds", len(lived.rounds), ">=", wanted * 25)


def _judge_calm(lived: Lived, verdict: Judgement) -> None:
    unasked = lived.jumps + lived.suspended + lived.slept + lived.refused + lived.starts
    verdict.hold("token requests", sum(lived.token_requests.values()), "<=", len(lived.rounds) + 2 * unasked)
    verdict.hold("token requests refused", sum(n for s, n in lived.token_requests.items() if s != 200), "==", 0)
    # A round that refuses the clock keeps no answer, so what was due is due again in the next.
    asked = MOST_ASKED + lived.codes[3]
    verdict.hold("most questions for one task", max(lived.asked.values(), default=0), "<=", asked)
    verdict.hold("shortest nap, s", lived.naps[1], ">", 0)
    verdict.hold("longest nap, s", lived.naps[2], "<=", 30)
    # Connections are kept as long as the time of this machine says, so a few are open between two virtual rounds.
    for name in ("descriptors", "tasks"):
        first, last = curve.peaks(lived.rounds, name)
        verdict.note(f"most {name} at rest, first third", first)
        verdict.hold(f"most {name} at rest, last third", last, "<=", first * 1.25 + 4)
    verdict.note("exit codes of rounds", " ".join(f"{code}x{n}" for code, n in sorted(lived.codes.items())))
