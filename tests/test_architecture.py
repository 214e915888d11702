"""Who may import whom, how large things may get, and a few things that are nowhere: held by reading the source.

`tests.house` reads and measures it, each file once; ``python -m tests.house`` prints the figures.
"""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from dataclasses import dataclass

import pytest

from tests import house
from tests.house import PACKAGE, File, ours

FILES = house.files()
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


FLOW_MAY = {*NOUNS, *PIECES, "events", "config", "ledger.records"}
AS_OPENED = {*FLOW_MAY, "flow", "ledger", "s3.reader", "s3.api", "wiring"}
RULES = {
    "_version": rule(set(), SDKS | IMPURE, "a number"),
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
    "aws_session": rule(
        set(), all_sdks_but("aiohttp", "aiobotocore"), "what two worlds need of one SDK knows neither of them"
    ),
    "webex": rule(
        {*NOUNS, *PIECES, "events", "config", "webex"},
        all_sdks_but("httpx", "aiohttp", "yarl", "pydantic"),
        "one world, one SDK: httpx over aiohttp",
    ),
    "auth": rule(
        {*NOUNS, *PIECES, "events", "config", "auth", "aws_session"},
        all_sdks_but("httpx", "aioboto3", "botocore", "aiobotocore", "aiohttp", "pydantic"),
        "httpx for the token endpoint, aioboto3 for Secrets Manager",
    ),
    "s3": rule(
        {*NOUNS, *PIECES, "events", "config", "s3", "aws_session"},
        all_sdks_but("aioboto3", "aiobotocore", "botocore", "aiohttp"),
        "aioboto3, and aiohttp beneath it",
    ),
    "ledger": rule({*NOUNS, *PIECES, "events", "config", "ledger"}, all_sdks_but("sqlite3"), "SQLite and nothing else"),
    "flow": rule(
        {*FLOW_MAY, "flow", "_version"},
        SDKS | {"temporalio"},
        "one job, whoever works: worlds are seen through small Protocols, and a Temporal workflow imports it too",
    ),
    "otel": rule({*NOUNS, "events", "otel"}, all_sdks_but("opentelemetry"), "a listener; its SDK comes late"),
    "planning": rule(
        {*FLOW_MAY, "flow", "ledger", "planning", "wiring"}, SDKS, "it reads lists and the ledger, as they are opened"
    ),
    "wiring": rule(
        {*FLOW_MAY, "_version", "auth", "flow", "ledger", "s3", "webex", "wiring"},
        all_sdks_but("httpx"),
        "settings into what others work with; it is opened here, and nothing is done with it",
    ),
    "maintenance": rule({*AS_OPENED, "maintenance"}, SDKS, "it stands on the bucket and the ledger as they are opened"),
    "setup": rule(
        {*FLOW_MAY, "auth", "flow", "ledger", "s3", "setup", "webex", "wiring"},
        all_sdks_but("httpx"),
        "it looks at every world before the first run, and shows none",
    ),
    "evidence": rule(
        {*AS_OPENED, "evidence"},
        SDKS,
        "it stands on the bucket and the ledger as they are opened, like verify, and knows no SDK and no Webex",
    ),
    "reconciliation": rule(
        {*AS_OPENED, "evidence", "maintenance", "reconciliation"}, SDKS, "worlds are opened by wiring; it knows no SDK"
    ),
    "temporal": rule(
        {*FLOW_MAY, "_version", "flow", "wiring", "webex.media", "s3.bucket_owner", "temporal"},
        SDKS,
        "an engine carries the same job, and sees no world but as it is opened",
    ),
    "reporting": rule(
        {*NOUNS, *PIECES, "ledger", "reporting", "_version"},
        all_sdks_but("jinja2", "markupsafe", "pygal"),
        "the ledger on paper asks nobody else; templates and charts are known here alone",
    ),
    "sandbox": rule({"sandbox"}, {"httpx"}, "a witness that shared our code would confirm our mistakes"),
}
HELD = RULES
FREE = {"__init__", "__main__", "cli", "backfill"}  # they stand above the rest and may know it all


