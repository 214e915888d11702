"""``ledger rebuild``.  Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from wxrec_async.cli.flags import WORK, joined, takes
from wxrec_async.cli.verify import InspectingFlags


@dataclass(kw_only=True)
class RebuildFlags(InspectingFlags):
    """Those of ``ledger rebuild``."""

    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            rich_help_panel=WORK,
            help="set a damaged ledger aside, as NAME.damaged-TIME (default: refuse)",
            show_default=False,
        ),
    ] = False


@takes(RebuildFlags)
def rebuild(ctx: typer.Context, flags: RebuildFlags) -> None:
    """Make a new ledger from the bucket when the old one is lost or damaged.

    What lies in the bucket is not downloaded again: the next run asks Webex for its tasks and finds it stored.
    """
    from wxrec_async.cli import inspecting  # noqa: PLC0415 - heavy

    raise typer.Exit(inspecting.rebuild(joined(ctx.obj, flags, "ledger rebuild")))
