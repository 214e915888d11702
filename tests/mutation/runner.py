"""Runs a module's own tests against it, mutated, in a fork: everything slow to import is there already.

``python -m tests.mutation.runner MODULE`` tells survivors as it meets them, and prints the result as JSON.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import importlib.abc
import importlib.machinery
import inspect
import io
import json
import os
import resource
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.internal.detection import is_hypothesis_test

from tests.mutation.mutants import Mutant, mutants, planted

HOME = Path(__file__).parents[2]
RULES = HOME / "wxrec_async" / "rules"
TESTS = HOME / "tests" / "rules"
PROFILE = "mutation"
EXAMPLES = 30  # of each property, the same ones each time
CPU_S = 20  # the slowest tests of one module take 4 s unchanged; what loops for ever is killed
MEMORY = 4 << 30
QUIETLY = (
    "-x", "-q", "-s", "--no-header", "--tb=no", "--assert=plain",
    f"--hypothesis-profile={PROFILE}", f"--rootdir={HOME}",
    "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:unraisableexception", "-p", "no:threadexception",
)  # fmt: skip
GREEN, RED, SLOW = "survived", "killed", "killed by time"


@dataclass(frozen=True, slots=True)
class Survivor:
    """A mutant that no test noticed."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a module's mutants."""

    module: str
    mutants: int
    survivors: tuple[Survivor, ...]

    @property
    def killed(self) -> int:
        return self.mutants - len(self.survivors)

    @property
    def percent(self) -> float:
        return 100 * self.killed / self.mutants if self.mutants else 100.0


def modules() -> list[str]:
    """Every module of the rules that holds code."""
    return sorted(path.stem for path in RULES.glob("*.py") if path.stem != "__init__")


def own_tests(module: str) -> list[Path]:
    """Return a module's own tests: ``tests/rules/test_MODULE.py`` and what is named ``test_MODULE_….py``."""
    other = {each for each in modules() if each.startswith(f"{module}_")}
    paths = [TESTS / f"test_{module}.py", *sorted(TESTS.glob(f"test_{module}_*.py"))]
    return [
        path
        for path in paths
        if path.exists()
        and not any(path.stem == f"test_{each}" or path.stem.startswith(f"test_{each}_") for each in other)
    ]


def mutated(module: str, told: Callable[[str], None], only: Collection[str] = ()) -> Result:
    """Judge every mutant of a module, or ``only`` those of these names, in a process that has not imported it.

    Its tests must pass without one.  Of those that are not judged it is
    taken that they are killed.

    Raises:
        SystemExit: the tests are red, or there are none, with nothing planted.
    """
    settings.register_profile(
        PROFILE,
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=EXAMPLES,
        phases=(Phase.explicit, Phase.generate),  # nobody reads the shrunk example of a mutant
        suppress_health_check=list(HealthCheck),
    )
    for name in ("hypothesis.strategies", "isal.isal_zlib", "wxrec_async.model", "wxrec_async.errors"):
        importlib.import_module(name)  # slow, and no rule is behind them
    court = Court(module, told, only)
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main([*QUIETLY, *map(str, own_tests(module))], plugins=[court])
    if not court.is_green:
        raise SystemExit(f"the tests of rules/{module}.py must be there and pass before it is mutated")
    left = [each for each in court.found if each in court.survivors]
    return Result(module, len(court.found), tuple(Survivor(each.name, each.line) for each in left))


