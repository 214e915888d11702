"""From a world that breaks an invariant to the smallest one that still does."""

from __future__ import annotations

from collections.abc import Callable

from tests.worlds.grammar import Draft
from tests.worlds.living import Verdict

Live = Callable[[Draft], Verdict]


def shrink(draft: Draft, verdict: Verdict, live: Live) -> Verdict:
    """Leave a single choice if one alone will do, else take them out one by one while what was broken still is."""
    wanted = verdict.invariants
    kept = frozenset(verdict.numbers)
    for number in sorted(kept, reverse=True) if len(kept) > 1 else ():
        tried = live(draft.only(frozenset({number})))
        if tried.invariants & wanted:
            return tried
    for number in sorted(kept) if len(kept) > 2 else ():
        smaller = kept - {number}
        tried = live(draft.only(smaller))
        if tried.invariants & wanted:
            kept, verdict = smaller, tried
    return verdict


def signature(verdict: Verdict) -> str:
    """Name what a shrunk world shows: what was chosen, and what broke first."""
    return " + ".join(sorted(verdict.kinds)) + " => " + (verdict.broken[0].invariant if verdict.broken else "nothing")
