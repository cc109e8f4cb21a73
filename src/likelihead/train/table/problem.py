"""Tables: rows of features, a multilayer perceptron, and the likelihood of the target."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from likelihead.likelihoods import Likelihood
from likelihead.train.config import TrainConfig
from likelihead.train.problem import Measured, NotFiniteError, Problem
from likelihead.train.resolved import Resolved
from likelihead.train.table.data import Dataset, load
from likelihead.train.table.metrics import Mean, hits
from likelihead.train.table.models import MLP
from likelihead.train.table.network import DTYPE, EVAL_BATCH, build_model, criterion, plain, row_nll
from likelihead.train.table.weights import class_weights

if TYPE_CHECKING:
    from likelihead.train.loop import Trainer

__all__ = ["TableProblem", "again", "begin"]

# Multiplications in a step below which several threads wait for each other longer than they work.
_ONE_THREAD = 2**22
_VARIANCE_FLOOR = 1e-12


def begin(config: TrainConfig) -> TableProblem:
    """A new run's problem; draws the first weights from torch's global generator.

    Raises:
        OptionError: an option that the task would ignore.
        DataError: the data cannot be read.
    """
    data = _load(config)
    config.check_for(data.task)
    weights = class_weights(config.class_weight, data.schema)
    model, likelihood, resolved = _prepare(config, data, weights)
    return TableProblem(config, resolved, data, model, likelihood)


def again(config: TrainConfig, resolved: Resolved) -> TableProblem:
    """The problem of a run that goes on; its weights come from a checkpoint.

    Raises:
        DataError: the data cannot be read.
    """
    data = _load(config)
    likelihood = criterion(config, data.schema, resolved.class_weights)
    return TableProblem(config, resolved, data, build_model(config, data.schema, likelihood), likelihood)


class TableProblem(Problem):
    """See :class:`likelihead.train.problem.Problem`.

    Args:
        config, resolved: of the run.
        data: what to train and test on.
        model: the network.
        criterion: the likelihood that is trained.
    """

    model: MLP
    schema: Any

    def __init__(
        self, config: TrainConfig, resolved: Resolved, data: Dataset, model: MLP, criterion: Likelihood
    ) -> None:
        self.config, self.resolved, self.data = config, resolved, data
        self.model, self.criterion = model, criterion
        self.schema, self.notes = data.schema, data.notes
        self.plain = plain(config, data.schema)
        self.score_name = {"regression": "test_rmse", "multilabel": "test_exact_match"}.get(
            data.task, "test_accuracy"
        )

    def describe(self) -> str:
        """The file, its rows and its columns."""
        return self.data.describe()

    def summary(self) -> str:
        """The widths, the activation and the likelihood."""
        layers = "-".join(str(width) for width in self.resolved.layers)
        resolved = self.resolved
        return f"{layers} {self.config.activation}, {resolved.parameters} parameters, {resolved.likelihood}"

    @property
    def steps_per_epoch(self) -> int:
        """One for each batch of the training rows."""
        return self.data.train.num_batches(self.config.batch_size)

    def batches(self, epoch: int, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Features and targets."""
        config = self.config
        return self.data.train.batches(
            config.batch_size, epoch=epoch, seed=config.seed, dtype=DTYPE, start=start
        )

    def loss(self, batch: tuple[Tensor, Tensor], sums: dict[str, float]) -> Tensor:
        """The criterion; ``sums`` hold the plain NLL, and of a regression the squared error."""
        features, target = batch
        output: Tensor = self.model(features)
        if not bool(torch.isfinite(output).all()):
            raise NotFiniteError("the network's output is not finite")
        loss: Tensor = self.criterion(output, target)
        with torch.no_grad():
            nll = row_nll(self.plain, self.data.schema, output.detach(), target)
            sums["nll"] = sums.get("nll", 0.0) + float(nll.sum())
            sums["count"] = sums.get("count", 0) + len(nll)
            if self.data.task == "regression":
                error = float((output.detach() - target).square().sum())
                sums["squared"] = sums.get("squared", 0.0) + error
        return loss

    def train_nll(self, sums: Mapping[str, float]) -> float:
        """The mean; of a regression with the variance that fits best, as in the test NLL."""
        count = sums.get("count", 0)
        if not count:
            return math.nan
        if self.data.task == "regression":
            return 0.5 * (math.log(2 * math.pi * _variance(sums)) + 1) + math.log(self.data.schema.target.std)
        return sums["nll"] / count

    def end_epoch(self, sums: Mapping[str, float], kept: dict[str, float]) -> None:
        """Keep the variance of a regression's residuals, in the training's units."""
        if self.data.task == "regression":
            kept["variance"] = _variance(sums)

    def likelihood(self, kept: Mapping[str, float]) -> Likelihood:
        """The one that is reported: without weights and smoothing."""
        return plain(self.config, self.data.schema, kept.get("variance", 1.0))

    def measure(self, kept: Mapping[str, float], pause: Callable[[], None] = lambda: None) -> Measured:
        """The mean test NLL per row, and the score: accuracy, exact match or RMSE."""
        likelihood = self.likelihood(kept)
        nll, score = Mean(), Mean()
        with torch.no_grad():
            for features, target in self.data.test.batches(EVAL_BATCH, dtype=DTYPE, shuffle=False):
                output = self.model(features)
                nll.add(row_nll(likelihood, self.data.schema, output, target))
                score.add(hits(likelihood, self.data.schema, output, target))
                pause()
        if self.data.task == "regression":
            return Measured(nll.value, math.sqrt(score.value) * self.data.schema.target.std)
        return Measured(nll.value, score.value)

    def metadata(self, kept: Mapping[str, float]) -> dict[str, str]:
        """The variance, which a regression's likelihood needs."""
        return {"variance": repr(kept.get("variance", 1.0))}

    def write_report(self, trainer: Trainer) -> None:
        """The report of a table's run."""
        from likelihead.train.table.report import write

        write(self, trainer)


