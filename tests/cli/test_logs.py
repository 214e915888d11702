"""The one log pipeline."""

from __future__ import annotations

import json
import logging
import warnings
from typing import Any

import pytest

from wxrec_async import events
from wxrec_async.cli import event_log
from wxrec_async.cli.event_log import EventLog
from wxrec_async.cli.logs import NOISY, RepeatFilter, set_up
from wxrec_async.events import Event
from wxrec_async.model import Window

from .kit import OUTCOMES, STORED, Cli, FakeBackfill

TOKEN = "CANARY-AT-" + "x" * 30
SIGNED = f"https://b.s3.amazonaws.com/r/a.wav?X-Amz-Signature=CANARY-SIG&X-Amz-Security-Token={TOKEN}"
SECRETS = (
    f"GET {SIGNED}",
    f"Authorization: Bearer {TOKEN}",
    f'{{"access_token": "{TOKEN}", "SecretString": "CANARY-SS"}}',
    "client_secret=CANARY-CS",
    "caller +61 2 9876 5432",
    "canary.person@example.org",
)
CANARIES = ("CANARY", "9876 5432", "canary.person")


class Lines(list[str]):
    """What was written."""

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self]


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
@pytest.mark.fault("X01", "X02", "X05", "X07")
def test_no_canary_reaches_stdout_or_stderr_at_any_level(cli: Cli, level: str, form: str) -> None:
    """Secrets in events, exceptions and foreign records stay in the process, however much is asked for."""

    async def work(fake: FakeBackfill) -> None:
        for name in (*NOISY, "some.library", "wxrec_async.some"):
            logging.getLogger(name).setLevel(logging.DEBUG)
            for words in SECRETS:
                for number in (logging.DEBUG, logging.INFO, logging.WARNING):
                    logging.getLogger(name).log(number, "%s", words, extra={"more": words})
        for words in SECRETS:
            fake.emit(events.Warned(words[:5], words))
            fake.emit(events.Retrying("download", 1, 0.5, words))
            fake.emit(events.RecordingFailed("t", "r", "http_500", words))
            fake.emit(events.WindowIncomplete(Window(0, 1), words))
        raise RuntimeError("\n".join(SECRETS)) from ValueError(SECRETS[0])

    cli.backfill.work = work
    for more in ([], ["--json"]):
        done = cli("--no-progress", "--log-level", level, "--log-format", form, *more)
        assert done.exit_code == 1
        shown = done.stdout + done.stderr
        assert "RuntimeError" in shown
        assert not [canary for canary in CANARIES if canary in shown]


@pytest.mark.fault("X02")
def test_foreign_loggers_never_speak_below_warning() -> None:
    """--log-level debug lowers our logger alone, whatever a library made of its own."""
    lines = Lines()
    log = set_up(logging.DEBUG, "json", lines.append)
    logging.getLogger().setLevel(logging.DEBUG)
    for name in (*NOISY, "some.library"):
        logging.getLogger(f"{name}.sub").setLevel(logging.DEBUG)
        logging.getLogger(f"{name}.sub").info("quiet")
        logging.getLogger(f"{name}.sub").warning("loud")
    log.debug("ours")
    assert [record["event"] for record in lines.records] == ["loud"] * (len(NOISY) + 1) + ["ours"]


def test_records_are_json_with_utc_time_level_and_name_first() -> None:
    """A machine reads every line the same way, warnings and traces of libraries included."""
    lines = Lines()
    log = set_up(logging.INFO, "json", lines.append)
    log.info("ours", size=3)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    logging.getLogger("asyncio").error("unhandled", exc_info=ValueError("broken"))
    for record in lines.records:
        assert list(record)[:3] == ["timestamp", "level", "event"]
        assert record["timestamp"].endswith("Z")
    ours, warned, unhandled = lines.records
    assert (ours["event"], ours["level"], ours["size"]) == ("ours", "info", 3)
    assert "DeprecationWarning" in warned["event"]
    assert unhandled["exception"].splitlines()[-1] == "ValueError: broken"


@pytest.mark.fault("X01")
def test_only_named_fields_of_an_event_are_logged() -> None:
    """What an event gains later is not logged before somebody decides so."""
    for kind, (_, _, fields) in event_log._SHOWN.items():
        assert set(fields) <= set(kind.__dataclass_fields__)
    assert set(event_log._SHOWN) == set(Event.__args__)


@pytest.mark.fault("R10")
def test_info_is_at_most_one_line_for_each_recording() -> None:
    """A hundred recordings, each with its retries, are a hundred lines and a few."""
    lines = Lines()
    listener = EventLog(set_up(logging.INFO, "json", lines.append), logging.INFO, RepeatFilter(clock=lambda: 0.0))
    for number in range(100):
        listener.on_event(events.RecordingStarted("t", str(number)))
        listener.on_event(events.Retrying("download", 1, 0.5, "cut"))
        listener.on_event(events.Warned("odd", "odd"))
        listener.on_event(events.RecordingStored("t", str(number), "k", 1, 1, 0.1))
    names = [record["event"] for record in lines.records]
    assert names.count("recording_stored") == 100
    assert len(names) == 102


def test_a_repeating_warning_comes_back_with_the_number_held_back() -> None:
    """The first of a kind is told at once, later ones once a minute."""
    now = [0.0]
    repeats = RepeatFilter(60, clock=lambda: now[0])
    assert [repeats.passes("a"), repeats.passes("a"), repeats.passes("a"), repeats.passes("b")] == [
        0,
        None,
        None,
        0,
    ]
    now[0] = 61
    assert [repeats.passes("a"), repeats.passes("a")] == [2, None]


def test_what_the_level_leaves_out_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """A filtered event costs no record."""
    built: list[object] = []
    monkeypatch.setattr(event_log, "_shown", built.append)
    listener = EventLog(set_up(logging.ERROR, "json", Lines().append), logging.ERROR)
    listener.on_event(STORED)
    assert built == []
    listener.on_event(OUTCOMES[2])
    assert built


@pytest.mark.fault("L16")
def test_a_log_that_cannot_be_written_ends_nothing() -> None:
    """A full or closed stderr is nobody's failure."""

    def write(_: str) -> None:
        raise BrokenPipeError

    set_up(logging.INFO, "console", write).warning("lost")


def test_default_level_is_info_off_a_terminal(cli: Cli) -> None:
    """A journal gets one line a recording, -q none."""
    cli.backfill.told = (STORED,)
    assert "recording_stored" in cli("--no-progress").stderr
    assert "recording_stored" not in cli("-q").stderr
    assert "recording_stored" in cli("-q", "-v").stderr
