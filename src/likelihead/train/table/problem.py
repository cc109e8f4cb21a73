"""Tables: rows of features, a multilayer perceptron, and the likelihood of the target."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from likelihead.errors import OptionError
from likelihead.evaluate import CalibrationError
from likelihead.evaluate.inputs import stated
from likelihead.likelihoods import Likelihood
from likelihead.train.config import TrainConfig
from likelihead.train.footprint import Footprint, mlp, require
from likelihead.train.label_prior import OBSERVED, label_prior, label_prior_of
from likelihead.train.problem import Measured, NotFiniteError, Problem, optimizer_for
from likelihead.train.resolved import Resolved
from likelihead.train.table.calibration import Fitted, check_held_out, fit
from likelihead.train.table.choices import calibration_fraction, check_together
from likelihead.train.table.data import Dataset, Reading, load
from likelihead.train.table.data.dataset import Batch
from likelihead.train.table.leak import leaks
from likelihead.train.table.means import Mean, weighing
from likelihead.train.table.metrics import hits, target_entropy, weight_of_stated
from likelihead.train.table.models import MLP
from likelihead.train.table.network import (
    DTYPE,
    EVAL_BATCH,
    build_model,
    criterion,
    plain,
    row_nll,
)
from likelihead.train.table.numbers import misses
from likelihead.train.table.objective import Objective, log_prior, prior_shift
from likelihead.train.table.teacher import Teacher, teacher_of
from likelihead.train.table.weights import class_weights

if TYPE_CHECKING:
    from likelihead.train.loop import Trainer

__all__ = ["TableProblem", "again", "begin"]

#: What the score of a task is; of the others it is the accuracy.
SCORES = {
    "multilabel": "test_exact_match",
    "regression": "test_rmse",
    "count": "test_rmse",
    "overdispersed-count": "test_rmse",
    "robust-regression": "test_mae",
    "quantile": "test_pinball",
}

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
    data.notes += leaks(data)
    config.check_for(data.task)
    check_together(config, data.schema)
    check_held_out(config, data)
    _check_memory(config, data)
    weights = class_weights(config.class_weight, data.schema)
    teacher = teacher_of(config, data)
    model, likelihood, resolved = _prepare(config, data, weights, teacher)
    return TableProblem(config, resolved, data, model, likelihood, teacher)


def again(config: TrainConfig, resolved: Resolved) -> TableProblem:
    """The problem of a run that goes on; its weights come from a checkpoint.

    Raises:
        DataError: the data cannot be read.
    """
    data = _load(config)
    data.notes += leaks(data)
    _check_memory(config, data)
    teacher = teacher_of(config, data, resolved.teacher)
    likelihood = criterion(config, data.schema, resolved.class_weights, resolved.label_prior)
    model = build_model(config, data.schema, likelihood)
    return TableProblem(config, resolved, data, model, likelihood, teacher)


class TableProblem(Problem):
    """See :class:`likelihead.train.problem.Problem`.

    Args:
        config, resolved: of the run.
        data: what to train and test on.
        model: the network.
        criterion: the likelihood that is trained.
        teacher: whose probabilities are learnt, where there is one.
    """

    model: MLP
    schema: Any

    def __init__(
        self,
        config: TrainConfig,
        resolved: Resolved,
        data: Dataset,
        model: MLP,
        criterion: Likelihood,
        teacher: Teacher | None = None,
    ) -> None:
        self.config, self.resolved, self.data = config, resolved, data
        self.model, self.teacher = model, teacher
        self.objective = Objective(
            config, data.schema, criterion, teacher, count_per_row=resolved.count_per_row
        )
        self.schema, self.notes = data.schema, [*data.notes, *(teacher.notes if teacher else ())]
        # A likelihood with parameters of its own is the network's, and is reported as it was trained.
        self.plain = plain(config, data.schema) if model.likelihood is None else criterion
        self.fitted: Fitted | None = None
        self.score_name = SCORES.get(data.task, "test_accuracy")

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

    def optimizer(self) -> torch.optim.Optimizer:
        """As the options say; the likelihood's own parameters do not decay, as 0 is nothing to them."""
        if self.model.likelihood is None:
            return super().optimizer()
        own = list(self.model.likelihood.parameters())
        others = [p for p in self.model.parameters() if all(p is not mine for mine in own)]
        return optimizer_for(self.config, [{"params": others}, {"params": own, "weight_decay": 0.0}])

    def batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """Features, targets, row numbers and weights."""
        config, train = self.config, self.data.train
        options: dict[str, Any] = {"epoch": epoch, "seed": config.seed, "dtype": DTYPE, "start": start}
        if config.resample == "balanced":
            return train.balanced_batches(config.batch_size, **options)
        return train.weighted_batches(config.batch_size, shuffle=True, **options)

    def loss(self, batch: Batch, sums: dict[str, float]) -> Tensor:
        """The objective; ``sums`` hold the plain NLL, and of a regression the squared error."""
        features, target, rows, weight = batch
        output: Tensor = self.model(features)
        if not bool(torch.isfinite(output).all()):
            raise NotFiniteError("the network's output is not finite")
        loss = self.objective(output, target, rows, weight)
        with torch.no_grad():
            nll = row_nll(self.plain, self.data.schema, output.detach(), target)
            _add(sums, "nll", nll, weight)
            sums["count"] = sums.get("count", 0) + (len(nll) if weight is None else float(weight.sum()))
            if self.data.task == "regression":
                _add(sums, "squared", (output.detach() - target).square(), weight)
            if self.teacher is not None:
                _add(sums, "teacher_kl", self.teacher.kl(output.detach(), rows), weight)
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
        """Keep the variance of a regression's residuals, in the training's units, and the teacher's lead."""
        if self.data.task == "regression":
            kept["variance"] = _variance(sums)
        if self.teacher is not None:
            kept["train_teacher_kl"] = sums["teacher_kl"] / sums["count"]

    def likelihood(self, kept: Mapping[str, float]) -> Likelihood:
        """The one that is reported: without weights and smoothing."""
        if self.data.task == "regression":
            return plain(self.config, self.data.schema, kept.get("variance", 1.0))
        return self.plain

    def measure(self, kept: Mapping[str, float], pause: Callable[[], None] = lambda: None) -> Measured:
        """The mean test NLL per row, and the score: accuracy, exact match or RMSE."""
        likelihood = self.likelihood(kept)
        nll, score, floor, divergence, before = Mean(), Mean(), Mean(), Mean(), Mean()
        threshold = None if self.fitted is None else self.fitted.threshold
        said, said_before = CalibrationError(), CalibrationError()
        with torch.no_grad():
            for features, target, rows, weight in self.data.test.weighted_batches(EVAL_BATCH, dtype=DTYPE):
                raw = self.model(features)
                output = self.calibrated(raw)
                nll.add(row_nll(likelihood, self.data.schema, output, target), weight)
                if self.fitted is not None and self.fitted.how != "none":
                    before.add(row_nll(likelihood, self.data.schema, raw, target), weight)
                    each = weighing(weight_of_stated(self.data.schema, target, weight))
                    said.update(*stated(likelihood, output, target), **each)
                    said_before.update(*stated(likelihood, raw, target), **each)
                if self.data.schema.numeric:
                    of_row = misses(likelihood, self.data.schema, output, target, self.config.levels)
                else:
                    of_row = hits(likelihood, self.data.schema, output, target, threshold)
                score.add(of_row, weight)
                if self.data.schema.soft:
                    floor.add(target_entropy(target), weight)
                if self.teacher is not None:
                    divergence.add(self.teacher.kl(raw, rows), weight)
                pause()
        if self.score_name == "test_rmse":
            return Measured(nll.value, math.sqrt(score.value))
        more = {}
        if before.count:
            more["test_nll_uncalibrated"] = before.value
            more["test_ece"] = said.compute()
            more["test_ece_uncalibrated"] = said_before.compute()
        if self.data.schema.soft:
            more["test_kl"] = nll.value - floor.value
        if self.teacher is not None:
            if "train_teacher_kl" in kept:
                more["train_teacher_kl"] = kept["train_teacher_kl"]
            more["test_teacher_kl"] = divergence.value
        return Measured(nll.value, score.value, more)

    def metadata(self, kept: Mapping[str, float]) -> dict[str, str]:
        """The variance, which a regression's likelihood needs, and what the held-out rows have taught."""
        fitted = {} if self.fitted is None else self.fitted.metadata()
        return {"variance": repr(kept.get("variance", 1.0)), **fitted}

    def complete(self, kept: dict[str, float]) -> None:
        """Fit the calibration; a function of the weights, so that a run killed here does the same again."""
        self.fitted = fit(self.config, self.data, self.plain, self.model)

    def calibrated(self, output: Tensor) -> Tensor:
        """The network's output as it is predicted with: calibrated, once the training is done."""
        return output if self.fitted is None else self.fitted.output(output)

    def write_report(self, trainer: Trainer) -> None:
        """The report of a table's run."""
        from likelihead.train.table.report import write

        write(self, trainer)


