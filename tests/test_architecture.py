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
        {*NOUNS, *PIECES, "events", "config", "auth", "aws", "aws_session"},
        all_sdks_but("httpx", "aioboto3", "botocore", "aiobotocore", "aiohttp", "pydantic"),
        "httpx for the token endpoint, aioboto3 for Secrets Manager",
    ),
    "aws": rule(set(), all_sdks_but("aiohttp", "aiobotocore"), "what two worlds need of one SDK knows neither of them"),
    "s3": rule(
        {*NOUNS, *PIECES, "events", "config", "s3", "aws", "aws_session"},
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
    "author": rule({"ledger.records", "_version"}, SDKS, "who runs this is asked of the operating system alone"),
    "sidecars": rule(FLOW_MAY, SDKS, "the flow sees worlds only through small Protocols"),
    "evidence": rule(
        {*FLOW_MAY, "evidence", "author", "ledger", "report", "s3.inspection", "s3.wire", "wiring.bucket"},
        SDKS,
        "it stands on the bucket and the ledger as they are opened, like verify, and knows no SDK and no Webex",
    ),
    "searching": rule({*FLOW_MAY, "searching"}, SDKS, "the flow sees worlds only through small Protocols"),
    "choices": rule({*NOUNS, "config", "flow", "ledger.records", "rules"}, SDKS, "settings into what the job takes"),
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
            "report",
            "choices",
            "telling",
            "worlds",
            "wiring",
            "s3.inspection",
        },
        SDKS,
        "worlds are opened by worlds and wiring; it knows no SDK",
    ),
    "wiring": rule(
        {*FLOW_MAY, "ledger", "s3", "telling", "transfer", "intake", "bandwidth", "sidecars", "wiring", "_version"},
        all_sdks_but("httpx"),
        "settings into what others work with; it is opened here, and nothing is done with it",
    ),
    "report": rule({*FLOW_MAY, "config"}, SDKS, "rows in, text out"),
    "remote": rule(
        {
            *NOUNS,
            *PIECES,
            "events",
            "config",
            "ledger.records",
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
            "wiring",
            "webex.media",
            "remote",
        },
        SDKS | {"temporalio"},
        "beside backfill: it wires the same worlds for an engine, and knows no engine",
    ),
    "scaleout": rule(
        {
            *NOUNS,
            "_version",
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
        {*NOUNS, *PIECES, "ledger", "reporting", "_version"},
        all_sdks_but("jinja2", "markupsafe", "pygal"),
        "the ledger on paper asks nobody else; templates and charts are known here alone",
    ),
    "sandbox": rule({"sandbox"}, {"httpx"}, "a witness that shared our code would confirm our mistakes"),
}
# Rooms that are being built, a line each; a rule holds from the first file on.  What stands in RULES and moves into one
# of them takes its line out there.
AS_OPENED = {*FLOW_MAY, "flow", "wiring", "ledger", "_version", "s3.reader", "s3.inspection", "s3.transport", "s3.wire"}
COMING = {
    "_version": rule(set(), SDKS | IMPURE, "a number"),
    "aws_session": RULES["aws"],
    "flow": rule({*FLOW_MAY, "flow"}, SDKS, "the flow sees worlds only through small Protocols; Temporal loads it too"),
    "wiring": rule(
        None, {"typer", "click", "rich", "pydantic", "jinja2", "pygal"}, "it opens every world, and shows none"
    ),
    "planning": rule({*FLOW_MAY, "flow", "ledger", "planning"}, SDKS, "it reads lists and the ledger"),
    "maintenance": rule({*AS_OPENED, "maintenance"}, SDKS, "it stands on the bucket and the ledger as they are opened"),
    "setup": rule(
        None, {"typer", "click", "rich", "sqlite3", "jinja2", "pygal"}, "it looks at every world, and shows none"
    ),
    "otel": rule({*NOUNS, "events", "otel"}, all_sdks_but("opentelemetry"), "a listener; its SDK comes late"),
    "reconciliation": rule({*AS_OPENED, "evidence", "maintenance", "reconciliation"}, SDKS, "it knows no SDK"),
    "temporal": rule(
        {*FLOW_MAY, "_version", "flow", "wiring", "webex.media", "temporal"},
        SDKS | {"sqlite3"},
        "an engine carries the same job, and sees no world but as it is opened",
    ),
}
# Modules and rooms that move; once they have, their lines above go.
MOVING = {
    "aws", "lister", "intake", "bandwidth", "left_out", "telemetry", "exporting", "telling", "following", "running",
    "transfer", "recovery", "settling", "orchestrator", "author", "sidecars", "searching", "choices", "plan",
    "planned_day", "planner", "reconcile", "report", "remote", "scaleout",
}  # fmt: skip
HELD = {room: held for room, held in (COMING | RULES).items() if room in house.rooms()}
FREE = {  # they stand above the rest and may know it all
    "__init__", "__main__", "cli", "backfill", "bucket", "cleanup", "doctor", "login", "rebuild", "verify", "worlds",
}  # fmt: skip


