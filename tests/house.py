"""The package measured from its own source: ``python -m tests.house`` prints the table.

Every file is read and parsed once.  An import counts however it is written: at the top of a module, inside a function
(lazy), or for the type checker alone.
"""

from __future__ import annotations

import ast
import functools
import io
import statistics
import sys
import tokenize
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import wxrec_async

PACKAGE = Path(wxrec_async.__file__).parent
NAME = PACKAGE.name
Graph = Mapping[str, frozenset[str]]
SAME_ROLE = {"client.py", "errors.py"}  # one role in two worlds is one meaning, and so is a command and what it calls
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Import:
    """One imported name, such as ``wxrec_async.rules.retry.decide``; relative ones begin with a dot."""

    name: str
    lazy: bool
    types_only: bool


@dataclass(frozen=True)
class File:
    """One source of the package; ``path`` is relative to it, ``nodes`` are all of its tree."""

    path: str
    text: str
    tree: ast.Module
    nodes: tuple[ast.AST, ...]
    imports: tuple[Import, ...]

    @property
    def module(self) -> str:
        """Its name behind the package's: ``rules.retry``, ``rules`` for a folder's own, and "" for the package's."""
        return self.path.removesuffix(".py").replace("/", ".").removesuffix("__init__").removesuffix(".")

    @property
    def room(self) -> str:
        """The folder or loose module at the top that it belongs to."""
        return self.path.split("/", 1)[0].removesuffix(".py")

    @property
    def functions(self) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Every function, methods and inner ones too."""
        return [node for node in self.nodes if isinstance(node, FUNCTIONS)]

    @property
    def calls(self) -> Iterator[tuple[str, ast.Call]]:
        """Every call, with the last name of what is called."""
        for node in self.nodes:
            if isinstance(node, ast.Call):
                match node.func:
                    case ast.Attribute(attr=name) | ast.Name(id=name):
                        yield name, node


@functools.cache
def files() -> tuple[File, ...]:
    """Every file of the package, in the order of their paths."""
    return tuple(read(path.relative_to(PACKAGE).as_posix(), path.read_text("utf-8"))
                 for path in sorted(PACKAGE.rglob("*.py")))  # fmt: skip


def read(path: str, text: str) -> File:
    """Parse one source."""
    tree = ast.parse(text)
    return File(path, text, tree, tuple(ast.walk(tree)), tuple(_imports(tree, lazy=False, types_only=False)))


def rooms() -> set[str]:
    """Every folder and loose module at the top."""
    return {file.room for file in files()}


def _imports(node: ast.AST, *, lazy: bool, types_only: bool) -> Iterator[Import]:
    match node:
        case ast.Import(names=names):
            yield from (Import(each.name, lazy, types_only) for each in names)
        case ast.ImportFrom(module=module, names=names, level=level):
            yield from (Import(f"{'.' * level}{module or ''}.{each.name}", lazy, types_only) for each in names)
        case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=body, orelse=orelse):
            for each in body:
                yield from _imports(each, lazy=lazy, types_only=True)
            for each in orelse:
                yield from _imports(each, lazy=lazy, types_only=types_only)
        case ast.expr():
            pass
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _imports(child, lazy=lazy or isinstance(node, FUNCTIONS), types_only=types_only)


def ours(name: str) -> str | None:
    """The part of an import behind our own name: ``rules.retry``; None when it is somebody else's."""
    package, _, rest = name.partition(".")
    return rest if package == NAME else None


def graph(wanted: Callable[[Import], bool] = lambda _: True) -> Graph:
    """Which module of ours imports which, counting the imports that are ``wanted``."""
    modules = {file.module for file in files()}
    return {
        file.module: frozenset(
            target
            for each in file.imports
            if wanted(each) and (rest := ours(each.name)) is not None
            if (target := rest if rest in modules else rest.rpartition(".")[0]) != file.module
        )
        for file in files()
    }


def room_graph() -> Graph:
    """Which room imports which."""
    found: dict[str, set[str]] = {room: set() for room in rooms()}
    for file in files():
        found[file.room] |= {(ours(each.name) or "").split(".")[0] for each in file.imports} & set(found) - {file.room}
    return {room: frozenset(targets) for room, targets in found.items()}


