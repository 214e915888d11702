"""Fourteen virtual days of a follower against a sandbox whose calls appear as its clock moves on."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from anyio.lowlevel import checkpoint

from wxrec_async import Backfill, Summary, load_config
from wxrec_async.events import TokenRefreshed
from wxrec_async.model import DAY_MS
from wxrec_async.rules import follow_schedule
from wxrec_async.sandbox.options import Options
from wxrec_async.sandbox.organisation import HOUR_MS, Organisation
from wxrec_async.sandbox.server import Sandbox

pytestmark = pytest.mark.anyio
DAYS = 14
TOKEN_LIVES_S = 3 * 86_400


class Sky:
    """A clock that moves when somebody waits; `until` is when the follower has seen enough, both epoch seconds."""

    def __init__(self, days: int) -> None:
        # Never within reach of the real now, which the `Date` of the sandbox's answers tells: by that a call of the
        # next minutes could not be there yet.
        self.now = float((int(time.time()) // 86_400 - 40) * 86_400)
        self.until = self.now + days * 86_400
        self.backfill: Backfill | None = None

    def clock(self) -> float:
        return self.now

    async def pause(self, seconds: float) -> None:
        await checkpoint()
        self.now += max(seconds, 1.0)
        if self.now >= self.until and self.backfill is not None:
            self.backfill.stop("SIGTERM")


@pytest.mark.fault("R11", "W21", "W23")
async def test_fourteen_days_across_tokens_midnights_and_late_captures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that may be there is in the bucket, byte for byte and once; tokens were renewed on the way; one file."""
    sky = Sky(DAYS)
    organisation = Organisation(40, seed=5, now=sky.now, seconds=(0.2, 0.4), large=False)
    start_ms = round(sky.now * 1000)
    for number in range(DAYS * 8):
        created = start_ms + number * 3 * HOUR_MS + 60_000
        late = {0: 2 * DAY_MS, 3: 5 * HOUR_MS}.get(number % 8, 10 * 60_000)
        if created + late < start_ms + (DAYS - 2) * DAY_MS:
            organisation.add(created, ready_ms=created + late)
    legs = organisation.tasks[-60:-55]
    for task in legs:
        organisation.add_leg(task.id, ready_ms=task.created_ms + 8 * HOUR_MS)
    options = Options(
        organisation=organisation, clock=sky.clock, s3_clock=time.time, requests_per_minute=0,
        token_expires_in=TOKEN_LIVES_S, budget_clock=time.monotonic,
    )  # fmt: skip
    monkeypatch.setattr(follow_schedule, "MAX_NAP_S", 3600.0)
    # The same moments in every run, and half of them two seconds after a call began, which is over four seconds later.
    dice, next_poll = Random(5), follow_schedule.next_poll
    young = 62_000 / (follow_schedule.MAX_JITTER * 3 * HOUR_MS)
    monkeypatch.setattr(
        follow_schedule, "next_poll", lambda now, rhythm, _: next_poll(now, rhythm, dice.choice((young, dice.random())))
    )
    renewed: list[float] = []
    summaries: list[Summary] = []
    async with Sandbox(options) as sandbox:
        config = sandbox.write_config(tmp_path, follow={"poll_minutes": 180})
        for name, value in sandbox.environment().items():
            monkeypatch.setenv(name, value)

        def hear(event: object) -> None:
            if isinstance(event, TokenRefreshed):
                renewed.append(sky.now)

        async with Backfill(load_config(config), on_event=hear, clock=sky.clock, pause=sky.pause) as backfill:
            sky.backfill = backfill
            ended = await backfill.follow(on_round=summaries.append)
        assert ended.exit_code == 143
        assert await sandbox.differences() == []
        assert len(renewed) >= DAYS * 86_400 // TOKEN_LIVES_S - 1
    assert {each.exit_code for each in summaries} <= {0, 5}
    assert len(summaries) >= DAYS * 7
    days = {datetime.fromtimestamp(each.follow.next_poll_ms / 1000, UTC).date() for each in summaries if each.follow}
    assert len(days) >= DAYS
