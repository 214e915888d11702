"""A campaign: thousands of faults of every kind, and recordings whose fate is settled beforehand.

Every choice is a pure function of (seed, operation, key, attempt).  A captures
request asks for up to ten tasks, and which ten depends on who asks when; so it
has one key for each task, with attempts counted for each, and a seed replays
whatever the interleaving.
"""

from __future__ import annotations

import hashlib
from bisect import bisect
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from wxrec_async.sandbox.fault_kinds import ENTRIES, ON_RANGES, Fault, check_kind

# With these the request still succeeds.
GENTLE = frozenset({"pause", "skewed_date", "foreign_entry"})
# Two of them in a row are more than two faults: a token that is refused again ends the run.
TOKENS = frozenset({"token_401", "token_403", "token_400", "expire_token"})


@dataclass(frozen=True, slots=True)
class Line:
    """A fault that may happen to an operation: ``weight`` against the others, on ``attempts`` only (None: on any)."""

    fault: Fault
    weight: float = 1.0
    attempts: tuple[int, ...] | None = None

    def fits(self, attempt: int, *, ranged: bool) -> bool:
        in_time = self.attempts is None or attempt in self.attempts
        return in_time and (ranged or self.fault.kind not in ON_RANGES)


@dataclass(frozen=True, slots=True)
class KeyFate:
    """What happens to one key, on ``attempts`` (None: on every one)."""

    fault: Fault
    attempts: tuple[int, ...] | None = None


@dataclass(slots=True)
class Campaign:
    """The plan of a campaign.

    ``rates`` holds per operation the share of requests that go wrong on the
    first, second … attempt; behind the last figure nothing does, unless
    ``endless``, when the last one stays.  ``menu`` says what, ``fates`` what is
    settled for one key, which goes first.  ``hits`` counts the faults by
    operation and words.
    """

    seed: int
    rates: Mapping[str, Sequence[float]] = field(default_factory=dict)
    menu: Mapping[str, Sequence[Line]] = field(default_factory=dict)
    fates: Mapping[tuple[str, str], Sequence[KeyFate]] = field(default_factory=dict)
    endless: bool = False
    hits: Counter[tuple[str, str]] = field(default_factory=Counter)
    _attempts: Counter[tuple[str, str]] = field(default_factory=Counter)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Campaign:
        """Read a plan from JSON; raises ValueError, TypeError or KeyError when it is none.

        ``{"seed", "rates": {operation: [share, …]}, "endless", "menu": {operation: [{"kind", "weight", "attempts",
        parameters …}]}, "fates": [{"operation", "key", "kind", "attempts", parameters …}]}``
        """
        menu = {operation: [_line(operation, row) for row in rows] for operation, rows in given["menu"].items()}
        fates: dict[tuple[str, str], list[KeyFate]] = {}
        for row in given.get("fates", ()):
            place = (str(row["operation"]), str(row["key"]))
            fates.setdefault(place, []).append(KeyFate(_fault(place[0], row), _attempts_of(row)))
        return cls(int(given["seed"]), dict(given["rates"]), menu, fates, bool(given.get("endless")))

    def decide(self, operation: str, key: str, *, ranged: bool) -> Fault | None:
        """Count one more attempt and return what goes wrong with it, if anything."""
        if operation == "captures":
            return self._of_batch(key.split(","))
        return self._hit(operation, self._drawn(operation, key, self._count(operation, key), ranged=ranged))

    def unhit(self) -> list[str]:
        """Return what the plan names and never happened."""
        named = {(operation, str(line.fault)) for operation, lines in self.menu.items() for line in lines}
        named |= {(operation, str(fate.fault)) for (operation, _), fates in self.fates.items() for fate in fates}
        return [" ".join(each) for each in sorted(named - set(self.hits))]

    def _of_batch(self, keys: Sequence[str]) -> Fault | None:
        """One fault of the whole request, or else what happens to the tasks in it.

        A task whose fault has to wait for another one's keeps its attempt, and is next.
        """
        drawn = {key: self._drawn("captures", key, self._attempts["captures", key] + 1, ranged=False) for key in keys}
        found = {key: fault for key, fault in drawn.items() if fault is not None}
        whole = _whole(found.values())
        # Only now: whether an attempt is used up depends on which of the faults is played.
        for key in keys:
            self._attempts["captures", key] += _is_over(drawn[key], whole)
        if whole is not None or not found:
            return self._hit("captures", whole)
        shown = {key: fault for key, fault in found.items() if fault.kind in ENTRIES}
        for fault in shown.values():
            self._hit("captures", fault)
        return Fault("per_entry", {"entries": shown})

    def _hit(self, operation: str, fault: Fault | None) -> Fault | None:
        if fault is not None:
            self.hits[operation, str(fault)] += 1
        return fault

    def _count(self, operation: str, key: str) -> int:
        self._attempts[operation, key] += 1
        return self._attempts[operation, key]

    def _drawn(self, operation: str, key: str, attempt: int, *, ranged: bool) -> Fault | None:
        for fate in self.fates.get((operation, key), ()):
            if fate.attempts is None or attempt in fate.attempts:
                return fate.fault
        digest = hashlib.blake2b(f"{self.seed}|{operation}|{key}|{attempt}".encode(), digest_size=16).digest()
        # One half of the digest says whether, the other one what, so that neither leans on the other.
        if _unit(digest[:8]) >= self._rate(operation, attempt):
            return None
        lines = [line for line in self.menu.get(operation, ()) if line.fits(attempt, ranged=ranged)]
        if not lines:
            return None
        sums = list(accumulate(line.weight for line in lines))
        # min: the product of two floats may round up to the last sum.
        return lines[min(bisect(sums, _unit(digest[8:]) * sums[-1]), len(lines) - 1)].fault

    def _rate(self, operation: str, attempt: int) -> float:
        rates = self.rates.get(operation, ())
        if attempt <= len(rates):
            return rates[attempt - 1]
        return rates[-1] if rates and self.endless else 0.0


