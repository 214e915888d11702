"""``login``.  Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from wxrec_async.cli.flags import WORK, TrustFlags, joined, read_duration, takes


@dataclass(kw_only=True)
class LoginFlags(TrustFlags):
    """Those of ``login``."""

    no_browser: Annotated[
        bool,
        typer.Option(
            "--no-browser",
            rich_help_panel=WORK,
            help="show the address to open anywhere, and take the address it led to from stdin",
            show_default=False,
        ),
    ] = False
    tokens_from: Annotated[
        str | None,
        typer.Option(
            "--tokens-from",
            metavar="FILE|-",
            rich_help_panel=WORK,
            help="take in a token reply (JSON) instead, as Webex shows it for a service app",
            show_default=False,
        ),
    ] = None
    wait: Annotated[
        float | None,
        typer.Option(
            "--wait",
            metavar="TIME",
            parser=read_duration,
            rich_help_panel=WORK,
            help="how long the browser is waited for: 90s, 10m (default: 5m)",
            show_default=False,
        ),
    ] = None


@takes(LoginFlags)
def login(ctx: typer.Context, flags: LoginFlags) -> None:
    """Get the tokens of the organisation, by browser or from a reply, and store them."""
    from wxrec_async.cli import admitting  # noqa: PLC0415 - heavy

    raise typer.Exit(admitting.login(joined(ctx.obj, flags, "login")))
