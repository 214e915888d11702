"""GET /search/v2/meta: the schema of Search as it tells it itself."""

from __future__ import annotations

from typing import Any

from wxrec_async.sandbox.search_schema import INPUT_TYPES, NUMBERS, OBJECT_TYPES, QUERY, SCALARS, FieldType

Row = dict[str, Any]
FILTERS = {"taskDetails": "TaskDetailsFilters", "task": "TaskFilters", "taskLegDetails": "TaskLegDetailsFilters"}


def metadata() -> Row:
    """Return every query with its fields, and what can be done with each of them."""
    return {"queries": [_query(name, kind) for name, kind in QUERY.items()]}


def _query(name: str, kind: FieldType) -> Row:
    of = "TaskLegDetails" if name == "taskLegDetails" else "TaskDetails"
    fields = [_field(each, found, FILTERS[name]) for each, found in OBJECT_TYPES[of].items()]
    return {
        "name": name,
        "deprecated": name == "task",
        "type": {"name": kind.ref, "kind": "OBJECT"},
        "systemField": False,
        "description": f"Pages of {of}",
        "fields": fields,
    }


def _field(name: str, kind: FieldType, filters: str) -> Row:
    told: Row = {
        "name": name,
        "deprecated": False,
        "type": _type(kind.ref),
        "systemField": False,
        "description": name,
        "sortable": "sort" in kind.arguments,
        "fieldType": "COMMON",
        "groupBy": kind.ref in SCALARS - {"JSON"},
    }
    if name in INPUT_TYPES[filters]:
        told["filter"] = "filter"
    if kind.ref in NUMBERS:
        told["aggregation"] = {"types": ["count", "min", "max", "sum", "average", "cardinality"]}
    return told


def _type(ref: str) -> Row:
    if ref.startswith("["):
        return {"name": None, "kind": "LIST", "ofType": _type(ref[1:-1])}
    return {"name": ref, "kind": "SCALAR" if ref in SCALARS else "OBJECT"}
