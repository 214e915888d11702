"""The schema, and the steps that bring an older ledger up to it.

A step is a script in SQL, ``schema_<n + 1>.sql``, that turns version n into n + 1 and ends with
``PRAGMA user_version = n + 1``.  Steps are only ever added, never changed: they
are what turns the ledgers out there into today's.
"""

from __future__ import annotations

import itertools
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from importlib import resources


def _script(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _steps() -> list[str]:
    """Name the scripts in their order, without a gap; they are read only when a ledger needs them."""
    here = resources.files(__package__)
    names = (f"schema_{version}.sql" for version in itertools.count(2))
    return [*itertools.takewhile(lambda name: here.joinpath(name).is_file(), names)]


STEP_FILES = _steps()
VERSION = 1 + len(STEP_FILES)


def seal(*values: object) -> int:
    """Return the CRC-32 over a row's values; SQLite calls it as ``wxrec_seal``.

    ``ascii``, not ``repr``: which characters repr escapes changes with Python's
    Unicode tables, and a newer Python must not take old rows for damaged.
    """
    return zlib.crc32(ascii(values).encode())


def register(connection: sqlite3.Connection) -> None:
    """Teach a connection ``wxrec_seal``, without which no row can be written."""
    connection.create_function("wxrec_seal", -1, seal, deterministic=True)
    connection.execute("PRAGMA trusted_schema = ON")  # some builds let no schema call a function of the program


def create(connection: sqlite3.Connection, identity: Sequence[str]) -> None:
    """Build today's schema in an empty database; ``identity``: organisation, bucket, key template."""
    _carry_out(connection, [*statements(_script("schema.sql"))])
    connection.execute(
        "INSERT INTO identity (one, org_id, bucket, key_template, schema_seal) VALUES (1, ?, ?, ?, ?)",
        (*identity, schema_seal(connection)),
    )


def migrate(connection: sqlite3.Connection, steps: Sequence[str] | None = None) -> int:
    """Take the steps the ledger has not seen, each whole or not at all; return how many."""
    taken = 0
    steps = [*map(_script, STEP_FILES)] if steps is None else steps
    while (version := user_version(connection)) <= len(steps):
        _carry_out(connection, [*statements(steps[version - 1])])
        # A step that forgets to would be taken for ever.
        if user_version(connection) != version + 1:
            raise RuntimeError(f"migration step {version} does not set its version")
        taken += 1
    return taken


def user_version(connection: sqlite3.Connection) -> int:
    """Return the schema version in the file's header."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def schema_seal(connection: sqlite3.Connection) -> int:
    """Return the CRC-32 over all definitions in the file."""
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name").fetchall()
    return seal(*rows)


def statements(script: str) -> Iterator[str]:
    """Cut a script into statements; `executescript` would commit between them."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _carry_out(connection: sqlite3.Connection, script: list[str]) -> None:
    # SQLite's DDL takes part in transactions, so a kill in the middle leaves the older version whole.
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in script:
            connection.execute(statement)
        connection.execute("UPDATE identity SET schema_seal = ?", (schema_seal(connection),))
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself where the disk is full, and what it said of that is to be heard.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
