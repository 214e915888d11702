"""``doctor``.  Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from wxrec_async.cli.flags import SETTINGS, WORK, CommonFlags, joined, takes


@dataclass(kw_only=True)
class DoctorFlags(CommonFlags):
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
    profile: Annotated[
        str | None,
        typer.Option("--profile", metavar="NAME", rich_help_panel=SETTINGS, help="AWS profile", show_default=False),
    ] = None
    region: Annotated[
        str | None,
        typer.Option(
            "--region",
            metavar="NAME",
            rich_help_panel=SETTINGS,
            help="AWS region of the bucket, not of Webex",
            show_default=False,
        ),
    ] = None
    endpoint_url: Annotated[
        str | None,
        typer.Option(
            "--endpoint-url", metavar="URL", rich_help_panel=SETTINGS, help="S3 other than AWS's", show_default=False
        ),
    ] = None
    ca_bundle: Annotated[
        Path | None,
        typer.Option(
            "--ca-bundle",
            metavar="FILE",
            rich_help_panel=SETTINGS,
            help="certificates to trust (PEM)",
            show_default=False,
        ),
    ] = None


@takes(DoctorFlags)
def doctor(ctx: typer.Context, flags: DoctorFlags) -> None:
    """Check settings, token, organisation, scopes, bucket, permissions and clock; nothing is left behind."""
    from wxrec_async.cli import admitting  # noqa: PLC0415 - heavy

    raise typer.Exit(admitting.doctor(joined(ctx.obj, flags, "doctor")))
