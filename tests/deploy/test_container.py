"""The container image: linted, and its steps carried out here, for no image can be built in a test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = ROOT / ".github" / "Containerfile"


def steps() -> list[tuple[str, str]]:
    """Instructions and their text, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", "\n".join(line for line in FILE.read_text().splitlines() if not line.startswith("#")))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def test_the_linter_finds_nothing() -> None:
    """Hadolint knows what makes images large, unsafe or different from one day to the next."""
    lint = Path(sysconfig.get_path("scripts")) / "hadolint"
    done = subprocess.run([lint, "--no-color", FILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_runs_as_nobody_in_particular_on_a_pinned_base() -> None:
    """The last user is not root, the base has a whole version, and nothing is fetched over the network by hand."""
    instructions = steps()
    users = [text for name, text in instructions if name == "USER"]
    assert users
    assert all(int(part) >= 10_000 for part in users[-1].split(":"))
    assert re.fullmatch(r"BASE=python:\d+\.\d+\.\d+-slim-\w+", dict(instructions)["ARG"])
    assert not [name for name, _ in instructions if name == "ADD"]


@pytest.mark.parametrize("command", [["--version"], ["worker", "--help"]])
def test_its_steps_make_a_program_that_runs(tmp_path_factory: pytest.TempPathFactory, command: list[str]) -> None:
    """COPY and RUN as they stand, with / somewhere else; the dependencies are those of this environment."""
    root = tmp_path_factory.getbasetemp() / "image"
    if not root.exists():
        build(root)
    program = root / "opt/wxrec/bin/wxrec-async"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": sysconfig.get_path("purelib")}
    done = subprocess.run([program, *command], env=environment, capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr
    assert "wxrec-async" in done.stdout
    where = [str(root / "opt/wxrec/bin/python"), "-c", "import wxrec_async; print(wxrec_async.__file__)"]
    found = subprocess.run(where, env=environment, capture_output=True, text=True, check=True, cwd=root)
    assert found.stdout.startswith(str(root))


def build(root: Path) -> None:
    """Carry out the first stage."""
    folder = root / "src"
    folder.mkdir(parents=True)
    stage = next(n for n, (name, text) in enumerate(steps()) if name == "FROM" and text.endswith("AS build"))
    for name, text in steps()[stage + 1 :]:
        if name == "FROM":
            break
        if name == "COPY":
            *sources, target = text.split()
            for source in sources:
                _copy(ROOT / source, folder / target)
        elif name == "RUN":
            script = text.replace("/opt/", f"{root}/opt/").replace("python3 ", f"{sys.executable} ")
            # What builds the package is this environment's, and nothing else of it is seen: nothing is fetched.
            settings = {"PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PYTHONPATH": str(_builders(root))}
            environment = {"PATH": os.environ["PATH"], **settings}
            subprocess.run(["/bin/sh", "-euc", script], cwd=folder, env=environment, check=True, capture_output=True)


def _builders(root: Path) -> Path:
    """Make a folder of what the build backend needs."""
    folder, here = root / "builders", Path(sysconfig.get_path("purelib"))
    folder.mkdir(exist_ok=True)
    for name in ("hatchling", "packaging", "pathspec", "pluggy", "trove_classifiers"):
        link = folder / name
        if not link.exists():
            link.symlink_to(here / name)
    return folder


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
