"""Worlds in every run of the suite: the program keeps its promises in each of them."""

from __future__ import annotations

from tests.worlds.__main__ import TIERS, describe, lived, table
from tests.worlds.explained import EXPLAINED

WORLDS = 60


def test_no_production_alone_breaks_an_invariant() -> None:
    """Each of the grammar has a world of its own, so that none is left to chance."""
    assert_unbroken(TIERS["each"])


def test_no_world_of_the_first_hundreds_breaks_an_invariant() -> None:
    """Nothing is lost, mixed, doubled, falsely certified, left unnamed or told, and help heals everything."""
    assert_unbroken(range(WORLDS))


def assert_unbroken(seeds: range) -> None:
    found = [told for told in lived(seeds, jobs=2) if told["broken"]]
    unexplained = [told for told in found if told["signature"] not in EXPLAINED]
    assert not unexplained, "\n".join([table(unexplained), *map(describe, unexplained)])


def test_the_same_seed_is_the_same_world() -> None:
    """Every request and every answer come in the same order, in another process, too."""
    seeds, more = range(300, 306), {"trace": True, "shrink": False}
    first, second = ({told["seed"]: told["trace"] for told in lived(seeds, jobs=jobs, more=more)} for jobs in (1, 2))
    assert first == second
    assert all(len(trace) > 10 for trace in first.values())


def test_a_world_that_helps_breaks_nothing() -> None:
    """Without any choice, all is stored and certified by the first two commands of healing at the latest."""
    told = list(lived(range(400, 410), jobs=2, more={"only": []}))
    assert [each for each in told if each["broken"]] == []
    assert all(each["commands"][-1].startswith("reconcile -> 0") for each in told)
