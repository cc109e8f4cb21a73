"""The table of misuses: one code, one sentence and one page each.

Guard, watch and lint report a hazard by its code and share its wording; ``likelihead explain LH104`` and the
documentation render the same page. The longer text (why it matters, an example of the mistake and of the
remedy) lies in ``hazard_pages/``, one Markdown file per family, and is read when it is asked for. This module
imports neither torch nor numpy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

__all__ = ["FAMILIES", "HAZARDS", "LEVELS", "SEVERITIES", "Hazard", "lookup"]

Severity = Literal["E", "W", "I"]

SEVERITIES: dict[str, str] = {"E": "certainly wrong", "W": "fragile", "I": "redundant"}

#: What GitHub and SARIF call the severities, as far as they agree, which is all but the last.
LEVELS: dict[str, str] = {"E": "error", "W": "warning", "I": "note"}

FAMILIES: dict[str, str] = {
    "LH1": "The link: logits, probabilities, log-probabilities",
    "LH2": "Targets",
    "LH3": "Shapes",
    "LH4": "Padding and ignored targets",
    "LH5": "Averages",
    "LH6": "Weights",
    "LH7": "Reading the number",
    "LH8": "Values",
}


@dataclass(frozen=True)
class Hazard:
    """One way to get a wrong, fragile or redundant loss.

    Attributes:
        code: ``"LH104"``; the first digit is the family.
        name: a few words.
        severity: ``"E"`` certainly wrong, ``"W"`` fragile, ``"I"`` redundant.
        sentence: what is wrong, as a full sentence.
        remedy: what to do, as a full sentence.
        guard: what the guard looks at on each call (``"grad_fn"``, ``"values"``, ``"shape"``, ``"x"``), empty
            if it does not detect this hazard.
        watch: the same for a whole run.
        lint: the same for the source.
    """

    code: str
    name: str
    severity: Severity
    sentence: str
    remedy: str
    guard: str = ""
    watch: str = ""
    lint: str = ""

    @property
    def family(self) -> str:
        """The title of the family, by the code's first digit."""
        return FAMILIES[self.code[:3]]

    @property
    def why(self) -> str:
        """A short paragraph: what happens, and how it is noticed too late."""
        return _pages(self.code[:3])[self.code][0]

    @property
    def wrong(self) -> str:
        """A code example of the mistake."""
        return _pages(self.code[:3])[self.code][1]

    @property
    def right(self) -> str:
        """The same example done right."""
        return _pages(self.code[:3])[self.code][2]

    @property
    def page(self) -> str:
        """The whole page as Markdown; `likelihead.lint.rules.pages` adds that of the rule."""
        return _TEMPLATE.format(
            hazard=self, severity=SEVERITIES[self.severity].capitalize(), detection=_detection(self)
        )


_TEMPLATE = """\
# {hazard.code}: {hazard.name}

*{severity}.* {hazard.sentence}

**Remedy.** {hazard.remedy}

{hazard.why}

## Wrong

```python
{hazard.wrong}
```

## Right

```python
{hazard.right}
```

## Detection

{detection}
"""

_EVIDENCE = {
    "grad_fn": "from the autograd graph of its input, which costs nothing",
    "values": "from the values, at level *full* or inside a kernel's own pass",
    "shape": "from the shapes",
    "x": "from the dtypes and options",
}


def _detection(hazard: Hazard) -> str:
    evidence = " or ".join(_EVIDENCE[word] for word in hazard.guard.split(", ") if word)
    guard = (
        f"The guard finds it on each call of the loss, {evidence}."
        if evidence
        else "The guard does not look for this: it cannot be known from one call of the loss."
    )
    lint = (
        "The linter finds it in the source: `likelihead lint`."
        if hazard.lint
        else "The linter does not look for this: the source does not tell it."
    )
    watch = (
        "The watch finds it in a run: `likelihead watch SCRIPT`."
        if hazard.watch
        else "The watch does not look for this: what a run shows of it is not certain."
    )
    return f"{guard}\n\n{watch}\n\n{lint}"


_PAGE = re.compile(
    r"^# (?P<code>LH\d{3})\n(?P<why>.+?)\n"
    r"## Wrong\n\s*```python\n(?P<wrong>.+?)```\s*\n"
    r"## Right\n\s*```python\n(?P<right>.+?)```\s*?(?=\n# LH|\Z)",
    re.DOTALL | re.MULTILINE,
)


@cache
def _pages(family: str) -> dict[str, tuple[str, str, str]]:
    from importlib.resources import files  # here, so that importing the table stays cheap

    text = (files("likelihead") / "hazard_pages" / f"{family}xx.md").read_text(encoding="utf-8")
    return {
        page["code"]: (page["why"].strip(), page["wrong"].rstrip(), page["right"].rstrip())
        for page in _PAGE.finditer(text)
    }


