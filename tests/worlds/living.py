"""One world from its first command to its verdict."""

from __future__ import annotations

import random
import resource
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.worlds import commands, judge, wire
from tests.worlds.clock import SKY
from tests.worlds.commands import Said
from tests.worlds.doors import Doors
from tests.worlds.grammar import Draft
from tests.worlds.judge import Broken, Scales
from tests.worlds.setting import set_up
from tests.worlds.wire import Answer, Request, now_ms

TO_HELP_S = 26 * 3600.0
HEALING = (
    (TO_HELP_S, "run"), (5.0, "reconcile"), (5.0, "verify --mark"), (2 * 3600.0, "run --scheduled"),
    (25 * 3600.0, "run"), (5.0, "reconcile"),
)  # fmt: skip
MOST_MORE_MIB = 300


@dataclass(slots=True)
class Verdict:
    """What came of a world."""

    seed: int
    chosen: list[str]
    kinds: list[str]
    numbers: list[int]
    commands: list[str] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    virtual_s: float = 0.0
    told: str = ""

    @property
    def invariants(self) -> set[str]:
        return {each.invariant for each in self.broken}

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class _Switchboard:
    """The one server of the process, in front of whichever world is lived."""

    doors: Doors | None = None

    def serve(self, request: Request) -> Answer:
        if self.doors is None:
            raise RuntimeError("no world is under way")
        return self.doors.serve(request)


_BOARD = _Switchboard()
_INSTALLED: list[bool] = []


def live(draft: Draft, certificates: Path, *, loud: bool = False) -> Verdict:
    """Let a world happen, and judge it after each command and at its end."""
    setting = set_up(draft)
    doors = Doors(setting, draft.choices)
    scales = Scales(setting.truth, has_search=setting.webex.ways.has_search)
    verdict = Verdict(
        draft.seed, [each.words for each in draft.choices], [each.kind for each in draft.choices],
        [each.number for each in draft.choices],
    )  # fmt: skip
    with _under_way(draft.seed, doors) as folder:
        SKY.now, SKY.skew_s = setting.now_ms / 1000, setting.skew_s
        commands.prepare(folder, setting.config, certificates)
        commands.write_tokens(folder, setting.webex.new_token(), SKY.now + setting.token_life_s)
        begun = SKY.now
        for said in _lived(doors, scales, folder):
            verdict.commands.append(f"{said.command} -> {said.code} ({said.seconds:.0f} s)")
            verdict.broken += scales.after(said, setting.bucket.objects, now_ms())
            verdict.broken += [Broken("leak", said.command, each) for each in _leaks(said, folder, doors)]
            verdict.told += f"{said.out}{said.err}" if loud else ""
            if verdict.broken:
                break
        else:
            verdict.broken += scales.at_last(said, setting.bucket.objects, now_ms())
        verdict.virtual_s = SKY.now - begun
    verdict.trace = doors.trace
    return verdict


def _lived(doors: Doors, scales: Scales, folder: Path) -> Iterator[Said]:
    """Carry out the commands of both phases; healing ends as soon as there is nothing left to heal."""
    setting = doors.setting
    for command, gap_s in zip(setting.commands, setting.gaps_s, strict=True):
        yield _one(doors, folder, command)
        SKY.now += gap_s
    doors.helpful, SKY.skew_s = True, 0.0
    done: list[Said] = []
    for gap_s, command in HEALING:
        SKY.now += gap_s
        said = _one(doors, folder, command)
        done.append(said)
        yield said
        well = command == "reconcile" and all(each.code == 0 for each in done)
        if well and not scales.at_last(said, setting.bucket.objects, now_ms()):
            return


def _one(doors: Doors, folder: Path, command: str) -> Said:
    doors.begin()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = replace(commands.call(folder, command), doors=frozenset(doors.met), unhelpful=not doors.helpful)
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    return replace(said, code=commands.HANGS) if more > MOST_MORE_MIB else said


def _leaks(said: Said, folder: Path, doors: Doors) -> Iterator[str]:
    texts = [("stdout", said.out), ("stderr", said.err), *judge.kept_texts(folder, doors.setting.bucket.objects)]
    return judge.leaks(texts)


@contextmanager
def _under_way(seed: int, doors: Doors) -> Iterator[Path]:
    if not _INSTALLED:
        wire.install(_BOARD.serve)
        _INSTALLED.append(True)
    random.seed(seed)
    names = random.Random(f"names {seed}")
    before, uuid.uuid4 = uuid.uuid4, lambda: uuid.UUID(int=names.getrandbits(128), version=4)
    _BOARD.doors, SKY.active = doors, True
    memory = Path("/dev/shm")
    try:
        with tempfile.TemporaryDirectory(prefix="world-", dir=memory if memory.is_dir() else None) as name:
            yield Path(name)
    finally:
        _BOARD.doors, SKY.active, uuid.uuid4 = None, False, before
