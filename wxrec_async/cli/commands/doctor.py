"""``doctor``.  Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from wxrec_async.cli.flags import WORK, BucketFlags, joined, takes


@dataclass(kw_only=True)
class DoctorFlags(BucketFlags):
    """Those of ``doctor``."""

    renew: Annotated[
        bool,
        typer.Option(
            "--renew",
            rich_help_panel=WORK,
            help="renew the token even when it is fresh, to see that it can be",
            show_default=False,
        ),
    ] = False


@takes(DoctorFlags)
def doctor(ctx: typer.Context, flags: DoctorFlags) -> None:
    """Check settings, token, organisation, scopes, Search, bucket, permissions and clock; nothing is left behind."""
    from wxrec_async.cli import admitting  # noqa: PLC0415 - heavy

    raise typer.Exit(admitting.doctor(joined(ctx.obj, flags, "doctor")))
