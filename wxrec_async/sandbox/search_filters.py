"""Filters, sums and groups of Search, over rows of the contact record."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Filter = Mapping[str, Any]
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "equals": lambda found, wanted: found == wanted,
    "notequals": lambda found, wanted: found != wanted,
    "match": lambda found, wanted: wanted.casefold() in str(found).casefold(),
    "contains": lambda found, wanted: wanted in str(found),
    "gt": lambda found, wanted: found > wanted,
    "gte": lambda found, wanted: found >= wanted,
    "lt": lambda found, wanted: found < wanted,
    "lte": lambda found, wanted: found <= wanted,
}
MINUTE_MS = 60_000
SPANS_MS = {
    "FIFTEEN_MINUTES": 15 * MINUTE_MS,
    "THIRTY_MINUTES": 30 * MINUTE_MS,
    "HOURLY": 60 * MINUTE_MS,
    "DAILY": 24 * 60 * MINUTE_MS,
}


def fits(row: Row, wanted: Filter | None) -> bool:
    """Say whether a row passes a filter; what is null passes ``notequals`` alone."""
    return all(_fits_one(row, name, value) for name, value in (wanted or {}).items() if value is not None)


def _fits_one(row: Row, name: str, value: Any) -> bool:
    if name in ("and", "or"):
        found = [fits(row, each) for each in _listed(value)]
        return all(found) if name == "and" else any(found)
    return _holds(row.get(name), value)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _holds(found: Any, wanted: Filter) -> bool:
    """Compare a value with what its filter asks, one level down where the value is composite."""
    for name, value in wanted.items():
        if name not in COMPARE:
            if not _holds((found or {}).get(name), value):
                return False
        elif isinstance(value, dict):  # a composite as a whole: what is named must be equal
            equal = all((found or {}).get(each) == other for each, other in value.items())
            if equal != (name == "equals"):
                return False
        elif not _compares(name, found, value):
            return False
    return True


def _compares(name: str, found: Any, value: Any) -> bool:
    if found is None or value is None:
        # Nothing is larger or smaller than null, nor contained in it: it can only be null, or not be.
        return (found is value) == (name == "equals")
    if type(found) is int and isinstance(value, str):
        value = int(value)  # a Long may come as text
    return COMPARE[name](found, value)


def fits_activities(activities: Sequence[Row], wanted: Filter | None) -> bool:
    """Say whether some activity of a contact passes an ``extFilter``."""
    for name, value in (wanted or {}).items():
        if name == "activities":
            if not any(fits(each, value.get("nodes")) for each in activities):
                return False
        else:
            found = [fits_activities(activities, each) for each in _listed(value)]
            if not (all(found) if name == "and" else any(found)):
                return False
    return True


def aggregate(asked: Row, rows: Iterable[Row]) -> float | None:
    """Return one sum, count and so on, as the float that Search makes of everything."""
    kept = [row for row in rows if fits(row, asked.get("filter")) and fits(row, asked.get("predicate"))]
    values = [value for row in kept if (value := _at(row, str(asked["field"]))) is not None]
    match asked["type"]:
        case "count":
            return float(len(values))
        case "cardinality":
            return float(len(set(map(str, values))))
        case "sum":
            return float(sum(values))
        case "average":
            return sum(values) / len(values) if values else None
    return float((min if asked["type"] == "min" else max)(values)) if values else None


def _at(row: Any, path: str) -> Any:
    """Return the value at a name, or at names with dots between them."""
    for name in path.split("."):
        row = row.get(name) if isinstance(row, dict) else None
    return row


def interval_start(created_ms: int, interval: str) -> int:
    """Return when the interval began in which something was created, in UTC."""
    if interval in SPANS_MS:
        return created_ms - created_ms % SPANS_MS[interval]
    day = dt.datetime.fromtimestamp(created_ms / 1000, dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    # Weeks begin on Monday; months differ in length, so they need the calendar.
    back = day.weekday() if interval == "WEEKLY" else day.day - 1
    return int((day - dt.timedelta(days=back)).timestamp() * 1000)
