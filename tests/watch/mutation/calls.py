"""The right scripts as the injectors see them: their loss calls, and edits at those.

The reading of sources is that of the lint's mutation test. What differs: whether a hazard is there is decided
by the run, so a way in which it may be written needs no proof from the source that it is one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from lint.mutation.source import Edit, Mutant, Script, keyword, last

__all__ = ["Call", "WatchedScript", "calls"]

_KINDS = {
    "CrossEntropyLoss": "ce", "cross_entropy": "ce", "NLLLoss": "nll", "nll_loss": "nll",
    "BCEWithLogitsLoss": "logits", "binary_cross_entropy_with_logits": "logits",
    "BCELoss": "probs", "binary_cross_entropy": "probs",
    "MSELoss": "numbers", "mse_loss": "numbers", "HuberLoss": "numbers", "L1Loss": "numbers",
}  # fmt: skip


class WatchedScript(Script):
    """A script whose nodes inside f-strings are passed over: nobody knows where before Python 3.12."""

    def walk(self, *kinds: type, inside: ast.AST | None = None) -> list[ast.AST]:
        found = super().walk(*kinds, inside=inside)
        return [node for node in found if self.enclosing(node, ast.JoinedStr) is None]

    def mutant(
        self, code: str, how: str, edits: Sequence[Edit | None], expected: Sequence[ast.AST]
    ) -> Mutant | None:
        """The finding may stand on every line of the expressions: a frame is somewhere in them."""
        made = super().mutant(code, how, edits, expected)
        if made is None:
            return None
        lines = {
            (self.source(node).path, line)
            for node in [*expected, *self._passing_on()]
            for line in range(node.lineno, node.end_lineno + 1)
        }
        return Mutant(made.script, code, how, made.files, frozenset(lines))

    def _passing_on(self) -> list[ast.AST]:
        """Where a function that was put in the place of torch's calls it: the script's innermost line."""
        found = [call for call in self.calls("function") if isinstance(call.func, ast.Name)]
        return [call for call in found if any(isinstance(given, ast.Starred) for given in call.args)]


@dataclass(frozen=True, eq=False)
class Call:
    """A call of a loss.

    Attributes:
        kind: ``"ce"``, ``"nll"``, ``"logits"``, ``"probs"`` (both BCE) or ``"numbers"``.
        made: where the loss and its options are written: the call itself, if it is a function.
    """

    script: WatchedScript
    kind: str
    node: ast.Call
    made: ast.Call

    @property
    def input(self) -> ast.expr:
        return self.node.args[0]

    @property
    def target(self) -> ast.expr:
        return self.node.args[1]

    def option(self, name: str) -> str:
        """As it is written; empty where it is not."""
        value = keyword(self.made, name)
        return "" if value is None else ast.unparse(value)

    @property
    def mean(self) -> bool:
        return not self.option("reduction")

    def with_input(self, text: str) -> list[Edit]:
        """The input becomes `text`, in which ``z`` stands for what it was."""
        return self.script.wrap(self.input, f"(lambda z: {text})(", ")")

    def with_target(self, text: str) -> list[Edit]:
        """The same for the target, as ``t``."""
        return self.script.wrap(self.target, f"(lambda t: {text})(", ")")

    def with_both(self, input: str, target: str) -> list[Edit]:
        """Both are made of both, as ``z`` and ``t``."""
        start = self.script.wrap(self.input, f"*(lambda z, t: ({input}, {target}))(", "")[0]
        return [start, self.script.put_after(self.target, ")")]

    def with_option(self, name: str, text: str) -> list[Edit]:
        """An option is set, in the place of another value that it may have."""
        if keyword(self.made, name) is not None:
            return [self.script.replace_keyword(self.made, name, f"{name}={text}")]
        return [self.script.add_argument(self.made, f"{name}={text}")]


@cache
def calls(script: WatchedScript) -> list[Call]:
    """In the order of the source."""
    return list(_find(script))


def _find(script: WatchedScript) -> Iterator[Call]:
    for node in script.walk(ast.Call):
        starred = any(isinstance(argument, ast.Starred) for argument in node.args)
        if len(node.args) < 2 or starred or any(word.arg in ("input", "target") for word in node.keywords):
            continue
        name = last(node.func)
        if name in _KINDS and name.islower():
            yield Call(script, _KINDS[name], node, node)
            continue
        for made in _made(script, ast.unparse(node.func), script.function(node)):
            yield Call(script, _KINDS[last(made.func)], node, made)


def _made(script: WatchedScript, name: str, function: ast.AST) -> list[ast.Call]:
    """The one loss that a name holds: of this function, or of the whole script."""
    for values in (script.assigned(name, inside=function), script.assigned(name)):
        losses = [v for v in values if isinstance(v, ast.Call) and last(v.func) in _KINDS and v.args == []]
        if losses:
            return losses[:1]
    return []
