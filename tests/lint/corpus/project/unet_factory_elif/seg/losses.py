import torch.nn as nn


def make_loss(kind):
    if kind == "mse":
        return nn.MSELoss()
    elif kind == "bce":
        return nn.BCELoss()
    elif kind == "bce_logits":
        return nn.BCEWithLogitsLoss()
    raise ValueError(f"no loss of the name {kind}")
