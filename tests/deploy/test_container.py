"""The container image: linted, and its steps carried out here, for no image can be built in a test."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.e2e.world import sandbox as in_a_process

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


@pytest.mark.fault("X30")
def test_it_runs_as_nobody_in_particular_on_a_pinned_base() -> None:
    """The last user is not root, the base has a whole version, and nothing is fetched over the network by hand."""
    instructions = steps()
    users = [text for name, text in instructions if name == "USER"]
    assert users
    assert all(int(part) >= 10_000 for part in users[-1].split(":"))
    assert re.fullmatch(r"BASE=python:\d+\.\d+\.\d+-slim-\w+", dict(instructions)["ARG"])
    assert not [name for name, _ in instructions if name == "ADD"]


@pytest.mark.fault("X30")
def test_it_starts_without_a_shell() -> None:
    """Program and arguments are lists, which the kernel takes as they are; the image's last stage runs nothing."""
    instructions = steps()
    last = [name for name, _ in instructions][::-1].index("FROM")
    for name, text in instructions[-last:]:
        assert name not in {"RUN", "SHELL"}
        if name in {"ENTRYPOINT", "CMD"}:
            assert all(isinstance(word, str) for word in json.loads(text))
    assert {"ENTRYPOINT", "CMD"} <= {name for name, _ in instructions[-last:]}


WATCHED = """
import os, sys
told = open(sys.argv.pop(1), "a")

def hook(event, args):
    if event == "open" and isinstance(args[0], str) and (args[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        told.write(f"write {os.path.abspath(args[0])}\\n")
    elif event in {"os.mkdir", "os.rename", "os.remove", "os.symlink", "os.link"}:
        told.write(f"write {os.path.abspath(args[0])}\\n")
    elif event in {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork"}:
        told.write(f"start {args[0]}\\n")

sys.addaudithook(hook)
from wxrec_async.cli.app import main
main()
"""


@pytest.mark.fault("X30")
def test_a_run_writes_below_its_state_alone_and_starts_no_process(tmp_path: Path) -> None:
    """So the root may be read-only and hold no shell: every open for writing is below /state, as audited by CPython."""
    with in_a_process(tmp_path, "--tasks", "8", "--seconds", "1", "2", "--no-large") as world:
        told, state = tmp_path / "audit.txt", world.config.parent
        command = [sys.executable, "-B", "-c", WATCHED, str(told), "run", "--config", str(world.config)]
        done = subprocess.run(
            command, env=world.environment, cwd=state, capture_output=True, text=True, timeout=540, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
    events = [line.split(" ", 1) for line in told.read_text("utf-8").splitlines()]
    written = {path for kind, path in events if kind == "write"} - {os.devnull}
    assert [path for kind, path in events if kind == "start"] == []
    assert str(state / "wxrec.db.lock") in written
    assert [path for path in written if not Path(path).is_relative_to(state)] == []


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
