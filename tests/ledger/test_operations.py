"""An operation is written once, as a function over a connection, and is a method of the ledger."""

from __future__ import annotations

import inspect

import anyio
import pytest

from wxrec_async.ledger import Everything, SqliteLedger, recordings, tasks

from .contract import DAY, Opener, add

pytestmark = pytest.mark.anyio


def test_a_method_has_the_arguments_and_the_words_of_its_function() -> None:
    """What is said of the function is said of the method, for `help` and for whoever inspects it."""
    assert SqliteLedger.add_tasks.__doc__ == tasks.add_tasks.__doc__
    assert inspect.signature(SqliteLedger.stored) == inspect.signature(recordings.note_stored)
    assert inspect.iscoroutinefunction(SqliteLedger.known)


def test_every_method_says_what_it_does() -> None:
    """None is bound from a function without a docstring."""
    methods = {name: each for name, each in vars(SqliteLedger).items() if callable(each) and not name.startswith("_")}
    assert len(methods) > 30
    assert [name for name, each in methods.items() if not each.__doc__] == []


@pytest.mark.parametrize("kind", ["read", "written"])
async def test_who_is_cancelled_already_asks_nothing_but_still_notes_what_has_happened(
    opener: Opener, kind: str
) -> None:
    """Reading ends where the caller ends; a fact is written down before the cancellation is heard."""
    async with opener() as ledger:
        await add(ledger, "t1")
        with anyio.CancelScope() as scope:
            scope.cancel()
            if kind == "read":
                await ledger.backlog(Everything(), now_ms=1)
                pytest.fail("it was not asked")
            await ledger.close_window(DAY, 1)
        assert await ledger.closed_windows(DAY) == ([DAY] if kind == "written" else [])


async def test_a_run_that_could_not_be_noted_is_not_under_way(opener: Opener) -> None:
    """Tasks are handed out once a run: to one that is in the ledger, and to no other."""
    async with opener() as ledger:
        with pytest.raises(OverflowError):
            await ledger.begin_run("run-1", 1 << 70, None)
        assert await add(ledger, "t1") == await add(ledger, "t1") == ["t1"]
        await ledger.begin_run("run-1", 1, None)
        assert [await add(ledger, "t1") for _ in range(2)] == [["t1"], []]
