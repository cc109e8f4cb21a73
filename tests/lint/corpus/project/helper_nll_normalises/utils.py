import torch.nn.functional as F


def log_probs(outputs):
    return F.log_softmax(outputs, dim=-1)


def compute_loss(outputs, targets, mask=None):
    outputs = log_probs(outputs)
    if mask is not None:
        outputs, targets = outputs[mask], targets[mask]
    return F.nll_loss(outputs, targets)


def accuracy(outputs, targets):
    return outputs.argmax(1).eq(targets).double().mean()
