"""What we stand on: locked, listed, looked through for secrets; and the checks themselves notice."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.supply.advisories import ACCEPTED, ask, holes, skipped
from tests.supply.locked import HOME, LOCK, SBOM, direct, every_extra, pins, project
from tests.supply.sbom import EXTRAS, sbom
from tests.supply.secrets import KNOWN, differences, found_in, known, tracked
from wxrec_async import __version__

GATE = (HOME / ".ci" / "run").read_text("utf-8")
CHECK = (HOME / ".ci" / "check").read_text("utf-8")
LOCKED = LOCK.read_text("utf-8")
LIST: dict[str, Any] = json.loads(SBOM.read_text("utf-8"))


def versions_of(requirement: Requirement) -> list[str]:
    """The locked versions of a package: one, or one for each kind of machine."""
    return [pin.version for pin in pins(LOCKED) if pin.name == canonicalize_name(requirement.name)]


@pytest.mark.fault("X26")
@pytest.mark.parametrize("requirement", every_extra(), ids=lambda each: each.name)
def test_the_lock_holds_every_dependency_of_every_extra_within_its_bounds(requirement: Requirement) -> None:
    """CI tests versions that pyproject.toml allows, and knows all of them."""
    versions = versions_of(requirement)
    assert versions, f"{requirement.name} is not in the lock: .ci/lock.sh makes it anew"
    assert all(requirement.specifier.contains(version, prereleases=True) for version in versions)


@pytest.mark.fault("X26")
def test_every_locked_version_has_its_hashes() -> None:
    """Other bytes under the same version are refused."""
    found = pins(LOCKED)
    assert len(found) > len(every_extra())
    assert not [pin.name for pin in found if not pin.hashes]
    assert [Marker(pin.marker) for pin in found if pin.marker]


def test_the_lock_names_no_place_to_get_it_from() -> None:
    """Where packages come from is the business of whoever installs; every line is a pin or a hash."""
    assert not re.search(r"https?:|file:|--(extra-)?index-url|--find-links|@ ", LOCKED)
    assert all(
        re.match(r"[a-z0-9._-]+(\[[a-z,-]+\])?==|    --hash=sha256:[0-9a-f]{64}", line) for line in LOCKED.splitlines()
    )


@pytest.mark.fault("X26")
def test_every_dependency_has_a_lower_bound() -> None:
    """CI installs exactly these in a step of its own, so a bound that is too low shows."""
    assert not [
        each.name for each in every_extra() if not any(spec.operator in {">=", "=="} for spec in each.specifier)
    ]


@pytest.mark.fault("X26")
def test_the_list_of_components_goes_with_the_wheel(tmp_path: Path) -> None:
    """PEP 770: among the wheel's own metadata, and not once more among the modules."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=HOME, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (inside,) = [name for name in archive.namelist() if name.endswith(".cdx.json")]
        assert inside.split("/")[0].endswith(".dist-info")
        assert inside.split("/")[1] == "sboms"
        assert json.loads(archive.read(inside)) == LIST
        record = archive.read(f"{inside.split('/')[0]}/RECORD").decode()
        assert inside in record


@pytest.mark.fault("X26")
def test_the_list_names_every_direct_dependency_as_it_is_locked() -> None:
    """What a user may install: the program and its extras, at the versions that were tested."""
    listed = {each["name"]: each for each in LIST["components"]}
    for requirement in direct(*EXTRAS):
        component = listed[canonicalize_name(requirement.name)]
        assert component["version"] in versions_of(requirement)
        assert component["purl"] == f"pkg:pypi/{component['name']}@{component['version']}"
        assert component["properties"] == [{"name": "wxrec-async:bound", "value": str(requirement.specifier)}]
    needed = {canonicalize_name(each.name) for each in direct()}
    assert {listed[name]["scope"] for name in needed} == {"required"}
    assert listed["temporalio"]["scope"] == "optional"


def test_the_list_is_whole() -> None:
    """Every component is locked, and asked for by somebody that is on the list; the program's version is its own."""
    locked = {(pin.name, pin.version) for pin in pins(LOCKED)}
    assert {(each["name"], each["version"]) for each in LIST["components"]} <= locked
    asked = {name for row in LIST["dependencies"] for name in row["dependsOn"]}
    assert asked == {each["bom-ref"] for each in LIST["components"]}
    assert (LIST["bomFormat"], LIST["specVersion"]) == ("CycloneDX", "1.6")
    assert LIST["metadata"]["component"]["version"] == project()["version"] == __version__


def test_the_list_is_made_from_what_was_resolved() -> None:
    """An asker's askers count: what only an extra needs is optional, however deep."""
    made = sbom("aiohttp==3.14.0\n    # via wxrec-async (pyproject.toml)\nattrs==1\n    # via aiohttp\n"
                "temporalio==1.30\n    # via wxrec-async (pyproject.toml)\ndeep==2\n"
                "    # via\n    #   temporalio\n")  # fmt: skip
    assert {each["name"]: each["scope"] for each in made["components"]} == {
        "aiohttp": "required", "attrs": "required", "temporalio": "optional", "deep": "optional",
    }  # fmt: skip
    assert {"ref": "temporalio", "dependsOn": ["deep"]} in made["dependencies"]


