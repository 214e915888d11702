"""Who may import whom, and a few things that are nowhere: the house's plan, held by reading the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import wxrec_async

PACKAGE = Path(wxrec_async.__file__).parent
SOURCES = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")}
SDKS = {
    "httpx",
    "httpcore",
    "aiohttp",
    "yarl",
    "aioboto3",
    "aiobotocore",
    "boto3",
    "botocore",
    "sqlite3",
    "pydantic",
    "pydantic_settings",
    "typer",
    "click",
    "rich",
    "structlog",
    "opentelemetry",
    "jinja2",
    "markupsafe",
    "pygal",
}
IMPURE = {"anyio", "asyncio", "time", "random", "os", "logging", "socket", "pathlib", "io", "threading", "secrets"}
NOUNS = {"model", "errors"}
PIECES = {"rules", "plumbing"}


@dataclass(frozen=True)
class Rule:
    """What a room may import of ours (all of it when None), which outside packages it must not, and why."""

    ours: frozenset[str] | None
    never: frozenset[str]
    why: str


def rule(ours: set[str] | None, never: set[str], why: str) -> Rule:
    return Rule(None if ours is None else frozenset(ours), frozenset(never), why)


def all_sdks_but(*names: str) -> set[str]:
    return SDKS - set(names)


FLOW_MAY = {*NOUNS, *PIECES, "events", "config", "ledger.protocol"}
ABOVE = {"cli", "sandbox", "scaleout"}
RULES = {
    "model": rule(set(), SDKS | IMPURE, "every room knows the nouns, so they may know no room"),
    "errors": rule(set(), SDKS | IMPURE, "a failure is named where it happens, by whoever"),
    "rules": rule(
        {*NOUNS, "rules"}, SDKS | IMPURE, "a decision that needs no clock, chance or network is a table to test"
    ),
    "plumbing": rule(
        {"errors", "rules", "plumbing"},
        SDKS | {"asyncio", "logging"},
        "it knows no recording; plumbing.retrying carries out what rules.retry decides",
    ),
    "events": rule(set(NOUNS), SDKS | IMPURE, "what happened is told to hosts that have none of our SDKs"),
    "config": rule(
        {*NOUNS}, all_sdks_but("pydantic", "pydantic_settings"), "settings are read before anything is opened"
    ),
    "webex": rule(
        {*NOUNS, *PIECES, "events", "config", "webex"},
        all_sdks_but("httpx", "aiohttp", "yarl", "pydantic"),
        "one world, one SDK: httpx over aiohttp",
    ),
    "auth": rule(
        {*NOUNS, *PIECES, "events", "config", "auth", "aws"},
        all_sdks_but("httpx", "aioboto3", "botocore", "aiobotocore", "aiohttp", "pydantic"),
        "httpx for the token endpoint, aioboto3 for Secrets Manager",
    ),
    "aws": rule(set(), all_sdks_but("aiohttp", "aiobotocore"), "what two worlds need of one SDK knows neither of them"),
    "s3": rule(
        {*NOUNS, *PIECES, "events", "config", "s3", "aws"},
        all_sdks_but("aioboto3", "aiobotocore", "botocore", "aiohttp"),
        "aioboto3, and aiohttp beneath it",
    ),
    "ledger": rule({*NOUNS, *PIECES, "events", "config", "ledger"}, all_sdks_but("sqlite3"), "SQLite and nothing else"),
    "lister": rule({*FLOW_MAY, "lister"}, SDKS, "the flow sees worlds only through small Protocols"),
    "intake": rule(FLOW_MAY, SDKS, "bytes into parts, wherever they come from"),
    "bandwidth": rule({*FLOW_MAY, "transfer", "intake"}, SDKS, "it wraps a source, and knows none"),
    "left_out": rule({*FLOW_MAY, "left_out"}, SDKS, "what was not done is counted from the ledger alone"),
    "telemetry": rule({*NOUNS, "events"}, all_sdks_but("opentelemetry"), "a listener; its SDK comes late"),
    "exporting": rule(
        {*NOUNS, "events", "telemetry"}, all_sdks_but("opentelemetry"), "its own environment, and no world"
    ),
    "telling": rule({*NOUNS, *PIECES, "events"}, SDKS, "plumbing knows no events, and worlds share this one bridge"),
    "following": rule({*FLOW_MAY, "report"}, SDKS, "a rhythm; what a round does is a Protocol's business"),
    "running": rule({*FLOW_MAY, "orchestrator"}, SDKS, "how a run is stopped has nothing to do with where it reads"),
    "transfer": rule({*FLOW_MAY, "intake"}, SDKS, "one recording, whatever its source and store: no ledger needed"),
    "recovery": rule({*FLOW_MAY, "flow.run_ledger"}, SDKS, "the flow sees worlds only through small Protocols"),
    "settling": rule(
        {*FLOW_MAY, "flow.run_ledger"}, SDKS, "judged by the rules, written by a Protocol: wherever the work is done"
    ),
    "flow": rule(
        {*FLOW_MAY, "flow", "author", "left_out", "lister", "recovery", "report", "settling", "sidecars"},
        SDKS | {"temporalio"},
        "one job, whoever works: a Temporal workflow imports it too",
    ),
    "orchestrator": rule(
        {*FLOW_MAY, "flow", "lister", "recovery"}, SDKS, "the flow sees worlds only through small Protocols"
    ),
    "author": rule({"ledger.protocol", "__version__"}, SDKS, "who runs this is asked of the operating system alone"),
    "sidecars": rule(FLOW_MAY, SDKS, "the flow sees worlds only through small Protocols"),
    "evidence": rule(
        {*FLOW_MAY, "evidence", "author", "bucket", "ledger", "report", "s3.inspection", "s3.wire"},
        SDKS,
        "it stands on the bucket and the ledger as they are opened, like verify, and knows no SDK and no Webex",
    ),
    "searching": rule({*FLOW_MAY, "searching"}, SDKS, "the flow sees worlds only through small Protocols"),
    "choices": rule({*NOUNS, "config", "flow", "ledger.protocol", "rules"}, SDKS, "settings into what the job takes"),
    "plan": rule({*FLOW_MAY, "lister", "config", "planned_day"}, SDKS, "what would be done is arithmetic"),
    "planned_day": rule({*NOUNS, "rules"}, SDKS | IMPURE, "what would be done is arithmetic"),
    "planner": rule(
        {*FLOW_MAY, "ledger", "lister", "searching", "plan", "planned_day"}, SDKS, "it reads lists and the ledger"
    ),
    "reconcile": rule(
        {
            *FLOW_MAY,
            "author",
            "evidence",
            "flow",
            "reconcile",
            "ledger",
            "lister",
            "searching",
            "verify",
            "bucket",
            "report",
            "choices",
            "telling",
            "worlds",
            "s3.inspection",
        },
        SDKS,
        "worlds are opened by worlds and bucket; it knows no SDK",
    ),
    "report": rule({*FLOW_MAY, "config"}, SDKS, "rows in, text out"),
    "remote": rule(
        {
            *NOUNS,
            *PIECES,
            "events",
            "config",
            "ledger.protocol",
            "lister",
            "flow",
            "intake",
            "bandwidth",
            "recovery",
            "telling",
            "transfer",
            "report",
            "choices",
            "s3.owner",
            "sidecars",
            "worlds",
            "webex.media",
            "remote",
        },
        SDKS | {"temporalio"},
        "beside backfill: it wires the same worlds for an engine, and knows no engine",
    ),
    "scaleout": rule(
        {
            *NOUNS,
            "__version__",
            "events",
            "config",
            "report",
            "remote",
            "rules.retry",
            "rules.windows",
            "plumbing.retrying",
            "scaleout",
        },
        SDKS | {"sqlite3"},
        "an engine carries what wxrec_async.remote hands out, and sees no world",
    ),
    "reporting": rule(
        {*NOUNS, *PIECES, "ledger", "reporting", "__version__"},
        all_sdks_but("jinja2", "markupsafe", "pygal"),
        "the ledger on paper asks nobody else; templates and charts are known here alone",
    ),
    "sandbox": rule({"sandbox"}, {"httpx"}, "a witness that shared our code would confirm our mistakes"),
}
NOBODY_IMPORTS = {
    "cli": "embedding is first class: nothing needs the command line",
    "sandbox": "a simulated organisation is for people and tests",
    "scaleout": "nothing of the job on one machine needs an engine",
    "remote": "nothing of the job on one machine is done in pieces",
}
MAY_SHOW_THE_SANDBOX = "cli"
ABOVE_IT = {("remote", "scaleout")}


def room_of(path: str) -> str:
    return path.split("/", 1)[0].removesuffix(".py")


def imported(tree: ast.AST, path: str) -> Iterator[str]:
    """Every module a file imports, wherever in it, those for the type checker alone left out."""
    for node in ast.walk(_without_type_checking(tree)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            pytest.fail(f"{path}: relative imports hide the direction")


def _without_type_checking(tree: ast.AST) -> ast.AST:
    class Cut(ast.NodeTransformer):
        def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
            if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
                return node.orelse
            return self.generic_visit(node)

    return Cut().visit(ast.parse(ast.unparse(tree)))  # type: ignore[no-any-return]


def ours(name: str) -> str | None:
    """The part of an import behind our own name: ``rules.retry``; None when it is somebody else's."""
    package, _, rest = name.partition(".")
    return rest if package == "wxrec_async" else None