def _variance(sums: Mapping[str, float]) -> float:
    return max(sums["squared"] / sums["count"], _VARIANCE_FLOOR)


def _add(sums: dict[str, float], name: str, values: Tensor, weight: Tensor | None) -> None:
    sums[name] = sums.get(name, 0.0) + float((values if weight is None else weight * values).sum())


def _load(config: TrainConfig) -> Dataset:
    return load(
        config.data,
        target=config.target,
        task=config.task,
        memory=config.memory,
        seed=config.seed,
        test_fraction=config.test_fraction,
        calibration_fraction=calibration_fraction(config),
        sample_weight=config.sample_weight,
        order=config.order,
        reading=Reading(config.separator, config.decimal, config.encoding, config.missing),
        strict=config.strict,
    )


def _check_memory(config: TrainConfig, data: Dataset) -> None:
    counts = mlp(data.num_features, config.hidden, data.num_outputs)
    batch = min(config.batch_size, max(1, len(data.train)))
    require(Footprint(*counts, batch, "row", DTYPE.itemsize), config.optimizer)


def _prepare(
    config: TrainConfig, data: Dataset, weights: tuple[float, ...], teacher: Teacher | None
) -> tuple[MLP, Likelihood, Resolved]:
    unweighted = plain(config, data.schema)
    drawn_to = _label_prior(config, unweighted, data)
    likelihood = criterion(config, data.schema, weights, drawn_to)
    model = build_model(config, data.schema, likelihood)
    # The baseline is that of the plain likelihood, whatever weights the training has.
    reference = build_model(config, data.schema, unweighted)
    _set_bias(unweighted, reference, data)
    _set_bias(likelihood, model, data)
    with torch.no_grad():
        if config.resample != "none":
            # Drawn equally often, the classes have a flat prior.
            model.head.bias.zero_()
        elif data.task == "binary" and config.logit_adjustment:
            no, yes = log_prior(data.schema).tolist()
            model.head.bias.sub_(config.logit_adjustment * (yes - no))
    with torch.no_grad():
        constant = reference(torch.zeros(1, data.num_features, dtype=DTYPE)).flatten()
        baseline = Mean()
        for features, target, _, weight in data.test.weighted_batches(EVAL_BATCH, dtype=DTYPE):
            output = constant.expand(len(features), -1).reshape(model(features).shape)
            baseline.add(row_nll(unweighted, data.schema, output, target), weight)
    shift = prior_shift(config, data.schema, weights)
    if shift is not None and teacher is not None:
        shift = None if teacher.prior_shift is None else shift + teacher.prior_shift
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
        constant_parameters=_own(reference),
        prior_shift=() if shift is None else tuple(shift.tolist()),
        teacher="" if teacher is None else teacher.digest,
        count_per_row=_count_per_row(likelihood, data),
        label_prior=drawn_to,
    )
    return model, likelihood, resolved


