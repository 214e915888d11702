"""``report``.  Nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from wxrec_async.cli.flags import PEOPLE, PERIOD, REPORTS, CommonFlags, joined, takes


@dataclass(kw_only=True)
class ReportFlags(CommonFlags):
    """Those of ``report``."""

    html: Annotated[
        str | None,
        typer.Option(
            "--html",
            metavar="FILE|-",
            rich_help_panel=REPORTS,
            help="one page that opens offline: calendar of coverage, progress, failures, runs, certificates",
            show_default=False,
        ),
    ] = None
    csv: Annotated[
        str | None,
        typer.Option(
            "--csv",
            metavar="FILE|-",
            rich_help_panel=REPORTS,
            help="a row a recording, and one for every task without; no cell is executed by a spreadsheet",
            show_default=False,
        ),
    ] = None
    jsonl: Annotated[
        str | None,
        typer.Option(
            "--jsonl",
            metavar="FILE|-",
            rich_help_panel=REPORTS,
            help="the same, an object a line",
            show_default=False,
        ),
    ] = None
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
    phone_numbers: Annotated[
        Literal["masked", "plain"],
        typer.Option(
            "--phone-numbers",
            metavar="HOW",
            rich_help_panel=PEOPLE,
            help="masked (default), or plain as far as the ledger has them plain ([ledger] phone_numbers)",
            show_default=False,
        ),
    ] = "masked"
    agent_names: Annotated[
        bool,
        typer.Option(
            "--agent-names",
            rich_help_panel=PEOPLE,
            help="fill the column agent_name too (default: only ids)",
            show_default=False,
        ),
    ] = False


@takes(ReportFlags)
def report(ctx: typer.Context, flags: ReportFlags) -> None:
    """Write HTML, CSV or JSON lines from the ledger, while a run goes on too.

    Files are private (0600) and replaced only as a whole; - is stdout. Exit 0 says that they were written, not that
    nothing failed.
    """
    from wxrec_async.cli import reporting  # noqa: PLC0415 - heavy

    raise typer.Exit(reporting.report(joined(ctx.obj, flags, "report")))
