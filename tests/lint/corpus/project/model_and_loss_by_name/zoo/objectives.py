import torch.nn.functional as F


def get_objective(name):
    if name == "cross_entropy":
        return F.cross_entropy
    elif name == "nll":
        return F.nll_loss
    else:
        return F.mse_loss
