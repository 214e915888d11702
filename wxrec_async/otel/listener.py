"""Events as OpenTelemetry metrics, and a span for each recording: the extra ``wxrec-async[otel]``.

::

    async with Backfill(settings, on_event=Telemetry()) as backfill:
        await backfill.run()

Names and units follow OpenTelemetry's semantic conventions.  Attributes come
from short lists (outcome, reason, operation, state), so that the number of time
series is bounded; ids are in spans only.  No URL, token or phone number gets
here, for no event carries one.  OpenTelemetry is imported when a `Telemetry` is
made, and by nothing else in this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wxrec_async import events
from wxrec_async.errors import ConfigError
from wxrec_async.events import Event
from wxrec_async.model import Kind

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter, MeterProvider
    from opentelemetry.trace import Span, TracerProvider

SCOPE = "wxrec_async"
MISSING = "OpenTelemetry is not installed: pip install wxrec-async[otel]"
# Explicit, because the SDK's own bounds are made for milliseconds and would put nearly all of this into one bucket.
CALL_BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
RECORDING_BOUNDS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)

Ended = events.RecordingStored | events.RecordingFailed | events.RecordingGone


class Telemetry:
    """A listener for one `Backfill`; it never blocks and never raises.

    Without providers the process's own are used, which do nothing until the
    host has set them.  Exporting, and flushing at the end, is the host's
    business.  Raises `ConfigError` when the extra is not installed.
    """

    def __init__(
        self, meter_provider: MeterProvider | None = None, tracer_provider: TracerProvider | None = None
    ) -> None:
        try:
            from opentelemetry import metrics, trace  # noqa: PLC0415 - an extra
        except ImportError:
            raise ConfigError(MISSING) from None
        self._numbers = _Numbers(metrics.get_meter(SCOPE, meter_provider=meter_provider))
        self._spans = _Spans(trace.get_tracer_provider() if tracer_provider is None else tracer_provider)

    def __call__(self, event: Event) -> None:
        """Take one event in."""
        self._numbers.add(event)
        self._spans.add(event)
        # After the spans: the level is how many of them are open now.
        self._numbers.in_flight(len(self._spans))


class _Numbers:
    """The instruments."""

    def __init__(self, meter: Meter) -> None:
        self._recordings = meter.create_counter(
            "wxrec.recordings", "{recording}", "Recordings that came to rest, by outcome"
        )
        self._size = meter.create_counter("wxrec.recordings.size", "By", "Bytes of the recordings newly stored")
        self._failures = meter.create_counter(
            "wxrec.failures", "{failure}", "Recordings and tasks that failed, by reason"
        )
        self._retries = meter.create_counter("wxrec.retries", "{retry}", "Operations tried again, by operation")
        self._listed = meter.create_counter("wxrec.tasks.listed", "{task}", "Tasks seen for the first time")
        self._settled = meter.create_counter(
            "wxrec.tasks.settled", "{task}", "Tasks that came to rest without a recording, by state"
        )
        self._requests = meter.create_counter("wxrec.api.requests", "{request}", "Requests sent to Webex's API")
        self._budget = meter.create_gauge(
            "wxrec.api.budget.utilization", "1", "Share of the request budget used lately"
        )
        self._queue = _Level(meter, "wxrec.tasks.queued", "{task}", "Tasks that wait for a captures call")
        self._waiting = _Level(meter, "wxrec.recordings.waiting", "{recording}", "Recordings that wait for a worker")
        self.in_flight = _Level(meter, "wxrec.recordings.in_flight", "{recording}", "Recordings being stored")
        self._captures = meter.create_histogram(
            "wxrec.captures.duration", "s", "Time of a captures call, with its waits and retries",
            explicit_bucket_boundaries_advisory=CALL_BOUNDS_S,
        )  # fmt: skip
        self._seconds = meter.create_histogram(
            "wxrec.recording.duration", "s", "Time from the start of a recording to its verified object",
            explicit_bucket_boundaries_advisory=RECORDING_BOUNDS_S,
        )  # fmt: skip

    def add(self, event: Event) -> None:
        match event:
            case events.RecordingStored() | events.RecordingFailed() | events.RecordingGone():
                self._end(event)
            case events.Retrying(operation=operation):
                self._retries.add(1, {"wxrec.operation": operation})
            case events.PageListed(new=new):
                self._listed.add(new)
            case events.TasksLeftOut(window=window, tasks=tasks):
                if window:  # else an earlier run has listed and counted them
                    self._settled.add(tasks, {"wxrec.state": "left_out"})
            case events.CapturesAsked(seconds=seconds):
                self._captures.record(seconds)
            case events.TaskSettled(state=state, reason=reason):
                self._settled.add(1, {"wxrec.state": state})
                if state == "failed":
                    self._failures.add(1, {"error.type": reason})
            case events.Gauges():
                self._fill(event)
            case _:
                pass

    def _end(self, event: Ended) -> None:
        outcome = _outcome(event)
        # Series that exist stay as they are: only what is no audio has a kind.
        kind = {} if event.kind == Kind.AUDIO else {"wxrec.kind": event.kind}
        self._recordings.add(1, {"wxrec.outcome": outcome} | kind)
        match event:
            case events.RecordingStored(size=size, seconds=seconds):
                self._seconds.record(seconds, {"wxrec.outcome": outcome})
                # What was there already did not move a byte; its outcome says so.
                if not event.already:
                    self._size.add(size, kind)
            case events.RecordingFailed(reason=reason):
                self._failures.add(1, {"error.type": reason})

    def _fill(self, gauges: events.Gauges) -> None:
        self._queue(gauges.queue_depth)
        self._waiting(gauges.waiting_orders)
        # The event has those since the one before, so that they add up.
        self._requests.add(gauges.requests)
        self._budget.set(gauges.budget_used)


class _Level:
    """A number that goes up and down; those of several backfills on one provider add up."""

    def __init__(self, meter: Meter, name: str, unit: str, description: str) -> None:
        self._counter = meter.create_up_down_counter(name, unit, description)
        self._now = 0
        # So that the series is there from the beginning, and not only from the first change on.
        self._counter.add(0)

    def __call__(self, now: int) -> None:
        if now != self._now:
            self._counter.add(now - self._now)
            self._now = now


class _Spans:
    """A span for each recording that is under way."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer(SCOPE)
        self._open: dict[tuple[str, str], Span] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, event: Event) -> None:
        match event:
            case events.RecordingStarted(task_id=task_id, recording_id=recording_id):
                ids = {"wxrec.task.id": task_id, "wxrec.recording.id": recording_id}
                self._open[task_id, recording_id] = self._tracer.start_span("wxrec.recording", attributes=ids)
            case events.RecordingStored() | events.RecordingFailed() | events.RecordingGone():
                self._end(event)
            case events.Gauges(in_flight=0):
                self._end_interrupted()

    def _end(self, event: Ended) -> None:
        span = self._open.pop((event.task_id, event.recording_id), None)
        if span is None:
            return  # it came to rest without having been begun
        span.set_attribute("wxrec.outcome", _outcome(event))
        match event:
            case events.RecordingStored(key=key, size=size):
                span.set_attributes({"wxrec.key": key, "wxrec.size": size})
            case events.RecordingFailed(reason=reason):
                _fail(span, reason)
        span.end()

    def _end_interrupted(self) -> None:
        """The run was broken off: nobody will tell of these any more."""
        for span in self._open.values():
            span.set_attribute("wxrec.outcome", "interrupted")
            span.end()
        self._open.clear()


def _fail(span: Span, reason: str) -> None:
    from opentelemetry.trace import StatusCode  # noqa: PLC0415 - an extra

    span.set_attribute("error.type", reason)
    span.set_status(StatusCode.ERROR, reason)


def _outcome(event: Ended) -> str:
    match event:
        case events.RecordingStored(already=already):
            return "already_stored" if already else "stored"
        case events.RecordingFailed():
            return "failed"
        case events.RecordingGone():
            return "gone"
