"""The nouns: frozen, and silent about what is nobody's business."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import canaries
from wxrec_async import errors, model
from wxrec_async.events import RecordingFailed, RecordingStarted, RecordingStored, RunTotals
from wxrec_async.model import DAY_MS, Period, Recording, Secret, Task, Window, iso


@pytest.mark.fault("X06")
@pytest.mark.parametrize("shown", [repr, str, "{}".format, "{!r}".format, "{:>40}".format, lambda each: f"{each}"])
def test_a_secret_shows_nothing(shown: object) -> None:
    """repr, str, format, within a dataclass or a list: three stars."""
    secret = Secret(canaries.ACCESS_TOKEN)
    recording = Recording("t", "r", url=secret, channel1=canaries.PHONE_NUMBER, participants=(canaries.PHONE_NUMBER,))
    task = Task("t", origin=canaries.PHONE_NUMBER, destination=canaries.PHONE_NUMBER, agent_name="CANARY-AT-agent")
    for value in (secret, [secret], {"a": secret}, recording, task):
        if isinstance(value, Secret) or shown in (repr, str):
            assert not canaries.found_in(shown(value))  # type: ignore[operator]


@pytest.mark.fault("X06")
def test_a_secret_neither_pickles_nor_hashes() -> None:
    """Neither a copy on disk nor a hash to guess at."""
    secret = Secret(canaries.ACCESS_TOKEN)
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        hash(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)


@given(st.text(), st.text())
def test_secrets_compare_with_secrets_only(one: str, two: str) -> None:
    """And by their text."""
    assert (Secret(one) == Secret(two)) is (one == two)
    assert Secret(one) != one
    assert bool(Secret(one)) is bool(one)
    assert Secret(one).reveal() == one


@pytest.mark.parametrize("kind", [Window, Period])
@pytest.mark.parametrize("span", [(5, 5), (6, 5)])
def test_a_window_ends_after_it_begins(kind: type[Window], span: tuple[int, int]) -> None:
    """An empty window would be listed for ever or never."""
    with pytest.raises(ValueError, match="ends after it begins"):
        kind(*span)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, None), (0, "1970-01-01T00:00:00Z"), (1_767_225_600_000, "2026-01-01T00:00:00Z"),
        (1_767_225_600_007, "2026-01-01T00:00:00.007Z"), (-DAY_MS, "1969-12-31T00:00:00Z"),
    ],
)  # fmt: skip
def test_times_are_written_in_utc(ms: int | None, text: str | None) -> None:
    """Milliseconds only where there are some."""
    assert iso(ms) == text


def test_every_noun_is_frozen_and_slotted() -> None:
    """A value that cannot change needs no lock."""
    nouns = [each for _, each in inspect.getmembers(model, dataclasses.is_dataclass) if isinstance(each, type)]
    assert len(nouns) > 10
    for noun in nouns:
        assert noun.__dataclass_params__.frozen, noun  # type: ignore[attr-defined]
        assert "__slots__" in vars(noun), noun


def test_the_first_line_of_its_docstring_is_the_message_of_a_failure() -> None:
    """And every failure belongs to the one tree."""
    for _, failure in inspect.getmembers(errors, inspect.isclass):
        if failure.__module__ != errors.__name__:
            continue
        assert issubclass(failure, errors.WxrecError)
        if failure not in (errors.HTTPStatusError, errors.InvalidMedia):
            assert str(failure()) == (failure.__doc__ or "").splitlines()[0]
    assert (
        str(errors.HTTPStatusError(503, code="SlowDown", tracking_id="R_1")) == "answered 503 SlowDown (trackingid R_1)"
    )
    assert str(errors.InvalidMedia("no_audio")) == "no audio"


def test_totals_fold_events_into_numbers() -> None:
    """What is in flight is what has begun and not ended; bytes are those of this run."""
    totals = RunTotals()
    for number in range(3):
        totals.add(RecordingStarted("t", str(number)))
    totals.add(RecordingStored("t", "0", "k", 100, 1, 0.5))
    totals.add(RecordingStored("t", "1", "k", 100, 1, 0.5, already=True))
    assert (totals.in_flight, totals.stored, totals.already_stored, totals.bytes) == (1, 1, 1, 100)
    totals.add(RecordingFailed("t", "2", "empty"))
    assert (totals.in_flight, totals.failed) == (0, 1)
