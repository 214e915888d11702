"""The judge: holds what was said against what is so.  It imports nothing of the program.

It knows the truth and sees the bucket as it lies there; of the program it takes
exit codes, the lines of ``--json``, what it printed and what it keeps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.worlds.bucket import Held
from tests.worlds.commands import CRASHED, HANGS, Said
from tests.worlds.truth import DAY_MS, DAY_ONE_MS, Call, Recording, Truth

EXIT_OK, EXIT_ERROR, EXIT_FAILED, EXIT_OWED = 0, 1, 3, 5
CANARY = re.compile(r"CANARY-(?:AT|RT|CS|SIG|SK)|(?:\+|\b)1555010\d{3}", re.IGNORECASE)
MAY_HOLD = re.compile(r"CANARY|canary|1555010")  # quick: most texts hold nothing of the kind
SIDECAR = re.compile(r"metadata(-\d+)?\.json$")
SETTLE_MS = 2 * 3_600_000


@dataclass(frozen=True, slots=True)
class Broken:
    """An invariant that does not hold: its name, after which command, and of what."""

    invariant: str
    after: str
    what: str

    @property
    def words(self) -> str:
        return f"{self.invariant} after `{self.after}`: {self.what}"


@dataclass(slots=True)
class Scales:
    """What the judge remembers of a world: who was named as missing, and what was reported as a conflict."""

    truth: Truth
    named: set[str] = field(default_factory=set)
    conflicts: set[str] = field(default_factory=set)
    unlisted: list[tuple[int, int]] = field(default_factory=list)
    certificates: set[str] = field(default_factory=set)
    has_search: bool = True

    def after(self, said: Said, objects: Mapping[str, Held], now_ms: int) -> list[Broken]:
        """Judge a command that has just ended."""
        self._hear(said)
        found = [*self._ending(said), *self._objects(said, objects), *self._certificates(said, objects, now_ms)]
        missing = [each for each in self._owed_by(said, now_ms) if not is_there(each, objects)]
        if said.code == EXIT_OK:
            found += [Broken("exit 0, not in the bucket", said.command, _name(each)) for each in missing]
        elif said.code in (EXIT_FAILED, EXIT_OWED) and said.command.startswith("run") and not said.summary.get("error"):
            found += [
                Broken("missing, not named", said.command, _name(each)) for each in missing if not self._is_named(each)
            ]
        return found

    def at_last(self, said: Said, objects: Mapping[str, Held], now_ms: int) -> list[Broken]:
        """Judge the end, after a world that helped: all is well but for what was reported as a conflict."""
        wanted = [each for call in self._knowable() for each in call.recordings]
        missing = [each for each in wanted if not is_there(each, objects) and not self._in_conflict(each)]
        found = [Broken("not healed", said.command, _name(each)) for each in missing]
        if said.code != EXIT_OK and not self.conflicts and not missing:
            found.append(Broken("not healed", said.command, f"exit {said.code}"))
        if not self.conflicts and not missing and said.command == "reconcile":
            days = {_day(key, held) for key, held in objects.items() if "/certificates/" in key}
            whole = range(DAY_ONE_MS // DAY_MS, (now_ms - SETTLE_MS) // DAY_MS)
            found += [
                Broken("not healed", said.command, "a day without a certificate") for day in whole if day not in days
            ]
        return found

    def _hear(self, said: Said) -> None:
        for record in said.records:
            ids = {str(record.get(name) or "").lower() for name in ("task_id", "recording_id")} - {""}
            self.named |= ids
            if "conflict" in str(record.get("reason", "")):
                self.conflicts |= ids
            if record.get("event") == "window_incomplete":
                self.unlisted.append((_ms(record["from"]), _ms(record["to"])))

    def _is_named(self, recording: Recording) -> bool:
        call = self.truth.call(recording.call_id)
        created = call.created_ms if call else 0
        return bool({recording.id, recording.call_id} & self.named) or any(a <= created < b for a, b in self.unlisted)

    def _in_conflict(self, recording: Recording) -> bool:
        return bool({recording.id, recording.call_id} & self.conflicts)

    def _knowable(self) -> list[Call]:
        return [call for call in self.truth.calls if call.listed or self.has_search]

    def _owed_by(self, said: Said, now_ms: int) -> Iterator[Recording]:
        """Return the recordings that a command answers for: those of which the lists it read had the calls."""
        for call in self.truth.calls:
            if max(call.created_ms, call.appears_ms) > now_ms - round(said.seconds * 1000):
                continue
            if not self._answers_for(said, call):
                continue
            yield from call.recordings

    def _answers_for(self, said: Said, call: Call) -> bool:
        """A closed window is not listed again by a plain run, and only reconcile asks Search."""
        if said.command == "reconcile":
            return call.listed or (self.has_search and "search" not in said.doors)
        if said.command == "run --scheduled":
            return call.listed
        return said.command == "run" and call.listed and not call.late

    def _ending(self, said: Said) -> Iterator[Broken]:
        if said.code in (CRASHED, EXIT_ERROR):
            yield Broken("crashed", said.command, f"exit {said.code}")
        if said.code == HANGS:
            yield Broken("does not end", said.command, f"{said.seconds:.0f} s")

    def _objects(self, said: Said, objects: Mapping[str, Held]) -> Iterator[Broken]:
        """Every object is a recording, whole, and there is one of each, but for what was reported."""
        whole = {body: each for each in self.truth.recordings() for body in each.bodies}
        seen: dict[int, str] = {}
        for key, held in objects.items():
            if "_evidence/" in key or SIDECAR.search(key):
                continue
            recording = whole.get(held.body)
            if any(name and name in key for name in self.conflicts):
                continue
            if recording is None:
                yield Broken("cut or mixed", said.command, f"{_place(self.truth, key)}, {len(held.body)} bytes")
            elif id(recording) in seen:
                yield Broken("stored twice", said.command, _name(recording))
            else:
                seen[id(recording)] = key

    def _certificates(self, said: Said, objects: Mapping[str, Held], now_ms: int) -> Iterator[Broken]:
        """What is certified by now is true now: the day is over, and all its recordings are there."""
        for key, held in objects.items():
            if "/certificates/" not in key or key in self.certificates:
                continue
            self.certificates.add(key)
            day = _day(key, held)
            if (day + 1) * DAY_MS > now_ms:
                yield Broken("certified too early", said.command, f"day {day - DAY_ONE_MS // DAY_MS + 1} was not over")
            for each in self._owed_by(said, now_ms):
                call = self.truth.call(each.call_id)
                if call and call.day == day and not is_there(each, objects) and not self._in_conflict(each):
                    yield Broken("certified, not in the bucket", said.command, _name(each))


def is_there(recording: Recording, objects: Mapping[str, Held]) -> bool:
    """Say whether a version of it lies in the bucket, byte for byte."""
    return any(held.body in recording.bodies for held in objects.values())


def leaks(texts: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Name every text with a secret in it, as it is or as a proxy may write it; never the secret."""
    for name, text in texts:
        if not MAY_HOLD.search(text):
            continue
        plain = unquote(text).replace("\\u002d", "-").replace("\\\\u002d", "-")
        hits = {hit.group()[:9] for hit in CANARY.finditer(text)} | {hit.group()[:9] for hit in CANARY.finditer(plain)}
        if hits:
            yield f"{name}: {', '.join(sorted(hits))}"


def kept_texts(folder: Path, objects: Mapping[str, Held]) -> Iterator[tuple[str, str]]:
    """Return what the program keeps: its ledger, and what it says about objects."""
    for path in sorted(folder.glob("wxrec.db*")):
        yield "the ledger", path.read_bytes().decode("utf-8", "replace")
    for key, held in objects.items():
        yield "metadata of an object", f"{key} {held.headers}"
        if "_evidence/" in key or SIDECAR.search(key):
            yield "evidence", held.body.decode("utf-8", "replace")


def _day(_: str, held: Held) -> int:
    found = re.search(rb'"day":"(\d{4}-\d\d-\d\d)"', held.body)
    return _ms(f"{found[1].decode()}T00:00:00Z") // DAY_MS if found else 0


def _ms(text: Any) -> int:
    return round(datetime.fromisoformat(str(text)).timestamp() * 1000)


def _name(recording: Recording) -> str:
    return f"recording {recording.id[:8]} of call {recording.call_id[:8]}"


def _place(truth: Truth, key: str) -> str:
    call = next((each for each in truth.calls if each.id in key), None)
    return f"object of call {call.id[:8]}" if call else "an object of no call"
