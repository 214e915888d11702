"""How soon a question is asked again, in figures."""

from __future__ import annotations

import pytest

from wxrec_async.model import MINUTE_MS
from wxrec_async.rules.schedule import PACE, RecheckBackoff, next_try, wait_ms

DAY_MS = 86_400_000


def test_the_pace_is_the_one_operators_are_told() -> None:
    """Half an hour at first, a day at most, and never within a minute."""
    assert RecheckBackoff(first_ms=1_800_000, most_ms=DAY_MS) == PACE
    assert MINUTE_MS == 60_000


@pytest.mark.parametrize(
    ("age_ms", "waits_ms"),
    [(0, 1_800_000), (7_200_000, 1_800_000), (7_200_004, 1_800_001), (40_000_000, 10_000_000), (10**10, DAY_MS)],
)
def test_a_wait_is_a_quarter_of_the_age(age_ms: int, waits_ms: int) -> None:
    """Within the pace's limits; a failure's age counts from when it was first met."""
    assert wait_ms(age_ms) == waits_ms
    assert next_try(5_000, 5_000 + age_ms) == 5_000 + age_ms + waits_ms
