"""The mutants: each hazard that a run shows, injected into the right scripts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache

from lint.mutation import averages, predictions, targets
from lint.mutation import links as lint_links
from lint.mutation.source import Mutant
from watch.mutation import data, links, texts
from watch.mutation.calls import WatchedScript
from watch.mutation.tasks import own_mutants
from watch.running import scripts as right_scripts

__all__ = ["FOLLOWS", "IN_THE_END", "WATCHED", "chosen", "every_way", "mutants", "scripts"]

WATCHED = frozenset(
    f"LH{number}"
    for number in (
        *range(101, 111), 112, 114, *range(201, 206), 207, *range(301, 304), *range(401, 404),
        *range(501, 504), 601, 602, 703, 704, 801,
    )
)  # fmt: skip

_LINT = (
    *lint_links.WAYS,
    predictions.wrong_inverse,
    targets.wrong_dtype,
    targets.classes_not_in_dimension_one,
    targets.shapes_that_broadcast,
    targets.wrong_number_of_logits,
    targets.scored_padding,
    averages.undivided_accumulation,
    texts.mean_of_means,
)
# What only the whole run shows, or a whole evaluation.
IN_THE_END = frozenset({"LH114", "LH501", "LH503", "LH704"})
# What else is certainly wrong once a hazard is there: a criterion that was exchanged, or a model that ends in
# an activation, is used elsewhere too; logarithms of 0 are infinite.
FOLLOWS = {
    "LH101": frozenset({"LH104", "LH114"}),
    "LH102": frozenset({"LH114"}),
    "LH103": frozenset({"LH114"}),
    "LH104": frozenset({"LH101", "LH105", "LH114"}),
    "LH105": frozenset({"LH101", "LH104"}),
    "LH109": frozenset({"LH106"}),
    "LH110": frozenset({"LH105", "LH114", "LH801"}),
    "LH112": frozenset({"LH105"}),
    "LH703": frozenset({"LH801"}),
}
WAYS: tuple[Callable[[WatchedScript], Iterable[Mutant | None]], ...] = (
    *_LINT,
    *links.WAYS,
    *data.WAYS,
    *texts.WAYS,
)
# Compiled regions are left alone by the watch, and what runs under the transforms of torch.func.
_LEFT_ALONE = frozenset({"compiled_step", "functional_training"})


@cache
def scripts() -> list[WatchedScript]:
    """The right scripts that are injected into."""
    paths = [path for path in right_scripts() if path.stem not in _LEFT_ALONE]
    return [WatchedScript(path.stem, {path.name: path.read_text(encoding="utf-8")}) for path in paths]


def every_way(script: WatchedScript) -> list[Mutant]:
    """The mutants of a script that differ from each other."""
    found: dict[tuple[str, str], Mutant] = {}
    for way in WAYS:
        for mutant in way(script):
            if mutant is not None and mutant.code in WATCHED and not _is_none(mutant):
                found.setdefault((mutant.code, *mutant.files.values()), mutant)
    return list(found.values())


# Losses that are sums, which nothing divides; weights of two parts that mean something else together; passes
# of two networks; a scheduler's step.
_NO_SUMS = frozenset({"vae", "accumulation_tokens", "distillation", "dcgan_bce", "hf_style_loop"})


# Labels of -100 are then out of range; an index of a vocabulary, or of tags, may well be the padding's; and
# of the five examples of a batch none may be of the class.
_NO_IGNORED = frozenset({"hf_style_loop", "masked_lm", "tagging_masked"}) | frozenset(
    {"perplexity_evaluation", "activation_checkpoint", "tagging_packed", "class_weights"}
)


def _is_none(mutant: Mutant) -> bool:
    """Whether the lint's way of writing it makes no such hazard in a run, or ends the run before it."""
    if mutant.code in ("LH110", "LH112") and ("1e-8" in mutant.how or "no dim" in mutant.how):
        return True  # a guarded logarithm; the dimension that is guessed for two dimensions is right
    if mutant.script == "cutmix" and mutant.how.startswith(("NLLLoss", "log_softmax over", "log(softmax")):
        return True  # soft targets, which nll_loss refuses whatever its input is
    if mutant.script == "energy_based" and mutant.code == "LH104":
        return True  # there nll_loss picks an entry
    if mutant.script == "reward_weighted_nll" and mutant.code in ("LH104", "LH105"):
        return True  # and there
    if mutant.script in ("clip_style", "distillation") and mutant.code == "LH114":
        return True  # a similarity of no layer; a target
    if mutant.script == "mixture_of_experts" and mutant.code in ("LH104", "LH105", "LH110", "LH112"):
        inside = ("left out", "two steps", "over the batch", "exp")
        return any(how in mutant.how for how in inside)  # of a log-sum-exp
    if mutant.script == "replaces_functions" and mutant.code == "LH110":
        return "functional.softmax" in mutant.how or "nn.Softmax" in mutant.how  # which is the script's own
    if mutant.code == "LH502" and mutant.script in _NO_SUMS:
        return True
    if mutant.code == "LH403" and mutant.script in _NO_IGNORED:
        return True
    if mutant.code == "LH303" and mutant.how == "one logit":
        return mutant.script in ("custom_autograd", "segmentation_ce")  # a loss of its own comes first
    return mutant.script in ("class_weights", "retrieval_columns") and mutant.code == "LH112"  # square


@cache
def mutants() -> dict[str, list[Mutant]]:
    """By hazard."""
    found: defaultdict[str, list[Mutant]] = defaultdict(list)
    for script in scripts():
        for mutant in every_way(script):
            found[mutant.code].append(mutant)
    for mutant in own_mutants():
        found[mutant.code].append(mutant)
    return dict(sorted(found.items()))


def chosen(code: str, most: int) -> list[Mutant]:
    """So many of a hazard, from as many scripts as there are, the ways taking turns."""
    by_script: defaultdict[str, list[Mutant]] = defaultdict(list)
    for mutant in mutants().get(code, ()):
        by_script[mutant.script].append(mutant)
    turned = []
    for turn, ways in enumerate(by_script.values()):
        start = turn % len(ways)
        turned.append(ways[start:] + ways[:start])
    longest = max(map(len, turned), default=0)
    found = [ways[place] for place in range(longest) for ways in turned if place < len(ways)]
    return found[:most]
