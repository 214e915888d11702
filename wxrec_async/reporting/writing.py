"""Writes the reports that were asked for.  Reads the ledger only, also while a run goes on."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from anyio import to_thread

from wxrec_async.errors import ConfigError
from wxrec_async.ledger import SqliteReader, open_reader
from wxrec_async.ledger.all_rows import ExportRow
from wxrec_async.ledger.database_files import COMPANIONS
from wxrec_async.ledger.report_queries import ListLimits, ReportFacts
from wxrec_async.model import Window
from wxrec_async.reporting.output_files import check_target, replacing
from wxrec_async.reporting.table_rows import COLUMNS, Privacy, cells_of, record_of

# Rows in memory at once, however many the ledger has.
PAGE_ROWS = 2000
Target = Path | TextIO
Writer = Callable[[Sequence[ExportRow]], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which reports, each to a file (private, replaced as a whole) or to a stream; None is not wanted.

    ``period`` takes the tasks whose day lies in it, None all; ``privacy`` is for
    CSV and JSON lines, the page shows neither people nor numbers.
    """

    html: Target | None = None
    csv: Target | None = None
    jsonl: Target | None = None
    period: Window | None = None
    privacy: Privacy = field(default_factory=Privacy)
    limits: ListLimits = field(default_factory=ListLimits)

    @property
    def files(self) -> list[Path]:
        return [target for target in (self.html, self.csv, self.jsonl) if isinstance(target, Path)]


@dataclass(frozen=True, slots=True)
class ReportDone:
    """What was written; ``rows`` those of CSV and JSON lines each, ``facts`` what the page shows, if they were read."""

    rows: int | None
    facts: ReportFacts | None


async def write_report(ledger: Path, wanted: Wanted, *, now_ms: int) -> ReportDone:
    """Write what is wanted from the ledger at ``ledger``.

    Raises `LedgerError` when it cannot be read, `ConfigError` when a file cannot
    be put where it should go, and passes on what a stream raises.  No file is
    replaced before all of it is written.
    """
    _check(ledger, wanted.files)
    facts = None
    async with open_reader(ledger) as reader:
        if wanted.html is not None:
            facts = await _write_page(reader, wanted.html, ledger, wanted, now_ms)
        rows = await _write_rows(reader, wanted) if wanted.csv is not None or wanted.jsonl is not None else None
    return ReportDone(rows, facts)


def _check(ledger: Path, files: Sequence[Path]) -> None:
    """Refuse what would replace the ledger itself, and two reports in one file."""
    kept = {_place(ledger), *(_place(ledger.with_name(ledger.name + suffix)) for suffix in (*COMPANIONS, ".lock"))}
    seen: set[Path] = set()
    for path in files:
        if _place(path) in kept:
            raise ConfigError(f"{path} belongs to the ledger; name another file for the report")
        if _place(path) in seen:
            raise ConfigError(f"{path} is named for two reports; give each its own file")
        seen.add(_place(path))
        check_target(path)


def _place(path: Path) -> Path:
    # The last name is not resolved: `check_target` refuses a link there, whatever it leads to.
    return path.parent.resolve() / path.name


async def _write_page(reader: SqliteReader, target: Target, ledger: Path, wanted: Wanted, now_ms: int) -> ReportFacts:
    from wxrec_async.reporting.page import PageSubject, render  # noqa: PLC0415 - templates and charts, for this one only

    facts = await reader.report_facts(wanted.period, wanted.limits)
    # A generator: the page is drawn by the thread that writes it, not in the event loop.
    pieces = render(facts, PageSubject(ledger.name, wanted.period, now_ms, wanted.limits))
    await to_thread.run_sync(_put_page, target, pieces)
    return facts


def _put_page(target: Target, pieces: Iterable[str]) -> None:
    with ExitStack() as stack:
        stream = _opened(target, stack)
        for piece in pieces:
            stream.write(piece)


async def _write_rows(reader: SqliteReader, wanted: Wanted) -> int:
    count = 0
    with ExitStack() as stack:
        writers = await to_thread.run_sync(_writers, wanted, stack)
        async for page in _pages(reader, wanted.period):
            count += len(page)
            await to_thread.run_sync(_put_rows, page, writers)
        # This puts the files in place, and syncs them, so not in the loop; after a failure ``with`` drops them instead.
        await to_thread.run_sync(stack.close)
    return count


async def _pages(reader: SqliteReader, period: Window | None) -> AsyncIterator[list[ExportRow]]:
    page = await reader.export_rows(period, limit=PAGE_ROWS)
    while page:
        yield page
        # By the last row, not by an offset: a run may be writing in the meantime.
        page = await reader.export_rows(period, after=page[-1], limit=PAGE_ROWS)


def _put_rows(page: Sequence[ExportRow], writers: Sequence[Writer]) -> None:
    for write in writers:
        write(page)


def _writers(wanted: Wanted, stack: ExitStack) -> list[Writer]:
    made: list[Writer] = []
    if wanted.csv is not None:
        made.append(_csv_writer(_opened(wanted.csv, stack), wanted.privacy))
    if wanted.jsonl is not None:
        made.append(_jsonl_writer(_opened(wanted.jsonl, stack), wanted.privacy))
    return made


def _csv_writer(stream: TextIO, privacy: Privacy) -> Writer:
    """RFC 4180: CRLF, quotes where they are needed, a header.  UTF-8 without a byte order mark."""
    writer = csv.writer(stream, dialect="excel")
    writer.writerow(COLUMNS)

    def write(page: Sequence[ExportRow]) -> None:
        writer.writerows(cells_of(record_of(row, privacy)) for row in page)

    return write


def _jsonl_writer(stream: TextIO, privacy: Privacy) -> Writer:
    """One object a line; what is not ASCII is escaped, so that no reader takes a separator within for a line's end."""

    def write(page: Sequence[ExportRow]) -> None:
        stream.writelines(f"{json.dumps(record_of(row, privacy))}\n" for row in page)

    return write


def _opened(target: Target, stack: ExitStack) -> TextIO:
    return stack.enter_context(replacing(target)) if isinstance(target, Path) else target
