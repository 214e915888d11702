"""The words a day is called by, which reports and other programs read."""

from __future__ import annotations

from wxrec_async.model import DAY_MS, Window
from wxrec_async.rules.coverage import DayCoverage, DayState


def test_a_day_is_called_by_these_words_worst_first() -> None:
    """They are a contract, and so is their order."""
    assert [each.value for each in DayState] == ["failed", "owed", "not_yet", "not_listed", "complete", "certified"]


def test_nothing_is_known_of_a_day_at_first() -> None:
    """Counts are numbers from the beginning."""
    day = Window(0, DAY_MS)
    assert DayCoverage(day) == DayCoverage(
        day, failed=0, owed=0, unfinished=0, unlisted_ms=0, changed_ms=None, certified_ms=None
    )
