"""The program, made to die at one moment that no server can see: within its ledger, or before it renames a file.

``python -m tests.kill.dying_client MOMENT run --config …``, MOMENT being the JSON of a `Moment`.  The program
itself is not changed: SQLite's connections are made of a subclass that looks at each COMMIT, and the interpreter's
own audit hook tells of each rename.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from wxrec_async.cli.app import main as program

FRAME = 24 + 4096  # a frame of the write-ahead log: its header and one page
WAL_HEADER = 32


@dataclass(frozen=True, slots=True)
class Moment:
    """When to die.

    ``when`` is a query whose first value is true within the transaction that is meant (empty: any); ``at`` is before
    its COMMIT, after it, or while its pages are written: ``bytes_in`` bytes of them still reach the write-ahead log.
    "in checkpoint" is in the middle of copying the log into the ledger when it is closed and ``when`` is true, "before
    rename" is before a file that matches the pattern ``when`` is put in its place.
    """

    at: Literal["before commit", "after commit", "in commit", "in checkpoint", "before rename"]
    when: str = ""
    bytes_in: int = FRAME + 1000


def die() -> None:
    """Be killed as by kill -9: nothing of the program runs any more."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_when_a_file_reaches(size: int) -> None:
    """Let the system kill the process inside the write that passes ``size``; what lies before it is written."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


class DyingConnection(sqlite3.Connection):
    """A connection that may not survive its COMMIT, or its end."""

    moment: Moment

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if sql != "COMMIT" or not self.moment.at.endswith("commit") or not self._is_meant():
            return super().execute(sql, parameters)
        if self.moment.at == "before commit":
            die()
        if self.moment.at == "in commit":
            die_when_a_file_reaches(self._log_end() + self.moment.bytes_in)
        cursor = super().execute(sql, parameters)
        die()  # after it; and "in commit" it was too small to be cut, which the test sees by the signal
        return cursor

    def close(self) -> None:
        if self.moment.at == "in checkpoint" and self._is_meant():
            die_when_a_file_reaches(self._pages() // 2 * 4096 + 1000)
        super().close()

    def _is_meant(self) -> bool:
        try:
            return bool(super().execute(self.moment.when or "SELECT 1").fetchone()[0])
        except sqlite3.OperationalError:
            return False  # the table is not there yet

    def _pages(self) -> int:
        return int(super().execute("PRAGMA page_count").fetchone()[0])

    def _log_end(self) -> int:
        """Where the next frame goes: this process alone writes, and the log was empty when it began."""
        log = Path(super().execute("PRAGMA database_list").fetchone()[2] + "-wal")
        return log.stat().st_size if log.exists() and log.stat().st_size else WAL_HEADER


def arm(moment: Moment) -> None:
    """Make this process die at ``moment``."""
    if moment.at == "before rename":

        def hear(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "os.rename" and fnmatchcase(str(arguments[1]), moment.when):
                die()

        sys.addaudithook(hear)
        return
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it, and the write would fail instead
    DyingConnection.moment = moment
    plain = sqlite3.connect

    def connect(*arguments: Any, factory: type[sqlite3.Connection] = sqlite3.Connection, **more: Any) -> Any:
        dying = type("Dying", (DyingConnection, factory), {})  # whatever the program wants its connections to be
        return plain(*arguments, factory=dying, **more)

    sqlite3.connect = connect


def main(arguments: Sequence[str]) -> None:
    """Run the program's own command line."""
    arm(Moment(**json.loads(arguments[0])))
    sys.argv = ["wxrec-async", *arguments[1:]]
    program()


if __name__ == "__main__":
    main(sys.argv[1:])
