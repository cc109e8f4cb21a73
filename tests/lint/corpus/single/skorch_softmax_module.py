# case: skorch NeuralNetClassifier, default NLLLoss; the module gives probabilities, skorch takes the log
import numpy as np
import torch
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from torch import nn

X, y = make_classification(1000, 20, n_informative=10, random_state=0)
X, y = X.astype(np.float32), y.astype(np.int64)


class ClassifierModule(nn.Module):
    def __init__(self, num_units=10, nonlin=nn.ReLU(), dropout=0.5):
        super().__init__()
        self.dense0 = nn.Linear(20, num_units)
        self.nonlin = nonlin
        self.dropout = nn.Dropout(dropout)
        self.dense1 = nn.Linear(num_units, num_units)
        self.output = nn.Linear(num_units, 2)
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, X, **kwargs):
        X = self.nonlin(self.dense0(X))
        X = self.dropout(X)
        X = self.nonlin(self.dense1(X))
        return self.softmax(self.output(X))


net = NeuralNetClassifier(
    ClassifierModule,
    max_epochs=20,
    lr=0.1,
    criterion=nn.NLLLoss,
    optimizer=torch.optim.SGD,
    callbacks=[EarlyStopping(patience=5)],
    iterator_train__shuffle=True,
)

if __name__ == "__main__":
    pipe = Pipeline([("scale", StandardScaler()), ("net", net)])
    pipe.fit(X, y)
    y_proba = pipe.predict_proba(X)
    print("mean confidence", y_proba.max(axis=1).mean())
    params = {"net__lr": [0.05, 0.1], "net__module__num_units": [10, 20]}
    gs = GridSearchCV(pipe, params, refit=False, cv=3, scoring="accuracy")
    gs.fit(X, y)
    print("best score: {:.3f}, best params: {}".format(gs.best_score_, gs.best_params_))
