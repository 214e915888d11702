"""Measurements of real runs, as a Prometheus server and an OTLP collector get them."""

from __future__ import annotations

import gzip
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import anyio
import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.parser import text_string_to_metric_families

from tests.canaries import found_in
from tests.e2e.world import sandbox
from wxrec_async import Backfill, ConfigError, Summary, load_config
from wxrec_async.events import Emit, Event, RunTotals
from wxrec_async.flow import run_control
from wxrec_async.otel.listener import Telemetry
from wxrec_async.otel.providers import from_environment
from wxrec_async.sandbox import Options, Organisation, Rule, Sandbox

LEVELS = (
    "wxrec_recordings_in_flight",
    "wxrec_tasks_queued",
    "wxrec_recordings_waiting",
    "wxrec_api_budget_utilization",
)


@contextmanager
def prometheus(registry: CollectorRegistry) -> Iterator[str]:
    """Serve the registry on loopback; gives the address."""
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def scrape(address: str) -> tuple[str, dict[str, float]]:
    """Get what Prometheus would get: the text, and each sample by its name and labels."""
    with urllib.request.urlopen(address) as answer:  # noqa: S310 - loopback
        text = answer.read().decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return text, {_named(sample.name, sample.labels): sample.value for sample in samples}


def _named(name: str, labels: dict[str, str]) -> str:
    kept = {key: value for key, value in labels.items() if not key.startswith("otel_")}
    return name + ("".join(f" {key}={value}" for key, value in sorted(kept.items())))


async def run(world: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch, listener: Emit) -> Summary:
    """Do the whole job in this process."""
    for name, value in world.environment().items():
        monkeypatch.setenv(name, value)
    config = await anyio.to_thread.run_sync(world.write_config, folder)
    async with Backfill(load_config(config, overrides={"backfill.concurrency": 4})) as backfill:
        return await backfill.run(on_event=listener)


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def telemetry(registry: CollectorRegistry, spans: InMemorySpanExporter) -> Telemetry:
    """A listener whose numbers lie in the registry."""
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    return Telemetry(MeterProvider([PrometheusMetricReader(registry=registry)], shutdown_on_exit=False), tracers)


@pytest.mark.anyio
async def test_a_prometheus_server_gets_the_numbers_of_the_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spans: InMemorySpanExporter
) -> None:
    """Scraped over HTTP after a real run with failures and retries; and nothing secret is in any of it."""
    monkeypatch.setattr(run_control, "GAUGES_EVERY_S", 0.1)
    registry, told = CollectorRegistry(), RunTotals()
    listener = telemetry(registry, spans)

    def hear(event: Event) -> None:
        listener(event)
        told.add(event)

    script = [
        Rule("media.get", "missing", attempts=None, share=0.7),  # a fresh URL is asked for, twice, before it has failed
        Rule("media.get", "close_before", share=0.3),
    ]
    async with Sandbox(
        Options(organisation=Organisation(60, 3, seconds=(0.5, 3.0), large=False), script=script)
    ) as world:
        with prometheus(registry) as address:
            summary = await run(world, tmp_path, monkeypatch, hear)
            text, samples = await anyio.to_thread.run_sync(scrape, address)
        asked = world.log.count("tasks") + world.log.count("captures")
    counts = summary.counts
    assert min(counts.stored, counts.failed + counts.gone, told.retries) > 0
    for outcome in ("stored", "already_stored", "failed", "gone"):
        sample = samples.get(f"wxrec_recordings_total wxrec_outcome={outcome}", 0)
        assert sample == getattr(counts, outcome)
    assert samples["wxrec_recordings_size_bytes_total"] == counts.bytes
    assert samples["wxrec_tasks_listed_total"] == counts.tasks_listed
    assert samples["wxrec_recording_duration_seconds_count wxrec_outcome=stored"] == counts.stored
    assert samples["wxrec_api_requests_total"] == asked
    assert sum(value for name, value in samples.items() if name.startswith("wxrec_retries_total")) == told.retries
    assert samples["wxrec_recordings_in_flight"] == samples["wxrec_tasks_queued"] == 0
    ended = spans.get_finished_spans()
    assert len(ended) == counts.recordings
    keys = {dict(span.attributes or {}).get("wxrec.key") for span in ended} - {None}
    assert len(keys) == counts.stored
    shown = text + "".join(span.to_json() for span in ended)
    assert not found_in(shown)
    assert "http://" not in shown


