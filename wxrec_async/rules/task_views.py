"""One task as two lists show it: whatever either of them says is kept."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from wxrec_async.model import Task


def richness(task: Task) -> int:
    """Return how many fields of a task have a value."""
    return sum(getattr(task, each.name) is not None for each in fields(Task))


def merged(one: Task, other: Task) -> Task:
    """Return the task with what either view says of it, under the id of ``one``.

    Where both have a value that of the richer view is taken, of equally rich ones that of ``one``; no value is ever
    taken back by one that is missing.
    """
    first, second = (one, other) if richness(one) >= richness(other) else (other, one)
    missing: dict[str, Any] = {
        each.name: getattr(second, each.name) for each in fields(Task) if getattr(first, each.name) is None
    }
    return replace(first, **missing, id=one.id)
