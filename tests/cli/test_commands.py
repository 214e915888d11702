"""A command is one file: the table names it, nothing else does, and no module of the room needs another's help back."""

from __future__ import annotations

import ast
import subprocess
import sys
import typing
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import wxrec_async
from wxrec_async.cli.app import COMMANDS, RUN_BY_WORKERS, SANDBOX, CommandBody
from wxrec_async.cli.flags import OutputFlags, RunFlags, SandboxFlags

PACKAGE = Path(wxrec_async.__file__).parent
ROOM = PACKAGE / "cli"
BODIES = [
    *((entry.path, entry.body, entry.flags) for entry in COMMANDS),
    ("run --temporal", RUN_BY_WORKERS, RunFlags),
    ("sandbox", SANDBOX, SandboxFlags),
]
HEAVY = ("aiohttp", "aioboto3", "botocore", "httpx", "pydantic", "structlog", "rich", "sqlite3", "wxrec_async.backfill")


def name_of(path: Path) -> str:
    return "wxrec_async." + path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".")


TREES = {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(ROOM.rglob("*.py"))}


def imported(tree: ast.AST) -> Iterator[str]:
    """Name each module of the room that is imported, also late, also for types alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            yield from (name for name in names if name in TREES)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in TREES)


@pytest.mark.parametrize(("path", "body", "flags"), BODIES, ids=[path for path, *_ in BODIES])
def test_the_table_names_a_function_that_takes_the_flags(
    path: str, body: CommandBody, flags: type[OutputFlags]
) -> None:
    """What is named by text is there, takes what is parsed, and returns an exit code."""
    function = body.load()
    hints = typing.get_type_hints(function)
    taken = typing.get_args(hints["flags"]) or (hints["flags"],)
    assert flags in taken, path
    assert hints["return"] is int


def test_every_file_of_commands_is_in_the_table() -> None:
    """None is left over."""
    files = {path.stem for path in (ROOM / "commands").glob("[!_]*.py")}
    assert files == {body.module for _, body, _ in BODIES}


def test_no_help_loads_what_only_the_work_needs() -> None:
    """Not of any command, nor of a group: a shell's completion asks for it at every key."""
    paths = ["", "ledger", "config", *(path for path, *_ in BODIES if "--" not in path)]
    script = (
        "import sys\nfrom wxrec_async.cli.app import app\n"
        f"for path in {paths!r}:\n"
        "    try:\n        app([*path.split(), '--help'], prog_name='wxrec-async')\n"
        "    except SystemExit as ended:\n        assert not ended.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
        "print([name for name in sys.modules if name.startswith('wxrec_async.cli.commands')], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n[]\n"
    assert done.stdout.count("Usage: wxrec-async") == len(paths)


def test_there_is_no_circle() -> None:
    """Imports that come late and those for types alone are counted."""
    try:
        TopologicalSorter({name: set(imported(tree)) for name, tree in TREES.items()}).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


def test_no_command_knows_another() -> None:
    """What two of them need is in a module of the room."""
    for name, tree in TREES.items():
        known = [other for other in imported(tree) if other.startswith("wxrec_async.cli.commands.")]
        assert not known, f"{name} imports {known}"


def test_no_public_function_is_called_as_a_module_is() -> None:
    """`report` the function and `report` the file could not be told apart in an import."""
    modules = {path.stem for path in PACKAGE.rglob("*.py")} | {
        path.name for path in PACKAGE.rglob("*") if path.is_dir()
    }
    for name, tree in TREES.items():
        functions = [node.name for node in ast.iter_child_nodes(tree) if isinstance(node, ast.FunctionDef)]
        assert not modules & {*functions}, name


def test_no_class_of_the_room_has_a_namesake_in_it() -> None:
    """One class name, one class."""
    names = [node.name for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert len(names) == len({*names})
