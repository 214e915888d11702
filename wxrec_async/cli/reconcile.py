"""``reconcile`` and its flags.  Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from wxrec_async.cli.flags import SETTINGS, WORK, BucketFlags, FilterFlags, PeriodFlags, joined, takes


@dataclass(kw_only=True)
class ReconcileFlags(BucketFlags, PeriodFlags, FilterFlags):
    """Those of ``reconcile``."""

    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency",
            metavar="N",
            min=1,
            rich_help_panel=WORK,
            help="objects looked at at once (default: 32)",
            show_default=False,
        ),
    ] = None
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            metavar="N",
            rich_help_panel=SETTINGS,
            help="requests to Webex a minute (default: 250)",
            show_default=False,
        ),
    ] = None


@takes(ReconcileFlags)
def reconcile(ctx: typer.Context, flags: ReconcileFlags) -> None:
    """Prove a period complete, or name what is missing.

    Holds both lists of Webex, the ledger and the bucket against each other. What is found to do becomes work for the
    next run; exit 0 only when nothing is missing. Without Search certificates rest on the list of tasks, and say so.
    """
    from wxrec_async.cli import reconciling  # noqa: PLC0415 - heavy

    raise typer.Exit(reconciling.reconcile(joined(ctx.obj, flags, "reconcile")))