def allowed(target: str, names: frozenset[str]) -> bool:
    pieces = target.split(".")
    return any(".".join(pieces[:size]) in names for size in range(1, len(pieces) + 1))


CASES = [pytest.param(path, RULES[room_of(path)], id=path) for path in sorted(SOURCES) if room_of(path) in RULES]


@pytest.mark.fault("X26")
@pytest.mark.parametrize(("path", "held"), CASES)
def test_a_room_imports_only_what_it_may(path: str, held: Rule) -> None:
    """Arrows point down the list of rooms, never up and never sideways."""
    for name in imported(SOURCES[path], path):
        target = ours(name)
        if target is not None:
            module_itself = room_of(path)
            assert held.ours is None or allowed(target, held.ours | {module_itself}), (
                f"{path} imports {name}: {held.why}"
            )
        assert name.split(".")[0] not in held.never, f"{path} imports {name}: {held.why}"


def test_every_rule_holds_for_some_file() -> None:
    """A rule for a room that has moved would hold nothing."""
    assert {room_of(path) for path in SOURCES} >= set(RULES)


@pytest.mark.parametrize("room", NOBODY_IMPORTS)
def test_nothing_imports_the_edges(room: str) -> None:
    """They import us."""
    for path, tree in SOURCES.items():
        if room_of(path) not in {room, MAY_SHOW_THE_SANDBOX, "__main__"} and (room, room_of(path)) not in ABOVE_IT:
            assert not [name for name in imported(tree, path) if (ours(name) or "").split(".")[0] == room], (
                f"{path}: {NOBODY_IMPORTS[room]}"
            )


