"""What came of a mutation, kept: ``result.json`` for this program, ``result.txt`` for people."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.mutation.explained import EXPLAINED
from tests.mutation.runner import RULES, Result, Survivor

HERE = Path(__file__).parent
DATA, TEXT = HERE / "result.json", HERE / "result.txt"
NOT_EXPLAINED = "not explained"


def load() -> dict[str, tuple[Result, str]]:
    """Return each module's result, and the digest of the source it is of."""
    kept: dict[str, dict[str, Any]] = json.loads(DATA.read_text("utf-8")) if DATA.exists() else {}
    return {
        name: (Result(name, row["mutants"], tuple(Survivor(**each) for each in row["survivors"])), row["source"])
        for name, row in kept.items()
    }


def keep(result: Result) -> None:
    """Write a result in the place of the module's earlier one."""
    rows = load() | {result.module: (result, digest(result.module))}
    data = {
        name: {"source": source, "mutants": each.mutants, "survivors": [asdict(one) for one in each.survivors]}
        for name, (each, source) in sorted(rows.items())
    }
    DATA.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", "utf-8")
    TEXT.write_text(told([each for _, (each, _) in sorted(rows.items())]), "utf-8")


def digest(module: str) -> str:
    """Return the first digits of the SHA-256 of what a module decides: its result is stale when they differ.

    Comments, docstrings, imports and layout decide nothing, so a move or a reformatting keeps the result.
    """
    tree = _Deciding().visit(ast.parse((RULES / f"{module}.py").read_text("utf-8")))
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:16]


class _Deciding(ast.NodeTransformer):
    def visit_Import(self, _node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, _node: ast.ImportFrom) -> None:
        return None

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        return ast.Expr(ast.Constant(...)) if isinstance(node.value, ast.Constant) else node


def why(module: str, survivor: Survivor) -> str:
    """Return why a survivor is left alone."""
    return EXPLAINED.get(f"{module}: {survivor.name}", NOT_EXPLAINED)


def told(results: Iterable[Result]) -> str:
    """Write a table of the modules, and then each survivor with its line and its reason."""
    rows = list(results)
    total = Result("together", sum(each.mutants for each in rows), tuple(s for each in rows for s in each.survivors))
    table = [f"{each.module:16} {each.mutants:7} {each.killed:6} {len(each.survivors):8} {each.percent:6.1f} %"
             for each in (*rows, total)]  # fmt: skip
    left = [
        f"{each.module}.py:{one.line} {one.name}\n    {why(each.module, one)}"
        for each in rows
        for one in each.survivors
    ]
    head = f"{'module':16} {'mutants':>7} {'killed':>6} {'survived':>8} {'':>6}"
    return "\n".join([head, *table, "", *left]).rstrip() + "\n"
