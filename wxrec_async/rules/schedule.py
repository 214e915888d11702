"""When a task is worth another question.

Webex does not say when a recording will be there, only that it comes: often
within minutes, sometimes within days, and Cisco's own advice is to look again
over a trailing window.  So the wait grows with what it waits for: a quarter of
its age, within bounds, and the last question falls where silence becomes a
verdict, not a day behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

from wxrec_async.model import DAY_MS, MINUTE_MS


@dataclass(frozen=True, slots=True)
class RecheckBackoff:
    """How soon a question is asked again at the earliest and at the latest, in milliseconds."""

    first_ms: int = 30 * MINUTE_MS
    most_ms: int = DAY_MS


PACE = RecheckBackoff()


def wait_ms(age_ms: int, pace: RecheckBackoff = PACE) -> int:
    """Return how long to leave alone what is ``age_ms`` old: never shorter for something older."""
    return max(MINUTE_MS, min(pace.most_ms, max(pace.first_ms, age_ms // 4)))


def next_question(now_ms: int, age_ms: int, judged_ms: int, pace: RecheckBackoff = PACE) -> int:
    """Return when to ask again for what is owed; ``judged_ms`` is when an empty answer becomes a verdict."""
    return max(now_ms + MINUTE_MS, min(now_ms + wait_ms(age_ms, pace), judged_ms))


def next_try(first_ms: int, now_ms: int) -> int:
    """Return when to try again what failed just now and was first met at ``first_ms``."""
    return now_ms + wait_ms(now_ms - first_ms)


def second_look(created_ms: int | None, after_ms: int, now_ms: int) -> int | None:
    """Return when to look whether a task has got a further recording; None when it is old enough already.

    Consult legs and virtual-agent recordings are recordings of their own and
    need not be ready when the main one is.
    """
    if created_ms is None or not after_ms:
        return None
    due = created_ms + after_ms
    return due if due > now_ms else None
