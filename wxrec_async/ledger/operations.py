"""What makes a function over a connection a method of the ledger, so that each operation is written once.

An operation is a plain function in the module of its table, whose first argument is the connection.
In the body of a class, ``add_tasks = written(tasks.add_tasks)`` makes it a coroutine method of the same arguments,
types and docstring.  `store` lists them all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from anyio.lowlevel import checkpoint_if_cancelled

from wxrec_async.ledger.connection import LedgerConnection
from wxrec_async.ledger.group_commit import GroupCommit
from wxrec_async.ledger.sqlite_errors import explain

P = ParamSpec("P")
T = TypeVar("T")


class Operations:
    """Carries operations out, one thread at a time, each durable when it returns.

    Everything raises LedgerFull when the disk is full (nothing of the call is
    kept) and LedgerError otherwise.
    """

    def __init__(self, connection: LedgerConnection, path: Path) -> None:
        self._connection = connection
        self._group = GroupCommit(connection, lambda error: explain(error, path))

    async def close(self) -> None:
        """Finish what is under way.  May be called twice; other calls then raise LedgerError."""
        await self._group.close()

    async def _read(self, work: Callable[[LedgerConnection], T]) -> T:
        await checkpoint_if_cancelled()  # a loop that only reads can be cancelled
        return await self._group.run(work)

    async def _write(self, work: Callable[[LedgerConnection], T]) -> T:
        return await self._group.run(work)


Operation = Callable[Concatenate[LedgerConnection, P], T]
Method = Callable[Concatenate[Operations, P], Coroutine[Any, Any, T]]


def read(operation: Operation[P, T]) -> Method[P, T]:
    """Make a method of what only asks: a caller who is cancelled already does not ask any more."""

    @functools.wraps(operation)
    async def method(self: Operations, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._read(lambda db: operation(db, *args, **kwargs))

    return method


def written(operation: Operation[P, T]) -> Method[P, T]:
    """Make a method of what notes something that has happened: carried through, whoever is cancelled meanwhile."""

    @functools.wraps(operation)
    async def method(self: Operations, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._write(lambda db: operation(db, *args, **kwargs))

    return method
