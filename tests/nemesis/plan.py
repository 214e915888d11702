"""What goes wrong in one run, and what must become of every recording and task in the end.

All of it is a function of the seed and the number of recordings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.nemesis.menus import MENU, RATES, TRANSIENT, TRANSIENT_RATE, Row, line
from wxrec_async.sandbox import Organisation, TruthRecording
from wxrec_async.sandbox.fault_kinds import ENTRIES, ON_RANGES, UNDOCUMENTED

DAYS = 7
SECONDS = (0.2, 0.6)
LARGE_MIB = (5.2, 9.0)
PART = 5 << 20
Mode = Literal["all", "transient20", "none"]


@dataclass(frozen=True, slots=True)
class Fate:
    """What a recording meets on every attempt, and where it must end: a state and the reasons that explain it."""

    name: str
    operation: str
    fault: Row
    state: str
    reasons: tuple[str, ...] = ("",)


def _fails(name: str, operation: str, fault: Row, *reasons: str) -> Fate:
    return Fate(name, operation, fault, "failed", reasons)


LASTING = (
    Fate("deleted", "media.get", line("deleted"), "gone"),
    _fails("missing while captures names it", "media.get", line("missing"), "not_found"),
    _fails("html", "media.get", line("html"), "not_media"),
    _fails("xml under 200", "media.get", line("xml", code="AccessDenied"), "access_denied"),
    _fails("empty", "media.get", line("zero_bytes"), "empty"),
    _fails("no audio", "media.get", line("header_only"), "no_audio"),
    _fails("compressed", "media.get", line("gzip", at="end"), "encoded"),
    _fails("cut gzip", "media.get", line("gzip", at="middle"), "encoded"),
    _fails("end not proved", "media.get", line("unframed", at="middle", end="fin"), "unprovable"),
    _fails("byteranges", "media.get", line("byteranges"), "source_changed"),
    _fails("wrong range", "media.get", line("wrong_range"), "source_changed"),
    _fails("redirect elsewhere", "media.get", line("redirect", to="elsewhere"), "redirected"),
    _fails("redirect to a private host", "media.get", line("redirect", to="private", status=307), "redirected"),
    _fails("redirect to plain http", "media.get", line("redirect", to="plain", status=301), "redirected"),
    _fails("redirect loop", "media.get", line("redirect", to="loop", status=308), "redirected"),
    _fails("refused", "media.get", line("refused", code="AccessDenied"), "access_denied"),
    _fails("expires at once", "media.get", line("expired"), "url_keeps_expiring"),
    _fails("http 400", "media.get", line("error", status=400, code="InvalidArgument"), "http_400"),
    _fails("no URL", "captures", line("no_url"), "no_url"),
    _fails("private URL", "captures", line("bad_url", url="http://169.254.169.254/x.wav"), "bad_url"),
    _fails("URL with a user", "captures", line("bad_url", url="https://me@media.amazonaws.com/x.wav"), "bad_url"),
    _fails("unknown CA", "captures", line("certificate", which="unknown"), "tls_untrusted"),
    _fails("expired certificate", "captures", line("certificate", which="expired"), "tls_untrusted"),
    _fails("certificate of another name", "captures", line("certificate", which="wrong_name"), "tls_untrusted"),
    _fails("poisonous id", "captures", line("error", status=400), "http_400"),
    _fails("every put mangled", "s3.PutObject", line("flip_bit"), "corrupting_path"),
    _fails("put denied", "s3.PutObject", line("access_denied"), "s3_AccessDenied"),
)
PURGED = Fate("purged", "", {}, "owed", ("capture_awaited",))
TAKEN = _fails("key taken by other bytes", "", {}, "conflict")
THERE = Fate("there already", "", {}, "stored")
PAUSE_S = "3"
SMALLEST_WHOLE = 500  # below, only some of the fates are dealt, and nothing that takes the program a minute
FEW = 8


@dataclass(slots=True)
class Plan:
    """A run's plan.

    ``expected`` names by recording id what does not simply end as stored.
    ``stops`` is how often the program must end early, to be started again;
    ``expiries`` how often all tokens die at once.
    """

    seed: int
    tasks: int
    large_every: int
    mode: Mode
    campaign: dict[str, Any]
    expected: dict[str, Fate] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    purged: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    stops: int = 0
    expiries: int = 0
    whole: bool = False

    def organisation(self) -> Organisation:
        return organisation(self.seed, self.tasks, self.large_every)


def organisation(seed: int, tasks: int, large_every: int) -> Organisation:
    """Return the organisation of a run; plan and server make the same one."""
    return Organisation(
        tasks,
        seed,
        days=DAYS,
        seconds=SECONDS,
        large=bool(large_every),
        large_mib=(5.2, 9),
        large_every=large_every or 1,
    )


def make(seed: int, recordings: int, mode: Mode = "all", large_every: int = 50) -> Plan:
    """Plan a run of at least so many recordings."""
    tasks = round(recordings / 0.9) + 1
    while len((world := organisation(seed, tasks, large_every)).truth()) < recordings:
        tasks += max(1, recordings // 50)
    campaign = _campaign(seed, mode)
    plan = Plan(seed, tasks, large_every, mode, campaign)
    if mode == "all":
        plan.whole = recordings >= SMALLEST_WHOLE
        _Fateful(plan, world, recordings).settle()
    return plan


def _campaign(seed: int, mode: Mode) -> dict[str, Any]:
    if mode == "none":
        return {"seed": seed, "rates": {}, "menu": {}, "fates": []}
    if mode == "transient20":
        rates = {operation: [TRANSIENT_RATE] for operation in TRANSIENT}
        rates["captures"] = [1 - (1 - TRANSIENT_RATE) ** 0.1]  # a request asks for ten tasks
        return {"seed": seed, "rates": rates, "menu": TRANSIENT, "fates": [], "endless": True}
    return {"seed": seed, "rates": RATES, "menu": MENU, "fates": []}


class _Fateful:
    """Deals fates out, no recording two of them, in an order of its own drawn from the seed."""

    def __init__(self, plan: Plan, world: Organisation, recordings: int) -> None:
        self._plan, self._whole = plan, recordings >= SMALLEST_WHOLE
        self._each = max(1, recordings // 1000)
        alone = {task.id for task in world.tasks if task.recordings == 1}
        truth = [item for item in world.truth() if item.task_id in alone]
        self._by_time = [item for item in truth if item.size < PART]
        self._large = [item for item in truth if item.size >= PART]
        self._drawn = sorted(self._by_time, key=lambda item: _mark(plan.seed, item.recording_id))
        self._dealt: set[str] = set()

    def settle(self) -> None:
        if self._whole:
            self._stalls()
        self._moments()
        lasting = [*LASTING, PURGED, TAKEN, THERE]
        if not self._whole:
            lasting = sorted(lasting, key=lambda fate: _mark(self._plan.seed, fate.name))[:FEW]
        for fate in lasting:
            for item in self._take(self._each):
                self._expect(item, fate)
        if self._large:
            self._restarted_upload(self._large[0])
        if self._whole:
            self._every_line()

    def _take(self, count: int) -> Iterator[TruthRecording]:
        """Draw recordings nobody has a plan for."""
        free = (item for item in self._drawn if item.recording_id not in self._dealt)
        for _, item in zip(range(count), free, strict=False):
            self._dealt.add(item.recording_id)
            yield item

    def _near(self, share: float) -> TruthRecording:
        """Take the next free recording after a share of the period has passed."""
        begin = int(share * len(self._by_time))
        after = (item for item in self._by_time[begin:] if item.recording_id not in self._dealt)
        item = next(after)
        self._dealt.add(item.recording_id)
        return item

    def _expect(self, item: TruthRecording, fate: Fate) -> None:
        self._plan.expected[item.recording_id] = fate
        match fate:
            case Fate(name="purged"):
                self._plan.purged.append(item.task_id)
            case Fate(name="deleted"):
                self._plan.deleted.append(item.task_id)
                self._fate(item, fate.operation, fate.fault)
            case Fate(name="there already"):
                self._plan.there.append(item.key)
            case Fate(operation=""):
                self._plan.taken.append(item.key)
            case _:
                self._fate(item, fate.operation, fate.fault)

    def _fate(self, item: TruthRecording, operation: str, fault: Row, *attempts: int) -> None:
        names = {"captures": item.task_id, "media.get": item.recording_id}
        row = {**fault, "operation": operation, "key": names.get(operation, item.key), "attempts": attempts or None}
        self._plan.campaign["fates"].append(row)

    def _stalls(self) -> None:
        """Let some stall on either side until the program gives up waiting, after the last time it has to stop."""
        self._fate(self._near(0.78), "media.get", line("stall_body", at="middle", seconds=3600), 1)
        self._fate(self._near(0.78), "s3.PutObject", line("stall_reading", seconds=3600), 1)
        self._fate(self._near(0.78), "media.get", line("stall", seconds=3600), 1)

    def _moments(self) -> None:
        """Spread over the run what concerns everybody: dead tokens, pauses, credentials and a clock gone bad."""
        for share in (0.2, 0.5, 0.8):
            self._plan.expiries += 1
            self._fate(self._near(share), "captures", line("expire_token"), 1)
        for share, kind in ((0.12, "token_401"), (0.37, "token_403"), (0.66, "token_400")):
            self._fate(self._near(share), "captures", line(kind), 1)
        for share in (0.3, 0.6, 0.9):
            self._fate(self._near(share), "captures", line("throttle", retry_after=PAUSE_S, window=True), 1)
        self._fate(self._near(0.7), "captures", line("error", status=503, retry_after=PAUSE_S), 1)
        for share, kind in ((0.4, "expired_token"), (0.75, "clock_skew")):
            self._plan.stops += 1
            self._fate(self._near(share), "s3.PutObject", line(kind), 1)
        for item in self._take(max(2, self._each)):
            self._fate(item, "captures", line("not_ready"), 1)

    def _restarted_upload(self, item: TruthRecording) -> None:
        """A source that changes under a multipart upload, and a part that lands after its abort."""
        self._fate(item, "media.get", line("short_body", at="last"), 1)
        self._fate(item, "media.get", line("changed_etag"), 2)
        self._fate(item, "s3.AbortMultipartUpload", line("part_lands_late"), 1)

    def _every_line(self) -> None:
        """See that every line of the menus happens to somebody, for chance alone leaves some out."""
        for operation in ("media.get", "s3.PutObject", "captures"):
            for fault in (each for each in MENU[operation] if not each["kind"].startswith("token_")):
                for item in self._take(1):
                    ranged = fault["kind"] in ON_RANGES
                    if ranged:
                        self._fate(item, operation, line("short_body", at="middle"), 1)
                    self._fate(item, operation, fault, 2 if ranged else 1)
        large = iter(self._large[1:])
        for operation in ("s3.UploadPart", "s3.CompleteMultipartUpload", "s3.CreateMultipartUpload"):
            for fault, item in zip(MENU[operation], large, strict=False):
                suffix = "#1" if operation == "s3.UploadPart" else ""
                row = {**fault, "operation": operation, "key": item.key + suffix, "attempts": [1]}
                self._plan.campaign["fates"].append(row)


def _mark(seed: int, text: str) -> bytes:
    return hashlib.blake2b(f"fate {seed} {text}".encode(), digest_size=8).digest()


def must_be_hit(plan: Plan, never_hit: Sequence[str]) -> list[str]:
    """Return what the plan promised to happen and did not: every fate, and every line for which one was dealt."""
    dealt = ("media.get ", "s3.PutObject ", "captures ")
    return [words for words in never_hit if words.startswith(dealt)] if plan.whole else []


assert {"not_ready", "no_url", "bad_url", "certificate"} == ENTRIES - UNDOCUMENTED
