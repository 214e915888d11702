"""Which faults of the catalogue are shown by a test, read from the markers in the tests' source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.faults import FAULTS, FIGURES

TESTS = Path(__file__).parent
EXPECTED = {"W": 35, "T": 16, "D": 31, "S": 28, "L": 20, "R": 12, "K": 20, "X": 30, "A": 10}

# What one machine cannot show, each with the reason; at most eight.
NOT_ON_ONE_MACHINE: dict[str, str] = {}
MOST_NOT_SHOWN = 8


def marked(path: Path) -> Iterator[tuple[str, int]]:
    """Every id in a ``pytest.mark.fault(...)`` of a file, with its line."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "fault":
            for argument in node.args:
                yield (
                    (str(argument.value) if isinstance(argument, ast.Constant) else ast.unparse(argument)),
                    node.lineno,
                )


def shown() -> dict[str, list[str]]:
    """Where each id is shown: ``file:line``, by id."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for fault, line in marked(path):
            found.setdefault(fault, []).append(f"{path.relative_to(TESTS)}:{line}")
    return found


def missing(*, silent_only: bool = True) -> list[str]:
    """Faults without a test; ``python tests/test_catalogue.py`` prints them."""
    seen = shown()
    return [f"{each.id} {each.words}" for each in FAULTS.values() if each.id not in seen and each.silent >= silent_only]


def test_every_marker_names_a_known_fault() -> None:
    """A typing error in an id would leave a fault without a test, unseen."""
    unknown = {fault: places for fault, places in shown().items() if fault not in FAULTS and fault not in FIGURES}
    assert not unknown


def test_every_silent_fault_has_a_test() -> None:
    """What loses, corrupts or leaks without a sound is shown, without exception."""
    assert missing(silent_only=True) == []
    assert not [fault for fault in NOT_ON_ONE_MACHINE if FAULTS[fault].silent]


def test_every_other_fault_has_a_test_or_a_reason() -> None:
    """The rest, too; and nothing is excused any longer that has a test by now."""
    gaps = {line.split(" ", 1)[0] for line in missing(silent_only=False)}
    assert gaps == set(NOT_ON_ONE_MACHINE)
    assert len(NOT_ON_ONE_MACHINE) <= MOST_NOT_SHOWN


def test_the_table_is_complete() -> None:
    """Every id of every section, none twice."""
    for letter, count in EXPECTED.items():
        assert [each for each in FAULTS if each[0] == letter] == [
            f"{letter}{number:02}" if letter in "WTDSLRX" else f"{letter}{number}" for number in range(1, count + 1)
        ]


def test_a_marker_with_an_unknown_id_is_found(tmp_path: Path) -> None:
    """The check above reads markers on functions, classes, modules and parameters."""
    source = 'pytestmark = pytest.mark.fault("Z99")\npytest.param(1, marks=pytest.mark.fault("D1"))\n'
    path = tmp_path / "test_x.py"
    path.write_text(source)
    assert [fault for fault, _ in marked(path)] == ["Z99", "D1"]


if __name__ == "__main__":
    for silent_only in (True, False):
        gaps = missing(silent_only=silent_only)
        kind = "silent faults" if silent_only else "faults"
        print(f"{len(gaps)} {kind} without a test", *gaps, sep="\n  ")  # noqa: T201 - a report on demand
