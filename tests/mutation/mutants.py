"""Every small change that can be made to a module, one at a time.

Left alone is what decides nothing: docstrings, annotations, aliases of types, decorators, imports, ``__all__`` and
``__slots__``.  A mutant's name is where it is and what it changes, without its line, so that an explanation of
a survivor outlives an edit elsewhere in the file.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

ORDER: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
SUMS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Div,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}
SWAPPED = dict(
    pair
    for left, right in (
        ("min", "max"),
        ("any", "all"),
        ("startswith", "endswith"),
        ("removeprefix", "removesuffix"),
        ("lower", "upper"),
        ("lstrip", "rstrip"),
        ("partition", "rpartition"),
        ("split", "rsplit"),
        ("find", "rfind"),
        ("match", "search"),
        ("add", "discard"),
    )
    for pair in ((left, right), (right, left))
) | {"fullmatch": "match", "append": "index", "casefold": "upper"}
BUILT_IN = {
    "bool", "bytes", "dict", "float", "frozenset", "int", "list", "object", "set", "str", "tuple", "type",
}  # fmt: skip
NOT_RULES = {"__all__", "__slots__"}
SKIPPED_FIELDS = {"decorator_list", "returns", "annotation", "bases", "keywords_of_class", "type_params", "ctx"}
NONE = ast.Constant(None)


@dataclass(frozen=True, slots=True)
class Change:
    """One child of one node, and what stands there instead; None takes it out of its list."""

    parent: ast.AST
    field: str
    index: int | None
    new: ast.AST | None


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change with its name, the function or class it is in (or ``module``), and its line."""

    name: str
    where: str
    line: int
    change: Change


def mutants(tree: ast.Module) -> list[Mutant]:
    """Return every mutant of a module in the order of its source; names are told apart by ``#2``, ``#3``."""
    found, seen = [], Counter[str]()
    for where, change in _changes(tree, "module"):
        old = _child(change)
        name = f"{where}: {_text(old)} -> {_text(change.new)}"
        seen[name] += 1
        line: int = getattr(old, "lineno", getattr(change.parent, "lineno", 0))
        found.append(Mutant(name if seen[name] == 1 else f"{name} #{seen[name]}", where, line, change))
    return found


@contextmanager
def planted(change: Change) -> Iterator[None]:
    """Have the change in its tree for as long as the block lasts."""
    if change.index is None:
        old = getattr(change.parent, change.field)
        setattr(change.parent, change.field, change.new)
        yield
        setattr(change.parent, change.field, old)
        return
    children: list[Any] = getattr(change.parent, change.field)
    before = list(children)
    children[change.index : change.index + 1] = [] if change.new is None else [change.new]
    yield
    children[:] = before


def _child(change: Change) -> ast.AST:
    value = getattr(change.parent, change.field)
    return value if change.index is None else value[change.index]  # type: ignore[no-any-return]


def _text(node: ast.AST | None) -> str:
    if node is None:
        return "(left out)"
    if isinstance(node, ast.keyword):
        return f"{node.arg}={ast.unparse(node.value)}"
    if isinstance(node, ast.operator | ast.cmpop | ast.boolop):
        return type(node).__name__
    return " ".join(ast.unparse(ast.fix_missing_locations(node)).split())


def _changes(parent: ast.AST, where: str) -> Iterator[tuple[str, Change]]:
    for field, index, node in _children(parent):
        inside = f"{where}.{node.name}".removeprefix("module.") if _is_scope(node) else where
        for new in _instead(node, parent, field):
            yield inside, Change(parent, field, index, new)
        yield from _changes(node, inside)


def _is_scope(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.ClassDef)


def _children(parent: ast.AST) -> Iterator[tuple[str, int | None, Any]]:
    """Yield what may be changed in a node, each with its field and place."""
    for field, value in ast.iter_fields(parent):
        if field in SKIPPED_FIELDS or (field == "keywords" and isinstance(parent, ast.ClassDef)):
            continue
        if isinstance(value, list):
            for index, node in enumerate(value):
                if isinstance(node, ast.AST) and not _decides_nothing(node, parent):
                    yield field, index, node
        elif isinstance(value, ast.AST):
            yield field, None, value


def _decides_nothing(node: ast.AST, parent: ast.AST) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom():
            return True
        case ast.Expr(value=ast.Constant()):  # a docstring, or the dots of a protocol
            return True
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return name in NOT_RULES or (isinstance(parent, ast.Module) and _is_type(value))
    return False