# At most; a negative figure is a least.
LIMITS = {
    "circles of modules": 0,
    "circles of rooms": 0,
    "modules at the top": 9,
    "rooms": 29,
    "import depth": 16,
    "widest module": 20,
    "file names with two homes": 0,
    "class names with two homes": 0,
    "function lines, median": 6,
    "function lines, 90th percentile": 16,
    "function lines, longest": 45,
    "functions without all types": 0,
    "comments per 100 lines of code": -3,
    "lines of code": 36_490,
}
NOBODY_IMPORTS = {
    "cli": "embedding is first class: nothing needs the command line",
    "sandbox": "a simulated organisation is for people and tests",
    "temporal": "nothing of the job on one machine needs an engine",
}
MAY_SHOW_THE_SANDBOX = "cli"


def allowed(target: str, names: frozenset[str]) -> bool:
    pieces = target.split(".")
    return any(".".join(pieces[:size]) in names for size in range(1, len(pieces) + 1))


CASES = [pytest.param(file, HELD[file.room], id=file.path) for file in FILES if file.room in HELD]


def imported(file: File) -> list[str]:
    """What a file imports, wherever in it, without what is for the type checker alone."""
    return [each.name for each in file.imports if not each.types_only]


@pytest.mark.fault("X26")
@pytest.mark.parametrize(("file", "held"), CASES)
def test_a_room_imports_only_what_it_may(file: File, held: Rule) -> None:
    """Arrows point down the list of rooms, never up and never sideways."""
    for name in imported(file):
        target = ours(name)
        if target is not None:
            assert held.ours is None or allowed(target, held.ours | {file.room}), (
                f"{file.path} imports {name}: {held.why}"
            )
        assert not name.startswith("."), f"{file.path}: relative imports hide the direction"
        assert name.split(".")[0] not in held.never, f"{file.path} imports {name}: {held.why}"


def test_every_room_has_its_rule_and_every_rule_its_room() -> None:
    """A new room gets a line; a rule for a room that has moved would hold nothing."""
    assert house.rooms() == set(HELD) | FREE


@pytest.mark.parametrize("name", LIMITS)
def test_the_house_stays_within_its_limits(name: str) -> None:
    """Circles, depth, widths, lengths, names and comments, as `tests.house` measures them."""
    figure = house.measured()[name]
    limit = LIMITS[name]
    assert figure <= limit if limit >= 0 else figure >= -limit, (
        f"{name}: {figure}; python -m tests.house shows what is behind it"
    )


def test_every_figure_has_a_limit() -> None:
    """What is measured is held."""
    assert set(house.measured()) == set(LIMITS)


def test_circles_and_chains_are_found() -> None:
    """In a small house of which they are known."""
    of = {each: frozenset(targets) for each, targets in
          {"a": "bc", "b": "c", "c": "d", "d": "c", "e": "a", "f": ""}.items()}  # fmt: skip
    assert house.circles(of) == [["c", "d"]]
    assert house.longest_chain(of | {"d": frozenset()}) == ["e", "a", "b", "c", "d"]


def test_an_import_is_seen_wherever_it_stands() -> None:
    """At the top, in a branch, in a function, and for the type checker alone; and functions are measured."""
    file = house.read("x/y.py", (
        "from typing import TYPE_CHECKING\nimport a\nif TYPE_CHECKING:\n    from b import c\nelse:\n    import d\n"
        'def f(x):\n    """One.\n\n    Two.\n    """\n    # why\n    import wxrec_async.e as e\n    return e\n'
    ))  # fmt: skip
    found = {each.name: (each.lazy, each.types_only) for each in file.imports if each.name != "typing.TYPE_CHECKING"}
    assert found == {"a": (False, False), "b.c": (False, True), "d": (False, False), "wxrec_async.e": (True, False)}
    assert (file.module, file.room, house.length(file.functions[0])) == ("x.y", "x", 2)


@pytest.mark.parametrize("room", NOBODY_IMPORTS)
def test_nothing_imports_the_edges(room: str) -> None:
    """They import us."""
    for file in FILES:
        if file.room not in {room, MAY_SHOW_THE_SANDBOX, "__main__"}:
            assert not [name for name in imported(file) if (ours(name) or "").split(".")[0] == room], (
                f"{file.path}: {NOBODY_IMPORTS[room]}"
            )


