"""Mutants that are one script's own: the text of the right script is exchanged where it is exactly so.

LH114 at predictions, LH401 and LH403, LH501 and LH502 as the scripts average, LH703 and LH704.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lint.mutation import averages
from lint.mutation.source import Edit, Mutant
from watch.mutation.calls import WatchedScript, calls

Mutants = Iterator[Mutant | None]


@dataclass(frozen=True)
class Text:
    """A mutant as texts: what stands in the script, what comes in its place, where it is told."""

    script: str
    code: str
    edits: tuple[tuple[str, str], ...]
    at: tuple[str, ...]


def _text(script: str, code: str, at: str | tuple[str, ...], *edits: tuple[str, str]) -> Text:
    return Text(script, code, edits, (at,) if isinstance(at, str) else at)


def _predictions() -> Iterator[Text]:
    for script, right, inputs in (
        ("graph_network", "log_probs.exp().amax(dim=1)", ("log_probs",)),
        ("iris_log_probs", "torch.exp(model(x))", ("model(x)",)),
        ("pointer_network", "log_pointer.exp()", ("log_pointer",)),
    ):
        end = ".amax(dim=1)" if right.endswith(".amax(dim=1)") else ""
        for name in inputs:
            for wrong in (
                f"{name}.softmax(1)", f"torch.softmax({name}, dim=1)", f"torch.sigmoid({name})",
                f"torch.nn.Softmax(dim=-1)({name})", f"{name}.sigmoid()",
            ):  # fmt: skip
                yield _text(script, "LH114", wrong, (right, wrong + end))
    for script, right, name in (
        ("replaces_functions", "F.softmax(logits, dim=1).amax(dim=1)", "logits"),
        ("temperature_scaling", "F.softmax(logits, dim=1).max(1)", "logits"),
    ):
        end = "." + right.rpartition(").")[2]
        for wrong in (f"torch.exp({name})", f"{name}.exp()", f"{name}.double().exp().float()"):
            yield _text(script, "LH114", wrong, (right, wrong + end))


def _lasting() -> Iterator[Text]:
    """A model that does not learn: LH704. The run is made long enough for the difference to be sure."""
    for script, longer, rate, passed, at in (
        ("iris_logits", ("range(60)", "range(150)"), "lr=0.05", "loss", "criterion(y_pred, y_train)"),
        ("cutmix", ("default=60", "default=150"), "lr=3e-3", "loss", "F.cross_entropy(model(images)"),
        ("perplexity_evaluation", ("range(60)", "range(150)"), "lr=1e-2", "loss", "loss = F.cross_entropy("),
        ("mnist_cross_entropy", ("default=3", "default=20"), "lr=3e-3", "loss", "loss = loss_fn("),
        ("multilabel_pos_weight", ("default=4", "default=30"), "lr=5e-3", "loss", "loss = criterion(model("),
        ("graph_network", ("default=50", "default=150"), "lr=0.03", "loss_train", "loss_train = F.nll_loss("),
        ("label_smoothing", ("range(3)", "range(20)"), "lr=0.2", "loss", "loss = criterion(output, target)"),
        ("char_gpt", ("default=70", "default=150"), "lr=1e-2", "loss", "loss = F.cross_entropy("),
    ):
        yield _text(script, "LH704", at, longer, (rate, "lr=0.0"))
        backward = f"{passed}.backward()"
        yield _text(script, "LH704", at, longer, (backward, f"{backward}; optimizer.zero_grad()"))


def _padding() -> Iterator[Text]:
    at = "criterion(logits.reshape(-1, vocab)"
    for option in (
        "", "ignore_index=-100", 'reduction="sum"', "label_smoothing=0.1", "ignore_index=-1",
        "weight=torch.ones(vocab)",
    ):  # fmt: skip
        criterion = "nn.CrossEntropyLoss(ignore_index=PAD)", f"nn.CrossEntropyLoss({option})"
        yield _text("seq2seq_padding", "LH401", at, criterion)


TEXTS = (*_predictions(), *_lasting(), *_padding())


def by_text(script: WatchedScript) -> Mutants:
    """The mutants of this table; a text that is not there exactly once, or not at all, is an error."""
    source = script.sources[0]
    for text in TEXTS:
        if text.script != script.name:
            continue
        edits = []
        for old, new in text.edits:
            if source.text.count(old) != 1:
                raise ValueError(f"{source.path} holds {source.text.count(old)} times: {old}")
            start = source.text.index(old)
            edits.append(Edit(source.path, start, start + len(old), new))
        how = "; ".join(new for _, new in text.edits)
        mutated = source.text
        for old, new in text.edits:
            mutated = mutated.replace(old, new)
        lines = [n for n, line in enumerate(mutated.splitlines(), 1) if any(at in line for at in text.at)]
        if not lines:
            raise ValueError(f"{source.path}, changed, does not hold: {text.at}")
        yield Mutant(
            script.name, text.code, how, {source.path: mutated}, frozenset((source.path, n) for n in lines)
        )


def mean_of_means(script: WatchedScript) -> Mutants:
    """LH501 as the lint's mutants have it: told where a batch's loss is computed, or at the division."""
    added = [average.added for average in averages.averages(script)]
    lines = {(script.source(node).path, n) for node in added for n in range(node.lineno, node.end_lineno + 1)}
    for mutant in averages.mean_of_means(script):
        if mutant is not None:
            yield replace(mutant, expected=mutant.expected | lines)


_NO_FIRST = frozenset({"simclr", "clip_style", "dcgan_logits", "lbfgs_closure", "domain_adversarial"})
_EVALUATED = {
    "class_weights": (47,), "distillation": (16, 56), "imbalanced_binary": (61,), "mixup": (75,),
    "temperature_scaling": (24, 29, 36), "early_stopping": (46,), "label_smoothing": (54,),
    "loader_workers": (51,), "mnist_cross_entropy": (56,), "amp_grad_scaler": (53,),
    "accumulation_divided": (49,), "segmentation_ce": (65,), "seq2seq_padding": (91,),
}  # fmt: skip


def large_logits(script: WatchedScript) -> Mutants:
    """LH703: the logits of the first step are far too large."""
    for call in calls(script):
        if call.kind in ("ce", "logits") and call.mean and "weight" not in call.option("weight"):
            # Contrastive losses and those of GANs have no prior; LBFGS starts at zero; the rest evaluate.
            # The first step has the other loss of this line.
            second = script.name == "replaces_functions" and call.made is not call.node
            if second or script.name in _NO_FIRST or call.node.lineno in _EVALUATED.get(script.name, ()):
                continue
            for text in ("300 * z", "z * 500", "z / 0.002", "z.mul(400.0)"):
                yield script.mutant("LH703", text, call.with_input(text), [call.node])


WAYS = (by_text, large_logits)
