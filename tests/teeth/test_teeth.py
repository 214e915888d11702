"""The planted bugs still fit the source, so that ``python -m tests.teeth`` proves what it says."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.teeth.__main__ import HOME, copy_to
from tests.teeth.bug import Bug, Edit, TextEdit, read_package
from tests.teeth.finality import FINALITY
from tests.teeth.further import FURTHER
from tests.teeth.listed import LISTED

BUGS = (*LISTED, *FURTHER, *FINALITY)


SOURCES = read_package(HOME)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_fits_the_source_and_names_tests_that_exist(bug: Bug) -> None:
    """What is replaced stands exactly once in the whole package, the result is Python, and the tests are there."""
    assert bug.apply(dict(SOURCES))
    assert all((HOME / test.partition("::")[0]).exists() for test in bug.tests)


SOURCE = '''
"""A module."""
LIMITS = {"a": 1}

class Gate:
    def opens(self, key: str) -> bool:
        """Say so."""
        if key == "x" and self.wide:  # a comment
            self.count(
                key,
                1,
            )
            return True
        match key:
            case "y" if self.wide:
                self.say("UPDATE t SET a = 1\\n   WHERE b = 2")
            case _:
                raise ValueError
        return False

def opens(key):
    return key == "x"
'''


@pytest.mark.parametrize(
    ("edit", "here"),
    [
        (Edit("Gate.opens", "self.count(key, 1)", ""), "if key == 'x' and self.wide:\n            return True"),
        (Edit("Gate.opens", "self.count(key, 1)", "self.count(key, 2)"), "self.count(key, 2)"),
        (Edit("Gate.opens", "self.count(key, 1)", "x = 1\nself.count(x)"), "x = 1\n            self.count(x)"),
        (Edit("Gate.opens", "key == 'x'", "False"), "if False and self.wide:"),
        (
            Edit("Gate.opens", "if key == 'x' and self.wide: ...", "if self.wide: ..."),
            "if self.wide:\n            self.c",
        ),
        (Edit("Gate.opens", "self.count(key, 1)\nreturn True", "return 3"), "wide:\n            return 3\n"),
        (Edit("Gate.opens", "case 'y' if self.wide", "case 'y'"), "case 'y':\n                self.say"),
        (Edit("opens", "key == 'x'", "True"), "def opens(key):\n    return True"),
        (Edit("LIMITS", "1", "2"), "LIMITS = {'a': 2}"),
        (TextEdit("Gate.opens", "a = 1 WHERE b = 2", "a = 1"), "self.say('UPDATE t SET a = 1')"),
    ],
)
def test_an_edit_finds_its_place_however_it_is_written(edit: Edit | TextEdit, here: str) -> None:
    """Expressions, statements, headers, cases and texts, in any file and any layout; nothing else is changed."""
    sources = {Path("any/where.py"): SOURCE, Path("other.py"): "def closes(key):\n    return key == 'x'\n"}
    before = ast.unparse(ast.parse(SOURCE)).splitlines()
    assert edit.apply(sources) == Path("any/where.py")
    after = sources[Path("any/where.py")]
    assert here in after
    assert len(set(before) - set(after.splitlines())) <= 3


@pytest.mark.parametrize(
    ("edit", "times"),
    [
        (Edit("nowhere", "key == 'x'", "False"), 0),
        (Edit("Gate.opens", "this_stands_nowhere", ""), 0),
        (Edit("Gate", "self.wide", "False"), 2),
        (Edit("Gate.opens", "if key: ...", "if False: ..."), 0),
        (TextEdit("Gate.opens", "DELETE", ""), 0),
    ],
)
def test_a_bug_whose_source_has_moved_is_refused(edit: Edit | TextEdit, times: int) -> None:
    """An edit that fits nowhere, or in two places, fails loudly instead of planting nothing."""
    sources = {Path("where.py"): SOURCE}
    with pytest.raises(LookupError, match=rf"{edit.place}: stands there {times} times"):
        Bug("x", "", (edit,), ()).apply(sources)
    assert sources == {Path("where.py"): SOURCE}


def test_the_copy_is_whole(tmp_path: Path) -> None:
    """Package, tests and what the tests read are copied; no compiled leftovers are."""
    copy_to(tmp_path)
    assert (tmp_path / "wxrec_async/ledger/schema.sql").exists()
    assert (tmp_path / "tests/teeth/bug.py").exists()
    assert not list(tmp_path.rglob("__pycache__"))


def test_the_listed_bugs_are_twelve_and_all_names_differ() -> None:
    """The list is the one that was asked for, and there are further ones."""
    assert len(LISTED) == 12
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 27