@dataclass(frozen=True)
class Limit:
    """A figure of `tests.house` may be at most ``most``; where that is not ``target`` yet, it is what it is today."""

    most: float
    target: float

    def holds(self, figure: float) -> bool:
        """Whether the figure is within it; a negative limit is a least."""
        return figure <= self.most if self.most >= 0 else figure >= -self.most


LIMITS = {
    "circles of modules": Limit(9, 0),
    "circles of rooms": Limit(0, 0),
    "modules at the top": Limit(36, 9),
    "rooms": Limit(50, 29),
    "import depth": Limit(23, 16),
    "widest module": Limit(36, 20),
    "file names with two homes": Limit(26, 0),
    "class names with two homes": Limit(38, 0),
    "function lines, median": Limit(6, 6),
    "function lines, 90th percentile": Limit(16, 16),
    "function lines, longest": Limit(45, 45),
    "functions without all types": Limit(0, 0),
    "comments per 100 lines": Limit(-1.3, -3),
    "lines": Limit(41_000, 41_000),
}
NOBODY_IMPORTS = {
    "cli": "embedding is first class: nothing needs the command line",
    "sandbox": "a simulated organisation is for people and tests",
    "scaleout": "nothing of the job on one machine needs an engine",
    "remote": "nothing of the job on one machine is done in pieces",
    "temporal": "nothing of the job on one machine needs an engine",
}
MAY_SHOW_THE_SANDBOX = "cli"
ABOVE_IT = {("remote", "scaleout")}


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
    assert house.rooms() == set(HELD) | (FREE & house.rooms())
    assert set(RULES) - house.rooms() <= MOVING


@pytest.mark.parametrize("name", LIMITS)
def test_the_house_stays_within_its_limits(name: str) -> None:
    """Circles, depth, widths, lengths, names and comments, as `tests.house` measures them."""
    figure = house.measured()[name]
    assert LIMITS[name].holds(figure), f"{name}: {figure}; python -m tests.house shows what is behind it"


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
        if file.room not in {room, MAY_SHOW_THE_SANDBOX, "__main__"} and (room, file.room) not in ABOVE_IT:
            assert not [name for name in imported(file) if (ours(name) or "").split(".")[0] == room], (
                f"{file.path}: {NOBODY_IMPORTS[room]}"
            )


def test_only_the_engines_room_knows_the_engine() -> None:
    """One machine alone needs no extra: nobody else imports it, and importing a run does not."""
    for file in FILES:
        if file.room not in {"scaleout", "temporal"}:
            assert not [name for name in imported(file) if name.split(".")[0] == "temporalio"], file.path
    code = "import sys, wxrec_async.backfill, wxrec_async.cli.commands.run, wxrec_async.cli.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    loaded = done.stdout.split()
    assert not [
        name
        for name in loaded
        if name.startswith(("temporalio", "wxrec_async.remote", "wxrec_async.scaleout", "wxrec_async.temporal"))
    ]


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
