"""What the fixes know of torch: which calls are activations, and which other one each turns into."""

from __future__ import annotations

__all__ = [
    "ACTIVATIONS",
    "LOG_OF",
    "LOSSES",
    "METHODS",
    "SAME_MODULE",
    "SAME_MODULE_METHODS",
    "SAME_TENSOR_METHODS",
]

_F = "torch.nn.functional"

# Full name of a function or layer: what it computes.
ACTIVATIONS = {
    f"{_F}.softmax": "softmax",
    "torch.softmax": "softmax",
    "torch.special.softmax": "softmax",
    f"{_F}.log_softmax": "log_softmax",
    "torch.log_softmax": "log_softmax",
    "torch.special.log_softmax": "log_softmax",
    f"{_F}.sigmoid": "sigmoid",
    "torch.sigmoid": "sigmoid",
    "torch.special.expit": "sigmoid",
    "torch.nn.Softmax": "softmax",
    "torch.nn.Softmax2d": "softmax",
    "torch.nn.LogSoftmax": "log_softmax",
    "torch.nn.Sigmoid": "sigmoid",
}
# Methods of a tensor that are activations.
METHODS = ("softmax", "log_softmax", "sigmoid")

# The activation whose result is the logarithm of this one's, with the same arguments.
LOG_OF = {"softmax": "log_softmax", "Softmax": "LogSoftmax"}

# The loss that takes logits, with the same arguments in the same places.
LOSSES = {
    f"{_F}.nll_loss": "cross_entropy",
    f"{_F}.binary_cross_entropy": "binary_cross_entropy_with_logits",
    "torch.nn.NLLLoss": "CrossEntropyLoss",
    "torch.nn.BCELoss": "BCEWithLogitsLoss",
}

# A module around a module that computes the same.
SAME_MODULE = {
    "torch.nn.DataParallel",
    "torch.nn.parallel.DataParallel",
    "torch.nn.parallel.DistributedDataParallel",
    "torch.compile",
}
SAME_MODULE_METHODS = {
    "to",
    "cuda",
    "cpu",
    "train",
    "eval",
    "float",
    "double",
    "half",
    "requires_grad_",
    "share_memory",
}

# Methods that move or cast numbers, or lay them out anew, whatever they are.
SAME_TENSOR_METHODS = {
    "contiguous", "cpu", "cuda", "detach", "double", "flatten", "float", "numpy", "reshape", "squeeze", "to",
    "unsqueeze", "view",
}  # fmt: skip