@pytest.mark.anyio
async def test_levels_are_seen_while_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spans: InMemorySpanExporter
) -> None:
    """In the middle of slow downloads a scrape sees them in flight; cancelled, all levels return to nothing."""
    monkeypatch.setattr(run_control, "GAUGES_EVERY_S", 0.5)
    registry = CollectorRegistry()
    listener, seen = telemetry(registry, spans), dict[str, float]()
    organisation = Organisation(60, 3, seconds=(30.0, 60.0), large=False)

    async def watch(address: str, scope: anyio.CancelScope) -> None:
        while samples := (await anyio.to_thread.run_sync(scrape, address))[1]:
            seen.update({name: max(samples.get(name, 0), seen.get(name, 0)) for name in LEVELS})
            if all(seen[name] for name in LEVELS):
                scope.cancel()
                return

    async with Sandbox(Options(organisation=organisation, media_rate=100_000)) as world:
        with prometheus(registry) as address:
            with anyio.move_on_after(60) as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(watch, address, scope)
                    await run(world, tmp_path, monkeypatch, listener)
            _, after = await anyio.to_thread.run_sync(scrape, address)
    assert seen["wxrec_recordings_in_flight"] == 4
    assert 0 < seen["wxrec_api_budget_utilization"] <= 1
    assert [after[name] for name in LEVELS] == [0] * len(LEVELS)
    assert {dict(span.attributes or {})["wxrec.outcome"] for span in spans.get_finished_spans()} >= {"interrupted"}


class Collector(BaseHTTPRequestHandler):
    """An OTLP collector: decodes what it gets and keeps it."""

    server: Keeping

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        kind = ExportMetricsServiceRequest if self.path == "/v1/metrics" else ExportTraceServiceRequest
        self.server.got.append(kind.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
        """Keep quiet."""


class Keeping(ThreadingHTTPServer):
    """A server that keeps what its handlers decode."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Collector)
        self.got: list[Any] = []

    @property
    def counters(self) -> dict[str, float]:
        """The last value of each metric that is a sum, over all its points."""
        found: dict[str, float] = {}
        for request in self.got:
            for metric in _metrics(request):
                if metric.HasField("sum"):
                    found[metric.name] = sum(point.as_int or point.as_double for point in metric.sum.data_points)
        return found

    @property
    def spans(self) -> list[Any]:
        traces = [request for request in self.got if isinstance(request, ExportTraceServiceRequest)]
        scopes = [scope for request in traces for each in request.resource_spans for scope in each.scope_spans]
        return [span for scope in scopes for span in scope.spans]

    @property
    def services(self) -> set[str]:
        """The service.name of everything that came."""
        found = [*(each for r in self.got for each in getattr(r, "resource_metrics", ()))]
        found += [*(each for r in self.got for each in getattr(r, "resource_spans", ()))]
        pairs = [pair for each in found for pair in each.resource.attributes]
        return {pair.value.string_value for pair in pairs if pair.key == "service.name"}


def _metrics(request: Any) -> list[Any]:
    return [
        metric
        for resource in getattr(request, "resource_metrics", ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]


@pytest.fixture
def collector() -> Iterator[Keeping]:
    """An OTLP collector on loopback."""
    with Keeping() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def otlp(server: ThreadingHTTPServer) -> dict[str, str]:
    """The variables a user sets."""
    address = f"http://127.0.0.1:{server.server_port}"
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}


def test_the_command_line_exports_where_the_environment_says(tmp_path: Path, collector: Keeping) -> None:
    """An OTLP endpoint is enough: numbers and spans of the whole run are there when the program has ended."""
    with sandbox(tmp_path, "--tasks", "40", "--seconds", "0.5", "2", "--no-large") as world:
        world.environment |= otlp(collector)
        done = world.run("--json")
    assert done.code == 0, done.err
    assert collector.counters["wxrec.recordings"] == done.summary["stored"] > 0
    assert collector.counters["wxrec.recordings.size"] == done.summary["bytes"]
    assert len(collector.spans) == done.summary["stored"]
    assert collector.services == {"wxrec-async"}
    assert not found_in(str(collector.got))
    assert "http://" not in str(collector.got)


def test_a_collector_that_is_not_there_costs_a_run_nothing_but_seconds(tmp_path: Path, collector: Keeping) -> None:
    """What was stored is stored: the exit code is that of the run, and the program ends soon."""
    gone = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    environment = otlp(gone)
    gone.server_close()
    with sandbox(tmp_path, "--tasks", "5", "--seconds", "0.5", "2", "--no-large") as world:
        world.environment |= environment
        done = world.run("--json")
    assert done.code == 0, done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"OTEL_METRICS_EXPORTER": "nosuch"}, "no exporter 'nosuch' is installed"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "carrier/pigeon"}, "carrier/pigeon"),
        ({"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_HOST": "192.0.2.1"}, "cannot be started"),
    ],
)
def test_an_exporter_that_cannot_be_had_is_a_line(
    variables: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ConfigError` says which variable and what is wrong with it."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=words) as refusal:
        from_environment()
    assert "OTEL_" in str(refusal.value)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "none"},
        {
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318",
        },
        {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_nothing_is_exported_unless_asked_for(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable, ``none`` and OTEL_SDK_DISABLED all mean no."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert from_environment() is None
