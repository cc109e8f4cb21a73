"""Figures of a model on held-out data, and what they are used for: calibration, thresholds, priors.

`for_likelihood` gives all figures of a task in one object. The accumulators take batches and add up, over
batches and over processes: see `Accumulator`.
"""

from likelihead.evaluate.accumulator import Accumulator, merge_across_processes
from likelihead.evaluate.accuracy import Accuracy, ExactMatch, TopKAccuracy
from likelihead.evaluate.brier import Brier, BrierDecomposition, BrierParts
from likelihead.evaluate.by_likelihood import for_likelihood
from likelihead.evaluate.calibration_error import CalibrationBin, CalibrationError
from likelihead.evaluate.calibrator import CalibrationReport, Calibrator
from likelihead.evaluate.confusion import ConfusionMatrix, LabelConfusion, Rates
from likelihead.evaluate.linear_scaling import PlattScaling, VectorScaling
from likelihead.evaluate.loss_split import InformationGain, LossSplit, constant_nll
from likelihead.evaluate.metrics import Metrics
from likelihead.evaluate.nll import NLL, BitsPerByte
from likelihead.evaluate.prior import adjust_prior, estimate_prior
from likelihead.evaluate.ranking import Ranking
from likelihead.evaluate.regression import Regression
from likelihead.evaluate.smooth_ece import BootstrapInterval, SmoothECE
from likelihead.evaluate.temperature import TemperatureScaling
from likelihead.evaluate.thresholds import (
    ThresholdCurve,
    TunedThresholds,
    average_precision,
    roc_auc,
    threshold_curve,
    tune_thresholds,
)
from likelihead.likelihoods.focal import binary_focal_loss, focal_loss
from likelihead.likelihoods.imbalance import ClassCounts, LabelCounts
from likelihead.likelihoods.sampler import BalancedSampler

__all__ = [
    "NLL",
    "Accumulator",
    "Accuracy",
    "BalancedSampler",
    "BitsPerByte",
    "BootstrapInterval",
    "Brier",
    "BrierDecomposition",
    "BrierParts",
    "CalibrationBin",
    "CalibrationError",
    "CalibrationReport",
    "Calibrator",
    "ClassCounts",
    "ConfusionMatrix",
    "ExactMatch",
    "InformationGain",
    "LabelConfusion",
    "LabelCounts",
    "LossSplit",
    "Metrics",
    "PlattScaling",
    "Ranking",
    "Rates",
    "Regression",
    "SmoothECE",
    "TemperatureScaling",
    "ThresholdCurve",
    "TopKAccuracy",
    "TunedThresholds",
    "VectorScaling",
    "adjust_prior",
    "average_precision",
    "binary_focal_loss",
    "constant_nll",
    "estimate_prior",
    "focal_loss",
    "for_likelihood",
    "merge_across_processes",
    "roc_auc",
    "threshold_curve",
    "tune_thresholds",
]