def test_only_the_engines_room_knows_the_engine() -> None:
    """One machine alone needs no extra: nobody else imports it, and importing a run does not."""
    for file in FILES:
        if file.room != "temporal":
            assert not [name for name in imported(file) if name.split(".")[0] == "temporalio"], file.path
    code = "import sys, wxrec_async.backfill, wxrec_async.cli.commands.run, wxrec_async.cli.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    loaded = done.stdout.split()
    assert not [name for name in loaded if name.startswith(("temporalio", "wxrec_async.temporal"))]


def test_rules_are_not_asynchronous() -> None:
    """A decision does not wait."""
    kinds = ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith
    for file in FILES:
        if file.room in {"rules", *NOUNS}:
            assert not [node for node in file.nodes if isinstance(node, kinds)], file.path


def test_only_the_command_line_prints() -> None:
    """A library that prints cannot be embedded."""
    for file in FILES:
        if file.room not in {"cli", "__main__"} and file.path != "sandbox/__main__.py":
            assert not [node.lineno for name, node in file.calls if name == "print"], file.path


LOOSE = {"create_task", "ensure_future", "gather", "run_coroutine_threadsafe", "get_event_loop", "new_event_loop"}


def test_there_are_no_loose_tasks() -> None:
    """What nobody waits for fails unseen: task groups only."""
    for file in FILES:
        assert not [(name, node.lineno) for name, node in file.calls if name in LOOSE], file.path


@pytest.mark.fault("X16")
def test_verification_is_switched_off_nowhere() -> None:
    """No ``verify=False``, no ``ssl=False``, no CERT_NONE, no unverified context."""
    for file in FILES:
        for name, node in file.calls:
            off = [
                word.arg
                for word in node.keywords
                if word.arg in {"verify", "ssl", "verify_ssl", "check_hostname"}
                and isinstance(word.value, ast.Constant)
                and word.value.value is False
            ]
            assert not off, f"{file.path}:{node.lineno}"
            assert name != "_create_unverified_context", file.path
        words = {node.attr for node in file.nodes if isinstance(node, ast.Attribute)}
        assert "CERT_NONE" not in words, file.path


EXECUTES = {"execute", "executemany", "executescript"}


@pytest.mark.fault("X21")
def test_sql_is_never_put_together_from_values() -> None:
    """What reaches ``execute`` is a literal or a name; formatting is for constants at module level."""
    for file in FILES:
        for name, node in file.calls:
            if name in EXECUTES and node.args:
                assert not _is_composed(node.args[0]), f"{file.path}:{node.lineno}"
                names = {each.id for each in ast.walk(node.args[0]) if isinstance(each, ast.Name)}
                assert not names & _composed_locals(file), f"{file.path}:{node.lineno}"


@functools.cache
def _composed_locals(file: File) -> set[str]:
    """Names that some function of the file gives a text put together on the spot."""
    assigned = {id(node): node for each in file.functions for node in ast.walk(each) if isinstance(node, ast.Assign)}
    return {
        name.id
        for node in assigned.values()
        if _is_composed(node.value)
        for name in node.targets
        if isinstance(name, ast.Name)
    }


def _is_composed(node: ast.expr) -> bool:
    match node:
        case ast.JoinedStr() | ast.BinOp():
            return True
        case ast.Call(func=ast.Attribute(attr="format" | "join" | "format_map")):
            return True
        case _:
            return False


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


# A function of the name of a module or room, and why it may.
NAMED_ALIKE = {
    "cleanup": "public: `wxrec_async.cleanup`, carried out by the command of that name",
    "enrich": "what `ledger enrich` carries out; no other module imports the command",
    "login": "public: `wxrec_async.login`, carried out by the command of that name",
    "rebuild": "public: `wxrec_async.rebuild`, carried out by the command of that name",
    "reconcile": "public: `wxrec_async.reconcile`, carried out by the command of that name",
    "verify": "public: `wxrec_async.verify`, carried out by the command of that name",
    "attachments": "all that a module is for, said by its one function",
    "text": "a value of SQLite; the module is of the command line, which no room of the ledger's knows",
}


def test_no_public_function_has_the_name_of_a_module() -> None:
    """One imported where the other is hides it, and whoever looks for one finds two; old reasons go."""
    modules = {piece for file in FILES for piece in file.module.split(".")}
    found = {
        node.name
        for file in FILES
        for node in file.tree.body
        if isinstance(node, house.FUNCTIONS) and not node.name.startswith("_") and node.name in modules
    }
    assert found == set(NAMED_ALIKE)
