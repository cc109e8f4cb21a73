import torch

from fraud.model import FraudNet

THRESHOLD = 0.5


@torch.inference_mode()
def score(model: FraudNet, numeric: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
    model.eval()
    return torch.sigmoid(model(numeric, categories))


def flag(model: FraudNet, numeric: torch.Tensor, categories: torch.Tensor) -> torch.Tensor:
    return score(model, numeric, categories) > THRESHOLD