@pytest.mark.fault("X27")
@pytest.mark.parametrize(
    "step",
    [
        ".ci/check lint",
        "bandit ",
        "tests.supply.secrets",
        "tests.supply.advisories",
        ".ci/lowest.sh",
        "--require-hashes",
        ".ci/awscrt.lock",
    ],
)
def test_the_gate_takes_each_step(step: str) -> None:
    """A check nobody runs checks nothing."""
    assert step in _commands(GATE)


@pytest.mark.parametrize("step", ["ruff check", "ruff format --check", "mypy"])
def test_the_check_takes_each_step(step: str) -> None:
    """The gate leaves lint and types to it."""
    assert step in _commands(CHECK)


def _commands(script: str) -> str:
    return "\n".join(line for line in script.splitlines() if not line.startswith("#"))


@pytest.mark.fault("X27")
def test_ruffs_security_rules_are_on_for_the_package() -> None:
    """All of ``S``; an exception for the package stands at its line, with a reason."""
    settings = tomllib.loads((HOME / "pyproject.toml").read_text("utf-8"))["tool"]["ruff"]
    assert "S" in settings["lint"]["select"]
    assert {code for code in settings["lint"]["ignore"] if code.startswith("S")} <= {"S311", "SIM"}
    for path in (HOME / "wxrec_async").rglob("*.py"):
        for line in path.read_text("utf-8").splitlines():
            assert not re.search(r"noqa: (?:[A-Z0-9, ]*\b)?S\d+(?![^\n]* - )", line), f"{path.name}: {line.strip()}"


# In pieces, since this file is looked through as well.
KEY, WORD, HEAD = "2E7XQ4LVN9TD6HWU", "pQ7xLm29vT", "PRIVATE KEY"
PIECES = ["eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiJwbGFudGVkIn0", "c2lnbmVkLWJ5LW5vYm9keQ"]
PLANTED = {
    "AWS Access Key": f'key = "AKIA{KEY}"',
    "JSON Web Token": f"token = '{'.'.join(PIECES)}'",
    "Private Key": f"-----BEGIN RSA {HEAD}-----",
    "Secret Keyword": f'client_secret = "{WORD}"',
}


@pytest.mark.fault("X27")
@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_secret_turns_the_scan_red(kind: str, tmp_path: Path) -> None:
    """In any file that git holds, a fixture as well; what is not held is not looked at."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "fixture.py").write_text(f"# a fixture\n{PLANTED[kind]}\n", "utf-8")
    (tmp_path / "innocent.py").write_text('name = "nothing to see"\n', "utf-8")
    subprocess.run(["git", "add", "--all"], cwd=tmp_path, check=True)
    command = [sys.executable, "-m", "tests.supply.secrets", str(tmp_path)]
    done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"tests/fixture.py:2 {kind}" in done.stdout
    assert "innocent" not in done.stdout


@pytest.mark.fault("X27")
def test_another_secret_in_an_explained_file_is_new(tmp_path: Path) -> None:
    """An explanation is for one value in one file; one that explains nothing any longer has to go."""
    (tmp_path / "a.py").write_text(PLANTED["AWS Access Key"], "utf-8")
    (found,) = found_in(tmp_path, ["a.py"])
    assert not differences([found], {("a.py", found.digest): "why"})
    (other,) = differences([found], {("b.py", found.digest): "why"})[:1]
    assert other.startswith("NEW   a.py:1 AWS Access Key")
    assert differences([], {("a.py", found.digest): "why"}) == [f"GONE  a.py ({found.digest}): why"]


def test_every_exception_of_the_scan_has_its_reason() -> None:
    """One line each, for a file that is there."""
    excused = known(KNOWN.read_text("utf-8"))
    names = set(tracked(HOME)) if (HOME / ".git").exists() else {path for path, _ in excused}
    assert {path for path, _ in excused} <= names
    assert all(len(why) > 5 for why in excused.values())


ANSWER: list[dict[str, Any]] = [
    {
        "name": "a",
        "version": "1",
        "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}, {"id": "PYSEC-2", "fix_versions": []}],
    },
    {"name": "b", "version": "1", "vulns": []},
    {"name": "c", "skip_reason": "not found"},
]


@pytest.mark.fault("X26")
def test_a_known_hole_is_told_and_one_without_an_answer_too() -> None:
    """With the version that mends it; what is accepted has a reason."""
    assert holes(ANSWER, {}) == ["a 1: PYSEC-1, mended in 2", "a 1: PYSEC-2, mended in nothing yet"]
    assert holes(ANSWER, {"PYSEC-2": "why"}) == ["a 1: PYSEC-1, mended in 2"]
    assert skipped(ANSWER) == ["c"]
    assert all(ACCEPTED.values())


def test_a_service_that_does_not_answer_is_no_clean_bill(tmp_path: Path) -> None:
    """What is not JSON of pip-audit is no answer: here, of an interpreter that cannot find the file."""
    assert ask(tmp_path / "missing.txt", "pypi") is None
