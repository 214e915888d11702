"""Events into log records: at INFO at most one line for each recording."""

from __future__ import annotations

import logging
from typing import Any

import structlog

from wxrec_async import events
from wxrec_async.cli.logs import RepeatFilter
from wxrec_async.events import Event
from wxrec_async.model import Window, iso

DEBUG, INFO, WARNING, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR

# What is logged of each event, and at which level: a field that is not named here is left out.
_SHOWN: dict[type[Any], tuple[str, int, tuple[str, ...]]] = {
    events.RunStarted: (
        "run_started",
        INFO,
        ("run_id", "period", "windows", "concurrency", "memory_ceiling_mib"),
    ),
    events.Clamped: ("clamped", WARNING, ("message",)),
    events.PageListed: ("page_listed", DEBUG, ("window", "rows", "new")),
    events.TasksLeftOut: ("tasks_left_out", DEBUG, ("window", "tasks")),
    events.WindowListed: ("window_listed", INFO, ("window", "closed")),
    events.WindowIncomplete: ("window_incomplete", WARNING, ("window", "reason")),
    events.CapturesAsked: ("captures_asked", DEBUG, ("tasks", "recordings", "seconds")),
    events.TaskSettled: ("task_settled", DEBUG, ("task_id", "state", "reason")),
    events.SeenAndLeft: ("seen_and_left", DEBUG, ("kind", "count")),
    events.Polled: (
        "following",
        INFO,
        ("run_id", "number", "exit_code", "stored", "owed", "failed", "caught_up_ms", "next_ms"),
    ),
    events.RecordingStarted: ("recording_started", DEBUG, ("task_id", "recording_id")),
    events.RecordingStored: (
        "recording_stored",
        INFO,
        ("task_id", "recording_id", "key", "size", "seconds", "already", "flags"),
    ),
    events.RecordingFailed: ("recording_failed", ERROR, ("task_id", "recording_id", "reason", "detail")),
    events.RecordingGone: ("recording_gone", WARNING, ("task_id", "recording_id")),
    events.Retrying: ("retrying", INFO, ("operation", "attempt", "after_s", "reason")),
    events.Paused: ("paused", INFO, ("after_s", "reason")),
    events.TokenRefreshed: ("token_refreshed", INFO, ("expires_at",)),
    events.Warned: ("warned", WARNING, ("code", "message")),
    events.Gauges: (
        "gauges",
        DEBUG,
        ("queue_depth", "waiting_orders", "in_flight", "requests", "budget_used"),
    ),
    events.Draining: ("draining", INFO, ("reason", "grace_s")),
    events.UploadLeftOpen: ("upload_left_open", WARNING, ("key", "upload_id")),
}


class EventLog:
    """A listener that logs; what the level leaves out costs a look-up and a comparison."""

    def __init__(self, log: structlog.stdlib.BoundLogger, threshold: int, repeats: RepeatFilter | None = None) -> None:
        self._log, self._threshold = log, threshold
        self._repeats = repeats or RepeatFilter()

    def on_event(self, event: Event) -> None:
        """Log one event."""
        # An event that nobody named above is logged by its name alone: its fields may hold anything.
        name, level, fields = _SHOWN.get(type(event), (type(event).__name__, DEBUG, ()))
        level = _raised(event, level)
        if level < self._threshold:
            return
        more: dict[str, Any] = {}
        # Whoever asked for DEBUG wants every one.
        if self._threshold > DEBUG and (kind := _repeating(event)):
            held = self._repeats.passes(kind)
            if held is None:
                return
            more = {"and_before": held} if held else {}
        # A time is written as ISO 8601, so its name loses the unit.
        values = {field.removesuffix("_ms"): _moment(field, getattr(event, field)) for field in fields}
        shown = {field: _shown(value) for field, value in values.items() if value not in ("", ())}
        self._log.log(level, name, **shown, **more)


def _raised(event: Event, level: int) -> int:
    # Of the tasks that come to rest only these need somebody; the others are the rule, thousands a run.
    return ERROR if isinstance(event, events.TaskSettled) and event.state == "failed" else level


def _repeating(event: Event) -> str | None:
    """Name the kind of an event that may come a thousand times in a row."""
    match event:
        case events.Retrying(operation=operation):
            return f"retrying {operation}"
        case events.Paused(reason=reason):
            return f"paused {reason}"
        case events.Warned(code=code):
            return f"warned {code}"
        case _:
            return None


def _moment(field: str, value: Any) -> Any:
    return iso(value) if field.endswith("_ms") else value


def _shown(value: Any) -> Any:
    if isinstance(value, Window):
        return str(value)
    return round(value, 3) if isinstance(value, float) else value
