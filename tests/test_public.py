"""The declared surface: what an embedding service may count on."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import wxrec_async

PACKAGE = Path(wxrec_async.__file__).parent
FUNCTIONS = {"login", "take_tokens", "examine", "examine_file", "verify", "cleanup", "rebuild", "reconcile", "audit"}


@pytest.mark.parametrize("name", wxrec_async.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """By attribute, as ``from wxrec_async import …`` asks for it, and documented."""
    found = getattr(wxrec_async, name)
    assert name == "__version__" or found.__doc__


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_the_functions_behind_the_commands_can_be_called(name: str) -> None:
    """Whatever stands behind the name, it takes a call."""
    assert callable(getattr(wxrec_async, name))


def test_no_public_name_is_that_of_a_room_or_a_module_at_the_top() -> None:
    """Importing the module would put it in the place of the name."""
    there = {path.stem for path in PACKAGE.glob("*.py")} | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert set(wxrec_async.__all__) & there == {"events"}  # which is the module itself


def test_type_checkers_are_told_the_same() -> None:
    """What is imported for them is what the table has."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text("utf-8"))
    told = {
        each.asname
        for branch in tree.body
        if isinstance(branch, ast.If)
        for line in branch.body
        if isinstance(line, ast.ImportFrom)
        for each in line.names
    }
    assert told == set(wxrec_async.__all__) - {"__version__"}


def test_what_is_not_public_is_not_there() -> None:
    """A misspelt name is an AttributeError, not an import of something."""
    with pytest.raises(AttributeError):
        wxrec_async.Backfil  # noqa: B018 - the access is the test
