import csv
import sys

import torch
from project.criteria import smooth_ce
from project.mlp import SurnameClassifier
from project.vectorizer import LETTERS, collate
from torch.utils.data import DataLoader

NATIONS = ["Arabic", "Chinese", "Czech", "Dutch", "English", "French", "German", "Greek"]


def read(path):
    with open(path, newline="") as f:
        return [(row["surname"], NATIONS.index(row["nationality"])) for row in csv.DictReader(f)]


def main():
    loader = DataLoader(read(sys.argv[1]), batch_size=64, shuffle=True, collate_fn=collate)
    classifier = SurnameClassifier(len(LETTERS), 300, len(NATIONS), apply_softmax=True)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=0.001)
    for epoch in range(100):
        classifier.train()
        for x, y in loader:
            optimizer.zero_grad()
            y_pred = classifier(x)
            loss = smooth_ce(y_pred, y)  # expect: LH101
            loss.backward()
            optimizer.step()
        print(epoch, loss.item())


if __name__ == "__main__":
    main()
