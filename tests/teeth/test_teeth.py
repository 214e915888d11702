"""The planted bugs still fit the source, so that ``python -m tests.teeth`` proves what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.teeth.__main__ import HOME, copy_to
from tests.teeth.bug import Bug, Edit
from tests.teeth.finality import FINALITY
from tests.teeth.further import FURTHER
from tests.teeth.listed import LISTED

BUGS = (*LISTED, *FURTHER, *FINALITY)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_fits_the_source_and_names_tests_that_exist(bug: Bug, tmp_path: Path) -> None:
    """What is replaced stands there exactly once, the result is Python, and the tests are there."""
    for edit in bug.edits:
        copy = tmp_path / "wxrec_async" / edit.path
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not copy.exists():
            copy.write_text((HOME / "wxrec_async" / edit.path).read_text("utf-8"), "utf-8")
    bug.plant(tmp_path)
    assert all((HOME / test.partition("::")[0]).exists() for test in bug.tests)


def test_a_bug_whose_source_has_moved_is_refused(tmp_path: Path) -> None:
    """An edit that fits nowhere fails loudly instead of planting nothing."""
    bug = Bug("x", "", (Edit("model.py", "this stands nowhere", ""),), ())
    (tmp_path / "wxrec_async").mkdir()
    with pytest.raises(LookupError, match=r"model\.py: stands there 0 times"):
        bug.plant(tmp_path)


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
