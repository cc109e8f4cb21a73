import torch
from net import ConvClassifier
from trainers import BinaryTrainer, MulticlassTrainer


def batches(n, classes):
    for _ in range(n):
        yield torch.rand(32, 3, 64, 64), torch.randint(classes, (32,))


if __name__ == "__main__":
    BinaryTrainer(ConvClassifier(num_outputs=1)).fit(batches(20, 2))
    MulticlassTrainer(ConvClassifier(num_outputs=3)).fit(batches(20, 3))
