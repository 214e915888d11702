"""From a world that breaks an invariant to the smallest one that still does."""

from __future__ import annotations

from collections.abc import Callable

from tests.worlds.grammar import Draft
from tests.worlds.living import Verdict

Live = Callable[[Draft], Verdict]


def shrink(draft: Draft, verdict: Verdict, live: Live) -> Verdict:
    """Take choices out, one after the other, as long as one of the broken invariants stays broken."""
    wanted = verdict.invariants
    kept = frozenset(verdict.numbers)
    for number in sorted(kept):
        smaller = kept - {number}
        tried = live(draft.only(smaller))
        if tried.invariants & wanted:
            kept, verdict = smaller, tried
    return verdict


def signature(verdict: Verdict) -> str:
    """Name what a shrunk world shows: what was chosen, and what broke first."""
    return " + ".join(sorted(verdict.kinds)) + " => " + (verdict.broken[0].invariant if verdict.broken else "nothing")