def _label_prior(config: TrainConfig, likelihood: Likelihood, data: Dataset) -> tuple[float, ...]:
    """What a smoothed yes or no is drawn towards, where that is not one half."""
    summary: Tensor | None = None
    if label_prior_of(config) == OBSERVED:
        for _, target, _, weight in data.train.weighted_batches(EVAL_BATCH, dtype=DTYPE):
            part = likelihood.summarise(target, sample_weight=weight)
            summary = part if summary is None else summary + part
    return label_prior(config, summary, data.schema.num_outputs)


def _set_bias(likelihood: Likelihood, model: MLP, data: Dataset) -> None:
    known = (target for _, target in data.train.batches(EVAL_BATCH, dtype=DTYPE, shuffle=False))
    targets = (target.unsqueeze(1) if model.flat and target.dim() == 1 else target for target in known)
    if not data.schema.weight:
        likelihood.init_bias_(model.head, targets)
        return
    again = data.train.weighted_batches(EVAL_BATCH, dtype=DTYPE)
    weights = (weight for _, _, _, weight in again if weight is not None)
    likelihood.init_bias_(model.head, targets, sample_weight=weights, smoothing=data.schema.half_row)


def _own(model: MLP) -> tuple[float, ...]:
    """The likelihood's own parameters, flat."""
    if model.likelihood is None:
        return ()
    return tuple(torch.cat([p.detach().flatten() for p in model.likelihood.parameters()]).tolist())


def _count_per_row(likelihood: Likelihood, data: Dataset) -> float:
    if not data.schema.weight:
        return 1.0
    total = sum(
        float(likelihood.count(target, sample_weight=weight))
        for _, target, _, weight in data.train.weighted_batches(EVAL_BATCH, dtype=DTYPE)
    )
    if not total:
        raise OptionError("--class-weight gives every training row that weighs something the weight 0")
    return total / len(data.train)
