"""The output end of a neural network, done right: likelihoods, losses, predictions and metrics for PyTorch.

>>> import torch
>>> import likelihead
>>> likelihood = likelihead.Categorical(3)
>>> likelihood(torch.zeros(2, 3), torch.tensor([0, 2]))
tensor(1.0986)
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Names of sub-packages: bound here, since importing the sub-package would bind the name to itself. Both
# modules load nothing but the standard library.
from likelihead.guard.switch import guard, set_guard
from likelihead.watch.block import watch

# On its import torch warns that there is no numpy, which it does without, as likelihead does. About a numpy
# that is there and does not work it has other words, which are left alone.
if "torch" not in sys.modules:
    warnings.filterwarnings("ignore", "Failed to initialize NumPy: No module named 'numpy' ", UserWarning)

if TYPE_CHECKING:
    from likelihead.errors import LikelihoodError, LikelihoodWarning
    from likelihead.kernels.dispatch import explain, synchronize, use_backend
    from likelihead.likelihoods import (
        Bernoulli,
        Categorical,
        CumulativeLink,
        Gaussian,
        Likelihood,
        MultiLabel,
        NegativeBinomial,
        Poisson,
        Quantile,
        StudentT,
        for_task,
        infer_task,
    )

__version__ = "0.1.0"

__all__ = [
    "Bernoulli",
    "Categorical",
    "CumulativeLink",
    "Gaussian",
    "Likelihood",
    "LikelihoodError",
    "LikelihoodWarning",
    "MultiLabel",
    "NegativeBinomial",
    "Poisson",
    "Quantile",
    "StudentT",
    "__version__",
    "evaluate",
    "explain",
    "for_task",
    "functional",
    "guard",
    "infer_task",
    "nn",
    "set_guard",
    "synchronize",
    "use_backend",
    "watch",
]

_HOME = {
    "Bernoulli": "likelihoods",
    "Categorical": "likelihoods",
    "CumulativeLink": "likelihoods",
    "Gaussian": "likelihoods",
    "Likelihood": "likelihoods",
    "LikelihoodError": "errors",
    "LikelihoodWarning": "errors",
    "MultiLabel": "likelihoods",
    "NegativeBinomial": "likelihoods",
    "Poisson": "likelihoods",
    "Quantile": "likelihoods",
    "StudentT": "likelihoods",
    "explain": "kernels.dispatch",
    "for_task": "likelihoods",
    "infer_task": "likelihoods",
    "synchronize": "kernels.dispatch",
    "use_backend": "kernels.dispatch",
}
_MODULES = ("evaluate", "functional", "nn")


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"likelihead.{_HOME[name]}"), name)
    if name in _MODULES:
        return import_module(f"likelihead.{name}")
    raise AttributeError(f"module 'likelihead' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
