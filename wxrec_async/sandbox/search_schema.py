"""The schema of Search, and whether a query keeps to it; looked at before any row is, as GraphQL has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wxrec_async.sandbox.graphql import Field, QueryError, Quoted, Word
from wxrec_async.sandbox.search_fields import ENUMS, LISTS, OBJECTS, UNFILTERED

NUMBERS = frozenset({"Int", "Long", "Float"})
SCALARS = NUMBERS | {"String", "Boolean", "JSON", "FieldName"}
EQUAL = ("equals", "notequals")
# GraphQL's Int has 32 bits, which is why every time is a Long.
LARGEST_INT = 2**31


@dataclass(frozen=True, slots=True)
class FieldType:
    """What a field holds, a list of it in brackets, and the arguments it takes with their types."""

    ref: str
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def of(self) -> str:
        """The type without brackets."""
        return self.ref.strip("[]")


def _arguments(name: str, ref: str) -> dict[str, str]:
    if ref.endswith("GlobalVariable"):
        return {"name": "String!"}
    if name == "activities":
        return {"first": "Int", "after": "String"}
    return {"sort": "Sort"} if ref in SCALARS else {}


def _object(table: Mapping[str, str]) -> dict[str, FieldType]:
    return {
        name: FieldType(ref.removeprefix("plain "), _arguments(name, ref))
        for ref, names in table.items()
        for name in names.split()
    }


def _root(filter_name: str, aggregation: str, *, tasks: bool) -> dict[str, str]:
    more = {"extFilter": "TaskDetailsSpecificFilters", "aggregation": "TaskAggregation"} if tasks else {}
    return {
        "from": "Long!", "to": "Long!", "timeComparator": "QueryTimeType", "filter": filter_name,
        "aggregations": f"[{aggregation}]", "aggregationInterval": "IntervalData", "pagination": "Pagination", **more,
    }  # fmt: skip


OBJECT_TYPES = {name: _object(table) for name, table in {**OBJECTS, **LISTS}.items()}
QUERY = {
    "taskDetails": FieldType("TaskDetailsList", _root("TaskDetailsFilters", "TaskV2Aggregation", tasks=True)),
    "task": FieldType("TaskList", _root("TaskFilters", "TaskV2Aggregation", tasks=True)),
    "taskLegDetails": FieldType(
        "TaskLegDetailsList", _root("TaskLegDetailsFilters", "TaskLegV2Aggregation", tasks=False)
    ),
}


def _operators(ref: str) -> dict[str, str]:
    words = dict.fromkeys(("match", "contains"), "String") if ref in ("String", "JSON") else {}
    sizes = dict.fromkeys(("gt", "gte", "lt", "lte"), ref) if ref in NUMBERS else {}
    return dict.fromkeys(EQUAL, ref) | words | sizes


def _value_fields(name: str) -> dict[str, str]:
    """What a composite may be compared with as a whole: its own scalars."""
    # "_" where there is none: GraphQL allows no input type without a field.
    return {each: kind.ref for each, kind in OBJECT_TYPES[name].items() if kind.ref in SCALARS} or {"_": "String"}


def _filter_fields(name: str) -> dict[str, str]:
    left_out = UNFILTERED.get(name, "").split()
    found = {each: f"{kind.of}Filter" for each, kind in OBJECT_TYPES[name].items() if each not in left_out}
    return found | {"channelType": "ChannelTypeFilter"} if "channelType" in found else found


def _inputs() -> dict[str, dict[str, str]]:
    found = {f"{ref}Filter": _operators(ref) for ref in ("String", "Long", "Int", "Float", "Boolean", "JSON")}
    found["ChannelTypeFilter"] = dict.fromkeys(EQUAL, "ChannelType")
    composites = OBJECT_TYPES.keys() - LISTS.keys() - {
        "TaskDetails", "TaskLegDetails", "Activity", "Activities", "PageInfo", "AggregationResult",
    }  # fmt: skip
    for name in composites:
        found[f"{name}Value"] = _value_fields(name)
        found[f"{name}Filter"] = _filter_fields(name) | dict.fromkeys(EQUAL, f"{name}Value")
    for name, of in {
        "TaskDetailsFilters": "TaskDetails",
        "TaskFilters": "TaskDetails",
        "TaskLegDetailsFilters": "TaskLegDetails",
    }.items():
        found[name] = dict.fromkeys(("and", "or"), f"[{name}]") | _filter_fields(of)
    specific = "TaskDetailsSpecificFilters"
    found["ActivityFilter"] = _filter_fields("Activity")
    found["ActivitiesFilter"] = {"nodes": "ActivityFilter"}
    found[specific] = dict.fromkeys(("and", "or"), f"[{specific}]") | {"activities": "ActivitiesFilter"}
    aggregation = {"field": "String!", "type": "AggregationType!", "name": "String!"}
    own, legs = "TaskDetailsFilters", "TaskLegDetailsFilters"
    found["TaskV2Aggregation"] = aggregation | {"filter": own, "extFilter": specific, "predicate": own}
    found["TaskLegV2Aggregation"] = aggregation | {"filter": legs, "predicate": legs}
    found["OldAggregation"] = aggregation | {"field": "FieldName!", "filter": own}
    found["TaskAggregation"] = {"aggr": "[OldAggregation]", "interval": "FieldName"}
    found["IntervalData"] = {"interval": "Interval!", "timezone": "String"}
    return found | {"Pagination": {"cursor": "String"}}


INPUT_TYPES = _inputs()


def check(roots: Iterable[Field]) -> None:
    """Raise `QueryError` unless every name, argument and selection is in the schema."""
    for root in roots:
        _check_field(root, QUERY, "Query", "")


def _check_field(asked: Field, fields: Mapping[str, FieldType], owner: str, path: str) -> None:
    kind, where = fields.get(asked.name), f"{path}/{asked.name}".lstrip("/")
    if kind is None:
        raise QueryError(_undefined(where, asked.name, owner), at=asked.at)
    _check_arguments(asked, kind, where)
    if kind.of in SCALARS:
        if asked.selection:
            raise QueryError(f"Validation error (SubselectionNotAllowed@[{where}]) : '{asked.name}' is a scalar")
        return
    if not asked.selection:
        raise QueryError(f"Validation error (SubselectionRequired@[{where}]) : '{asked.name}' takes a selection")
    for each in asked.selection:
        _check_field(each, OBJECT_TYPES[kind.of], kind.of, where)


def _undefined(where: str, name: str, owner: str) -> str:
    return f"Validation error (FieldUndefined@[{where}]) : Field '{name}' in type '{owner}' is undefined"


def _check_arguments(asked: Field, kind: FieldType, where: str) -> None:
    for name in asked.arguments.keys() - kind.arguments.keys():
        raise QueryError(f"Validation error (UnknownArgument@[{where}]) : Unknown field argument '{name}'")
    for name, ref in kind.arguments.items():
        if asked.arguments.get(name) is None:
            if ref.endswith("!"):
                raise QueryError(f"Missing field argument '{name}'", missing=True)
            continue
        check_value(asked.arguments[name], ref, f"{where}({name})")


def check_value(value: Any, ref: str, where: str) -> None:
    """Raise `QueryError` unless a value fits its type; null fits whatever is not required."""
    if value is None:
        if ref.endswith("!"):
            raise _wrong_type(where, ref)
        return
    ref = ref.removesuffix("!")
    if ref.startswith("["):
        for each in value if isinstance(value, list) else [value]:  # GraphQL takes one for a list of one
            check_value(each, ref[1:-1], where)
    elif ref in INPUT_TYPES:
        _check_input(value, ref, where)
    elif not _fits(value, ref):
        raise _wrong_type(where, ref)


def _check_input(value: Any, ref: str, where: str) -> None:
    if not isinstance(value, dict):
        raise _wrong_type(where, ref)
    fields = INPUT_TYPES[ref]
    for name in value.keys() - fields.keys():
        raise QueryError(f"Validation error (WrongType@[{where}]) : '{ref}' has no field '{name}'")
    for name, kind in fields.items():
        check_value(value.get(name), kind, f"{where}.{name}")


def _fits(value: Any, ref: str) -> bool:
    if ref in ENUMS:
        # A word in quotes is no value of an enumeration; a text that came as a variable is.
        return isinstance(value, str) and not isinstance(value, Quoted) and value in ENUMS[ref].split()
    match ref:
        case "Boolean":
            return isinstance(value, bool)
        case "Int":
            return type(value) is int and abs(value) < LARGEST_INT
        case "Long":
            # Numbers as text were seen to be taken.
            return type(value) is int or (isinstance(value, str) and value.lstrip("-").isdigit())
        case "Float":
            return type(value) in (int, float)
        case "String":
            return isinstance(value, str) and not isinstance(value, Word)
    return True


def _wrong_type(where: str, ref: str) -> QueryError:
    return QueryError(f"Validation error (WrongType@[{where}]) : the value is not of type '{ref}'")
