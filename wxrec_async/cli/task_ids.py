"""``--task-ids-from``: one id a line."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from wxrec_async.errors import ConfigError
from wxrec_async.rules.id_lines import Unreadable, read_line


class TaskIds:
    """The ids of a file, or of stdin when it is called ``-``.

    A file is looked through once, so that what is wrong with it is said before
    anything begins, and then read as the run goes.  stdin is taken in whole:
    reading from a pipe later would hold up the event loop.  Blank lines, a
    heading and those that begin with ``#`` are skipped, what spreadsheets leave
    around an id is taken off, and a line that could mean something else is
    refused by its number (`rules.id_lines`).  An id that comes again is worked
    on once, the ledger sees to that.
    """

    def __init__(self, source: str) -> None:
        self._path = None if source == "-" else Path(source)
        self._name = f"--task-ids-from {source}"
        self._taken = sys.stdin.buffer.read() if self._path is None else b""
        self.count = sum(1 for _ in self)
        if not self.count:
            raise ConfigError(f"{self._name}: no task id in it")

    def __iter__(self) -> Iterator[str]:
        """Read from the beginning; raises `ConfigError` when that cannot be done."""
        if self._path is None:
            yield from self._ids(io.BytesIO(self._taken))
            return
        try:
            with self._path.open("rb") as lines:
                yield from self._ids(lines)
        except OSError as error:
            raise ConfigError(f"{self._name}: {error.strerror or type(error).__name__}") from None

    def _ids(self, lines: Iterable[bytes]) -> Iterator[str]:
        for number, line in enumerate(lines, start=1):
            try:
                task_id = read_line(line.decode())
            except UnicodeDecodeError:
                raise ConfigError(f"{self._name}: line {number} is not UTF-8 text") from None
            except Unreadable as why:
                raise ConfigError(f"{self._name}: line {number} {why}") from None
            if task_id:
                yield task_id
