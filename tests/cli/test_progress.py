"""Figures, lines and the display."""

from __future__ import annotations

import io

import pytest

from wxrec_async import events
from wxrec_async.cli.progress import LineProgress, TerminalProgress, fields, sentence
from wxrec_async.cli.progress_state import ProgressState
from wxrec_async.cli.terminal import Terminal
from wxrec_async.cli.text import size, span
from wxrec_async.events import Event

from .kit import PERIOD


class Clock:
    """Monotonic seconds that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def fed(clock: Clock, *told: Event) -> ProgressState:
    state = ProgressState(clock)
    for event in told:
        state.on_event(event)
    return state


STARTED = events.RunStarted("run", PERIOD, 4, 32, 440)
LISTED = events.WindowListed(PERIOD, closed=True)
FOUND = (events.PageListed(PERIOD, 20, 20), events.CapturesAsked(10, 20, 0.1))


def stored(count: int, each: int = 1 << 20) -> list[Event]:
    return [events.RecordingStored("t", str(number), "k", each, 1, 0.1) for number in range(count)]


def test_rates_are_those_of_the_last_half_minute() -> None:
    """What was fast an hour ago says nothing about now."""
    clock = Clock()
    state = fed(clock, STARTED, *FOUND, *stored(10))
    clock.now = 10
    assert (state.figures().bytes_per_s, state.figures().recordings_per_s) == (1 << 20, 1.0)
    for second in range(11, 60):
        clock.now = second
        figures = state.figures()
    assert figures.bytes_per_s == 0


def test_no_estimate_is_made_before_a_window_is_listed() -> None:
    """An estimate needs something to go by."""
    clock = Clock()
    state = fed(clock, STARTED, *FOUND, *stored(5))
    clock.now = 10
    assert state.figures().eta_s is None
    state.on_event(LISTED)
    assert state.figures().eta_s == 30


def test_with_every_window_listed_the_estimate_is_work_by_rate() -> None:
    """20 found with 10 of 20 tasks asked: 40 in all, 10 done at one a second."""
    clock = Clock()
    state = fed(clock, STARTED, *FOUND, *[LISTED] * 4, *stored(10))
    clock.now = 10
    assert state.figures().eta_s == pytest.approx(30)


def test_a_pause_is_shown_while_it_lasts() -> None:
    """Whoever looks at a standing bar learns whom it waits for."""
    clock = Clock()
    state = fed(clock, STARTED, events.Paused(20, "Webex asks to wait"))
    assert "waiting 20 s: Webex asks to wait" in sentence(state.figures())
    clock.now = 21
    assert "waiting" not in sentence(state.figures())


def test_a_line_comes_every_half_minute() -> None:
    """Off a terminal progress is a line now and then, with all its figures."""
    clock = Clock()
    said: list[tuple[str, dict[str, object]]] = []
    lines = LineProgress(fed(clock, STARTED, *FOUND, LISTED, *stored(3)), lambda text, more: said.append((text, more)))
    for second in range(0, 70, 5):
        clock.now = second
        lines.tick()
    assert len(said) == 2
    assert said[0][0].startswith("progress: 3 of 20 recordings, 3.0 MiB at ")
    assert "20 tasks in 1/4 windows, 0 failed, 0 retries, about" in said[0][0]
    assert said[0][1]["recordings_done"] == 3


def test_the_fields_say_what_the_line_says() -> None:
    """A JSON log carries numbers, not prose."""
    figures = fed(Clock(), STARTED, *FOUND, *stored(3)).figures()
    assert fields(figures)["bytes"] == 3 << 20
    assert fields(figures)["eta_s"] is None


class FakeTerminal(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_log_lines_do_not_tear_the_display(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line is written above the display, which is drawn again below it."""
    monkeypatch.setenv("TERM", "xterm")
    stderr = FakeTerminal()
    terminal = Terminal(stderr)
    display = TerminalProgress(fed(Clock(), STARTED, *FOUND, *stored(3)), terminal)
    display.tick()
    before = len(stderr.getvalue())
    terminal.line("a log line")
    after = stderr.getvalue()[before:]
    assert "\x1b[2K" in after.split("a log line")[0]
    assert " of 20 recordings found" in after.split("a log line")[1]
    display.close()
    terminal.line("the end")
    assert stderr.getvalue().endswith("the end\n")


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR keeps its usual meaning."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    stderr = FakeTerminal()
    display = TerminalProgress(
        fed(Clock(), STARTED, *FOUND, *stored(3), events.RecordingFailed("t", "r", "x")), Terminal(stderr)
    )
    display.tick()
    assert "\x1b[3" not in stderr.getvalue()
    assert "1 failed" in stderr.getvalue()
    display.close()


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 40, "5.0 TiB")])
def test_sizes_are_written_for_people(count: int, text: str) -> None:
    """Binary units, one digit."""
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0 s"), (42, "42 s"), (59.7, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")]
)
def test_spans_are_written_for_people(seconds: float, text: str) -> None:
    """Two units at most."""
    assert span(seconds) == text
