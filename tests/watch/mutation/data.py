"""LH201 to LH403, LH601, LH602 and LH801: targets, sizes, weights and numbers that do not fit."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lint.mutation.source import Mutant
from lint.mutation.uses import root
from watch.mutation.calls import Call, WatchedScript, calls

Mutants = Iterator[Mutant | None]

ONE_HOT = "torch.nn.functional.one_hot(t.clamp(min=0), z.size(1)).movedim(-1, 1).float()"
NEXT = "torch.nn.functional.one_hot((t.clamp(min=0) + 1) % z.size(1), z.size(1)).movedim(-1, 1).float()"


def _indices(call: Call) -> bool:
    """Whether the target holds class indices, none of them left out."""
    return call.kind in ("ce", "nll") and not call.option("ignore_index") and not _soft(call)


def _reduced(call: Call) -> bool:
    """Whether nothing can be masked later."""
    return call.option("reduction") != "'none'"


def _masked(call: Call) -> bool:
    """Whether some logits are -inf, as a diagonal is that no target may name: they leave no room for rows."""
    return "sim" in ast.unparse(call.input)


def _square(call: Call) -> bool:
    """Whether there are as many examples as classes: then nothing tells the one from the other."""
    values = call.script.assigned(root(call.target))
    return any("arange" in ast.unparse(value) for value in values) or call.script.name == "class_weights"


def _moved(call: Call) -> bool:
    """Whether the classes of more than two dimensions have been brought to dimension 1."""
    return "transpose" in ast.unparse(call.input) or "segmentation" in call.script.name


def _soft(call: Call) -> bool:
    return any(word in ast.unparse(call.target) for word in ("soft_labels", "onehot"))


def soft_targets(script: WatchedScript) -> Mutants:
    for call in calls(script):
        if call.kind != "ce" or _masked(call):
            continue
        if _indices(call):
            for code, text in (
                ("LH201", ONE_HOT),
                ("LH201", "torch.eye(z.size(1))[t.clamp(min=0)].movedim(-1, 1)"),
                ("LH201", "torch.zeros_like(z).scatter(1, t.clamp(min=0).unsqueeze(1), 1.0)"),
                ("LH204", f"({ONE_HOT} + {NEXT})"),
                ("LH204", f"torch.maximum({ONE_HOT}, {NEXT})"),
                ("LH205", f"{ONE_HOT} + 0.1"),
                ("LH205", f"0.5 * {ONE_HOT} + 0.3 * {NEXT}"),
                ("LH205", f"({ONE_HOT} + {NEXT}) * 0.7"),
            ):
                yield script.mutant(code, text, call.with_both("z", text), [call.node])
        elif _soft(call):
            yield script.mutant("LH205", "mixed twice", call.with_target("t * 0.6"), [call.node])


def wrong_indices(script: WatchedScript) -> Mutants:
    for call in calls(script):
        if not _indices(call):
            continue
        for code, text in (
            ("LH202", "t.float()"),
            ("LH202", "t.to(torch.int32)"),
            ("LH202", "t.bool()"),
            ("LH202", "t.half()"),
            ("LH203", "t + z.size(1)"),
            ("LH203", "t - 1"),
            ("LH203", "torch.where(t == t.max(), 255, t)"),
            ("LH203", "t.index_fill(0, torch.tensor([0]), z.size(1))"),
        ):
            yield script.mutant(code, text, call.with_both("z", text), [call.node])


def wrong_range(script: WatchedScript) -> Mutants:
    for call in calls(script):
        if call.kind in ("logits", "probs") and _reduced(call):
            for text in ("t * 3 - 1", "(t - 0.5) / 0.25", "1.5 - t * 2", "t * 255 + 2"):
                yield script.mutant("LH207", text, call.with_target(text), [call.node])


def wrong_sizes(script: WatchedScript) -> Mutants:
    for call in calls(script):
        place = [call.node]
        if _indices(call) and not _square(call) and not _moved(call):
            for input, target in (
                ("z.unsqueeze(0)", "t.unsqueeze(0)"),
                ("torch.stack([z, z, z], 0)", "torch.stack([t, t, t], 0)"),
                ("torch.stack([z] * 11, z.dim() - 1)", "torch.stack([t] * 11, -1)"),
            ):
                edits = call.with_both(input, target)
                if call.kind == "ce" or "unsqueeze" in input:
                    yield script.mutant("LH301", input, edits, place)
        if _indices(call):
            for input in ("z[:, :1]", "z.narrow(1, 0, 1)", "z.mean(1, keepdim=True)"):
                if call.kind == "ce":
                    yield script.mutant("LH303", input, call.with_input(input), place)
        if call.kind in ("logits", "probs") and call.mean:
            for input in ("torch.stack([z.flatten(), -z.flatten()], -1)", "z.reshape(-1, 1).expand(-1, 2)"):
                if call.kind == "logits":
                    yield script.mutant("LH303", input, call.with_both(input, "t.reshape(-1)"), place)
        if call.kind in ("logits", "probs", "numbers"):
            for input, target in (
                ("z.reshape(-1, 1)", "t.reshape(-1)"),
                ("z.reshape(-1)", "t.reshape(-1, 1)"),
                ("z.flatten()", "t.flatten().unsqueeze(-1)"),
            ):
                yield script.mutant("LH302", f"{input}, {target}", call.with_both(input, target), place)


def _places(call: Call) -> list[ast.AST]:
    """Where an option of a criterion may be told: it is that of all its calls."""
    return [call.made, *(other.node for other in calls(call.script) if other.made is call.made)]


def ignored(script: WatchedScript) -> Mutants:
    for call in calls(script):
        if call.kind not in ("ce", "nll") or _soft(call):
            continue
        index = call.option("ignore_index") or "-100"
        if call.mean:
            for text in (f"torch.full_like(t, {index})", f"t * 0 + {index}", f"t.clone().fill_({index})"):
                yield script.mutant("LH402", text, call.with_target(text), [call.node])
        if not call.option("ignore_index"):
            for other in ("0", "1"):
                edits = call.with_option("ignore_index", other)
                yield script.mutant("LH403", f"ignore_index={other}", edits, _places(call))


def weights(script: WatchedScript) -> Mutants:
    for call in calls(script):
        place = _places(call)
        if call.kind == "logits":
            for text in ("torch.ones(7)", "torch.tensor([1.0, 5.0])", "torch.full((3, 1, 1), 2.0)"):
                yield script.mutant("LH601", text, call.with_option("pos_weight", text), place)
        if call.kind in ("logits", "probs"):
            for text in ("torch.tensor([1.0, 5.0])", "torch.ones(7)"):
                yield script.mutant("LH602", text, call.with_option("weight", text), place)
        if call.kind in ("ce", "nll") and not _soft(call):
            for text in ("torch.ones(1)", "torch.ones(1000)", "torch.linspace(1, 2, 77)"):
                yield script.mutant("LH602", text, call.with_option("weight", text), place)


def not_numbers(script: WatchedScript) -> Mutants:
    for call in calls(script):
        if not _reduced(call):
            continue
        texts = [
            "z / 0",
            "z.masked_fill(z >= z.max(), float('nan'))",
            "z * float('nan')",
            "(z - z).log() * 0",
        ]
        if call.kind != "probs":
            texts += ["z + float('inf')", "z / (z - z)"]
        for text in texts:
            yield script.mutant("LH801", text, call.with_input(text), [call.node])
        if call.kind in ("logits", "numbers"):
            for text in ("t / 0", "t * float('nan')"):
                yield script.mutant("LH801", text, call.with_target(text), [call.node])


WAYS = (soft_targets, wrong_indices, wrong_range, wrong_sizes, ignored, weights, not_numbers)
