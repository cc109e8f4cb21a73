import torch.nn as nn


def build_criterion(args):
    if args.loss == "ce":
        return nn.CrossEntropyLoss(label_smoothing=args.smoothing)
    if args.loss == "nll":
        return nn.NLLLoss()
    if args.loss == "bce":
        return nn.BCELoss()
    if args.loss == "bce_logits":
        return nn.BCEWithLogitsLoss()
    raise ValueError(args.loss)