def _is_type(node: ast.AST) -> bool:
    match node:
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return _is_type(left) and _is_type(right)
        case ast.Subscript(value=ast.Name(id=name)):
            return name in BUILT_IN or name[0].isupper()
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in BUILT_IN or (name[0].isupper() and not name.isupper())
        case ast.Constant(value=None):
            return True
    return False


def _instead(node: ast.AST, parent: ast.AST, field: str) -> Iterator[ast.AST | None]:
    """Yield what may stand in a node's place."""
    for kind, ways in WAYS:
        if isinstance(node, kind):
            yield from ways(node)
    if isinstance(parent, ast.Call) and field == "args" and not _is_none(node) and not isinstance(node, ast.Starred):
        yield NONE
    if field == "keywords" and isinstance(node, ast.keyword) and node.arg:
        yield None
    if isinstance(parent, ast.Slice) and field in {"lower", "upper"}:
        yield None
    if field in {"test", "ifs"} and not isinstance(node, ast.Compare | ast.BoolOp | ast.UnaryOp):
        yield ast.UnaryOp(ast.Not(), node)  # type: ignore[arg-type]


def _is_none(node: ast.AST | None) -> bool:
    return node is None or (isinstance(node, ast.Constant) and node.value is None)


def _constant(node: ast.Constant) -> Iterator[ast.AST]:
    match node.value:
        case bool(value):
            yield ast.Constant(not value)
        case int(value) | float(value):
            yield ast.Constant(value + 1)
        case str(value):
            yield ast.Constant(f"XX{value}XX")
        case bytes(value):
            yield ast.Constant(b"XX" + value + b"XX")


def _unary(node: ast.UnaryOp) -> Iterator[ast.AST]:
    yield node.operand


def _swapped(node: ast.Name | ast.Attribute) -> Iterator[ast.AST]:
    match node:
        case ast.Name(id=name) if name in SWAPPED:
            yield ast.Name(SWAPPED[name], node.ctx)
        case ast.Attribute(attr=name) if name in SWAPPED:
            yield ast.Attribute(node.value, SWAPPED[name], node.ctx)


def _value(node: ast.Assign | ast.AnnAssign | ast.Return | ast.Yield) -> Iterator[ast.AST]:
    if _is_none(node.value):
        return
    match node:
        case ast.Assign(targets=[ast.Name() | ast.Attribute()]):
            yield ast.Assign(node.targets, NONE)
        case ast.AnnAssign():
            yield ast.AnnAssign(node.target, node.annotation, NONE, node.simple)
        case ast.Return():
            yield ast.Return(NONE)
        case ast.Yield():
            yield ast.Yield(NONE)


def _augmented(node: ast.AugAssign) -> Iterator[ast.AST]:
    yield ast.Assign([node.target], node.value)
    if type(node.op) in SUMS:
        yield ast.AugAssign(node.target, SUMS[type(node.op)](), node.value)


def _binary(node: ast.BinOp) -> Iterator[ast.AST]:
    if type(node.op) in SUMS:
        yield ast.BinOp(node.left, SUMS[type(node.op)](), node.right)


def _compare(node: ast.Compare) -> Iterator[ast.AST]:
    for place, op in enumerate(node.ops):
        for other in ORDER[type(op)]:
            yield ast.Compare(node.left, [*node.ops[:place], other(), *node.ops[place + 1 :]], node.comparators)


def _boolean(node: ast.BoolOp) -> Iterator[ast.AST]:
    yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)


def _left_out(_: ast.AST) -> Iterator[ast.AST]:
    yield ast.Pass()


def _break(node: ast.Break | ast.Continue) -> Iterator[ast.AST]:
    yield ast.Continue() if isinstance(node, ast.Break) else ast.Break()


def _lambda(node: ast.Lambda) -> Iterator[ast.AST]:
    yield ast.Lambda(node.args, NONE)


WAYS: tuple[tuple[type[ast.AST] | tuple[type[ast.AST], ...], Callable[[Any], Iterator[ast.AST]]], ...] = (
    (ast.Constant, _constant),
    (ast.UnaryOp, _unary),
    ((ast.Name, ast.Attribute), _swapped),
    ((ast.Assign, ast.AnnAssign, ast.Return, ast.Yield), _value),
    (ast.AugAssign, _augmented),
    (ast.BinOp, _binary),
    (ast.Compare, _compare),
    (ast.BoolOp, _boolean),
    ((ast.Expr, ast.Raise), _left_out),
    ((ast.Break, ast.Continue), _break),
    (ast.Lambda, _lambda),
)
