"""OpenTelemetry is an extra: not there, it is not missed; not asked for, it is not imported."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import wxrec_async
from tests.e2e.world import World, sandbox

PACKAGE = Path(wxrec_async.__file__).parent
BLOCKED = "import sys; sys.modules['opentelemetry'] = None\n"
RUN = """
import sys, anyio, wxrec_async.backfill, wxrec_async.cli.session
from wxrec_async import Backfill, load_config

async def main():
    async with Backfill(load_config(sys.argv[1])) as backfill:
        return await backfill.run()

assert anyio.run(main).counts.stored == 5
assert not [name for name in sys.modules if name.partition(".")[0] in ("opentelemetry", "prometheus_client")]
"""


def python(code: str, *arguments: str, world: World | None = None, **environment: str) -> str:
    """Run code in an interpreter of its own; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True, text=True, timeout=360, check=False, cwd=PACKAGE.parent,
        env={**(world.environment if world else {}), **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_run_imports_no_opentelemetry(tmp_path: Path) -> None:
    """Neither importing the package and its command line nor doing the job touches it."""
    with sandbox(tmp_path, "--tasks", "5", "--seconds", "0.2", "0.5", "--no-large") as world:
        python(RUN.replace("== 5", ">= 1"), str(world.config), world=world)


def test_without_the_extra_a_line_says_how_to_install_it() -> None:
    """`ConfigError`, not a traceback out of an import."""
    code = BLOCKED + (
        "from wxrec_async import ConfigError\n"
        "from wxrec_async.otel.listener import Telemetry\n"
        "try: Telemetry()\n"
        "except ConfigError as error: print(error)"
    )
    assert python(code) == "OpenTelemetry is not installed: pip install wxrec-async[otel]\n"


def test_without_the_extra_the_environment_asks_in_vain() -> None:
    """A cluster that sets OTEL_* for everybody does not break a tool that was installed without."""
    code = BLOCKED + "from wxrec_async.otel.providers import from_environment; print(from_environment())"
    assert python(code, OTEL_METRICS_EXPORTER="otlp") == "None\n"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_only_two_modules_know_opentelemetry(path: Path) -> None:
    """And these import it inside functions, where it is needed."""
    tree = ast.parse(path.read_text("utf-8"))
    hidden = {node for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.If) for node in ast.walk(each)}
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if any(name.partition(".")[0] == "opentelemetry" for name in names):
            assert path.name in {"listener.py", "providers.py"}
            assert node in hidden
