"""A plain asyncio script: back up the last two days, show a line now and then, exit with the run's code.

python script.py config.toml
"""

from __future__ import annotations

import asyncio
import sys

from wxrec_async import Backfill, Event, load_config
from wxrec_async.events import RecordingFailed, RunTotals


async def main(config: str) -> int:
    totals = RunTotals()

    def on_event(event: Event) -> None:
        totals.add(event)
        if isinstance(event, RecordingFailed):
            print(f"{event.task_id}: {event.reason}", file=sys.stderr)

    async with Backfill(load_config(config), on_event=on_event) as backfill:
        plan = await backfill.plan()
        print(f"{plan.tasks} tasks to ask for")
        summary = await backfill.run()
    print(f"{summary.counts.stored} recordings, {totals.bytes:,} bytes")
    return summary.exit_code


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1])))
