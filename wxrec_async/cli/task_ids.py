"""``--task-ids-from``: one id a line."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from wxrec_async.errors import ConfigError


class TaskIds:
    """The ids of a file, or of stdin when it is called ``-``.

    A file is looked through once, so that what is wrong with it is said before
    anything begins, and then read as the run goes.  stdin is taken in whole:
    reading from a pipe later would hold up the event loop.  Blank lines and
    those that begin with ``#`` are skipped; an id that comes again is worked on
    once, the ledger sees to that.
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
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError:
                raise ConfigError(f"{self._name}: line {number} is not UTF-8 text") from None
            if text and not text.startswith("#"):
                yield text
