"""What a planted bug is, and how it gets into a copy.

A bug finds its place by the name of a function or class and by what is written there, in whatever file that is:
sources are compared as syntax trees, so that a move, a reformatting or another import leaves every bug where it is.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Sources = dict[Path, str]
ANY_BODY = ast.dump(ast.Expr(ast.Constant(...)))
DEFINES = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
SUITES = ("body", "orelse", "finalbody")


@dataclass(frozen=True, slots=True)
class Edit:
    """In ``place``, a qualified name such as ``Pipe.fail``, replace ``old``, which stands there once, by ``new``.

    Both are statements or one expression, or a ``case`` without its block.  Where a compound statement has ``...`` for
    its block, that is any block, and it stays.  No ``new`` leaves ``old`` out.
    """

    place: str
    old: str
    new: str

    def apply(self, sources: Sources) -> Path:
        """Change one of the sources, and return which; raises LookupError when nothing, or more than one thing, fits."""
        found = [
            (path, tree, change)
            for path, tree, scope in _definitions(sources, self.place)
            for change in self._changes(scope)
        ]
        if len(found) != 1:
            raise LookupError(f"{self.place}: stands there {len(found)} times, not once:\n{self.old}")
        path, tree, change = found[0]
        change()
        changed = ast.unparse(ast.fix_missing_locations(tree))
        compile(changed, str(path), "exec")
        sources[path] = changed + "\n"
        return path

    def _changes(self, scope: ast.AST) -> Iterator[Callable[[], None]]:
        old, new = _parsed(self.old), _parsed(self.new)
        if isinstance(old, ast.match_case):
            return _in_cases(scope, old, new)
        if isinstance(old, ast.expr) and isinstance(new, ast.expr):
            return _in_expressions(scope, old, new)
        return _in_statements(scope, _statements(old), _statements(new))


@dataclass(frozen=True, slots=True)
class TextEdit:
    """The same inside a text that the code holds, such as a statement of SQL; blanks and line breaks count as one."""

    place: str
    old: str
    new: str

    def apply(self, sources: Sources) -> Path:
        """Change one of the sources, and return which; raises LookupError when nothing, or more than one thing, fits."""
        wanted = re.compile(r"\s+".join(map(re.escape, self.old.split())))
        found = [
            (path, tree, node, each.span())
            for path, tree, scope in _definitions(sources, self.place)
            for node in ast.walk(scope)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            for each in wanted.finditer(node.value)
        ]
        if len(found) != 1:
            raise LookupError(f"{self.place}: stands there {len(found)} times, not once:\n{self.old}")
        path, tree, node, (begin, end) = found[0]
        assert isinstance(node.value, str)
        node.value = node.value[:begin] + self.new + node.value[end:]
        sources[path] = ast.unparse(tree) + "\n"
        return path


@dataclass(frozen=True, slots=True)
class Bug:
    """A mistake somebody could make.  ``tests`` are those that should notice, the quickest first."""

    name: str
    words: str
    edits: tuple[Edit | TextEdit, ...]
    tests: tuple[str, ...]

    def plant(self, root: Path) -> None:
        """Put the bug into the copy below ``root``; raises LookupError when the source has moved on."""
        sources = read_package(root)
        for path in self.apply(sources):
            path.write_text(sources[path], "utf-8")

    def apply(self, sources: Sources) -> set[Path]:
        """Change the sources, and return which of them; raises LookupError when they have moved on."""
        return {edit.apply(sources) for edit in self.edits}


def read_package(root: Path) -> Sources:
    """Return the text of every file of the package below ``root``."""
    return {path: path.read_text("utf-8") for path in sorted((root / "wxrec_async").rglob("*.py"))}


def _definitions(sources: Sources, place: str) -> Iterator[tuple[Path, ast.Module, ast.AST]]:
    """Every definition of that name, with the tree it is in; only files that say the name are parsed."""
    names = place.split(".")
    defined = (f"def {names[-1]}(", f"class {names[-1]}", f"\n{names[-1]}")
    for path, text in list(sources.items()):
        if all(name in text for name in names) and any(each in text for each in defined):
            tree = ast.parse(text)
            yield from ((path, tree, node) for node in _named(tree, names))


def _named(scope: ast.AST, names: list[str]) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, DEFINES):
            if node.name == names[0]:
                yield from [node] if len(names) == 1 else _named(node, names[1:])
        elif isinstance(node, ast.Assign | ast.AnnAssign) and len(names) == 1:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(each, ast.Name) and each.id == names[0] for each in targets):
                yield node
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.AsyncWith):
            yield from _named(node, names)


def _parsed(source: str) -> ast.expr | list[ast.stmt] | ast.match_case:
    """Return what a quoted piece of source is; a single expression is one even where it is a statement."""
    text = textwrap.dedent(source).strip("\n")
    if text.startswith("case "):
        found = ast.parse(f"match x:\n    {text.rstrip().rstrip(':')}:\n        ...").body[0]
        assert isinstance(found, ast.Match)
        return found.cases[0]
    # what only a function or a loop may hold is parsed in one
    block = ast.parse(f"async def f():\n while 1:\n{textwrap.indent(text or 'pass', '  ')}").body[0]
    body: list[ast.stmt] = block.body[0].body  # type: ignore[attr-defined]
    if not text:
        return []
    match body:
        case [ast.Expr(value)]:
            return value
        case _:
            return body


def _statements(parsed: Any) -> list[ast.stmt]:
    return parsed if isinstance(parsed, list) else [ast.Expr(parsed)]


def _in_expressions(scope: ast.AST, old: ast.expr, new: ast.expr) -> Iterator[Callable[[], None]]:
    wanted = ast.dump(old)
    for parent in ast.walk(scope):
        for field, value in ast.iter_fields(parent):
            for index, child in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(child, ast.expr) and _dumped(child) == wanted:
                    yield lambda p=parent, f=field, i=index: _put(p, f, i, new)  # type: ignore[misc]


def _put(parent: ast.AST, field: str, index: int, new: ast.expr) -> None:
    value = getattr(parent, field)
    if isinstance(value, list):
        value[index] = new
    else:
        setattr(parent, field, new)


def _in_cases(scope: ast.AST, old: ast.match_case, new: Any) -> Iterator[Callable[[], None]]:
    for node in ast.walk(scope):
        if isinstance(node, ast.match_case) and _header(node) == _header(old):

            def change(found: ast.match_case = node) -> None:
                found.pattern, found.guard = new.pattern, new.guard

            yield change


def _header(case: ast.match_case) -> tuple[str, str]:
    return ast.dump(case.pattern), ast.dump(case.guard) if case.guard else ""


def _in_statements(scope: ast.AST, old: list[ast.stmt], new: list[ast.stmt]) -> Iterator[Callable[[], None]]:
    for node in ast.walk(scope):
        for field in SUITES:
            suite: list[ast.stmt] = held if isinstance(held := getattr(node, field, None), list) else []
            for at in range(len(suite) - len(old) + 1):
                found = suite[at : at + len(old)]
                if all(_same(one, other) for one, other in zip(found, old, strict=True)):
                    yield lambda s=suite, i=at, f=found: _replace(s, i, f, new)  # type: ignore[misc]


def _same(found: ast.stmt, wanted: ast.stmt) -> bool:
    if type(found) is not type(wanted):
        return False
    if not _is_open(wanted):
        return _dumped(found) == _dumped(wanted)
    fields = [(_dumped(getattr(found, name)), _dumped(getattr(wanted, name))) for name in wanted._fields
              if name not in (*SUITES, "handlers", "type_comment")]  # fmt: skip
    return all(one == other for one, other in fields)


def _replace(suite: list[ast.stmt], at: int, found: list[ast.stmt], new: list[ast.stmt]) -> None:
    bodies = [one for one in found if getattr(one, "body", None)]
    for each in new:
        if _is_open(each) and bodies:
            for field in SUITES:
                if hasattr(each, field):
                    setattr(each, field, getattr(bodies[0], field, []))
    suite[at : at + len(found)] = new or ([] if len(suite) > len(found) else [ast.Pass()])


def _is_open(statement: ast.stmt) -> bool:
    """Whether a compound statement has ``...`` for its block."""
    return [ast.dump(each) for each in getattr(statement, "body", ())] == [ANY_BODY]


def _dumped(node: Any) -> str:
    if isinstance(node, list):
        return "|".join(map(_dumped, node))
    return ast.dump(node) if isinstance(node, ast.AST) else repr(node)
