"""A machine that slept while a run went on: it is said, and the run goes on."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from wxrec_async.events import Event, Warned
from wxrec_async.flow import run_control
from wxrec_async.flow.run_control import BudgetMeter, RunControl, both_clocks
from wxrec_async.rules.server_time import Moment

pytestmark = pytest.mark.anyio


class Working:
    """An orchestrator that works until it is let go."""

    load = (0, 0, 0)

    def __init__(self) -> None:
        self.done = anyio.Event()

    async def run(self) -> None:
        await self.done.wait()


async def test_a_sleep_is_said_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour passes between two looks that are to be a moment apart."""
    monkeypatch.setattr(run_control, "GAUGES_EVERY_S", 0.01)
    heard: list[Event] = []
    working: Any = Working()
    looks = iter([Moment(0.0, 0.0), Moment(3600.0, 3600.0)])

    def moment() -> Moment:
        now = next(looks, None)
        if now is None:
            working.done.set()
        return now or Moment(3600.0, 3600.0)

    async def prepare() -> None:
        """Have nothing to tidy up."""

    control = RunControl(working, prepare, BudgetMeter(lambda: 0, 250), grace_s=1, emit=heard.append, moment=moment)
    assert await control.carry_out(None) is None
    [warned] = [each for each in heard if isinstance(each, Warned)]
    assert (warned.code, "slept" in warned.message, "3600 s" in warned.message) == ("slept", True, True)


def test_both_clocks_are_read() -> None:
    """The wall clock is what was handed in, the other one goes forward."""
    first, second = both_clocks(lambda: 5000), both_clocks(lambda: 5000)
    assert (first.wall_s, second.wall_s) == (5.0, 5.0)
    assert second.steady_s >= first.steady_s > 0
