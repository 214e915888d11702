"""Measurements sent where the environment's ``OTEL_*`` variables say, for a program that has no host to do it.

The variables have their usual meaning (OpenTelemetry, "SDK configuration"), and
every one that the SDK reads by itself, such as OTEL_METRIC_EXPORT_INTERVAL or
OTEL_RESOURCE_ATTRIBUTES, works.  No global provider is set.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import entry_points
from threading import Thread
from typing import TYPE_CHECKING, Any

from wxrec_async.errors import ConfigError
from wxrec_async.events import Event
from wxrec_async.otel.listener import Telemetry

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

SERVICE_NAME = "wxrec-async"
# A run that is told twice to stop is to be gone within five seconds.
FLUSH_WITHIN_S = 4.0
OTLP = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}


def from_environment() -> Exporting | None:
    """Return a listener when the environment asks for one and the extra ``[otel]`` is installed, else None.

    OTEL_METRICS_EXPORTER and OTEL_TRACES_EXPORTER name exporters; an OTLP endpoint
    alone asks for both over OTLP.  Raises `ConfigError` when an exporter is not
    installed or cannot be made.
    """
    # The cheap questions first: a program that measures nothing does not import the SDK.
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if disabled or not (_names("METRICS") or _names("TRACES")) or not _installed():
        return None
    resource = _resource()
    return Exporting(_meter_provider(resource), _tracer_provider(resource))


class Exporting:
    """A listener with providers of its own; `close` sends what is left."""

    def __init__(self, meters: MeterProvider, tracers: TracerProvider) -> None:
        self._meters, self._tracers = meters, tracers
        self._telemetry = Telemetry(meters, tracers)

    def __call__(self, event: Event) -> None:
        """Take one event in."""
        self._telemetry(event)

    def close(self) -> None:
        """Flush and end the exporters; blocks at most `FLUSH_WITHIN_S` seconds, and never raises.

        An exporter whose collector is gone tries for minutes, and not all of the
        SDK's deadlines hold: in daemon threads it ends with the program at the latest.
        """
        # Both at once: a collector that is gone would otherwise cost its patience twice.
        threads = [
            Thread(target=_quietly, args=(each.shutdown,), daemon=True) for each in (self._meters, self._tracers)
        ]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + FLUSH_WITHIN_S
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def _quietly(shut_down: Callable[[], None]) -> None:
    with suppress(Exception):  # the SDK has logged it, and no run fails for want of a collector
        shut_down()


def _installed() -> bool:
    try:
        import opentelemetry.sdk.metrics  # noqa: F401, PLC0415 - an extra
    except ImportError:
        return False
    return True


def _names(signal: str) -> list[str]:
    """Which exporters are asked for ``signal``, METRICS or TRACES."""
    asked = os.environ.get(f"OTEL_{signal}_EXPORTER", "").strip()
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    if not asked and any(os.environ.get(name) for name in endpoints):
        asked = "otlp"
    return [name.strip() for name in asked.split(",") if name.strip() not in ("", "none")]


def _exporters(signal: str) -> Iterator[Any]:
    for name in _names(signal):
        make = _find(signal, name)
        try:
            yield make()
        except (OSError, ValueError) as error:
            # A port that is taken, an endpoint that is none: the settings are at fault, not the program.
            words = f"{error.strerror if isinstance(error, OSError) else error}"
            raise ConfigError(f"OTEL_{signal}_EXPORTER: {name} cannot be started: {words}") from None


def _find(signal: str, name: str) -> Any:
    """Return the class of an exporter, as the package that has it declares."""
    for candidate in _candidates(signal, name):
        for found in entry_points(group=f"opentelemetry_{signal.lower()}_exporter", name=candidate):
            return found.load()
    raise ConfigError(
        f"OTEL_{signal}_EXPORTER: no exporter {name!r} is installed; for OTLP: "
        "pip install opentelemetry-exporter-otlp-proto-http"
    )


def _candidates(signal: str, name: str) -> list[str]:
    """OTLP comes in two protocols: the one that is asked for, else the one that is installed, as the SDK has it."""
    if name != "otlp":
        return [name]
    protocol = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if not protocol:
        return list(OTLP.values())
    if protocol not in OTLP:
        raise ConfigError(f"OTEL_EXPORTER_OTLP_PROTOCOL: {protocol} is not one of {', '.join(OTLP)}")
    return [OTLP[protocol]]


def _resource() -> Resource:
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra

    # What is handed to `create` wins over the environment, so a name is handed over only where there is none.
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return Resource.create({} if named else {"service.name": SERVICE_NAME})


def _meter_provider(resource: Resource) -> MeterProvider:
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 - an extra

    readers = [_reader(exporter) for exporter in _exporters("METRICS")]
    # Not at exit: the SDK's own hook knows no limit of ours; `Exporting.close` is called before.
    return MeterProvider(readers, resource, shutdown_on_exit=False)


def _reader(exporter: Any) -> MetricReader:
    """What is pulled is a reader already; what is pushed needs one that does it now and then."""
    from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader  # noqa: PLC0415 - an extra

    return exporter if isinstance(exporter, MetricReader) else PeriodicExportingMetricReader(exporter)


def _tracer_provider(resource: Resource) -> TracerProvider:
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - an extra

    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for exporter in _exporters("TRACES"):
        # In batches, from a thread: the simple processor sends in the call that ends the span, on the event loop.
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider
