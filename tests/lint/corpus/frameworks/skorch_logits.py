# case: skorch modules that give logits, with CrossEntropyLoss and with the default of the binary classifier
import torch
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from torch import nn


class Encoder(nn.Module):
    def __init__(self, n_in, n_out, width=64):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(n_in, width), nn.ReLU(), nn.Dropout(0.1))
        self.head = nn.Linear(width, n_out)

    def forward(self, X):
        return self.head(self.body(X))


class Binary(Encoder):
    def __init__(self, n_in, width=64):
        super().__init__(n_in, 1, width)

    def forward(self, X):
        return super().forward(X).squeeze(-1)


class Gated(nn.Module):
    """A softmax over experts inside the network; what comes out are logits."""

    def __init__(self, n_in=20, n_experts=4, n_out=5):
        super().__init__()
        self.gate = nn.Linear(n_in, n_experts)
        self.experts = nn.ModuleList(nn.Linear(n_in, n_out) for _ in range(n_experts))

    def forward(self, X):
        weights = torch.softmax(self.gate(X), dim=-1)
        stacked = torch.stack([expert(X) for expert in self.experts], dim=1)
        return (weights.unsqueeze(-1) * stacked).sum(dim=1)


multi = NeuralNetClassifier(
    Encoder,
    module__n_in=20,
    module__n_out=5,
    criterion=torch.nn.CrossEntropyLoss,
    criterion__label_smoothing=0.05,
)
mixture = NeuralNetClassifier(Gated, criterion=nn.CrossEntropyLoss(), max_epochs=40)
binary = NeuralNetBinaryClassifier(
    Binary, module__n_in=20, criterion__pos_weight=torch.tensor(3.0), threshold=0.3
)
price = NeuralNetRegressor(Encoder, module__n_in=20, module__n_out=1)


def fit_all(X, y_multi, y_binary):
    multi.fit(X, y_multi)
    mixture.fit(X, y_multi)
    binary.fit(X, y_binary.astype("float32"))
    # skorch applies the softmax and the sigmoid itself to predict probabilities
    return multi.predict_proba(X), binary.predict_proba(X)[:, 1] > 0.5
