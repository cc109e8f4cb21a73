"""Text: a network that reads it from left to right, and the NLL of the next token."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from likelihead.errors import OptionError
from likelihead.functional import linear_cross_entropy
from likelihead.train.config import TrainConfig
from likelihead.train.footprint import Footprint, recurrent, require, transformer
from likelihead.train.language.batches import IGNORED, Batch, Batches, Packed, Padded
from likelihead.train.language.corpus import Corpus, load
from likelihead.train.language.models import EMBEDDING, LanguageModel
from likelihead.train.language.network import build_model, set_prior
from likelihead.train.language.scoring import Scores, score
from likelihead.train.problem import Measured, Problem
from likelihead.train.resolved import Resolved

if TYPE_CHECKING:
    from likelihead.train.loop import Trainer

__all__ = ["EPOCH_STEPS", "LanguageProblem", "again", "baseline", "begin"]

EPOCH_STEPS = 500
"""Most steps of an epoch, so that a long text has test figures on the way."""

_CLIP = 1.0
_WARM_UP = 100
_LAST_LR = 0.1
# Multiplications in a step below which several threads wait for each other longer than they work.
_ONE_THREAD = 2**24


def begin(config: TrainConfig) -> LanguageProblem:
    """A new run's problem; draws the first weights from torch's global generator.

    Raises:
        OptionError: an option that the task would ignore, or layers that the network cannot have.
        DataError: the data cannot be read.
    """
    if config.task not in ("auto", "language"):
        raise OptionError(f"--task {config.task} does not go with {config.data}, which is text; leave it out")
    config.check_for("language")
    corpus = load(config)
    _check_memory(config, corpus)
    model = build_model(config, corpus.tokenizer.vocabulary)
    set_prior(model, corpus.train)
    parameters = sum(p.numel() for p in model.parameters())
    counts = corpus.test.counts(corpus.tokenizer.vocabulary)
    resolved = Resolved(
        task="language",
        likelihood="categorical",
        layers=(model.embedding.embedding_dim, *config.hidden, model.head.out_features),
        parameters=parameters,
        dtype="float32",
        threads=1
        if config.batch_size * config.context * parameters < _ONE_THREAD
        else torch.get_num_threads(),
        baseline_nll=baseline(model, counts),
    )
    return LanguageProblem(config, resolved, corpus, model)


def again(config: TrainConfig, resolved: Resolved) -> LanguageProblem:
    """The problem of a run that goes on; its weights come from a checkpoint.

    Raises:
        DataError: the data cannot be read.
    """
    corpus = load(config)
    _check_memory(config, corpus)
    return LanguageProblem(config, resolved, corpus, build_model(config, corpus.tokenizer.vocabulary))


def _check_memory(config: TrainConfig, corpus: Corpus) -> None:
    if not config.hidden:
        return  # the network says what is wrong with that
    vocabulary, text = corpus.tokenizer.vocabulary, corpus.train
    if config.network == "transformer":
        counts = transformer(vocabulary, config.hidden)
    else:
        counts = recurrent(vocabulary, min(config.hidden[0], EMBEDDING), config.hidden)
    if config.packing == "padded":
        longest = int(np.diff(text.starts).max(initial=1))
        tokens = min(config.batch_size * min(config.context, longest), 2 * text.tokens)
    else:
        rows = max(1, min(config.batch_size, text.tokens))
        tokens = rows * min(config.context, -(-text.tokens // rows))
    require(Footprint(*counts, tokens, "token", 4, "--batch-size or --context"), config.optimizer)


def baseline(model: LanguageModel, counts: np.ndarray[Any, np.dtype[np.int64]]) -> float:
    """The mean NLL of tokens under their frequencies in the training text, in nats.

    Args:
        model: with the frequencies.
        counts: how often each token occurs.
    """
    log_prior = torch.log_softmax(model.log_prior.double(), 0).numpy()
    return float(-(counts * log_prior).sum() / counts.sum())


class LanguageProblem(Problem):
    """See :class:`likelihead.train.problem.Problem`.

    An epoch is a pass over the text, or 500 steps of a longer one. The recurrent state goes on from step to
    step, as the rows of packed batches do; its gradient stops at the step's border (truncated
    back-propagation through time).

    Args:
        config, resolved: of the run.
        corpus: the texts.
        model: the network.
    """

    model: LanguageModel
    score_name = "test_bits_per_byte"
    clip = _CLIP

    def __init__(self, config: TrainConfig, resolved: Resolved, corpus: Corpus, model: LanguageModel) -> None:
        self.config, self.resolved, self.corpus, self.model = config, resolved, corpus, model
        self.schema, self.notes = corpus.schema, corpus.notes
        make = Padded if config.packing == "padded" else Packed
        self._batches: Batches = make(corpus.train, config.batch_size, config.context, config.seed)
        self._state: tuple[Tensor, ...] = ()
        self._scores: Scores | None = None
        self._token_sizes = corpus.tokenizer.sizes()
        sizes = self._token_sizes[corpus.train.ids]
        self._bytes_per_token = float(sizes.sum()) / max(len(sizes), 1)

    def describe(self) -> str:
        """The texts, their sizes and the tokenizer."""
        return self.corpus.describe()

    def summary(self) -> str:
        """The network, its widths and the likelihood."""
        resolved = self.resolved
        layers = "-".join(str(width) for width in resolved.layers)
        return (
            f"{layers} {self.config.network}, {resolved.parameters} parameters, {resolved.likelihood}, "
            f"{self.config.packing} rows of {self.config.context} tokens"
        )

    @property
    def steps_per_epoch(self) -> int:
        """A pass, but no more than 500 steps."""
        return min(self._batches.per_pass, EPOCH_STEPS)

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """Rows of tokens and the tokens behind them."""
        before = epoch * self.steps_per_epoch
        for step in range(start, self.steps_per_epoch):
            yield self._batches.batch(before + step)

    def loss(self, batch: Batch, sums: dict[str, float]) -> Tensor:
        """The mean over the tokens of the batch; ``sums`` hold the NLL without smoothing."""
        self._scores = None
        state = self._state if batch.goes_on and self._state else None
        hidden, state = self.model.hidden(batch.inputs, state)
        self._state = tuple(part.detach() for part in state) if self.config.packing == "packed" else ()
        smoothing = self.config.label_smoothing
        head = self.model.head

        def score(smoothing: float) -> Tensor:
            return linear_cross_entropy(
                hidden,
                head.weight,
                batch.targets,
                linear_bias=head.bias,
                ignore_index=IGNORED,
                label_smoothing=smoothing,
            )

        loss = score(smoothing)
        plain = loss.detach()
        if smoothing:
            with torch.no_grad():
                plain = score(0.0)
        count = int((batch.targets != IGNORED).sum())
        sums["nll"] = sums.get("nll", 0.0) + float(plain) * count
        sums["count"] = sums.get("count", 0) + count
        return loss

    def lr(self, step: int) -> float:
        """Rises over the first 100 steps (a tenth of a shorter run), then falls as a cosine to a tenth."""
        total = self.total_steps
        warm = min(_WARM_UP, max(total // 10, 1))
        if step < warm:
            return self.config.lr * (step + 1) / warm
        done = (step - warm) / max(total - warm, 1)
        share = _LAST_LR + (1 - _LAST_LR) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        return self.config.lr * share

    def carried(self) -> dict[str, Tensor]:
        """The recurrent state behind the last token of each row."""
        return {f"state.{i}": part for i, part in enumerate(self._state)}

    def carry(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the recurrent state back."""
        self._state = tuple(tensors[f"state.{i}"] for i in range(len(tensors)))
        self._scores = None

    def train_nll(self, sums: Mapping[str, float]) -> float:
        """The mean over tokens, in nats."""
        return sums["nll"] / sums["count"] if sums.get("count") else math.nan

    def scores(self, pause: Callable[[], None] = lambda: None) -> Scores:
        """The NLL of each held-out token, taken once for the same weights."""
        if self._scores is None:
            self._scores = score(
                self.model, self.corpus.test, self._token_sizes, self.config.context, pause=pause
            )
        return self._scores

    def measure(self, kept: Mapping[str, float], pause: Callable[[], None] = lambda: None) -> Measured:
        """Mean NLL, bits per byte and perplexity of the held-out text."""
        scores = self.scores(pause)
        return Measured(scores.mean, scores.bits_per_byte, {"test_perplexity": scores.perplexity})

    def train_bits(self, nll: float) -> float:
        """Bits per byte that a mean NLL of training tokens comes to; NaN where tokens stand for no bytes."""
        return nll / math.log(2) / self._bytes_per_token if self._bytes_per_token else math.nan

    @property
    def baseline_bits_per_byte(self) -> float:
        """The same of the held-out text under the frequencies of the training text's tokens."""
        counts = self.corpus.test.counts(len(self._token_sizes)) * (self._token_sizes > 0)
        total = int((counts * self._token_sizes).sum())
        if not total:
            return math.nan
        return baseline(self.model, counts) * int(counts.sum()) / math.log(2) / total

    def figures(self, nll: float) -> str:
        """NLL, perplexity and bits per byte, from the training text's bytes per token."""
        perplexity = f"{math.exp(nll):.2f}" if nll < 100 else "above e^100"
        return f"NLL {nll:.4f}, perplexity {perplexity}, {self.train_bits(nll):.3f} bits per byte"

    def write_report(self, trainer: Trainer) -> None:
        """The report of a text's run."""
        from likelihead.train.language.report import write

        write(self, trainer)
