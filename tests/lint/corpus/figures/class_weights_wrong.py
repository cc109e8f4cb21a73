# case: class weights as the weight of a BCE loss, and a weight of three numbers for four classes
import numpy as np
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn


class Classifier(nn.Module):
    def __init__(self, n_in=12, n_out=1):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(n_in, 24), nn.ReLU(), nn.Linear(24, n_out))

    def forward(self, x):
        return self.net(x)


def fit_rare_event(x, y, steps=20):
    model = Classifier(n_out=1)
    class_weights = torch.tensor([0.2, 0.8])
    criterion = nn.BCEWithLogitsLoss(weight=class_weights)  # expect: LH602
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        logits = model(x)
        loss = criterion(logits, y.float().unsqueeze(1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def balanced_criterion(labels):
    weights = compute_class_weight("balanced", classes=np.unique(labels), y=labels)
    return nn.BCEWithLogitsLoss(weight=torch.tensor(weights, dtype=torch.float))  # expect: LH602


def four_classes(x):
    model = Classifier(n_out=4)
    y = torch.randint(0, 4, (x.size(0),))
    criterion = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 4.0]))  # expect: LH602
    return criterion(model(x), y)


def balanced_loss(x, y):
    return balanced_criterion(y.numpy())(Classifier()(x), y.float().unsqueeze(1))


if __name__ == "__main__":
    features = torch.randn(40, 12)
    event = (torch.rand(40) > 0.8).long()
    attempts = {
        fit_rare_event: (features, event),
        balanced_loss: (features, event),
        four_classes: (features,),
    }
    for attempt, args in attempts.items():
        try:
            attempt(*args)
        except RuntimeError as error:
            print(f"{attempt.__name__}: {error}")