class Court:
    """A plugin that judges each mutant in a fork of its own; the tests that turned red last run first.

    A change inside a function takes the place of that function's code, when
    everything is imported and collected.  A change of a table, a default or a
    class is read by whoever imports it: it is judged before that.
    """

    def __init__(self, module: str, told: Callable[[str], None], only: Collection[str] = ()) -> None:
        self._path = RULES / f"{module}.py"
        self._name, self._told = f"wxrec_async.rules.{module}", told
        self._killers: list[str] = []
        tree = ast.parse(self._path.read_text("utf-8"))
        self._as_it_is = compile(tree, str(self._path), "exec")
        self.found = mutants(tree)
        self._codes: dict[Mutant, CodeType] = {}
        for mutant in (each for each in self.found if not only or each.name in only):
            with planted(mutant.change):
                self._codes[mutant] = compile(ast.fix_missing_locations(tree), str(self._path), "exec")
        self.survivors: set[Mutant] = set()
        self.is_green = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> None:
        """Judge what is read at import, before anything is imported."""
        assert self._name not in sys.modules
        self.is_green = self._in_a_fork(partial(self._import_and_run, self._as_it_is, session)) == GREEN
        for mutant, code in self._codes.items():
            if self.is_green and not _differs_in_function(self._as_it_is, code, mutant.where):
                self._judge(mutant, partial(self._import_and_run, code, session))

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Judge what is read at a call, instead of running."""
        gc.freeze()
        for mutant, code in self._codes.items():
            if self.is_green and _differs_in_function(self._as_it_is, code, mutant.where):
                self._judge(mutant, partial(self._swap_and_run, mutant, code, session))
        return True

    def _judge(self, mutant: Mutant, run: Callable[[Telling], int]) -> None:
        if self._in_a_fork(run) == GREEN:
            self.survivors.add(mutant)
            self._told(f"{self._path.stem} line {mutant.line} survives: {mutant.name}")

    def _import_and_run(self, code: CodeType, session: pytest.Session, telling: Telling) -> int:
        sys.meta_path.insert(0, Planted(self._name, code))
        session.perform_collect()
        return 1 if session.testsfailed else self._run(session, telling)

    def _swap_and_run(self, mutant: Mutant, code: CodeType, session: pytest.Session, telling: Telling) -> int:
        function, new = _function(sys.modules[self._name], mutant.where), _code_of(code, mutant.where)
        assert new is not None
        function.__code__ = new
        return self._run(session, telling)

    def _run(self, session: pytest.Session, telling: Telling) -> int:
        session.config.pluginmanager.register(telling)
        for item in sorted(session.items, key=self._turn):
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
            if telling.red:
                return 1
        return 0 if session.items else 2

    def _turn(self, item: pytest.Item) -> tuple[int, bool]:
        place = self._killers.index(item.nodeid) if item.nodeid in self._killers else len(self._killers)
        return place, is_hypothesis_test(getattr(item, "obj", None))

    def _in_a_fork(self, run: Callable[[Telling], int]) -> str:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            _alone(lambda: run(Telling(writing)))
        os.close(writing)
        with os.fdopen(reading) as pipe:
            killer = pipe.readline().strip()
        _, status = os.waitpid(child, 0)
        if killer:
            self._killers = [killer, *(each for each in self._killers if each != killer)]
        if os.WIFSIGNALED(status):
            return SLOW
        return GREEN if os.waitstatus_to_exitcode(status) == 0 else RED


class Telling:
    """A plugin of a fork: tells the first test that fails."""

    def __init__(self, writing: int) -> None:
        self._writing, self.red = writing, False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the first failure down the pipe."""
        if report.failed and not self.red:
            self.red = True
            os.write(self._writing, f"{report.nodeid}\n".encode())


def _alone(run: Callable[[], int]) -> None:
    """Run in this fork, silent and limited, and end it with what came of it."""
    status = 1
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        status = run()
    finally:
        os._exit(status)


def _differs_in_function(before: CodeType, after: CodeType, where: str) -> bool:
    """Whether the change is in the code of one plain function, and nowhere else."""
    old, new = _code_of(before, where), _code_of(after, where)
    return old is not None and new is not None and old != new


def _function(module: ModuleType, where: str) -> FunctionType:
    """Return the function of that name, as its callers hold it."""
    found: Any = module
    for name in where.split("."):
        found = vars(found)[name]
    found = (
        getattr(found, "fget", None) or getattr(found, "__func__", None) or getattr(found, "__wrapped__", None) or found
    )
    assert isinstance(found, FunctionType), where
    return found


def _code_of(code: CodeType, where: str) -> CodeType | None:
    """Return the code of one function within its module's; None when it is a class's, or the module's."""
    for name in where.split("."):
        inner = [each for each in code.co_consts if isinstance(each, CodeType) and each.co_name == name]
        if len(inner) != 1:
            return None
        code = inner[0]
    return code if code.co_flags & inspect.CO_OPTIMIZED else None


class Planted(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds one module and gives it another code; everything else is found as ever."""

    def __init__(self, name: str, code: CodeType) -> None:
        self._name, self._code = name, code

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin=self._code.co_filename)

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = self._code.co_filename
        exec(self._code, module.__dict__)  # noqa: S102 - our own source, one change in it


if __name__ == "__main__":
    module, *only = sys.argv[1:]
    result = mutated(module, lambda line: print(line, file=sys.stderr, flush=True), only)  # noqa: T201 - a program
    sys.stdout.write(json.dumps(asdict(result)))