# fmt: off
_TABLE = (
    # ---- LH1: the link
    Hazard(
        "LH101", "softmax output into cross-entropy", "E",
        "The input of cross-entropy is the output of a softmax, and cross-entropy applies a softmax of "
        "its own.",
        "Pass the logits: leave out the softmax before the loss, and apply it only to predict.",
        guard="grad_fn", watch="x", lint="x",
    ),
    Hazard(
        "LH102", "sigmoid output into cross-entropy", "E",
        "The input of cross-entropy is the output of a sigmoid, and cross-entropy applies a softmax to it.",
        "Pass the logits; for labels that do not exclude each other use binary_cross_entropy_with_logits.",
        guard="grad_fn", watch="x", lint="x",
    ),
    Hazard(
        "LH103", "log-softmax output into cross-entropy (redundant, same value)", "I",
        "The input of cross-entropy is already a log-softmax; the second one changes nothing and costs a "
        "pass.",
        "Pass the logits to cross_entropy, or pass these log-probabilities to nll_loss.",
        guard="grad_fn", watch="x", lint="x",
    ),
    Hazard(
        "LH104", "softmax probabilities into NLL (log-probabilities expected)", "E",
        "The input of nll_loss is the output of a softmax, but nll_loss expects log-probabilities.",
        "Use log_softmax in place of softmax, or pass the logits to cross_entropy.",
        guard="grad_fn", watch="x", lint="x",
    ),
    Hazard(
        "LH105", "raw logits into NLL", "E",
        "The input of nll_loss is raw logits, but nll_loss expects log-probabilities and takes no logarithm.",
        "Pass the logits to cross_entropy, or apply log_softmax over the class dimension first.",
        guard="grad_fn, values", watch="x", lint="x",
    ),
    Hazard(
        "LH106", "sigmoid output into BCE-with-logits", "E",
        "The input of binary_cross_entropy_with_logits is the output of a sigmoid, and the loss applies "
        "another.",
        "Pass the logits: leave out the sigmoid before the loss, and apply it only to predict.",
        guard="grad_fn", watch="x", lint="x",
    ),
    Hazard(
        "LH107", "softmax output into BCE-with-logits", "E",
        "The input of binary_cross_entropy_with_logits is the output of a softmax, and the loss applies a "
        "sigmoid.",
        "Pass the logits: to cross_entropy if the classes exclude each other, else to this loss.",
        guard="grad_fn", watch="x", lint="x",
    ),
    Hazard(
        "LH108", "raw logits into BCE", "E",
        "The input of binary_cross_entropy is raw logits, but it expects probabilities.",
        "Use binary_cross_entropy_with_logits on the logits.",
        guard="values", watch="x", lint="x",
    ),
    Hazard(
        "LH109", "sigmoid then BCE (loses precision; use the logits form)", "W",
        "A sigmoid followed by binary_cross_entropy loses precision, and the gradient of confident mistakes.",
        "Use binary_cross_entropy_with_logits on the logits, and the sigmoid only to predict.",
        guard="grad_fn", watch="x", lint="x",
    ),
    Hazard(
        "LH110", "log of a softmax written by hand (use log_softmax)", "W",
        "The logarithm of a softmax is taken in two steps: small probabilities become zero and their log "
        "-inf.",
        "Use log_softmax, or pass the logits to cross_entropy.",
        guard="grad_fn", watch="x", lint="x",
    ),
    Hazard(
        "LH111", "logits into an overlap loss (Dice, Tversky) that expects probabilities", "E",
        "An overlap loss is given logits, but its sums mean an overlap only for probabilities.",
        "Apply a sigmoid (or a softmax over the classes) before the overlap loss, or switch on its own: "
        "from_logits=True.",
        guard="grad_fn, values", lint="x",
    ),
    Hazard(
        "LH112", "softmax over the wrong dimension (the batch's, or the implicit one)", "E",
        "The softmax runs over a dimension that is not the classes': examples or positions compete.",
        "Name the class dimension: dim=1 as cross_entropy has it, or dim=-1 where classes come last.",
        guard="grad_fn", watch="x", lint="x",
    ),
    Hazard(
        "LH113", "a probability threshold (0.5) applied to logits", "E",
        "A threshold meant for probabilities is applied to logits, where one half of probability is zero.",
        "Compare logits with 0, or take the sigmoid first and compare with 0.5.",
        lint="x",
    ),
    Hazard(
        "LH114", "softmax applied to log-probabilities or exp to logits at prediction", "E",
        "The prediction inverts a link that the output does not have: exp of logits is no probability, "
        "and log-probabilities want exp, not a softmax or sigmoid.",
        "Take softmax of logits and exp of log-probabilities.",
        watch="x", lint="x",
    ),
    Hazard(
        "LH115", "probabilities into an overlap loss (Dice, Tversky) that expects logits", "E",
        "An overlap loss with from_logits=True applies a softmax or sigmoid, but its input is the output of "
        "one.",
        "Pass the logits, or say from_logits=False.",
        guard="grad_fn", watch="x", lint="x",
    ),
    # ---- LH2: targets
    Hazard(
        "LH201",
        "float one-hot target where class indices do (slower; smoothing and ignore_index act "
        "differently)", "I",
        "The target of cross-entropy is a float one-hot matrix where class indices would do.",
        "Pass the class indices: target.argmax(dim=1).",
        guard="x", watch="x", lint="x",
    ),
    Hazard(
        "LH202", "target dtype cannot hold a class index, or a bool/float target of index shape", "E",
        "The dtype of the target cannot mean a class index here.",
        "Convert the class indices to int64 where they are made: target.long() on values that are still "
        "exact.",
        guard="x", watch="x", lint="x",
    ),
    Hazard(
        "LH203", "class index out of range", "E",
        "The target holds a class index outside [0, number of classes) that is not ignore_index.",
        "Count the classes from 0, widen the head to the number of classes, or set ignore_index to the "
        "padding id.",
        guard="values", watch="x",
    ),
    Hazard(
        "LH204", "multi-hot target into cross-entropy: the classes are not exclusive", "E",
        "The target of cross-entropy marks more than one class in a row, but a softmax chooses exactly one.",
        "Use binary_cross_entropy_with_logits (MultiLabel) for labels that occur together.",
        guard="values", watch="x",
    ),
    Hazard(
        "LH205", "soft-target rows do not sum to one", "W",
        "The rows of the soft target do not sum to one, so each example is silently weighted by its sum.",
        "Divide each row by its sum, and pass the weight openly if one is meant.",
        guard="values", watch="x",
    ),
    Hazard(
        "LH206", "values of `max(...)` used where its indices are meant", "E",
        "The largest logit itself is used where the number of the class is meant.",
        "Use argmax(dim), or the second result of max(dim).",
        lint="x",
    ),
    Hazard(
        "LH207", "BCE target outside [0, 1]", "E",
        "The target of binary cross-entropy holds values outside [0, 1], so the loss has no lower bound.",
        "Map the labels to 0 and 1: (target + 1) / 2 for -1/+1, target / 255 for 8-bit masks.",
        guard="values", watch="x",
    ),
    Hazard(
        "LH208", "the target's class is masked out by `where`", "E",
        "The class mask says that an example cannot have the class that its target says it has.",
        "Set where[i, target[i]] to True, or take the example out: ignore_index, or a sample_weight of 0.",
        guard="values",
    ),
    # ---- LH3: shapes
    Hazard(
        "LH301", "class dimension is not dimension 1 (`[B, T, V]` passed as it is)", "E",
        "The classes are not in dimension 1 of the logits, where cross-entropy looks for them.",
        "Move them: logits.flatten(0, -2) with target.flatten(), or logits.movedim(-1, 1).",
        guard="shape", watch="x", lint="x",
    ),
    Hazard(
        "LH302", "`[B]` against `[B, 1]`: sizes that broadcast or a size error", "E",
        "The input and the target differ by a dimension of size one, and broadcasting pairs all with all.",
        "Make the sizes equal: logits.squeeze(-1), or target.unsqueeze(-1).",
        guard="shape", watch="x", lint="x",
    ),
    Hazard(
        "LH303", "one logit with cross-entropy, or two logits with BCE, for a binary task", "E",
        "The number of logits does not fit the loss of a binary task: one logit goes with BCE-with- "
        "logits, two go with cross-entropy.",
        "Use one logit with binary_cross_entropy_with_logits, or two logits with cross_entropy and class "
        "indices.",
        guard="shape", watch="x", lint="x",
    ),
    # ---- LH4: padding and ignored targets
    Hazard(
        "LH401", "padded positions are scored: targets hold the pad id and no ignore_index covers it", "E",
        "Padded positions count in the loss: the target holds the padding id and no ignore_index covers it.",
        "Pass ignore_index=pad_id, or write -100 over the padded targets.",
        watch="x", lint="x",
    ),
    Hazard(
        "LH402", "every target of the batch is ignored: the mean is 0/0", "W",
        "Every target of the batch is ignored, so the mean is 0/0, which is NaN.",
        "Skip such a batch, or use a Likelihood, whose mean over nothing is 0 and stays in the graph.",
        watch="x",
    ),
    Hazard(
        "LH403", "ignore_index lies inside the class range and is a real class", "W",
        "The ignore_index is a valid class index, so every example of that class is left out of the loss.",
        "Keep the default of -100, or make sure that this class is padding and nothing else.",
        guard="x", watch="x", lint="x",
    ),
    # ---- LH5: averages
    Hazard(
        "LH501", "mean of per-batch means over batches of different size or token count", "W",
        "Means of batches of different size are averaged, so examples of small batches count for more.",
        "Add up sums and counts, and divide once at the end.",
        watch="x", lint="x",
    ),
    Hazard(
        "LH502",
        "gradient accumulation without dividing by the number of micro-batches or by the token count", "E",
        "Gradients of several micro-batches are added without dividing the loss by what they hold together.",
        "Pass normalizer= the count of the whole step, or divide by the number of equally large micro- "
        "batches.",
        watch="x", lint="x",
    ),
    Hazard(
        "LH503", "mean over ranks of per-rank means with different counts", "W",
        "The means of ranks with different counts are averaged, so examples on small ranks count for more.",
        "All-reduce the count and pass normalizer=count / world_size, since DDP averages the ranks' "
        "gradients.",
        watch="x", lint="x",
    ),
    # ---- LH6: weights
    Hazard(
        "LH601", "pos_weight of a shape that broadcasts along the wrong dimension", "E",
        "The pos_weight lines up with a dimension of the logits that is not the labels'.",
        "Give it one entry per label and a size of 1 for each dimension behind: pos_weight.view(-1, 1, 1).",
        guard="shape", watch="x",
    ),
    Hazard(
        "LH602", "class weights given as BCE `weight`, or of the wrong length", "E",
        "The weight does not hold one entry per class, or holds class weights where the loss weighs "
        "elements.",
        "Use pos_weight = w_positive / w_negative with BCE, and one entry per class with cross_entropy.",
        guard="shape", watch="x", lint="x",
    ),
    Hazard(
        "LH603", "sample_weight is not one number per example", "E",
        "The sample_weight does not line up with the examples: its shape is not the first dimensions of the "
        "per-example values.",
        "Give one number per example, [N]; for pixels, steps or labels of their own weight the whole shape.",
        guard="shape",
    ),
    # ---- LH7: reading the number
    Hazard(
        "LH701", "perplexity as a mean of perplexities, or the exp of a mean of means", "E",
        "The perplexity is averaged after the exponential, or taken of a mean of means.",
        "Add up the nats and the tokens, divide once, and take one exponential.",
        lint="x",
    ),
    Hazard(
        "LH702", "perplexity with the wrong base (exp of bits, 2** of nats)", "E",
        "The base of the exponential is not the base of the logarithm that made the loss.",
        "Use exp for nats, which all losses here are in, and 2** for bits.",
        lint="x",
    ),
    Hazard(
        "LH703",
        "the loss of the first step is far above the class-prior baseline (bias not initialised, or a "
        "wrong scale)",
        "W",
        "The loss of the first step is far above what the class frequencies alone would score.",
        "Initialise the head's bias at the log prior (init_bias_) and check the scale of the last layer.",
        watch="x",
    ),
    Hazard(
        "LH704", "the loss never goes below the class-prior baseline", "W",
        "The loss never goes below what the class frequencies alone would score: the inputs are of no use "
        "so far.",
        "Check that inputs and targets belong together, the learning rate, and that gradients reach the "
        "network.",
        watch="x",
    ),
    # ---- LH8: values
    Hazard(
        "LH801", "NaN or infinity in the logits or the target", "E",
        "The logits or the target hold NaN or infinity.",
        "Find the layer or the data column that made it; mask missing labels; lower the learning rate.",
        guard="values", watch="x",
    ),
)
# fmt: on

HAZARDS: dict[str, Hazard] = {hazard.code: hazard for hazard in _TABLE}


def lookup(code: str) -> Hazard:
    """Find a hazard by its code, in upper or lower case.

    Raises:
        LookupError: there is no such code; the message names the nearest.

    >>> lookup("lh104").name
    'softmax probabilities into NLL (log-probabilities expected)'
    """
    wanted = code.strip().upper()
    if wanted in HAZARDS:
        return HAZARDS[wanted]
    raise LookupError(
        f"There is no hazard {code!r}; the nearest code is {_nearest(wanted)}. "
        "`likelihead explain` without a code lists them all."
    )


def _nearest(code: str) -> str:
    digits = re.sub(r"\D", "", code)[:3]
    if digits:
        number = int(digits.ljust(3, "0"))
        return min(HAZARDS, key=lambda known: abs(int(known[2:]) - number))
    from difflib import SequenceMatcher

    return max(HAZARDS, key=lambda known: SequenceMatcher(None, known, code).ratio())
