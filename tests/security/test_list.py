"""The reviewer's table is true: every requirement, every test it names, and the files that may hold secrets."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.faults import FAULTS
from tests.outputs import ALLOWED

TESTS = Path(__file__).parents[1]
TEXT = (Path(__file__).parent / "README.md").read_text("utf-8")
ROWS = dict(re.findall(r"^\| (X\d\d) \| .*? \| (.*) \|$", TEXT, re.MULTILINE))
REQUIREMENTS = [each for each in FAULTS if each.startswith("X")]


def named(cell: str) -> list[tuple[str, str]]:
    """Files and tests of a row."""
    return [
        (file, test)
        for part in cell.split("<br>")
        for file, *tests in [re.findall(r"`([^`]+)`", part)]
        for test in tests
    ]


def markers(file: str) -> dict[str, set[str]]:
    """The ids that each test of a file carries."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse((TESTS / file).read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            found[node.name] = {
                str(argument.value)
                for mark in node.decorator_list
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault"
                for argument in mark.args
                if isinstance(argument, ast.Constant)
            }
    return found


def test_every_requirement_has_its_row() -> None:
    """X01 to X30, in order."""
    assert list(ROWS) == REQUIREMENTS


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_every_test_named_exists_and_carries_the_requirement(requirement: str) -> None:
    """A test that was renamed, removed or marked otherwise would leave a line that proves nothing."""
    tests = named(ROWS[requirement])
    assert tests
    for file, test in tests:
        assert requirement in markers(file).get(test, ()), f"{file}: {test}"


def test_the_files_that_may_hold_secrets_are_those_of_the_search() -> None:
    """The reasons stand in one place, and a reader sees them."""
    for pattern, reason in ALLOWED:
        assert f"| `{pattern}` | {reason} |" in TEXT
