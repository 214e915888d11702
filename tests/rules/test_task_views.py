"""Two lists show one task: what either says stays, and the richer one is believed."""

from __future__ import annotations

from dataclasses import fields, replace

from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.model import Task
from wxrec_async.rules.task_views import merged, richness

NAMES = [each.name for each in fields(Task) if each.name != "id"]
VIEWS = st.builds(lambda told: Task("t", **told), st.dictionaries(st.sampled_from(NAMES), st.integers(1, 3)))


@given(VIEWS, VIEWS)
def test_no_value_is_lost_and_none_is_made_up(one: Task, other: Task) -> None:
    """Every field has the value of one of the views, and is missing only where both lack it."""
    both = merged(one, other)
    for name in NAMES:
        values = {getattr(one, name), getattr(other, name)}
        assert getattr(both, name) in values
        assert (getattr(both, name) is None) == (values == {None})
    assert richness(both) >= max(richness(one), richness(other))


@given(VIEWS, VIEWS)
def test_where_they_differ_the_richer_one_wins(one: Task, other: Task) -> None:
    """And of equally rich ones the first."""
    both, richer = merged(one, other), one if richness(one) >= richness(other) else other
    for name in NAMES:
        if getattr(richer, name) is not None:
            assert getattr(both, name) == getattr(richer, name)


@given(VIEWS)
def test_a_bare_id_takes_everything_but_the_spelling(known: Task) -> None:
    """The id stays as the first view has it."""
    assert merged(Task("T"), known) == replace(known, id="T")
    assert merged(known, Task("T")) == known