def test_only_the_engines_room_knows_the_engine() -> None:
    """One machine alone needs no extra: nobody else imports it, and importing a run does not."""
    for path, tree in SOURCES.items():
        if room_of(path) != "scaleout":
            assert not [name for name in imported(tree, path) if name.split(".")[0] == "temporalio"], path
    code = "import sys, wxrec_async.backfill, wxrec_async.cli.running, wxrec_async.cli.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    loaded = done.stdout.split()
    assert not [
        name for name in loaded if name.startswith(("temporalio", "wxrec_async.remote", "wxrec_async.scaleout"))
    ]


def test_rules_are_not_asynchronous() -> None:
    """A decision does not wait."""
    kinds = ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith
    for path, tree in SOURCES.items():
        if room_of(path) in {"rules", *NOUNS}:
            assert not [node for node in ast.walk(tree) if isinstance(node, kinds)], path


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call, with the last name of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Attribute(attr=name) | ast.Name(id=name):
                    yield name, node


def test_only_the_command_line_prints() -> None:
    """A library that prints cannot be embedded."""
    for path, tree in SOURCES.items():
        if room_of(path) not in {"cli", "__main__"} and path != "sandbox/__main__.py":
            assert not [node.lineno for name, node in calls(tree) if name == "print"], path


LOOSE = {"create_task", "ensure_future", "gather", "run_coroutine_threadsafe", "get_event_loop", "new_event_loop"}