def _whole(found: Collection[Fault]) -> Fault | None:
    """Choose what happens to the request: what spoils it, else what only its entries show, else what harms nothing."""
    whole = [fault for fault in found if fault.kind not in ENTRIES]
    # Three cases.  Something spoils the answer: that is played, and entries wait.  Nothing does, but entries are odd:
    # they are shown, and what is gentle waits.  All is gentle: the first of them.
    spoils = next((fault for fault in whole if fault.kind not in GENTLE), None)
    if spoils is not None or len(whole) < len(found):
        return spoils
    return whole[0] if whole else None


def _is_over(fault: Fault | None, played: Fault | None) -> bool:
    """Whether a task's attempt is used up.  A second refusal of a token in a row would be another fault altogether."""
    # What was not played waits with its attempt, but for two: an entry's fault, when entries were shown, and a token's
    # beside another token's, which would follow it at once.
    if fault is None or fault is played:
        return True
    if played is None:
        return fault.kind in ENTRIES
    return fault.kind in TOKENS and played.kind in TOKENS


def _unit(digest: bytes) -> float:
    return int.from_bytes(digest, "big") / 2**64


def _fault(operation: str, row: Mapping[str, Any]) -> Fault:
    check_kind(str(row["kind"]), operation)
    known = ("operation", "key", "kind", "weight", "attempts")
    return Fault(row["kind"], {name: value for name, value in row.items() if name not in known})


def _line(operation: str, row: Mapping[str, Any]) -> Line:
    return Line(_fault(operation, row), float(row.get("weight", 1.0)), _attempts_of(row))


def _attempts_of(row: Mapping[str, Any]) -> tuple[int, ...] | None:
    given: Iterable[int] | None = row.get("attempts")
    return None if given is None else tuple(given)
