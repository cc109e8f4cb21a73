# case: skorch with NLLLoss, by default and by name: the module's softmax is right, for skorch takes the log
import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping, EpochScoring
from torch import nn


class TextCNN(nn.Module):
    def __init__(self, vocab=5000, dim=64, n_classes=4, kernel_sizes=(3, 4, 5)):
        super().__init__()
        self.emb = nn.Embedding(vocab, dim, padding_idx=0)
        self.convs = nn.ModuleList(nn.Conv1d(dim, 100, k) for k in kernel_sizes)
        self.fc = nn.Linear(100 * len(kernel_sizes), n_classes)

    def forward(self, ids):
        x = self.emb(ids).transpose(1, 2)
        pooled = [torch.relu(conv(x)).amax(dim=2) for conv in self.convs]
        return torch.softmax(self.fc(torch.cat(pooled, dim=1)), dim=-1)


class Tabular(nn.Sequential):
    def __init__(self, n_in=16, n_out=3):
        super().__init__(nn.Linear(n_in, 32), nn.ReLU(), nn.Linear(32, n_out), nn.Softmax(dim=-1))


text_net = NeuralNetClassifier(
    TextCNN,
    max_epochs=10,
    optimizer=torch.optim.Adam,
    lr=1e-3,
    callbacks=[EarlyStopping(patience=3), EpochScoring("f1_macro", lower_is_better=False)],
)

tabular_net = NeuralNetClassifier(
    Tabular,
    module__n_in=16,
    criterion=nn.NLLLoss,
    criterion__weight=torch.tensor([1.0, 1.0, 2.0]),
    iterator_train__drop_last=True,
)


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    tabular_net.fit(rng.normal(size=(256, 16)).astype("float32"), rng.integers(3, size=256))
    proba = tabular_net.predict_proba(rng.normal(size=(8, 16)).astype("float32"))
    print(proba.sum(axis=1))
