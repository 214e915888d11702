"""The mutation of the rules finds what tests let pass, and its kept result adds up."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation import kept
from tests.mutation.explained import EXPLAINED
from tests.mutation.kept import TEXT, load, told
from tests.mutation.mutants import mutants, planted
from tests.mutation.runner import HOME, modules, own_tests

SOURCE = '''
"""A docstring is no rule."""
LIMIT = 3
Kind = int | None

class Box:
    size: int = 1

    @property
    def full(self) -> bool:
        return self.size >= LIMIT

def take(box: Box, *, eager: bool = False) -> str:
    if eager and not box.full:
        return "more".upper()
    raise ValueError("full")
'''


def names(source: str) -> list[str]:
    return [each.name for each in mutants(ast.parse(source))]


def test_tables_properties_and_functions_are_all_changed() -> None:
    """And annotations, aliases and docstrings are not."""
    found = names(SOURCE)
    assert {
        "module: LIMIT = 3 -> LIMIT = None",
        "module: 3 -> 4",
        "Box: 1 -> 2",
        "Box.full: self.size >= LIMIT -> self.size > LIMIT",
        "Box.full: return self.size >= LIMIT -> return None",
        "take: False -> True",
        "take: eager and (not box.full) -> eager or not box.full",
        "take: not box.full -> box.full",
        "take: 'more' -> 'XXmoreXX'",
        "take: 'more'.upper -> 'more'.lower",
        "take: raise ValueError('full') -> pass",
    } <= set(found)
    assert not [name for name in found if "docstring" in name or "Kind" in name or "int |" in name]
    assert len(found) == len(set(found))


def test_a_mutant_is_planted_and_taken_out_again() -> None:
    """Each is Python, each differs from the source, and the tree is as it was."""
    tree = ast.parse(SOURCE)
    before = ast.unparse(tree)
    for mutant in mutants(tree):
        with planted(mutant.change):
            after = ast.unparse(ast.fix_missing_locations(tree))
            compile(after, mutant.name, "exec")
            assert after != before
        assert ast.unparse(tree) == before


@pytest.mark.parametrize("module", modules())
def test_every_module_has_own_tests_its_own(module: str) -> None:
    """Under its name, and nobody else's."""
    found = own_tests(module)
    assert found
    assert all(path.exists() for path in found)
    others = [each for each in modules() if each.startswith(f"{module}_")]
    assert not [path for path in found for each in others if path.stem.startswith(f"test_{each}")]


def test_what_no_test_notices_survives_and_is_told(tmp_path: Path) -> None:
    """The runner by itself, on a module of two rules of which its test holds one; every kind of change is met."""
    for name in ("wxrec_async", "tests", "tests/rules", "tests/mutation", "wxrec_async/rules"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "__init__.py").write_text("", "utf-8")
    for name in ("mutants.py", "runner.py"):
        (tmp_path / "tests/mutation" / name).write_text((HOME / "tests/mutation" / name).read_text("utf-8"), "utf-8")
    for name in ("model", "errors"):
        (tmp_path / f"wxrec_async/{name}.py").write_text("", "utf-8")
    (tmp_path / "wxrec_async/rules/ages.py").write_text(
        "ADULT = 18\nOLD = 65\n\ndef adult(age):\n    return age >= ADULT\n\ndef old(age):\n    return age > OLD\n",
        "utf-8",
    )
    (tmp_path / "tests/rules/test_ages.py").write_text(
        "from wxrec_async.rules.ages import adult, old\n\ndef test_adult():\n"
        "    assert adult(18) and not adult(17) and adult(19)\n    assert old(99)\n", "utf-8"
    )  # fmt: skip

    def judged(*only: str) -> tuple[int, list[str]]:
        command = [sys.executable, "-m", "tests.mutation.runner", "ages", *only]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        row = json.loads(done.stdout)
        return row["mutants"], [each["name"] for each in row["survivors"]]

    mutants_of_all, survivors = judged()
    assert {"old: age > OLD -> age >= OLD", "module: 65 -> 66"} <= set(survivors)
    assert not [name for name in survivors if "adult" in name or "18" in name]
    assert judged("module: 65 -> 66", "module: 18 -> 19") == (mutants_of_all, ["module: 65 -> 66"])


def test_the_kept_result_adds_up() -> None:
    """Its text is made from its data, and every explanation is of a survivor."""
    results = [result for result, _ in load().values()]
    assert TEXT.read_text("utf-8") == told(results)
    survivors = {f"{result.module}: {each.name}" for result in results for each in result.survivors}
    assert set(EXPLAINED) <= survivors


def test_a_result_outlives_a_move_and_a_reformatting_but_no_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Imports, comments, docstrings and layout decide nothing; a limit does."""
    monkeypatch.setattr(kept, "RULES", tmp_path)

    def digest(source: str) -> str:
        (tmp_path / "gate.py").write_text(source, "utf-8")
        return kept.digest("gate")

    before = digest(
        '"""A."""\nfrom a import b\nLIMIT = 3\ndef f(x: int) -> bool:\n    """B."""\n    return b(x, LIMIT)\n'
    )
    moved = (
        '"""C."""\nimport b\n\nLIMIT = 3  # why\n\ndef f(x: int) -> bool:\n    """D."""\n    return b(\n x, LIMIT)\n'
    )
    assert digest(moved) == before
    assert digest(moved.replace("3", "4")) != before


def test_every_kept_result_is_of_a_module() -> None:
    """A module that was renamed takes its result with it."""
    assert set(load()) <= set(modules())


def test_nine_tenths_of_each_kept_module_are_killed() -> None:
    """And of all together."""
    results = [result for result, _ in load().values()]
    assert [result.module for result in results if result.percent < 90] == []
    assert sum(result.killed for result in results) >= 0.9 * sum(result.mutants for result in results)
