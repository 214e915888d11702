"""A listener whose measurements stay in memory."""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, Metric, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from wxrec_async.events import Event
from wxrec_async.otel.listener import Telemetry

Point = NumberDataPoint | HistogramDataPoint


class Measured:
    """A `Telemetry` and what it has measured."""

    def __init__(self) -> None:
        self._reader, self._exporter = InMemoryMetricReader(), InMemorySpanExporter()
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.hear = Telemetry(self.meters, self.tracers)

    def hear_all(self, events: Iterable[Event]) -> None:
        for event in events:
            self.hear(event)

    def points(self, name: str) -> list[Point]:
        """The points of a metric now; none when it was never measured."""
        return [point for metric in self.metrics() if metric.name == name for point in _points(metric)]

    def metrics(self) -> list[Metric]:
        """Collect, as an exporter does now and then."""
        data = self._reader.get_metrics_data()
        if data is None:
            return []
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
        return [metric for scope in scopes for metric in scope.metrics]

    def count(self, name: str, **attributes: str) -> float:
        """The sum of a metric over all points that have these attributes, written with _ for the dot."""
        wanted = {key.replace("_", ".", 1): value for key, value in attributes.items()}
        points = [point for point in self.points(name) if wanted.items() <= dict(point.attributes or {}).items()]
        return sum(map(_value, points))

    def counts(self, *names: str) -> list[float]:
        """The sums of several metrics, collected at once: some versions of the SDK tell a gauge only once."""
        found = {metric.name: sum(map(_value, _points(metric))) for metric in self.metrics()}
        return [found.get(name, 0) for name in names]

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended."""
        return list(self._exporter.get_finished_spans())


def _points(metric: Metric) -> list[Point]:
    return list(metric.data.data_points)  # type: ignore[arg-type]  # no histogram of ours is exponential


def _value(point: Point) -> float:
    return point.count if isinstance(point, HistogramDataPoint) else point.value
