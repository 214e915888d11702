"""The contract as it is loaded: operations, JSON schemas, the schema of Search, and what of a value does not fit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphql import GraphQLError, GraphQLSchema, build_schema, execute_sync, parse, validate
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

HERE = Path(__file__).parent
Json = dict[str, Any]
SPEC: Json = json.loads((HERE / "openapi.json").read_text("utf-8"))
SEARCH: GraphQLSchema = build_schema((HERE / "search-schema.graphql").read_text("utf-8"))
METHODS = frozenset({"get", "post", "delete", "patch", "put"})
ERROR = {"$ref": "#/components/schemas/ApiErrorResponse"}
TOKENS = {"$ref": "#/components/schemas/Tokens"}
BODY = {"$ref": "#/components/schemas/RecordingBodyParams"}
# Required by the specification, missing in live rows (see README.md).
LIVE = frozenset({"'owner' is a required property", "'queue' is a required property"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    template: str
    pattern: re.Pattern[str]
    told: Json

    @property
    def where(self) -> str:
        return f"{self.method} {self.template}"

    @property
    def statuses(self) -> frozenset[str]:
        return frozenset(self.told["responses"])

    @property
    def query(self) -> dict[str, Json]:
        """The query parameters by name."""
        return {each["name"]: each for each in self.told.get("parameters", ()) if each["in"] == "query"}

    @property
    def body_schema(self) -> Json | None:
        content = self.told.get("requestBody", {}).get("content", {})
        found: Json | None = content.get("application/json", {}).get("schema")
        return found

    def answer_schema(self, status: int) -> Json | None:
        content = self.told["responses"].get(str(status), {}).get("content", {})
        found: Json | None = content.get("application/json", {}).get("schema")
        return found


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template))


OPERATIONS = [
    Operation(method.upper(), template, _pattern(template), told)
    for template, item in SPEC["paths"].items()
    for method, told in item.items()
    if method in METHODS
]


def operation_of(method: str, path: str) -> Operation | None:
    return next((each for each in OPERATIONS if each.method == method and each.pattern.fullmatch(path)), None)


def methods_of(path: str) -> list[str]:
    return [each.method for each in OPERATIONS if each.pattern.fullmatch(path)]


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something of a value that does not fit its schema; ``live`` when that was seen on real tenants all the same."""

    path: str
    text: str
    found: object
    live: bool

    def __str__(self) -> str:
        return f"{self.path or 'body'}: {self.text}"


def mistakes(schema: Json, value: object) -> Iterator[Mistake]:
    """Yield what does not fit."""
    for error in Draft202012Validator({**schema, "components": SPEC["components"]}).iter_errors(value):
        path = ".".join("[]" if isinstance(part, int) else str(part) for part in error.absolute_path)
        text = _text(error)
        as_text = isinstance(error.instance, str) and re.search(r"(start|stop)Time$", path) is not None
        yield Mistake(path, text, error.instance, error.instance is None or text in LIVE or as_text)


def _text(error: ValidationError) -> str:
    if error.validator == "required":
        return str(error.message).rsplit(": ", 1)[-1]
    wanted = str(error.validator_value)[:60]
    return f"{type(error.instance).__name__} where the spec has {error.validator} {wanted}"


def unknown_fields(schema: Json, value: object, path: str = "") -> Iterator[str]:
    """Yield the names that the contract does not have."""
    schema = _resolved(schema)
    if isinstance(value, dict) and "properties" in schema:
        for name, found in value.items():
            if name not in schema["properties"]:
                yield f"{path}{name}"
            else:
                yield from unknown_fields(schema["properties"][name], found, f"{path}{name}.")
    elif isinstance(value, list) and "items" in schema:
        for found in value:
            yield from unknown_fields(schema["items"], found, path.removesuffix(".") + "[].")


def _resolved(schema: Json) -> Json:
    while "$ref" in schema:
        schema = SPEC["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def query_errors(query: str) -> list[str]:
    """Return what is wrong with a GraphQL query."""
    try:
        return [error.message for error in validate(SEARCH, parse(query))]
    except GraphQLError as error:
        return [error.message]


def answer_errors(query: str, data: object, variables: Mapping[str, Any] | None = None) -> list[str]:
    """Return where an answer's ``data`` is not what the query asks for."""
    told = execute_sync(SEARCH, parse(query), data, field_resolver=_named, variable_values=dict(variables or {}))
    if told.errors:
        return [error.message for error in told.errors]
    different = difference(told.data, data)
    return [] if different is None else [different]


def _named(source: object, info: Any, **_: object) -> object:
    return source.get(info.path.key) if isinstance(source, dict) else None


def difference(wanted: object, found: object, path: str = "") -> str | None:
    """Return the first place where two values differ."""
    pairs: Iterator[tuple[object, object, str]]
    if isinstance(wanted, dict) and isinstance(found, dict):
        if wanted.keys() != found.keys():
            return f"{path}: asked {sorted(wanted)}, answered {sorted(found)}"
        pairs = ((wanted[name], found[name], f"{path}.{name}") for name in found)
    elif isinstance(wanted, list) and isinstance(found, list):
        pairs = ((one, other, f"{path}[]") for one, other in zip(wanted, found, strict=False))
    else:
        return None if wanted == found else f"{path}: {found!r} where the schema has {wanted!r}"
    return next((text for one, other, where in pairs if (text := difference(one, other, where)) is not None), None)
