"""Figures of a model on held-out data, and what they are used for: calibration, thresholds, priors.

The accumulators take batches and add up: see `Accumulator`.
"""

from likelihead.evaluate.accumulator import Accumulator, merge_across_processes
from likelihead.evaluate.calibration_error import CalibrationBin, CalibrationError
from likelihead.evaluate.calibrator import CalibrationReport, Calibrator
from likelihead.evaluate.linear_scaling import PlattScaling, VectorScaling
from likelihead.evaluate.nll import NLL, BitsPerByte
from likelihead.evaluate.prior import adjust_prior, estimate_prior
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
    "BalancedSampler",
    "BitsPerByte",
    "BootstrapInterval",
    "CalibrationBin",
    "CalibrationError",
    "CalibrationReport",
    "Calibrator",
    "ClassCounts",
    "LabelCounts",
    "PlattScaling",
    "SmoothECE",
    "TemperatureScaling",
    "ThresholdCurve",
    "TunedThresholds",
    "VectorScaling",
    "adjust_prior",
    "average_precision",
    "binary_focal_loss",
    "estimate_prior",
    "focal_loss",
    "merge_across_processes",
    "roc_auc",
    "threshold_curve",
    "tune_thresholds",
]