def circles(of: Graph) -> list[list[str]]:
    """Groups of modules that reach each other, each sorted (Tarjan's strongly connected components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in of[node]:
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            cut = stack.index(node)
            group = sorted(stack[cut:])
            del stack[cut:]
            if len(group) > 1:
                found.append(group)

    for node in of:
        if node not in index:
            visit(node)
    return sorted(found)


def longest_chain(of: Graph) -> list[str]:
    """The longest chain of imports, from whoever begins it to whoever imports nothing; what is in a circle ends it."""

    @functools.cache
    def chain(node: str) -> tuple[str, ...]:
        behind = [chain(target) for target in of[node] - in_circles]
        return node, *max(behind, key=len, default=())

    in_circles = frozenset(node for group in circles(of) for node in group)
    return max(([*chain(node)] for node in of), key=len)


def chain_at_import() -> list[str]:
    """The longest chain of what is imported when a module is."""
    return longest_chain(graph(lambda each: not each.lazy and not each.types_only))


def widths() -> dict[str, int]:
    """How many modules of ours each one imports."""
    return {module: len(targets) for module, targets in graph().items()}


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function's body without its docstring."""
    body = function.body[ast.get_docstring(function, clean=False) is not None :]
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def lengths() -> dict[str, int]:
    """The length of every function, by its place."""
    return {f"{file.path}:{each.lineno} {each.name}": length(each) for file in files() for each in file.functions}


def untyped() -> list[str]:
    """Every function that lacks its return type or an argument's, self and cls aside."""
    return [
        f"{file.path}:{each.lineno} {each.name}"
        for file in files()
        for each in file.functions
        if each.returns is None
        or any(
            one.annotation is None and one.arg not in {"self", "cls"}
            for one in (*each.args.posonlyargs, *each.args.args, *each.args.kwonlyargs)
        )
    ]


@functools.cache
def comments() -> int:
    """How many lines of the package have a comment."""
    return sum(
        token.type == tokenize.COMMENT
        for file in files()
        if "#" in file.text
        for token in tokenize.generate_tokens(io.StringIO(file.text).readline)
    )


def lines() -> int:
    """How many lines of code the package has: without blank ones and those of comments alone."""
    stripped = (line.strip() for file in files() for line in file.text.splitlines())
    return sum(bool(line) and not line.startswith("#") for line in stripped)


def homes(kind: Callable[[File], Iterator[str]]) -> dict[str, list[str]]:
    """Every name that has more than one home, with the files."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in files():
        for name in set(kind(file)):
            found[name].append(file.path)
    return {name: paths for name, paths in sorted(found.items()) if len(paths) > 1}


def class_names(file: File) -> Iterator[str]:
    """The classes at the top of a file."""
    return (node.name for node in file.tree.body if isinstance(node, ast.ClassDef))


def file_names(file: File) -> Iterator[str]:
    """The name of a file that has a meaning of its own."""
    name = Path(file.path).name
    if not name.startswith("__") and name not in SAME_ROLE and not file.path.startswith("cli/commands/"):
        yield name


@functools.cache
def measured() -> dict[str, float]:
    """Every figure of the table."""
    each = sorted(lengths().values())
    return {
        "circles of modules": len(circles(graph())),
        "circles of rooms": len(circles(room_graph())),
        "modules at the top": sum("/" not in file.path for file in files()),
        "rooms": len(rooms()),
        "import depth": len(chain_at_import()),
        "widest module": max(widths().values()),
        "file names with two homes": len(homes(file_names)),
        "class names with two homes": len(homes(class_names)),
        "function lines, median": statistics.median(each),
        "function lines, 90th percentile": each[len(each) * 9 // 10],
        "function lines, longest": each[-1],
        "functions without all types": len(untyped()),
        "comments per 100 lines of code": round(100 * comments() / lines(), 1),
        "lines of code": lines(),
    }


def main() -> int:
    """Print the table, and behind it what stands behind the figures that are not as they should be."""
    say, long = sys.stdout.write, lengths()
    for name, figure in measured().items():
        say(f"{name:32} {figure:>8g}\n")
    say("\nlongest chain: " + " > ".join(chain_at_import()) + "\n")
    say("widest: " + ", ".join(f"{name} {n}" for name, n in sorted(widths().items(), key=lambda e: -e[1])[:5]) + "\n")
    say("longest functions: " + ", ".join(sorted(long, key=lambda e: -long[e])[:5]) + "\n")
    for words, of in (("circle", graph()), ("circle of rooms", room_graph())):
        for group in circles(of):
            say(f"{words}: {', '.join(group)}\n")
    for kind in (file_names, class_names):
        for name, paths in homes(kind).items():
            say(f"{name}: {', '.join(paths)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
