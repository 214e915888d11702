"""The table of what may become final: each row with all that must not be enough for it."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.model import DAY_MS, Recording, Task, Window
from wxrec_async.rules import finality
from wxrec_async.rules.finality import (
    EARLIER_RELEASE,
    HTTP_410,
    NO_SUCH_KEY,
    SEARCH_DELETED,
    VOICES,
    EmptyAnswers,
    Final,
    Phase,
    Voice,
    closes_window,
    has_changed,
    is_bare,
    is_gone,
    is_missing,
    is_no_recording,
    is_no_recording_unasked,
    is_other,
    is_over,
    last_sign_ms,
    phase,
    tells_of_end,
)

NOW = 1_767_225_600_000
HOUR_MS = 3_600_000
OVER, OPEN = (
    ("completed", "abandoned", "ended", " Completed"),
    ("created", "queued", "offered", "assigned", "connected"),
)
UNKNOWN = (None, "", "parked", "wrapup", "customStatus", "complete", "not connected")


def test_the_table_names_every_final_state_and_who_may_give_it() -> None:
    """In the docstring for people, and in `VOICES` for the program; only a lone reading voice may close a window."""
    assert set(VOICES) == set(Final)
    assert finality.__doc__ is not None
    assert all(f"\n{state.value} " in finality.__doc__ for state in Final)
    lone = {state for state, sets in VOICES.items() if any(len(voices) == 1 for voices in sets)}
    assert lone == {Final.WINDOW_CLOSED, Final.NO_RECORDING, Final.MISSING}
    assert all(Voice.CAPTURES in voices for voices in VOICES[Final.GONE])


# Whether a call is over


@pytest.mark.parametrize(
    ("status", "active", "ended"), [*product((*OVER, *OPEN, *UNKNOWN), (True, False, None), (1, None))]
)
def test_a_row_tells_whether_the_call_is_over(status: str | None, active: bool | None, ended: int | None) -> None:
    """By status, isActive or an end time; where they contradict each other it tells nothing."""
    says_over = status in OVER or active is False or ended is not None
    says_open = status in OPEN or active is True
    expected = Phase.UNTOLD if says_over == says_open else Phase.OVER if says_over else Phase.OPEN
    assert phase(Task("t", status=status, active=active, ended_ms=ended)) is expected


@pytest.mark.parametrize("known", [*OVER, *OPEN, *UNKNOWN])
@pytest.mark.parametrize("said", [*OVER, *OPEN, *UNKNOWN])
def test_only_a_row_that_says_over_tells_of_an_end_and_only_where_none_was_known(
    known: str | None, said: str | None
) -> None:
    """A call that is over does not begin again, so nothing that is said of it is an end once more."""
    expected = said in OVER and known not in OVER
    assert tells_of_end(Task("t", status=known, updated_ms=9), Task("t", status=said, updated_ms=1)) is expected


@given(
    st.sampled_from([*OVER, *OPEN, *UNKNOWN]),
    st.one_of(st.none(), st.integers(0, 9 * DAY_MS)),
    st.lists(st.one_of(st.none(), st.integers(0, 9 * DAY_MS)), max_size=3),
    st.integers(0, 9 * DAY_MS),
)
def test_what_does_not_say_so_is_over_a_day_after_its_last_sign_of_life(
    status: str | None, created_age: int | None, stop_ages: list[int | None], seen_age: int
) -> None:
    """Never while it says that it goes on, always when it says that it is over."""
    task = Task("t", status=status, created_ms=None if created_age is None else NOW - created_age)
    recordings = [Recording("t", str(n), stop_ms=None if age is None else NOW - age) for n, age in enumerate(stop_ages)]
    over = is_over(task, recordings, first_seen_ms=NOW - seen_age, assume_over_ms=DAY_MS, now_ms=NOW)
    ages = [age for age in (created_age, *stop_ages) if age is not None]
    youngest = min(ages, default=seen_age)
    assert over is (phase(task) is Phase.OVER or (phase(task) is Phase.UNTOLD and youngest > DAY_MS))


def test_the_last_sign_of_life_is_the_newest_moment_known() -> None:
    """Of the row and of all its recordings; none is None."""
    task = Task("t", created_ms=5, ended_ms=7)
    assert last_sign_ms(task) == 7
    assert last_sign_ms(task, [Recording("t", "a", start_ms=9), Recording("t", "b", start_ms=8, stop_ms=11)]) == 11
    assert last_sign_ms(Task("t")) is None


@pytest.mark.parametrize(
    ("known", "bare"),
    [
        (Task("t"), True),
        (Task("t", capture_requested=False, queue_name="q"), True),
        (Task("t", created_ms=1), False),
        (Task("t", status="completed"), False),
        (Task("t", channel_type="telephony"), False),
    ],
)
def test_an_id_is_bare_until_a_list_has_shown_it(known: Task, bare: bool) -> None:
    """A list tells at least when, where or how it stands."""
    assert is_bare(known) is bare


# window_closed


@given(st.integers(1, 3 * DAY_MS), st.integers(0, DAY_MS), st.integers(-2 * DAY_MS, 5 * DAY_MS), st.booleans())
def test_a_window_closes_as_far_as_it_was_settled_when_it_was_listed(
    length: int, settle: int, asked: int, sound: bool
) -> None:
    """Only after a sound listing, and never what was younger than settle when that began."""
    window = Window(NOW, NOW + length)
    closed = closes_window(window, sound=sound, settle_ms=settle, asked_ms=NOW + asked)
    end = min(window.to_ms, NOW + asked - settle)
    assert closed == (Window(NOW, end) if sound and end > NOW else None)


# no_recording


@given(
    st.sampled_from([True, False, None]),
    st.sampled_from([*OVER, *OPEN, None]),
    st.integers(0, 3),
    st.integers(0, 9 * DAY_MS),
    st.integers(0, 9 * DAY_MS),
)
def test_no_recording_takes_a_call_that_is_over_and_nothing_ever_named(
    requested: bool | None, status: str | None, named: int, age: int, seen: int
) -> None:
    """A promise, an earlier answer, or a call that goes on: each of them alone forbids it; null takes a day besides."""
    task = Task("t", status=status, created_ms=NOW - age, capture_requested=requested)
    final = is_no_recording(
        task, EmptyAnswers(NOW - seen, None, named), null_ms=DAY_MS, assume_over_ms=DAY_MS, now_ms=NOW
    )
    over = status in OVER or (status is None and age > DAY_MS)
    old = requested is False or max(age, seen) > DAY_MS
    assert final is (not named and requested is not True and over and old)


@pytest.mark.parametrize(
    ("task", "proven"),
    [
        (Task("t", status="completed", created_ms=NOW, capture_requested=False), True),
        (Task("t", active=False, capture_requested=False), True),
        (Task("t", status="completed", created_ms=NOW, capture_requested=None), False),
        (Task("t", status="completed", created_ms=NOW, capture_requested=True), False),
        (Task("t", status="connected", created_ms=NOW - 90 * DAY_MS, capture_requested=False), False),
        (Task("t", created_ms=NOW - HOUR_MS, capture_requested=False), False),
        (Task("t", created_ms=NOW - DAY_MS - 1, capture_requested=False), True),
        (Task("t", capture_requested=False), False),
    ],
)
def test_a_row_alone_proves_it_only_when_the_call_ended_unrecorded(task: Task, proven: bool) -> None:
    """captureRequested false, of a contact that is over."""
    assert is_no_recording_unasked(task, assume_over_ms=DAY_MS, now_ms=NOW) is proven


# missing


@given(st.integers(0, 20 * DAY_MS), st.one_of(st.none(), st.integers(0, 20 * DAY_MS)))
def test_a_promise_is_broken_after_owed_days_and_two_answers_a_day_apart(age: int, empty_for: int | None) -> None:
    """One answer is one voice at one moment."""
    silence = EmptyAnswers(NOW - age, None if empty_for is None else NOW - empty_for)
    missing = is_missing(silence, age_ms=age, missing_ms=7 * DAY_MS, now_ms=NOW)
    assert missing is (age > 7 * DAY_MS and empty_for is not None and empty_for >= DAY_MS)


# gone


@pytest.mark.parametrize(
    ("denied", "named", "sound"),
    [
        *product(
            (NO_SUCH_KEY, HTTP_410, SEARCH_DELETED, EARLIER_RELEASE, "", "http_404", "http_403", "not_found"),
            (True, False),
            (True, False),
        )
    ],
)
def test_gone_takes_who_denied_it_and_a_sound_answer_that_no_longer_names_it(
    denied: str, named: bool, sound: bool
) -> None:
    """While captures names it, never; and neither by an answer that proves nothing, nor by any other refusal."""
    proven = denied in (NO_SUCH_KEY, HTTP_410, SEARCH_DELETED, EARLIER_RELEASE) and sound and not named
    assert is_gone(denied, named=named, sound=sound) is proven


# stored, and changed afterwards


@given(st.one_of(st.none(), st.integers(0, 9 * HOUR_MS)), st.one_of(st.none(), st.integers(0, 9 * HOUR_MS)))
def test_two_moments_differ_when_both_are_known_and_more_than_a_second_apart(
    one: int | None, other: int | None
) -> None:
    """Starts tell two recordings apart, stops tell that one has grown; what is not told tells nothing."""
    apart = one is not None and other is not None and abs(one - other) > 1000
    assert is_other(one, other) is apart
    assert has_changed(one, other) is apart
