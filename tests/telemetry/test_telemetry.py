"""Events as metrics and spans, read from memory."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics.export import HistogramDataPoint
from opentelemetry.trace import StatusCode

from tests.telemetry.kit import Measured
from wxrec_async import events
from wxrec_async.events import Event, RunTotals
from wxrec_async.model import Window

WINDOW = Window(0, 3_600_000)
STORED = events.RecordingStored("t1", "r1", "c/t1/recording.wav", 1000, 7, 2.5)


def an_event() -> st.SearchStrategy[Event]:
    """Any event at all, about few enough recordings that they meet."""
    texts, numbers = st.sampled_from(["a", "b", "c"]), st.integers(0, 9)
    by_type = {
        "str": texts, "int": numbers, "float": st.floats(0, 99), "bool": st.booleans(),
        "Window": st.just(WINDOW), "Window | None": st.just(WINDOW), "tuple[str, ...]": st.just(()),
    }  # fmt: skip
    kinds = [
        st.builds(kind, **{each.name: by_type[str(each.type)] for each in fields(kind)}) for kind in get_args(Event)
    ]
    return st.one_of(kinds)


@given(st.lists(an_event(), max_size=60))
def test_numbers_agree_with_run_totals(told: list[Event]) -> None:
    """Whatever happens, in whatever order, two ways to fold the same events give the same numbers."""
    measured, totals = Measured(), RunTotals()
    for event in told:
        measured.hear(event)
        totals.add(event)
    outcomes = {"stored": totals.stored, "already_stored": totals.already_stored}
    outcomes |= {"failed": totals.failed, "gone": totals.gone}
    for outcome, number in outcomes.items():
        assert measured.count("wxrec.recordings", wxrec_outcome=outcome) == number
    assert measured.count("wxrec.recordings.size") == totals.bytes
    assert measured.count("wxrec.retries") == totals.retries
    assert measured.count("wxrec.captures.duration") == totals.captures_calls
    assert measured.count("wxrec.recording.duration") == totals.stored + totals.already_stored
    assert measured.count("wxrec.tasks.listed") == totals.tasks_listed
    assert measured.count("wxrec.tasks.settled") == totals.tasks_settled.total()
    assert measured.count("wxrec.failures") == totals.failed + totals.tasks_settled["failed"]


def test_failures_are_told_apart_by_reason_and_retries_by_operation() -> None:
    """The reason is an attribute, the words around it are not: they have no end."""
    measured = Measured()
    measured.hear_all(
        [
            events.RecordingFailed("t1", "r1", "http_500", "some host answered 500"),
            events.RecordingFailed("t2", "r2", "http_500", "another one, too"),
            events.RecordingFailed("t3", "r3", "conflict"),
            events.Retrying("download", 1, 0.5, "some reason"),
            events.Retrying("captures", 1, 0.5, "some reason"),
            events.Retrying("download", 2, 1.0, "another reason"),
        ]
    )
    assert measured.count("wxrec.failures", error_type="http_500") == 2
    assert measured.count("wxrec.failures", error_type="conflict") == 1
    assert measured.count("wxrec.retries", wxrec_operation="download") == 2
    assert len(measured.points("wxrec.retries")) == 2


def test_levels_follow_gauges_and_requests_add_up() -> None:
    """Queue, waiting recordings and budget share are what was told last; requests are the sum of all that was told."""
    measured = Measured()
    measured.hear(events.Gauges(30, 4, 2, 100, 0.8))
    measured.hear(events.Gauges(20, 5, 2, 50, 0.4))
    names = ("wxrec.tasks.queued", "wxrec.recordings.waiting", "wxrec.api.requests", "wxrec.api.budget.utilization")
    assert measured.counts(*names) == [20, 5, 150, 0.4]
    measured.hear(events.Gauges(0, 0, 0, 7, 0.0))
    assert measured.counts(*names) == [0, 0, 157, 0]


def test_durations_are_in_buckets_of_seconds() -> None:
    """The SDK's own buckets are made for milliseconds: everything would be in the first."""
    measured = Measured()
    measured.hear(events.CapturesAsked(10, 9, 0.3))
    measured.hear(events.CapturesAsked(10, 9, 40.0))
    (point,) = measured.points("wxrec.captures.duration")
    assert isinstance(point, HistogramDataPoint)
    assert (point.explicit_bounds[3], point.bucket_counts[3]) == (0.5, 1)
    assert point.sum == pytest.approx(40.3)


def test_every_instrument_has_a_unit_and_a_description() -> None:
    """Names are in our namespace and carry no unit; units are those of UCUM."""
    measured = Measured()
    measured.hear_all([STORED, events.CapturesAsked(1, 1, 0.1), events.Gauges(1, 1, 1, 1, 1.0)])
    for metric in measured.metrics():
        assert metric.name.startswith("wxrec.")
        unit = metric.unit or ""
        assert unit in {"s", "By", "1"} or unit.startswith("{")
        assert metric.description


def test_a_recording_is_one_span_from_its_start_to_its_outcome() -> None:
    """It carries ids, key and size, and what is in flight is what has no outcome yet."""
    measured = Measured()
    measured.hear(events.RecordingStarted("t1", "r1"))
    measured.hear(events.RecordingStarted("t2", "r2"))
    assert (measured.spans, measured.count("wxrec.recordings.in_flight")) == ([], 2)
    measured.hear(STORED)
    measured.hear(events.RecordingFailed("t2", "r2", "http_500", "detail"))
    stored, failed = measured.spans
    assert stored.attributes == {
        "wxrec.task.id": "t1",
        "wxrec.recording.id": "r1",
        "wxrec.outcome": "stored",
        "wxrec.key": "c/t1/recording.wav",
        "wxrec.size": 1000,
    }
    assert stored.status.status_code is StatusCode.UNSET
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, "http_500")
    assert measured.count("wxrec.recordings.in_flight") == 0


def test_what_was_never_begun_has_no_span() -> None:
    """Some recordings come to rest by name alone; they count, and nothing in flight becomes less than none."""
    measured = Measured()
    measured.hear(events.RecordingFailed("t1", "r1", "missing"))
    assert (measured.spans, measured.count("wxrec.recordings.in_flight")) == ([], 0)
    assert measured.count("wxrec.recordings", wxrec_outcome="failed") == 1


def test_a_run_that_is_broken_off_ends_its_spans() -> None:
    """When nothing is in flight any more, nobody will tell how the open ones ended."""
    measured = Measured()
    measured.hear(events.RecordingStarted("t1", "r1"))
    measured.hear(events.Gauges(9, 0, 1, 3, 0.1))
    assert measured.spans == []
    measured.hear(events.Gauges(0, 0, 0, 3, 0.0))
    assert [dict(span.attributes or {})["wxrec.outcome"] for span in measured.spans] == ["interrupted"]
    assert measured.count("wxrec.recordings.in_flight") == 0
    assert measured.count("wxrec.recordings") == 0


def test_two_listeners_on_one_provider_add_up() -> None:
    """Two backfills in one process are twice as much, not the last one's numbers."""
    measured = Measured()
    other = type(measured.hear)(measured.meters, measured.tracers)
    measured.hear(events.Gauges(30, 4, 2, 100, 0.8))
    other(events.Gauges(10, 1, 1, 10, 0.1))
    assert measured.count("wxrec.tasks.queued") == 40
    assert measured.count("wxrec.api.requests") == 110
