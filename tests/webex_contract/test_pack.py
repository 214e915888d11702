"""The contract fits itself: samples against its schemas, and the sandbox's schema of Search against the contract's."""

from __future__ import annotations

import pytest
from graphql import GraphQLEnumType, GraphQLField, GraphQLInputObjectType, GraphQLObjectType

from tests.webex_contract.samples import SAMPLES, Sample
from tests.webex_contract.spec import OPERATIONS, SEARCH, SPEC
from wxrec_async.sandbox.search_fields import ENUMS
from wxrec_async.sandbox.search_schema import INPUT_TYPES, OBJECT_TYPES, QUERY
from wxrec_async.sandbox.webex_api import CHANNELS

# What deviates although it is marked as seen or reported: said here, so that a new deviation is noticed.
DEVIATES = {
    "captures-null-recording", "captures-string-times", "tasks-nulls", "tasks-older-fields", "tasks-open-call",
}  # fmt: skip


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda each: each.name)
def test_every_sample_fits_as_its_mark_says(sample: Sample) -> None:
    """A documented answer fits the contract; one that was seen or reported may deviate, where that is known."""
    misfits = sample.misfits()
    assert not misfits or not sample.documented, misfits
    assert bool(misfits) == (sample.name in DEVIATES), misfits


def test_nothing_stands_below_v1_that_cisco_has_at_the_root() -> None:
    """The three paths whose misreading cost the second witness."""
    paths = {operation.template for operation in OPERATIONS}
    assert {"/search", "/search/v2/meta", "/organization/{orgid}", "/v1/tasks", "/v1/captures/query"} <= paths
    assert not paths & {"/v1/search", "/v1/organization/{orgid}", "/tasks", "/captures/query"}
    assert len(SAMPLES) == 72
    assert SPEC["info"]["license"]["name"] == "CC BY 4.0"


def _arguments(field: GraphQLField) -> dict[str, str]:
    return {name: str(each.type) for name, each in field.args.items()}


def test_the_sandbox_has_the_objects_of_search() -> None:
    """Every type with every field, its type and arguments; the sandbox wrote them down by itself."""
    wanted = {
        name: {each: (str(field.type), _arguments(field)) for each, field in kind.fields.items()}
        for name, kind in SEARCH.type_map.items()
        if isinstance(kind, GraphQLObjectType) and not name.startswith("__")
    }
    found = {
        name: {each: (field.ref, dict(field.arguments)) for each, field in fields.items()}
        for name, fields in (OBJECT_TYPES | {"Query": QUERY}).items()
    }
    assert found == wanted


def test_the_sandbox_has_the_filters_and_words_of_search() -> None:
    """What may be asked with, and the enumerations."""
    inputs = {
        name: {each: str(field.type) for each, field in kind.fields.items()}
        for name, kind in SEARCH.type_map.items()
        if isinstance(kind, GraphQLInputObjectType)
    }
    assert inputs == INPUT_TYPES
    words = {
        name: set(kind.values)
        for name, kind in SEARCH.type_map.items()
        if isinstance(kind, GraphQLEnumType) and not name.startswith("__")
    }
    assert {name: set(values.split()) for name, values in ENUMS.items()} == words
    (tasks,) = (each for each in OPERATIONS if each.template == "/v1/tasks")
    assert set(tasks.query["channelTypes"]["schema"]["items"]["enum"]) == CHANNELS
