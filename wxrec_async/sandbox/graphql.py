"""As much of GraphQL as Search's clients write: one operation, arguments, variables, selections, aliases.

Syntax as the specification of October 2021 has it (https://spec.graphql.org/October2021/), without fragments,
directives and block strings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Commas are white space to GraphQL, and so is a byte order mark.
_TOKEN = re.compile(
    r'[\s,\ufeff]*(?:#[^\n]*\n[\s,]*)*(?P<token>"(?:[^"\\\n]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[_A-Za-z]\w*|[{}()\[\]:$!=]|$)'
)


PUNCTUATION = frozenset("{}()[]:$!=")


class QueryError(Exception):
    """The query cannot be read, or asks for what there is not; ``missing`` when a required argument is not there.

    ``at`` is the line and column of what is wrong, where that is known.
    """

    def __init__(self, message: str, *, missing: bool = False, at: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.missing, self.at = missing, at


# The value of an enumeration is a bare word and may not stand in quotes.  Both are texts once they are read, so
# the two classes keep what they were.
class Word(str):
    """A bare word in the query: the name of an enumeration's value."""

    __slots__ = ()


class Quoted(str):
    """A text in quotes in the query; texts that come as variables are plain ones."""

    __slots__ = ()


@dataclass(slots=True)
class Field:
    """A field that is asked for, under the name the answer gives it."""

    name: str
    answer_name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    selection: list[Field] = field(default_factory=list)
    at: tuple[int, int] = (1, 1)


def read_query(text: str, variables: Mapping[str, Any]) -> list[Field]:
    """Return what the one operation of ``text`` selects; raises `QueryError`."""
    tokens = _tokens(text)
    return _Parser([token for token, _ in tokens], [at for _, at in tokens], variables).operation()


def _tokens(text: str) -> list[tuple[str, tuple[int, int]]]:
    """Return the tokens, each with its line and column."""
    tokens: list[tuple[str, tuple[int, int]]] = []
    at = 0
    while True:
        found = _TOKEN.match(text, at)
        if found is None:
            raise QueryError(f"Invalid syntax at offset {at}")
        start = found.start("token")
        tokens.append((found["token"], (text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start))))
        at = found.end()
        if not found["token"]:
            return tokens


class _Parser:
    def __init__(self, tokens: list[str], places: list[tuple[int, int]], variables: Mapping[str, Any]) -> None:
        self._tokens, self._places, self._at = tokens, places, 0
        self._variables = dict(variables)

    def operation(self) -> list[Field]:
        if self._peek() == "query":
            self._next()
            if self._peek() not in ("{", "("):
                self._next()
            if self._peek() == "(":
                self._definitions()
        selection = self._selection()
        if self._peek():
            raise QueryError(f"Invalid syntax: {self._peek()!r} behind the operation")
        return selection

    def _definitions(self) -> None:
        """Read ``($from: Long!, $cursor: String = "0")``."""
        self._expect("(")
        while self._peek() != ")":
            self._expect("$")
            name = self._name()
            self._expect(":")
            required = self._type()
            if self._peek() == "=":
                self._next()
                # Not for null, which is a value: a default is for variables that were not given at all.
                self._variables.setdefault(name, self._value())
            if required and self._variables.get(name) is None:
                raise QueryError(f"Variable '{name}' has an invalid value: it is required")
        self._next()

    def _type(self) -> bool:
        if self._peek() == "[":
            self._next()
            self._type()
            self._expect("]")
        else:
            self._name()
        if self._peek() == "!":
            self._next()
            return True
        return False

    def _selection(self) -> list[Field]:
        self._expect("{")
        fields = []
        while self._peek() != "}":
            fields.append(self._field())
        self._next()
        if not fields:
            raise QueryError("Invalid syntax: an empty selection")
        return fields

    def _field(self) -> Field:
        place = self._places[self._at]
        name = answer_name = self._name()
        if self._peek() == ":":
            self._next()
            name = self._name()
        found = Field(name, answer_name, at=place)
        if self._peek() == "(":
            self._next()
            found.arguments = self._pairs(")")
        if self._peek() == "{":
            found.selection = self._selection()
        return found

    def _pairs(self, end: str) -> dict[str, Any]:
        pairs = {}
        while self._peek() != end:
            name = self._name()
            self._expect(":")
            pairs[name] = self._value()
        self._next()
        return pairs

    def _value(self) -> Any:
        token = self._next()
        match token:
            case "$":
                return self._variables.get(self._name())
            case "{":
                return self._pairs("}")
            case "[":
                items = []
                while self._peek() != "]":
                    items.append(self._value())
                self._next()
                return items
            case "true" | "false" | "null":
                return json.loads(token)
        if not token or token in PUNCTUATION:
            raise QueryError(f"Invalid syntax: {token!r} is no value")
        if token[0] == '"':
            # Its escapes are JSON's.
            return Quoted(json.loads(token))
        return json.loads(token) if token[0] in "-0123456789" else Word(token)

    def _name(self) -> str:
        token = self._next()
        if not re.fullmatch(r"[_A-Za-z]\w*", token):
            raise QueryError(f"Invalid syntax: {token!r} is no name")
        return token

    def _expect(self, token: str) -> None:
        if (found := self._next()) != token:
            raise QueryError(f"Invalid syntax: {found!r} instead of {token!r}")

    def _peek(self) -> str:
        return self._tokens[self._at]

    def _next(self) -> str:
        token = self._tokens[self._at]
        if not token:
            raise QueryError("Invalid syntax: the query breaks off")
        self._at += 1
        return token
