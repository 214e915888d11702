"""What the report's tests share: made ledgers, real ones, and reading what was written."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import anyio

from tests.report.ledgers import NOW_MS
from wxrec_async.ledger import Counts, Everything, InPeriod, open_reader
from wxrec_async.model import Window
from wxrec_async.reporting import ReportDone, Wanted, write_report


def written(ledger: Path, wanted: Wanted, now_ms: int = NOW_MS) -> ReportDone:
    """Write reports from outside a loop."""
    return anyio.run(lambda: write_report(ledger, wanted, now_ms=now_ms), backend="asyncio")


def html_of(ledger: Path, now_ms: int = NOW_MS, **wanted: Any) -> str:
    """Return the page."""
    stream = io.StringIO()
    written(ledger, Wanted(html=stream, **wanted), now_ms)
    return stream.getvalue()


def rows_of(ledger: Path, **wanted: Any) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
    """Return the rows of the CSV and of the JSON lines, as a program reads them."""
    as_csv, as_jsonl = io.StringIO(newline=""), io.StringIO(newline="")
    written(ledger, Wanted(csv=as_csv, jsonl=as_jsonl, **wanted))
    records = [json.loads(line) for line in as_jsonl.getvalue().splitlines()]
    return [*csv.DictReader(io.StringIO(as_csv.getvalue(), newline=""), strict=True)], records


def counts_of(ledger: Path, period: Window | None = None) -> Counts:
    """Ask the ledger itself."""

    async def ask() -> Counts:
        async with open_reader(ledger) as reader:
            return await reader.counts(InPeriod(period) if period else Everything(), None)

    return anyio.run(ask, backend="asyncio")


def expected_totals(counts: Counts) -> dict[str, int]:
    """Return what must stand at the top of the page, by ``data-count``."""
    names = ("tasks_listed", "tasks_with_recordings", "no_recording", "owed", "failed_tasks", "unfinished_tasks")
    more = ("recordings", "failed", "gone", "unfinished_recordings", "bytes_total")
    return {name: getattr(counts, name) for name in (*names, *more)} | {"stored": counts.stored + counts.already_stored}


class Reader(HTMLParser):
    """Reads a page: its elements, its words, the figures marked with ``data-count``, tables as rows of cells."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.totals: dict[str, int] = {}
        self.days: dict[str, int] = {}
        self.rows: dict[str, list[list[str]]] = {}
        self._section = ""
        self._figure: tuple[dict[str, int], str] | None = None
        self._silent = 0
        self.words = ""
        self.feed(text)
        self.close()
        self.rows = {name: [[cell.strip() for cell in row] for row in rows] for name, rows in self.rows.items()}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag == "section":
            self._section = given.get("id") or ""
        if tag == "tr":
            self.rows.setdefault(self._section, []).append([])
        if tag in {"td", "th"} and self.rows.get(self._section):
            self.rows[self._section][-1].append("")
        if tag == "style":
            self._silent += 1
        for kind, into in (("data-count", self.totals), ("data-days", self.days)):
            if kind in given:
                self._figure = (into, given[kind] or "")
                if "data-value" in given:
                    into[given[kind] or ""] = int(given["data-value"] or "")
                    self._figure = None

    def handle_endtag(self, tag: str) -> None:
        if tag == "style":
            self._silent -= 1

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        self.words += data
        if self._figure is not None and re.fullmatch(r"[\d,]+", data.strip()):
            into, name = self._figure
            into[name] = int(data.replace(",", ""))
            self._figure = None
        rows = self.rows.get(self._section)
        if rows and rows[-1]:
            rows[-1][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every element of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]
