"""The ledger on paper: one HTML page for people, CSV for spreadsheets, JSON lines for programs."""

from wxrec_async.reporting.writing import ReportDone, Wanted, write_report

__all__ = ["ReportDone", "Wanted", "write_report"]
