import numpy as np
import torch.nn as nn
from module import ClassifierModule, LogitModule
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier


def main():
    X, y = make_classification(1000, 20, n_informative=10, n_classes=3, random_state=0)
    X, y = X.astype(np.float32), y.astype(np.int64)

    net = NeuralNetClassifier(ClassifierModule, max_epochs=20, lr=0.1, iterator_train__shuffle=True)
    grid = GridSearchCV(net, {"module__num_units": [10, 20]}, refit=True, cv=3, scoring="accuracy")
    grid.fit(X, y)
    print(grid.best_score_, grid.best_params_)

    explicit = NeuralNetClassifier(ClassifierModule, criterion=nn.NLLLoss, max_epochs=20, lr=0.1)
    explicit.fit(X, y)
    print(explicit.predict_proba(X[:3]))

    logits = NeuralNetClassifier(LogitModule, criterion=nn.CrossEntropyLoss, max_epochs=20, lr=0.1)
    logits.fit(X, y)
    print(logits.score(X, y))


if __name__ == "__main__":
    main()
