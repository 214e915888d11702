"""Which process renews the token, when the only thing all of them share is one secret.

Secrets Manager has no lock and no conditional write.  But it takes the id of a
new version from who makes it (``ClientRequestToken``), and never takes one id
for two different contents.  So whoever is to renew the token of version ``V``
first makes a version whose id follows from ``V`` and a number: one succeeds,
and all others find out.  That version is the lease.  It says who holds it and
for how long, never a token, and bears a staging label of its own, so that
AWSCURRENT and AWSPREVIOUS stay what they were.

A lease needs no release: the renewed token is another version, for which there
is no lease yet.  A holder that was killed keeps the others waiting until its
lease ends by AWS's own clock; then they go for the next number.  Each number
lasts longer than the one before, so that not even an outage of many hours
writes more often than the once in ten minutes that AWS advises.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Protocol

import anyio

from wxrec_async.rules.tokens import read_number, read_text

STAGE = "wxrec-async-lease"
FIRST_S = 120.0
LONGEST_S = 600.0
ROOM = 0.75  # of the first lease: a request to Webex (30 s) and storing what it answers (60 s) still fit
CLOCK_GRAIN_S = 1.0  # AWS tells its time in whole seconds
# Enough to get past numbers that were used before AWSCURRENT was moved back by hand.
TRIES = 20

_NAMESPACE = uuid.UUID("6f0f2d0c-6c7b-5b0e-9a55-0d6a2b6f3f61")


@dataclass(frozen=True, slots=True)
class RenewalLease:
    """The right of ``holder`` to renew the token of version ``of``, for ``lasts_s`` seconds."""

    of: str
    number: int
    holder: str
    lasts_s: float

    @property
    def version_id(self) -> str:
        """The id of the version that is this lease: the same for everybody who goes for it."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.of}/{self.number}"))

    def text(self) -> str:
        """Return what the version holds; no secret, and never twice the same: that would count as made again."""
        return json.dumps({"wxrec_async_lease": {**asdict(self), "made": str(uuid.uuid4())}})


@dataclass(frozen=True, slots=True)
class StagedVersion:
    """The version that bears `STAGE`: its text, and how old it is by the server's clock, if the server told."""

    text: bytes
    age_s: float | None


class LeaseBackend(Protocol):
    """The two things a lease asks of a secret; both raise our errors."""

    async def labelled(self) -> StagedVersion | None:
        """Return the version that bears `STAGE`."""

    async def make(self, lease: RenewalLease) -> bool:
        """Make the version and move `STAGE` to it; do nothing and return False when its id is taken."""


class Leases:
    """One process's dealings with the leases of one secret.

    ``first_s`` is how long the first lease on a version lasts, each further one twice as long.
    """

    def __init__(self, first_s: float = FIRST_S, clock: Callable[[], float] = anyio.current_time) -> None:
        self._first_s, self._clock = min(first_s, LONGEST_S), clock
        self._holder = str(uuid.uuid4())
        self._began: tuple[str, float] = "", 0.0
        self._seen: tuple[str, float] = "", 0.0

    async def take(self, shelf: LeaseBackend, of: str) -> RenewalLease | None:
        """Return our lease on version ``of``, with room for a renewal; None while another process holds it.

        The label says who was first, not whether a version could be made.
        """
        tried, made = 0, False
        for _ in range(TRIES):
            found, age_s = await self._labelled(shelf)
            if found is not None and found.of == of:
                if self._good(found):
                    return found
                # One of our own that has no room left is not waited for: nobody else acts on it.
                if found.holder != self._holder and age_s <= found.lasts_s:
                    return None
                # Over: the next number is free for everybody, and one of us will be first.
                tried = max(tried, found.number)
            if made:
                return None  # made, and not to be seen yet: the next look will tell
            # A number that is taken without the label on it: AWSCURRENT was moved back by hand.
            tried += 1
            made = await self._make(shelf, RenewalLease(of, tried, self._holder, self._lasts_s(tried)))
        return None

    def _good(self, lease: RenewalLease) -> bool:
        """Say whether the lease is ours and a renewal begun now would end within it."""
        version_id, began = self._began
        if lease.holder != self._holder or lease.version_id != version_id:
            return False
        return self._clock() - began <= lease.lasts_s - ROOM * self._first_s

    async def _labelled(self, shelf: LeaseBackend) -> tuple[RenewalLease | None, float]:
        """Return the lease and its age: what the server says or what we have seen of it ourselves, if that is more."""
        labelled = await shelf.labelled()
        lease = None if labelled is None else read_lease(labelled.text)
        if labelled is None or lease is None:
            return None, 0.0
        # Where the server does not tell its age, it is at least as old as our first look at it.
        if self._seen[0] != lease.version_id:
            self._seen = lease.version_id, self._clock()
        return lease, max(self._clock() - self._seen[1], (labelled.age_s or 0.0) - CLOCK_GRAIN_S)

    async def _make(self, shelf: LeaseBackend, lease: RenewalLease) -> bool:
        if self._began[0] != lease.version_id:
            self._began = lease.version_id, self._clock()  # before it is made: never too late
        return await shelf.make(lease)

    def _lasts_s(self, number: int) -> float:
        # The inner bound only keeps the power from overflowing.
        return float(min(self._first_s * 2 ** min(number - 1, 10), LONGEST_S))


def read_lease(text: bytes) -> RenewalLease | None:
    """Read a lease; None when the label lies on something else."""
    try:
        facts = json.loads(text)["wxrec_async_lease"]
        number, lasts_s = read_number(facts["number"]), read_number(facts["lasts_s"])
        lease = RenewalLease(read_text(facts["of"]), int(number or 0), read_text(facts["holder"]), lasts_s or 0.0)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return lease if lease.number > 0 and 0 < lease.lasts_s <= LONGEST_S else None
