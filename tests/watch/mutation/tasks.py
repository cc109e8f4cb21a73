"""The examples and the tasks of ``likelihead train``: right scripts whose losses are likelihead's own.

A task is a script of a few lines; its loss is called in a file of likelihead, and a mutant of it runs with
that file's text changed. So the finding is expected there.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from likelihead.train.table import objective
from lint.mutation.source import Mutant
from watch.mutation.calls import WatchedScript

__all__ = ["RIGHT", "TRUE", "own_mutants"]

EXAMPLES = Path(__file__).parents[3] / "examples"

_TASK = '''"""{name}: a task of likelihead train."""
import tempfile
from pathlib import Path
from likelihead.train import TrainConfig, train
from likelihead.train.table import objective
{patch}
with tempfile.TemporaryDirectory() as folder:
    for n in range({texts}):
        with open(folder + "/%d.txt" % n, "w") as text:
            text.write(("the cat sat on the mat and the dog ate the cake " * 3)[n : 40 + 25 * n])
    train(TrainConfig({options}, seed={seed}), out=Path(folder) / "run")
'''
_PATCH = """text = open(objective.__file__).read()
assert text.count({old!r}) == 1
exec(compile(text.replace({old!r}, {new!r}), objective.__file__, "exec"), changed := dict(vars(objective)))
right, objective.Objective.__call__ = objective.Objective.__call__, changed["Objective"].__call__"""

TASKS = {
    "train_iris": 'data="iris", epochs=3',
    "train_iris_log_probs": 'data="iris", epochs=3, output="log-probs"',
    "train_iris_weighted": 'data="iris", epochs=3, label_smoothing=0.1, class_weight="balanced"',
    "train_digits": 'data="digits", epochs=1',
    "train_wine": 'data="wine", epochs=2',
    "train_breast_cancer": 'data="breast-cancer", epochs=2',
    "train_language": 'data=folder, task="language", hidden=(8,), batch_size=3, context=9, steps=8,'
    " test_fraction=0.3, checkpoint_every=100",
}
TRUE = {"train_iris_log_probs": frozenset({"LH103"})}
"""What a likelihood is given is logits to it: log-probabilities are as redundant as elsewhere."""

_CALL = "self.criterion(output, target, **weighted)"


def _task(name: str, seed: int = 0, new: str = "") -> str:
    patch = _PATCH.format(old=_CALL, new=new) if new else ""
    text = _TASK.format(
        name=name, patch=patch, texts=7 if "language" in name else 0, options=TASKS[name], seed=seed
    )
    # The function of the module is put back by the script, whatever happens to it.
    return text if not new else _put_back(text)


def _put_back(text: str) -> str:
    head, start, body = text.partition("with tempfile")
    indented = "".join(f"    {line}\n" for line in (start + body).splitlines())
    return f"{head}try:\n{indented}finally:\n    objective.Objective.__call__ = right\n"


def _example(name: str, seed: int = 0) -> str:
    return (
        (EXAMPLES / f"{name}.py")
        .read_text(encoding="utf-8")
        .replace("manual_seed(0)", f"manual_seed({seed})")
    )


RIGHT = (*TASKS, *sorted(path.stem for path in EXAMPLES.glob("*.py")))


def text_of(name: str, seed: int = 0) -> str:
    """A right script, with its seed in it."""
    return _task(name, seed) if name in TASKS else _example(name, seed)


# What is put in the place of a call in a task, by the hazard.
_EXCLUSIVE = {
    "LH101": ("self.criterion(output.softmax(1), target, **weighted)",
              "self.criterion(torch.softmax(output, -1)[:], target, **weighted)"),
    "LH102": ("self.criterion(output.sigmoid(), target, **weighted)",),
    "LH103": ("self.criterion(output.log_softmax(1), target, **weighted)",),
    "LH110": ("self.criterion(output.softmax(1).log(), target, **weighted)",),
}  # fmt: skip
_BINARY = {
    "LH106": ("self.criterion(output.sigmoid(), target, **weighted)",
              "self.criterion(torch.special.expit(output)[:], target, **weighted)"),
    "LH107": ("self.criterion(output.softmax(0), target, **weighted)",),
}  # fmt: skip

# Example, hazard, what stands there, what comes in its place; it is told on the line of the change.
_EXAMPLES = (
    ("imbalance", "LH101", "model(x[rows]), y", "model(x[rows]).softmax(1), y"),
    ("imbalance", "LH102", "model(x[rows]), y", "model(x[rows]).sigmoid(), y"),
    ("imbalance", "LH104", "nll_loss(log_probs, y)", "nll_loss(log_probs.exp(), y)"),
    ("iris", "LH101", "criterion(model(x), y)", "criterion(torch.softmax(model(x), dim=1), y)"),
    ("iris", "LH102", "criterion(model(x), y)", "criterion(model(x).sigmoid(), y)"),
    ("language_model", "LH101", "(read), said, shift=True).", "(read).softmax(-1), said, shift=True)."),
    ("language_model", "LH102", "(read), said, shift=True).", "(read).sigmoid(), said, shift=True)."),
    ("language_model", "LH101", "(read), said, shift=True, red", "(read).softmax(2), said, shift=True, red"),
    ("multilabel", "LH106", "likelihood(model(x), y)", "likelihood(model(x).sigmoid(), y)"),
    ("multilabel", "LH107", "likelihood(model(x), y)", "likelihood(model(x).softmax(1), y)"),
    ("segmentation", "LH101", "each_pixel(logits, y)", "each_pixel(logits.softmax(1), y)"),
    ("segmentation", "LH102", "each_pixel(logits, y)", "each_pixel(logits.sigmoid(), y)"),
    ("segmentation", "LH103", "each_pixel(logits, y)", "each_pixel(logits.log_softmax(1), y)"),
)  # fmt: skip


@cache
def own_mutants() -> tuple[Mutant, ...]:
    """All of them."""
    return (*_of_tasks(), *_of_examples())


def _of_tasks() -> Iterator[Mutant]:
    file = Path(inspect.getfile(objective))
    lines = file.read_text(encoding="utf-8").splitlines()
    place = frozenset({(file.name, next(n for n, line in enumerate(lines, 1) if _CALL in line))})
    for name in TASKS:
        if name in ("train_iris_log_probs", "train_language"):
            continue  # its outputs are log-probabilities; its loss takes hidden states
        for code, texts in (_BINARY if name == "train_breast_cancer" else _EXCLUSIVE).items():
            for new in texts:
                yield Mutant(name, code, new, {f"{name}.py": _task(name, new=new)}, place)


def _of_examples() -> Iterator[Mutant]:
    for name, code, old, new in _EXAMPLES:
        text = _example(name)
        if text.count(old) != 1:
            raise ValueError(f"{name}.py holds {text.count(old)} times: {old}")
        line = text[: text.index(old)].count("\n") + 1
        mutated = text.replace(old, new)
        WatchedScript(name, {f"{name}.py": mutated})  # it can be read
        yield Mutant(name, code, new, {f"{name}.py": mutated}, frozenset({(f"{name}.py", line)}))
