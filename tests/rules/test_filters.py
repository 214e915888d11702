"""Which tasks are wanted, and the word for why one is not."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.model import Task
from wxrec_async.rules.filters import NO_FILTERS, Filters, matches

FULL: dict[str, Any] = {
    "queue_id": "q-1",
    "queue_name": "Sales North",
    "agent_id": "a-7",
    "agent_name": "Ada Lovelace",
    "direction": "inbound",
    "duration_ms": 30_000,
}


def task(**facts: Any) -> Task:
    return Task("t", **(FULL | facts))


NO_QUEUE = {"queue_id": None, "queue_name": None}
NO_AGENT = {"agent_id": None, "agent_name": None}


@pytest.mark.parametrize(
    ("filters", "facts", "reason"),
    [
        ({}, {}, None),
        ({"queues": ("Sales North",)}, {}, None),
        ({"queues": ("sales*",)}, {}, None),
        ({"queues": ("Q-1",)}, {}, None),
        ({"queues": ("Support", "Sales*")}, {}, None),
        ({"queues": ("Sales",)}, {}, "queue"),
        ({"queues": ("Sales*",)}, NO_QUEUE, "queue_unknown"),
        ({"queues": ("*",)}, NO_QUEUE, "queue_unknown"),
        ({"exclude_queues": ("Sales*",)}, {}, "queue"),
        ({"exclude_queues": ("q-1",)}, {}, "queue"),
        ({"exclude_queues": ("Support",)}, {}, None),
        ({"exclude_queues": ("*",)}, NO_QUEUE, None),
        ({"queues": ("Sales*",), "exclude_queues": ("*North",)}, {}, "queue"),
        ({"queues": ("Sales*",), "exclude_queues": ("*South",)}, NO_QUEUE, "queue_unknown"),
        ({"queues": ("Sales North",)}, {"queue_id": None}, None),
        ({"queues": ("Sales North",)}, {"queue_name": None}, "queue"),
        ({"agents": ("ada*",)}, {}, None),
        ({"agents": ("a-7",)}, {}, None),
        ({"agents": ("Grace*",)}, {}, "agent"),
        ({"agents": ("Ada*",)}, NO_AGENT, "agent_unknown"),
        ({"exclude_agents": ("Ada*",)}, {}, "agent"),
        ({"exclude_agents": ("Ada*",)}, NO_AGENT, None),
        ({"directions": ("INBOUND",)}, {}, None),
        ({"directions": ("outbound", "outdial")}, {}, "direction"),
        ({"directions": ("inbound",)}, {"direction": None}, "direction_unknown"),
        ({"min_duration_ms": 30_000}, {}, None),
        ({"min_duration_ms": 30_001}, {}, "duration"),
        ({"min_duration_ms": 30_001}, {"duration_ms": None}, None),
        ({"min_duration_ms": 5000}, {"duration_ms": None, "created_ms": 1000, "ended_ms": 5999}, "duration"),
        ({"min_duration_ms": 5000}, {"duration_ms": None, "created_ms": 1000, "ended_ms": 6000}, None),
        ({"min_duration_ms": 5000}, {"duration_ms": None, "created_ms": None, "ended_ms": 6000}, None),
        ({"queues": ("Sales*",), "agents": ("Grace*",)}, {}, "agent"),
        ({"queues": ("Support",), "agents": ("Grace*",)}, {}, "queue"),
    ],
)
def test_a_task_passes_every_filter_or_fails_with_the_word_for_it(
    filters: dict[str, Any], facts: dict[str, Any], reason: str | None
) -> None:
    """What is missing fails an include, passes an exclude and a minimum length."""
    assert Filters(**filters).leaves_out(task(**facts)) == reason


@pytest.mark.parametrize(
    ("name", "pattern", "same"),
    [
        ("Sales [EU]", "sales [eu]", True),  # as a pattern alone it would be one character of E and U
        ("Sales E", "Sales [EU]", True),
        ("Sales X", "Sales [EU]", False),
        ("Straße", "STRASSE", True),
        ("Jose\u0301", "jos\u00e9", True),
        (" Sales ", "sales", True),
        ("Sales", "S?les", True),
        ("Sales", "ales", False),
        ("a\nb", "a*b", True),
    ],
)
def test_names_are_compared_as_people_write_them(name: str, pattern: str, same: bool) -> None:
    """Case, accents in either form and blanks around a name make no difference; brackets may be part of it."""
    assert matches(name, pattern) is same


def test_no_filters_are_false_and_every_single_one_is_true() -> None:
    """Whoever has none can leave the work out; a filter that is added here must count, too."""
    assert not NO_FILTERS
    for field in fields(Filters):
        one: dict[str, Any] = {field.name: 1 if field.name == "min_duration_ms" else ("x",)}
        assert Filters(**one), field.name


NAMES = st.one_of(st.none(), st.text("abAB*?[]", min_size=1, max_size=4))
PATTERNS = st.lists(st.text("abAB*?[]", min_size=1, max_size=4), max_size=3).map(tuple)


@given(queue=NAMES, agent=NAMES, include=PATTERNS, exclude=PATTERNS)
def test_an_exclude_never_lets_more_through(
    queue: str | None, agent: str | None, include: tuple[str, ...], exclude: tuple[str, ...]
) -> None:
    """Whatever an include leaves out stays out, and what is excluded is out whatever is included."""
    one = Task("t", queue_name=queue, agent_name=agent)
    both = Filters(queues=include, exclude_queues=exclude).leaves_out(one)
    if Filters(queues=include).leaves_out(one) or Filters(exclude_queues=exclude).leaves_out(one):
        assert both
    else:
        assert both is None


@given(name=st.text(min_size=1))
def test_every_name_matches_itself_in_any_case(name: str) -> None:
    """No name is out of reach because of what it looks like."""
    assert matches(name, name)
    assert matches(name.swapcase(), name) or name.swapcase().casefold() != name.casefold()


def test_without_a_word_everything_is_wanted() -> None:
    """No filter is an empty list or zero, never nothing at all."""
    assert NO_FILTERS == Filters() == Filters((), (), (), (), (), 0)
    assert not NO_FILTERS
    assert NO_FILTERS.leaves_out(task()) is None


def test_names_are_compared_in_any_case_of_any_alphabet() -> None:
    """Case folding knows pairs that capitals do not have."""
    assert matches("STRAẞE", "Strasse")
    assert matches("ΟΔΟΣ", "οδος")
