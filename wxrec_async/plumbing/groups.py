"""One failure out of a task group's many."""

from __future__ import annotations


def first_failure(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first exception of a group that is no group itself.

    A task group cancels its other tasks at the first failure, so the first one
    is the cause and the rest, if any, came of it.
    """
    failure: BaseException = group
    # A group of groups, where the work has task groups of its own.
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
