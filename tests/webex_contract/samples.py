"""The samples: answers with the requests they belong to, and whether each fits the contract as its mark says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.webex_contract.spec import (
    BODY,
    ERROR,
    HERE,
    answer_errors,
    mistakes,
    operation_of,
    query_errors,
    unknown_fields,
)

INVALID = frozenset({"search-errors-200", "search-errors-400"})  # whose very point is a query that is wrong
FIELDS = {"request", "status", "headers", "body", "note", "source", "mark"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer.  ``mark``: documented (D), seen (S), reported (U) or inferred (G)."""

    name: str
    told: dict[str, Any]

    @property
    def method(self) -> str:
        return str(self.told["request"]["method"])

    @property
    def path(self) -> str:
        return str(self.told["request"]["path"])

    @property
    def asked(self) -> Any:
        """The body of the request."""
        return self.told["request"].get("body")

    @property
    def status(self) -> int:
        return int(self.told["status"])

    @property
    def body(self) -> Any:
        return self.told["body"]

    @property
    def documented(self) -> bool:
        return bool(self.told["mark"] == "D")

    def misfits(self) -> list[str]:
        """Return where the sample is not as the contract has it."""
        if self.told.keys() < FIELDS:
            return [f"without {sorted(FIELDS - self.told.keys())}"]
        return [*self._of_request(), *self._of_answer()]

    def _of_request(self) -> list[str]:
        if self.asked and self.name.startswith("captures"):
            return [str(each) for each in mistakes(BODY, self.asked)]
        if not self.name.startswith("search"):
            return []
        wrong = query_errors(self.asked["query"])
        if bool(wrong) == (self.name in INVALID):
            return []
        return wrong or ["the query should be invalid"]

    def _of_answer(self) -> list[str]:
        operation = operation_of(self.method, self.path.partition("?")[0])
        if self.name.startswith("search"):
            sound = self.status == 200 and self.body.get("data") and "errors" not in self.body
            return answer_errors(self.asked["query"], self.body["data"]) if sound else []
        if operation is None:
            return []
        if self.status >= 400:
            return [str(each) for each in mistakes(ERROR, self.body)] if isinstance(self.body, dict) else []
        schema = operation.answer_schema(self.status)
        if schema is None:
            return []
        unknown = sorted(set(unknown_fields(schema, self.body)))
        return [*(str(each) for each in mistakes(schema, self.body)), *(f"{each} is not in it" for each in unknown)]


def _read(path: Path) -> Sample:
    return Sample(path.stem, json.loads(path.read_text("utf-8")))


SAMPLES = [_read(path) for path in sorted((HERE / "samples").glob("*.json"))]
