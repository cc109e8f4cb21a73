"""Sums of losses, as they are written: how many terms they have, and whether their weights sum to one."""

from __future__ import annotations

import ast

__all__ = ["count", "weights_sum_to_one"]


def weights_sum_to_one(node: ast.AST) -> bool:
    """``w * a + (1 - w) * b``."""
    if not isinstance(node, ast.BinOp):
        return False
    factors = [
        {ast.dump(side) for side in (term.left, term.right)}
        for term in (node.left, node.right)
        if isinstance(term, ast.BinOp) and isinstance(term.op, ast.Mult)
    ]
    rests = [
        ast.dump(side.right)
        for term in (node.left, node.right)
        if isinstance(term, ast.BinOp)
        for side in (term.left, term.right)
        if isinstance(side, ast.BinOp)
        and isinstance(side.op, ast.Sub)
        and isinstance(side.left, ast.Constant)
        and side.left.value == 1
    ]
    return len(factors) == 2 and any(rest in one for rest in rests for one in factors)


def count(node: ast.AST) -> int:
    """How many terms a sum has where it is written."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return count(node.left) + count(node.right)
    return 1
