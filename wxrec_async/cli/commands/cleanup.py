"""``cleanup``.  Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from wxrec_async.cli.flags import WORK, joined, read_duration, takes
from wxrec_async.cli.verify import InspectingFlags


@dataclass(kw_only=True)
class CleanupFlags(InspectingFlags):
    """Those of ``cleanup``."""

    all_under_prefix: Annotated[
        bool,
        typer.Option(
            "--all-under-prefix",
            rich_help_panel=WORK,
            help="also those the ledger does not know, under the prefix of [s3] key",
            show_default=False,
        ),
    ] = False
    older_than: Annotated[
        float | None,
        typer.Option(
            "--older-than",
            metavar="TIME",
            parser=read_duration,
            rich_help_panel=WORK,
            help="of those, only what was begun so long ago: 90s, 30m, 8h, 2d (default: 7d)",
            show_default=False,
        ),
    ] = None
    dry_run: Annotated[
        bool,
        typer.Option(
            "-n", "--dry-run", rich_help_panel=WORK, help="only say what would be aborted", show_default=False
        ),
    ] = False


@takes(CleanupFlags)
def cleanup(ctx: typer.Context, flags: CleanupFlags) -> None:
    """Abort this tool's own unfinished multipart uploads."""
    from wxrec_async.cli import inspecting  # noqa: PLC0415 - heavy

    raise typer.Exit(inspecting.cleanup(joined(ctx.obj, flags, "cleanup")))