def test_there_are_no_loose_tasks() -> None:
    """What nobody waits for fails unseen: task groups only."""
    for path, tree in SOURCES.items():
        assert not [(name, node.lineno) for name, node in calls(tree) if name in LOOSE], path


@pytest.mark.fault("X16")
def test_verification_is_switched_off_nowhere() -> None:
    """No ``verify=False``, no ``ssl=False``, no CERT_NONE, no unverified context."""
    for path, tree in SOURCES.items():
        for name, node in calls(tree):
            off = [
                word.arg
                for word in node.keywords
                if word.arg in {"verify", "ssl", "verify_ssl", "check_hostname"}
                and isinstance(word.value, ast.Constant)
                and word.value.value is False
            ]
            assert not off, f"{path}:{node.lineno}"
            assert name != "_create_unverified_context", path
        words = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert "CERT_NONE" not in words, path


EXECUTES = {"execute", "executemany", "executescript"}


@pytest.mark.fault("X21")
def test_sql_is_never_put_together_from_values() -> None:
    """What reaches ``execute`` is a literal or a name; formatting is for constants at module level."""
    for path, tree in SOURCES.items():
        for name, node in calls(tree):
            if name in EXECUTES and node.args:
                assert not _is_composed(node.args[0]), f"{path}:{node.lineno}"
                names = {each.id for each in ast.walk(node.args[0]) if isinstance(each, ast.Name)}
                assert not names & _composed_locals(tree), f"{path}:{node.lineno}"


def _composed_locals(tree: ast.AST) -> set[str]:
    """Names that some function of the file gives a text put together on the spot."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assigned = [node for each in functions for node in ast.walk(each) if isinstance(node, ast.Assign)]
    return {
        name.id for node in assigned if _is_composed(node.value) for name in node.targets if isinstance(name, ast.Name)
    }


def _is_composed(node: ast.expr) -> bool:
    match node:
        case ast.JoinedStr() | ast.BinOp():
            return True
        case ast.Call(func=ast.Attribute(attr="format" | "join" | "format_map")):
            return True
        case _:
            return False


def test_every_function_is_annotated() -> None:
    """Return types on everything, and the types of all arguments but self and cls."""
    for path, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                bare = [each.arg for each in given if each.annotation is None and each.arg not in {"self", "cls"}]
                assert node.returns is not None, f"{path}:{node.lineno} {node.name}"
                assert not bare, f"{path}:{node.lineno} {node.name}: {bare}"


def test_importing_the_package_imports_nothing_heavy() -> None:
    """The embedding API is resolved when it is used; importing costs next to nothing."""
    code = "import sys, wxrec_async; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert not {*SDKS, "anyio", "asyncio"} & set(done.stdout.split())


def test_what_is_composed_is_recognised() -> None:
    """The check of SQL sees f-strings, sums and format, and lets literals and names pass."""
    composed = ["f'SELECT {x}'", "'SELECT ' + x", "'SELECT %s' % x", "'SELECT {}'.format(x)", "', '.join(x)"]
    assert all(_is_composed(ast.parse(text, mode="eval").body) for text in composed)
    assert not any(_is_composed(ast.parse(text, mode="eval").body) for text in ["'SELECT 1'", "SELECT"])
