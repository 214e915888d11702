"""One recording, another one under its id, or a later state of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.model import ObjectTarget, Recording, Secret, TransferSpec
from wxrec_async.rules.identity import (
    CHANGED,
    ChangePolicy,
    Identified,
    Times,
    identified,
    is_unnamed,
    marked,
    same_recording,
    unnamed,
)

URL = Secret("https://media.example/signed")
START, STOP = 1_767_225_600_000, 1_767_225_660_000


def named(start: int | None = START, stop: int | None = STOP, name: str = "r") -> Recording:
    return Recording("t", name, url=URL, start_ms=start, stop_ms=stop)


@pytest.mark.parametrize("policy", ChangePolicy)
@pytest.mark.parametrize(
    "known",
    [{}, {"other": Times(1, 2)}, {"r": Times(START, STOP)}, {"r": Times()}, {"r": Times(START + 1000, STOP - 1000)}],
)
def test_what_is_new_or_as_it_was_keeps_its_id(policy: ChangePolicy, known: dict[str, Times]) -> None:
    """Nothing tells them apart: moments that are not told, and the second by which answers round, do not."""
    assert identified([named()], known, policy) == Identified((named(),))


@pytest.mark.parametrize("policy", ChangePolicy)
def test_one_that_begins_at_another_moment_is_another_one(policy: ChangePolicy) -> None:
    """It gets its start behind the id, the same whenever it is named, and is no change of the first."""
    found = identified([named(START + 5000)], {"r": Times(START, STOP)}, policy)
    assert found == Identified((replace(named(START + 5000, name=f"r-{START + 5000}"), named_as="r"),))
    again = identified([named(START + 5000)], {"r": Times(START, STOP), f"r-{START + 5000}": Times(START + 5000, STOP)})
    assert again == found


@pytest.mark.parametrize("is_stored", [True, False])
def test_one_that_came_without_its_id_is_known_again_by_its_start(*, is_stored: bool) -> None:
    """Stored or failed, it keeps the name it has, and captures is asked for it by the id it has there."""
    known = {unnamed(START, 1): Times(START, STOP)}
    stored, unstored = (known, {}) if is_stored else ({}, known)
    found = identified([named(START + 1000)], stored, unstored=unstored)
    assert found == Identified((replace(named(START + 1000, name=unnamed(START, 1)), named_as="r"),))
    assert is_unnamed(found.recordings[0].id)
    assert not is_unnamed("r")


def test_one_that_comes_without_its_id_is_the_known_one_that_begins_then() -> None:
    """The other way round: an answer that leaves the id out makes no second recording of it."""
    name = unnamed(START, 1)
    assert identified([named(name=name)], {"r": Times(START, STOP)}).recordings[0].id == "r"
    assert identified([named(name=name)], {}, unstored={"r": Times(START, STOP)}).recordings[0].id == "r"
    grown = identified([named(name=name, stop=STOP + 4000)], {"r": Times(START, STOP)})
    assert [each.id for each in grown.recordings] == [f"r-{STOP + 4000}"]


@pytest.mark.parametrize(
    ("answer", "stored"),
    [
        ([named(START + 5000)], {unnamed(START, 1): Times(START, STOP)}),
        ([named(start=None)], {unnamed(None, 1): Times(None, STOP)}),
        ([named(), named(START, name=unnamed(START, 1))], {unnamed(START, 1): Times(START, STOP)}),
        ([named(name="s")], {"r": Times(START, STOP)}),
        ([named()], {unnamed(START, 1): Times(START, STOP), unnamed(START + 1000, 1): Times(START + 1000, STOP)}),
        ([named(), named(name="s")], {unnamed(START, 1): Times(START, STOP)}),
    ],
)
def test_what_nothing_proves_to_be_the_same_stays_two(answer: list[Recording], stored: dict[str, Times]) -> None:
    """Another start or none, both in one answer, ids on both sides, or two that it could be."""
    assert identified(answer, stored).recordings == tuple(answer)


def test_of_two_that_begin_together_the_one_that_was_never_known_is_the_one_without_an_id() -> None:
    """The other one was named by its id then, too."""
    open_ones = {unnamed(START, 1): Times(START, STOP), "r": Times(START, STOP)}
    found = identified([named(), named(name="s")], {}, unstored=open_ones)
    assert [each.id for each in found.recordings] == ["r", unnamed(START, 1)]


@given(st.lists(st.tuples(st.sampled_from(["r", "s", ""]), st.integers(0, 3)), max_size=4), st.data())
def test_no_recording_of_an_answer_is_lost_to_another(rows: list[tuple[str, int]], data: st.DataObject) -> None:
    """However many begin together: as many come out as went in, each under a name of its own."""
    answer = {name or unnamed(START + at * 3000, 1): at for name, at in rows}
    known = data.draw(st.dictionaries(st.sampled_from([*answer, "r", "t", unnamed(START, 1)]), st.integers(0, 3)))
    times = {name: Times(START + at * 3000, STOP) for name, at in known.items()}
    recordings = [named(START + at * 3000, name=name) for name, at in answer.items()]
    found = identified(recordings, {}, unstored=times).recordings
    assert len({each.id for each in found}) == len(recordings)
    assert [each.start_ms for each in found] == [each.start_ms for each in recordings]


def test_one_that_has_grown_is_fetched_beside_what_is_stored() -> None:
    """Under its stop; the next answer finds it stored, and nothing is left to do."""
    found = identified([named(stop=STOP + 4000)], {"r": Times(START, STOP)})
    name = f"r-{STOP + 4000}"
    assert found == Identified((replace(named(stop=STOP + 4000, name=name), named_as="r"),), frozenset({name}))
    stored = {"r": Times(START, STOP), name: Times(START, STOP + 4000)}
    assert identified([named(stop=STOP + 4000)], stored).recordings[0].id == name


def test_one_that_has_grown_is_only_reported_when_that_is_the_policy() -> None:
    """There is no URL to fetch, so it fails by the name of the change."""
    found = identified([named(stop=STOP + 4000)], {"r": Times(START, STOP)}, ChangePolicy.CONFLICT)
    assert [(each.id, each.url, each.problem) for each in found.recordings] == [(f"r-{STOP + 4000}", None, CHANGED)]
    assert not found.replacing


def test_one_that_has_grown_takes_its_place_when_that_is_the_policy() -> None:
    """Under its own id, as an order that may replace."""
    found = identified([named(stop=STOP + 4000)], {"r": Times(START, STOP)}, ChangePolicy.REPLACE)
    assert found == Identified((named(stop=STOP + 4000),), frozenset({"r"}), frozenset({"r"}))
    order = marked(TransferSpec(found.recordings[0], ObjectTarget("k", "audio/wav")), found)
    assert (order.replaces, order.flags) == (True, (CHANGED,))


@pytest.mark.parametrize(
    ("asked", "fresh", "same"),
    [
        (named(), named(stop=STOP + 9000), True),
        (named(), named(start=None), True),
        (named(), named(name="s"), False),
        (named(), named(START + 5000), False),
        (replace(named(name=f"r-{STOP}"), named_as="r"), named(), True),
        (replace(named(START + 5000, name=f"r-{START + 5000}"), named_as="r"), named(), False),
        (named(name="99A53828-6a11-4bee-a257-8730a56963ce"), named(name="99a53828-6a11-4bee-a257-8730a56963ce"), True),
        (named(name="R"), named(), False),
        (named(name=unnamed(START, 1)), named(), True),
        (named(), named(START + 1000, name=unnamed(START + 1000, 1)), True),
        (named(name=unnamed(START, 1)), named(START + 5000), False),
        (named(name=unnamed(START, 1)), named(start=None), False),
        (named(name=unnamed(START, 1)), named(START + 5000, name=unnamed(START + 5000, 1)), False),
        (replace(named(name=unnamed(START, 1)), named_as="r"), named(), True),
        (replace(named(name=unnamed(START, 1)), named_as="r"), named(name="s"), False),
    ],
)
def test_a_fresh_url_is_looked_for_under_the_name_captures_has_for_the_recording(
    asked: Recording, fresh: Recording, same: bool
) -> None:
    """Not under ours, which may tell more; and another recording under that name is not the one."""
    assert same_recording(asked, fresh) is same


def test_an_order_carries_the_flags_of_its_task() -> None:
    """What is plain stays the very same order."""
    plain = TransferSpec(named(), ObjectTarget("k", "audio/wav"))
    assert marked(plain, Identified((named(),))) is plain
    assert marked(plain, Identified((named(),)), ("never_ended",)).flags == ("never_ended",)


TIMES = st.one_of(st.none(), st.integers(START, START + 4).map(lambda s: s * 2000))


@given(
    st.lists(st.builds(named, TIMES, TIMES, st.sampled_from(["a", "b", "c"])), max_size=4),
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.builds(Times, TIMES, TIMES)),
    st.sampled_from(ChangePolicy),
)
def test_no_recording_is_dropped_that_the_answer_told_apart(
    answer: list[Recording], stored: dict[str, Times], policy: ChangePolicy
) -> None:
    """Ids are unique afterwards, and none of the answer is missing: it is stored, to be fetched, or reported."""
    found = identified(answer, stored, policy)
    ids = [each.id for each in found.recordings]
    assert len(set(ids)) == len(ids)
    assert found.replacing <= found.changed <= set(ids)
    assert {each.id.split("-")[0] for each in found.recordings} == {each.id for each in answer}