def _variance(sums: Mapping[str, float]) -> float:
    return max(sums["squared"] / sums["count"], _VARIANCE_FLOOR)


def _load(config: TrainConfig) -> Dataset:
    return load(
        config.data,
        target=config.target,
        task=config.task,
        memory=config.memory,
        seed=config.seed,
        test_fraction=config.test_fraction,
    )


def _prepare(
    config: TrainConfig, data: Dataset, weights: tuple[float, ...]
) -> tuple[MLP, Likelihood, Resolved]:
    likelihood, unweighted = criterion(config, data.schema, weights), plain(config, data.schema)
    model = build_model(config, data.schema, likelihood)
    _set_bias(likelihood, model, data)
    # The baseline is that of the plain likelihood, whatever weights the training has.
    reference = build_model(config, data.schema, unweighted) if weights or config.label_smoothing else model
    _set_bias(unweighted, reference, data)
    with torch.no_grad():
        constant = reference(torch.zeros(1, data.num_features, dtype=DTYPE)).flatten()
        baseline = Mean()
        for features, target in data.test.batches(EVAL_BATCH, dtype=DTYPE, shuffle=False):
            output = constant.expand(len(features), -1).reshape(model(features).shape)
            baseline.add(row_nll(unweighted, data.schema, output, target))
    parameters = sum(p.numel() for p in model.parameters())
    resolved = Resolved(
        task=data.task,
        likelihood=likelihood.name,
        layers=tuple(model.widths),
        parameters=parameters,
        dtype=str(DTYPE).removeprefix("torch."),
        threads=1 if config.batch_size * parameters < _ONE_THREAD else torch.get_num_threads(),
        class_weights=weights,
        constant=tuple(constant.tolist()),
        baseline_nll=baseline.value,
    )
    return model, likelihood, resolved


def _set_bias(likelihood: Likelihood, model: MLP, data: Dataset) -> None:
    batches = data.train.batches(EVAL_BATCH, dtype=DTYPE, shuffle=False)
    targets = (target.unsqueeze(1) if model.flat and target.dim() == 1 else target for _, target in batches)
    likelihood.init_bias_(model.head, targets)
