"""``verify``, and the flags of all commands that need the bucket and no Webex.  Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from wxrec_async.cli.flags import PERIOD, WORK, BucketFlags, joined, takes


@dataclass(kw_only=True)
class InspectingFlags(BucketFlags):
    """Those of all that look at the bucket."""

    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency",
            metavar="N",
            min=1,
            rich_help_panel=WORK,
            help="objects at once (default: 32)",
            show_default=False,
        ),
    ] = None


@dataclass(kw_only=True)
class VerifyFlags(InspectingFlags):
    """Those of ``verify``."""

    level: Annotated[
        Literal["head", "full"],
        typer.Option(
            "--level",
            metavar="LEVEL",
            rich_help_panel=WORK,
            help="head compares size, checksum and ids as S3 names them (default); full reads every byte back",
            show_default=False,
        ),
    ] = "head"
    mark: Annotated[
        bool,
        typer.Option(
            "--mark",
            rich_help_panel=WORK,
            help="have the next run fetch again what is missing or differs (default: only say so)",
            show_default=False,
        ),
    ] = False
    evidence: Annotated[
        bool,
        typer.Option(
            "--evidence",
            rich_help_panel=WORK,
            help="check manifests and certificates, and the bucket against them; needs no ledger (default: the ledger)",
            show_default=False,
        ),
    ] = False
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="WHEN",
            rich_help_panel=PERIOD,
            help="calls since this date or ISO 8601 time, UTC unless it says (default: all there are)",
            show_default=False,
        ),
    ] = None
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="WHEN",
            rich_help_panel=PERIOD,
            help="and before this one (default: now)",
            show_default=False,
        ),
    ] = None


@takes(VerifyFlags)
def verify(ctx: typer.Context, flags: VerifyFlags) -> None:
    """Compare the bucket with the ledger, or with the evidence in it; exit 3 when anything is wrong."""
    from wxrec_async.cli import inspecting  # noqa: PLC0415 - heavy

    raise typer.Exit(inspecting.verify(joined(ctx.obj, flags, "verify")))
