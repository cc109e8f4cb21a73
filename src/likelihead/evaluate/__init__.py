"""Figures of a model on held-out data, and what they are used for: calibration, thresholds, priors.

The accumulators take batches and add up: see `Accumulator`.
"""

from likelihead.evaluate.accumulator import Accumulator, merge_across_processes
from likelihead.evaluate.calibration_error import CalibrationBin, CalibrationError
from likelihead.evaluate.calibrator import CalibrationReport, Calibrator
from likelihead.evaluate.linear_scaling import PlattScaling, VectorScaling
from likelihead.evaluate.nll import NLL
from likelihead.evaluate.temperature import TemperatureScaling
from likelihead.likelihoods.focal import binary_focal_loss, focal_loss
from likelihead.likelihoods.imbalance import ClassCounts, LabelCounts
from likelihead.likelihoods.sampler import BalancedSampler

__all__ = [
    "NLL",
    "Accumulator",
    "BalancedSampler",
    "CalibrationBin",
    "CalibrationError",
    "CalibrationReport",
    "Calibrator",
    "ClassCounts",
    "LabelCounts",
    "PlattScaling",
    "TemperatureScaling",
    "VectorScaling",
    "binary_focal_loss",
    "focal_loss",
    "merge_across_processes",
]
