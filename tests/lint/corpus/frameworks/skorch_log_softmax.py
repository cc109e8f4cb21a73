# case: a log-softmax under skorch, which takes the log itself of what goes to its default NLLLoss
import numpy as np
import torch.nn.functional as F
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn


class MyModule(nn.Module):
    def __init__(self, num_units=10, nonlin=F.relu):
        super().__init__()
        self.dense0 = nn.Linear(20, num_units)
        self.nonlin = nonlin
        self.dropout = nn.Dropout(0.5)
        self.output = nn.Linear(num_units, 2)

    def forward(self, X, **kwargs):
        X = self.nonlin(self.dense0(X))
        X = self.dropout(X)
        return F.log_softmax(self.output(X), dim=-1)


def make_net():
    return NeuralNetClassifier(  # expect: LH104
        MyModule,
        max_epochs=20,
        lr=0.1,
        iterator_train__shuffle=True,
        verbose=0,
    )


def search(X, y):
    pipe = Pipeline([("scale", StandardScaler()), ("net", make_net())])
    grid = GridSearchCV(pipe, {"net__lr": [0.01, 0.1], "net__module__num_units": [10, 40]}, cv=3)
    grid.fit(X, y)
    return grid.best_params_


if __name__ == "__main__":
    X, y = make_classification(1000, 20, n_informative=10, random_state=0)
    X, y = X.astype(np.float32), y.astype(np.int64)
    print(search(X, y))
    print(cross_val_score(make_net(), X, y, cv=3).mean())
