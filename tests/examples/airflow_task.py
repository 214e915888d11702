"""What an Airflow PythonOperator calls: the recordings of one data interval, again if the task is tried again.

    PythonOperator(task_id="recordings", python_callable=back_up_interval, op_kwargs={"config": "config.toml"})

Airflow hands in ``data_interval_start`` and ``data_interval_end`` by their names,
and keeps the returned counts as the task's XCom.  A second try takes up what the
first one left, and downloads nothing twice; so does ``catchup=True`` over a year
(with ``max_active_runs=1``: the runs share a ledger).  Each run reaches a day
back, for what Webex did not have ready in time.
"""

from __future__ import annotations

import signal
from datetime import datetime, timedelta

import anyio

from wxrec_async import Backfill, Period, Summary, load_config

LATE = timedelta(days=1)
GOOD = (0, 5)
"""Exit codes: everything is stored; or the rest is not ready yet, and the next interval's run takes it up."""


class BackupFailed(Exception):
    """The task is to be tried again; in a DAG, derive it from AirflowException."""


def back_up_interval(config: str, data_interval_start: datetime, data_interval_end: datetime) -> dict[str, object]:
    """Back up the recordings of the interval; raises `BackupFailed` when some could not be had, or when killed."""
    period = Period(_ms(data_interval_start - LATE), _ms(data_interval_end))
    airflows_own = signal.getsignal(signal.SIGTERM)
    try:
        summary = anyio.run(_back_up, config, period)
    finally:
        signal.signal(signal.SIGTERM, airflows_own)
    if summary.exit_code not in GOOD:
        why = summary.ending.error or summary.ending.stopped or summary.counts
        raise BackupFailed(f"run {summary.run_id} ended with {summary.exit_code}: {why}")
    return summary.as_json()


async def _back_up(config: str, period: Period) -> Summary:
    async with Backfill(load_config(config)) as backfill, anyio.create_task_group() as group:
        group.start_soon(_stop_when_killed, backfill)
        summary = await backfill.run(period)
        group.cancel_scope.cancel()
    return summary


async def _stop_when_killed(backfill: Backfill) -> None:
    """Airflow's own handler raises wherever the program happens to be, which an event loop may take for a callback's
    failure and log; here what is in flight has ``grace_seconds`` to finish, and then its uploads are aborted.
    """
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals:
            backfill.stop("SIGTERM")


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
